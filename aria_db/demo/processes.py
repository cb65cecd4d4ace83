"""What the demo runs as processes of their own: commands, and the server of the API."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from aria_db.database import Database


def aria_db(database: Database, *arguments: str) -> None:
    """Run ``aria-db`` on a database, its output on this terminal."""
    subprocess.run(
        [sys.executable, "-m", "aria_db", *arguments], check=True, env=environment(database)
    )


def environment(database: Database) -> dict[str, str]:
    """Return the environment for a process that works on a database, with no other setting."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ARIA_")}
    if database.schema is not None:
        kept["ARIA_DB_SCHEMA"] = database.schema
    return {**kept, "DATABASE_URL": replace(database, schema=None).libpq_url()}


@contextmanager
def api(database: Database) -> Iterator[str]:
    """Serve the HTTP API in a process of its own; give its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "aria_db", "serve", "--port", str(port)]
    with subprocess.Popen(
        command, env=environment(database), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            wait_for(f"{address}/health", process)
            yield address
        finally:
            process.terminate()


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Return when a server answers; fail when it ends or takes a minute."""
    for _ in range(600):
        try:
            with urllib.request.urlopen(url):  # noqa: S310
                return
        except urllib.error.URLError:
            if process.poll() is not None:
                raise RuntimeError(f"the server ended with status {process.returncode}") from None
            time.sleep(0.1)
    raise RuntimeError(f"{url} does not answer")
