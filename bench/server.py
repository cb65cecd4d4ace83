"""A PostgreSQL server for the benchmarks: its settings, databases and copies of them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from aria_db import embedded
from aria_db.database import Database, literal, quoted

SETTINGS = {
    # What a server of this size would have in production.
    "shared_buffers": "1GB",
    "effective_cache_size": "8GB",
    "maintenance_work_mem": "512MB",
    "max_wal_size": "16GB",
    "random_page_cost": "1.1",
    # Both would come to one subject and not to the other. What they do is done between the
    # rounds, outside the time that is measured.
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
}
"""The settings that differ from PostgreSQL's own; fsync and full_page_writes are on."""


class Server:
    """The server while it runs.

    :param running: the embedded server.
    """

    def __init__(self, running: embedded.EmbeddedServer) -> None:
        self._running = running
        self._copies = 0

    def database(self, name: str) -> Database:
        """Where a database is."""
        return Database(self._running.url(name))

    def connect(self, name: str, **options: Any) -> psycopg.Connection:
        """Connect to a database, in autocommit."""
        return psycopg.connect(self.database(name).libpq_url(), autocommit=True, **options)

    def create(self, name: str) -> None:
        """Create an empty database."""
        self._running.create_database(name)

    @contextmanager
    def copied(self, template: str) -> Iterator[str]:
        """Give the name of a copy of a database, file by file, which is dropped at the end.

        PostgreSQL makes a checkpoint before and after: each copy starts from the same state.
        """
        self._copies += 1
        name = f"{template}_{self._copies}"
        with self.connect("postgres") as connection:
            connection.execute(
                f"CREATE DATABASE {quoted(name)} TEMPLATE {quoted(template)} STRATEGY file_copy"
            )
        try:
            yield name
        finally:
            self.drop(name)

    def drop(self, name: str) -> None:
        """Drop a database, also while clients are connected to it."""
        with self.connect("postgres") as connection:
            connection.execute(f"DROP DATABASE {quoted(name)} WITH (FORCE)")

    def settings(self) -> dict[str, str]:
        """Return the version and the settings that matter, as the server tells them."""
        names = ["server_version", "fsync", "full_page_writes", "synchronous_commit", *SETTINGS]
        with self.connect("postgres") as connection:
            rows = connection.execute(
                "SELECT name, current_setting(name) FROM unnest(%s::text[]) AS _ (name)", [names]
            )
            return dict(rows.fetchall())


@contextmanager
def started() -> Iterator[Server]:
    """Run a server in a directory of its own, which is removed at the end."""
    directory = Path(tempfile.mkdtemp(prefix="aria-db-bench-"))
    directory.chmod(0o755)  # the account of root's server goes through here
    try:
        with (
            embedded.start(directory / "data") as server,
            Server(server).connect("postgres") as connection,
        ):
            for name, value in SETTINGS.items():
                connection.execute(f"ALTER SYSTEM SET {name} = {literal(value)}")
        # Closed and started again: some are read at the start alone.
        with embedded.start(directory / "data") as server:
            yield Server(server)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
