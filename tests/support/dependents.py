"""Tables that refer to chat rows, on both layouts, and looks at what becomes of their rows."""

from typing import NamedTuple
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import namedtuple_row

from tests.support import layouts
from tests.support.rows import all_tables, archive_many

ACTIONS = ["CASCADE", "SET NULL", "SET DEFAULT", "NO ACTION", "RESTRICT"]


class Chat(NamedTuple):
    """The tables that hold chat rows, whatever the four names are.

    :param sessions: the live sessions.
    :param messages: the live messages.
    :param session_archive: the archived sessions.
    :param message_archive: the archived messages.
    :param message_key: the columns of a reference to a message, and what they refer to.
    """

    sessions: str
    messages: str
    session_archive: str
    message_archive: str
    message_key: tuple[str, str]


CHAT = {
    "tables": Chat(
        "engine_chat_sessions",
        "engine_chat_messages",
        "engine_chat_session_archive",
        "engine_chat_message_archive",
        ("session_id, message_id", "session_id, id"),
    ),
    "views": Chat(
        *(f"{layouts.APPLICATION_SCHEMA}.{name}" for name in layouts.TABLES), ("message_id", "id")
    ),
}


def refer_to_messages(
    connection: psycopg.Connection, chat: Chat, on_delete: str, table: str = "feedback"
) -> None:
    """Add a table whose rows refer to messages.

    :param on_delete: what stands behind ``ON DELETE``.
    """
    own, others = chat.message_key
    connection.execute(
        f"""
        CREATE TABLE {table} (
            id integer PRIMARY KEY,
            session_id uuid,
            message_id uuid,
            stars real,
            FOREIGN KEY ({own}) REFERENCES {chat.messages} ({others}) ON DELETE {on_delete}
        )
        """
    )
    connection.execute(f"CREATE INDEX ON {table} ({own})")


def refer_to_sessions(
    connection: psycopg.Connection, chat: Chat, on_delete: str, table: str = "bookmark"
) -> None:
    """Add a table whose rows refer to sessions.

    :param on_delete: what stands behind ``ON DELETE``.
    """
    connection.execute(
        f"""
        CREATE TABLE {table} (
            id integer PRIMARY KEY,
            session_id uuid REFERENCES {chat.sessions} ON DELETE {on_delete}
        )
        """
    )
    connection.execute(f"CREATE INDEX ON {table} (session_id)")


def add_feedback(
    connection: psycopg.Connection, session_id: UUID, table: str = "feedback", first: int = 1
) -> None:
    """Add a row for each message of a session."""
    connection.execute(
        f"""
        INSERT INTO {table}
        SELECT %s - 1 + row_number() OVER (ORDER BY created_at), session_id, id, 0.1
        FROM engine_chat_messages WHERE session_id = %s
        """,
        (first, session_id),
    )


def add_bookmark(
    connection: psycopg.Connection, session_id: UUID, table: str = "bookmark", number: int = 1
) -> None:
    connection.execute(f"INSERT INTO {table} VALUES (%s, %s)", (number, session_id))


def set_handling(
    connection: psycopg.Connection, table: str, handling: str, schema: str | None = None
) -> None:
    """Say what becomes of the rows of a table."""
    if schema is None:
        row = connection.execute(
            "SELECT nspname FROM pg_class JOIN pg_namespace ON relnamespace = pg_namespace.oid"
            " WHERE pg_class.oid = %s::regclass",
            (table,),
        ).fetchone()
        assert row is not None
        (schema,) = row
    connection.execute("SELECT set_archive_dependent(%s, %s, %s)", (schema, table, handling))


def rows_of(connection: psycopg.Connection, table: str) -> list:
    """Return the rows of a table as text, in order."""
    return connection.execute(f"SELECT t::text FROM {table} AS t ORDER BY 1").fetchall()


def hazards(connection: psycopg.Connection, kind: str | None = None) -> list:
    """Return what ``archive_hazards`` lists, of one kind or all."""
    cursor = connection.cursor(row_factory=namedtuple_row)
    rows = cursor.execute("SELECT * FROM archive_hazards()").fetchall()
    return [row for row in rows if kind in (None, row.hazard)]


def refused(connection: psycopg.Connection, *ids: UUID, sqlstate: str = "AR005") -> str:
    """Archive sessions, which must be refused and change nothing; return its texts."""
    before = all_tables(connection)
    with pytest.raises(psycopg.DatabaseError) as caught:
        archive_many(connection, ids)
    assert caught.value.sqlstate == sqlstate, caught.value
    assert all_tables(connection) == before
    diagnostic = caught.value.diag
    return "\n".join(
        text or ""
        for text in (
            diagnostic.message_primary,
            diagnostic.message_detail,
            diagnostic.message_hint,
        )
    )
