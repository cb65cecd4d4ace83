"""A session in both places, and the functions about it as Python calls."""

from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import namedtuple_row

from tests.support import new_session
from tests.support.rows import ARCHIVE, LIVE, copy_to_archive


def conflict(
    connection: psycopg.Connection, *, only_live: int = 2, equal: int = 2, only_archive: int = 2
) -> UUID:
    """Insert a session whose messages are in one place or in both; its row is equal in both."""
    session_id = new_session(connection, equal + only_archive)
    copy_to_archive(connection, session_id)
    connection.execute(
        """
        DELETE FROM engine_chat_messages WHERE id IN (
            SELECT id FROM engine_chat_messages WHERE session_id = %s
            ORDER BY created_at DESC LIMIT %s
        )
        """,
        (session_id, only_archive),
    )
    for number in range(only_live):
        insert_message(connection, session_id, f"only live {number}")
    return session_id


def insert_message(connection: psycopg.Connection, session_id: UUID, content: str) -> UUID:
    row = connection.execute(
        """
        INSERT INTO engine_chat_messages (session_id, role, content) VALUES (%s, 'user', %s)
        RETURNING id
        """,
        (session_id, content),
    ).fetchone()
    assert row is not None
    message_id: UUID = row[0]
    return message_id


def resolve(
    connection: psycopg.Connection,
    session_id: UUID | None,
    destination: str | None,
    keep: str | None = None,
    actor: str | None = None,
) -> Any:
    """Call ``resolve_session_conflict``; return its row, with names, or None."""
    cursor = connection.cursor(row_factory=namedtuple_row)
    return cursor.execute(
        "SELECT * FROM resolve_session_conflict(%s, %s, %s, %s)",
        (session_id, destination, keep, actor),
    ).fetchone()


def differences(connection: psycopg.Connection, session_id: UUID) -> list[tuple]:
    return connection.execute(
        "SELECT * FROM session_conflict_differences(%s)", [session_id]
    ).fetchall()


def conflicts(connection: psycopg.Connection) -> dict[UUID, Any]:
    """Read the view, by session."""
    cursor = connection.cursor(row_factory=namedtuple_row)
    rows = cursor.execute("SELECT * FROM engine_session_conflict").fetchall()
    return {row.session_id: row for row in rows}


def resolutions(connection: psycopg.Connection) -> list:
    """Read the log, the oldest first."""
    cursor = connection.cursor(row_factory=namedtuple_row)
    return cursor.execute("SELECT * FROM engine_conflict_resolution ORDER BY id").fetchall()


def events(connection: psycopg.Connection) -> list:
    """Read the journal, the oldest first."""
    cursor = connection.cursor(row_factory=namedtuple_row)
    return cursor.execute("SELECT * FROM engine_archive_event ORDER BY id").fetchall()


def one(connection: psycopg.Connection, query: str, *values: object) -> Any:
    """Return the first column of the first row."""
    row = connection.execute(query, values or None).fetchone()
    assert row is not None
    return row[0]


def change(connection: psycopg.Connection, table: str, assignment: str, session_id: UUID) -> None:
    """Change the rows of a session in one of the four tables."""
    key = "id" if table in (LIVE[0], ARCHIVE[0]) else "session_id"
    connection.execute(f"UPDATE {table} SET {assignment} WHERE {key} = %s", [session_id])
