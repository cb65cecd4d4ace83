"""The server that tests run against."""

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
