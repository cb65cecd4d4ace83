"""The functions as calls, and what other code does to the rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import namedtuple_row

ACCESSES = ("reader", "support", "app", "operator")


def verify(connection: psycopg.Connection, since: object = None) -> list[Any]:
    """Call ``verify_archive``; return its rows, with names."""
    cursor = connection.cursor(row_factory=namedtuple_row)
    return cursor.execute("SELECT * FROM verify_archive(%s::timestamptz)", [since]).fetchall()


def found(connection: psycopg.Connection, since: object = None) -> set[tuple[str, UUID | None]]:
    """Return the findings, each with its session; the same one twice fails."""
    findings = [(row.finding, row.session_id) for row in verify(connection, since)]
    assert len(set(findings)) == len(findings)
    return set(findings)


def grant(connection: psycopg.Connection, role: str, access: str, **options: bool) -> list[str]:
    """Call ``grant_archive_access``; return the statements."""
    named = "".join(f", {name} => %({name})s" for name in options)
    statement = f"SELECT grant_archive_access(%(role)s, %(access)s{named})"
    return [
        row for (row,) in connection.execute(statement, {"role": role, "access": access, **options})
    ]


@contextmanager
def without_triggers(connection: psycopg.Connection) -> Iterator[None]:
    """Ask no foreign key, as ``pg_restore --disable-triggers`` and a replication do not."""
    connection.execute("SET session_replication_role = replica")
    yield
    connection.execute("RESET session_replication_role")


def grant_live_tables(connection: psycopg.Connection, role: str) -> None:
    """Grant what an application has on its own tables anyway."""
    statement = (
        "GRANT SELECT, INSERT, UPDATE, DELETE ON engine_chat_sessions, engine_chat_messages TO {}"
    )
    connection.execute(sql.SQL(statement).format(sql.Identifier(role)))
