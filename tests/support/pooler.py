"""A real pgbouncer between the tests and their server."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aria_db import embedded
from aria_db.database import Database

# Fewer connections to the server than clients, so that clients share them.
POOL_SIZE = 4


def program() -> Path:
    """Find, or as root on Debian install, pgbouncer; skip the test where there is none."""
    found = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        for words in (["update"], ["install", "--yes", "--no-install-recommends", "pgbouncer"]):
            subprocess.run(["apt-get", *words], stdin=subprocess.DEVNULL, capture_output=True)
        found = shutil.which("pgbouncer", path="/usr/sbin")
    if found is None:
        pytest.skip("there is no pgbouncer: install Debian's")
    return Path(found)


@contextmanager
def pgbouncer(database: Database, mode: str, place: Path) -> Iterator[Database]:
    """Run a pooler before the server of a database; give the database behind it.

    :param mode: ``transaction`` or ``session``.
    :param place: a directory that the account of root's server may enter.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    url = database.url
    users = place / "users"
    users.write_text(f'"{url.username}" ""\n', "utf-8")
    settings = place / "pgbouncer.ini"
    settings.write_text(
        f"""
[databases]
* = host={url.host or url.query["host"]} port={url.port or url.query.get("port", 5432)}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = {mode}
default_pool_size = {POOL_SIZE if mode == "transaction" else 20}
server_reset_query = DISCARD ALL
logfile =
""",
        "utf-8",
    )
    with subprocess.Popen(
        [program(), "--quiet", settings],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **embedded.unprivileged(),
    ) as process:
        try:
            _wait_for(port)
            pooled = url.set(host="127.0.0.1", port=port).difference_update_query(["host", "port"])
            yield Database(pooled, database.schema)
        finally:
            process.kill()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
