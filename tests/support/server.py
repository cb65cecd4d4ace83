"""The server that tests run against."""

import psycopg

from aria_db import embedded
from aria_db.database import Database


def switch_fsync_off(server: embedded.EmbeddedServer) -> None:
    """Make a server fast of which nothing outlives the tests."""
    # What must survive a crash has its own server.
    with psycopg.connect(
        Database(server.url("postgres")).libpq_url(), autocommit=True
    ) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
