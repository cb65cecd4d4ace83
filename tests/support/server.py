"""The servers that tests run against: the one of all tests, and those of a single test."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import psycopg

from aria_db import embedded
from aria_db.database import Database


def make_fast(server: embedded.EmbeddedServer) -> None:
    """Make a server fast of which nothing outlives the tests."""
    # What must survive a crash has its own server.
    with psycopg.connect(
        Database(server.url("postgres")).libpq_url(), autocommit=True
    ) as connection:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")


@contextmanager
def new_place() -> Iterator[Path]:
    """A directory that the account of root's server may enter, which those of tmp_path are not."""
    path = Path(tempfile.mkdtemp(prefix="aria-db-test-")).resolve()
    path.chmod(0o755)
    try:
        yield path
    finally:
        kill_servers_under(path)
        shutil.rmtree(path)


def servers_under(path: Path) -> list[psutil.Process]:
    """Find the servers of all data directories in there, whatever their files say."""
    found = []
    for process in psutil.process_iter(["name", "cmdline"]):
        words = process.info["cmdline"] or []
        if process.info["name"] == "postgres" and any(w.startswith(str(path)) for w in words):
            found.append(process)
    return found


def kill_servers_under(path: Path) -> None:
    """Kill the servers of all data directories in there, as a power cut would."""
    for server in servers_under(path):
        with suppress(psutil.NoSuchProcess):
            processes = [server, *server.children(recursive=True)]
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(processes)
