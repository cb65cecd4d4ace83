"""The functions as calls, and the rows of the chat tables compared bit for bit."""

from collections.abc import Iterable
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import namedtuple_row

LIVE = ("engine_chat_sessions", "engine_chat_messages")
ARCHIVE = ("engine_chat_session_archive", "engine_chat_message_archive")

# A value for every column of a type, other than what new_session leaves there.
ANOTHER_VALUE = {
    "text": "'another'",
    "character varying": "'another'",
    "double precision": "0.25",
    "integer": "25",
    "numeric": "25",
    "jsonb": "'[25]'",
    "timestamp with time zone": "'2025-01-01'",
}


class Row(NamedTuple):
    """A row of a session or of a message: where it belongs, and an image of all its values."""

    session_id: UUID
    id: UUID
    image: str


def images(connection: psycopg.Connection, table: str, columns_of: str | None = None) -> list[Row]:
    """Read the rows of a table, without the columns that ``columns_of`` has not.

    The image is made in the database of what PostgreSQL would send in its binary form: the type
    of each column, whether it is NULL, and its bytes. It tells -0.0 from 0.0, a JSON 1.0 from 1.00
    and NULL from a JSON null, which the operator ``=`` or a Python value would not.
    """
    columns = connection.execute(
        sql.SQL("SELECT * FROM {} LIMIT 0").format(sql.Identifier(columns_of or table))
    ).description
    assert columns is not None
    names = [column.name for column in columns]
    rows = connection.execute(
        sql.SQL(
            "SELECT {session}, id, encode(sha256(record_send(image)), 'hex')"
            " FROM (SELECT {columns} FROM {table}) AS image ORDER BY 1, 2"
        ).format(
            session=sql.Identifier("session_id" if "session_id" in names else "id"),
            columns=sql.SQL(", ").join(map(sql.Identifier, names)),
            table=sql.Identifier(table),
        )
    )
    return [Row(*row) for row in rows]


def live(connection: psycopg.Connection) -> list[Row]:
    """Read every live session and message."""
    return [row for table in LIVE for row in images(connection, table)]


def archived(connection: psycopg.Connection) -> list[Row]:
    """Read every archived session and message as it would look if it were live."""
    return [
        row
        for table, live_table in zip(ARCHIVE, LIVE, strict=True)
        for row in images(connection, table, columns_of=live_table)
    ]


def all_tables(connection: psycopg.Connection) -> dict[str, list[Row]]:
    """Read all that the four tables hold, to see that nothing changed."""
    return {table: images(connection, table) for table in LIVE + ARCHIVE}


def of(rows: list[Row], *session_ids: UUID) -> list[Row]:
    """Keep the rows of some sessions."""
    return [row for row in rows if row.session_id in session_ids]


def not_of(rows: list[Row], *session_ids: UUID) -> list[Row]:
    """Keep the rows of all other sessions."""
    return [row for row in rows if row.session_id not in session_ids]


def archive(
    connection: psycopg.Connection, session_id: UUID | None, actor: str | None = None
) -> Any:
    """Call ``archive_session``; return its row, with names, or None."""
    return _row(connection, "archive_session", session_id, actor)


def archive_many(
    connection: psycopg.Connection,
    session_ids: Iterable[UUID | None],
    run_id: int | None = None,
    actor: str | None = None,
) -> dict[UUID, Any]:
    """Call ``archive_sessions``; return its rows by id. Two rows for one id fail."""
    return _rows_by_id(connection, "archive_sessions", list(session_ids), run_id, actor)


def restore(
    connection: psycopg.Connection, session_id: UUID | None, actor: str | None = None
) -> Any:
    """Call ``restore_session``; return its row, with names, or None."""
    return _row(connection, "restore_session", session_id, actor)


def restore_many(
    connection: psycopg.Connection,
    session_ids: Iterable[UUID | None],
    run_id: int | None = None,
    actor: str | None = None,
) -> dict[UUID, Any]:
    """Call ``restore_sessions``; return its rows by id. Two rows for one id fail."""
    return _rows_by_id(connection, "restore_sessions", list(session_ids), run_id, actor)


def delete_live(
    connection: psycopg.Connection, session_id: UUID | None, actor: str | None = None
) -> Any:
    """Call ``delete_chat_session``; return its row, with names, or None."""
    return _row(connection, "delete_chat_session", session_id, actor)


def delete_archived(
    connection: psycopg.Connection, session_id: UUID | None, actor: str | None = None
) -> Any:
    """Call ``delete_archived_session``; return its row, with names, or None."""
    return _row(connection, "delete_archived_session", session_id, actor)


def moved_now(row: Any) -> bool:
    """Tell whether the call moved the session, and not one before it."""
    newly: bool = getattr(row, "newly_archived", None) or getattr(row, "newly_restored", False)
    return newly


def _rows(connection: psycopg.Connection, function: str, *arguments: object) -> list[Any]:
    placeholders = ", ".join(["%s"] * len(arguments))
    cursor = connection.cursor(row_factory=namedtuple_row)
    return cursor.execute(f"SELECT * FROM {function}({placeholders})", arguments).fetchall()


def _row(connection: psycopg.Connection, function: str, *arguments: object) -> Any:
    rows = _rows(connection, function, *arguments)
    assert len(rows) <= 1
    return rows[0] if rows else None


def _rows_by_id(
    connection: psycopg.Connection, function: str, *arguments: object
) -> dict[UUID, Any]:
    rows = _rows(connection, function, *arguments)
    by_id = {row.id: row for row in rows}
    assert len(by_id) == len(rows)
    return by_id


def copy_to_archive(connection: psycopg.Connection, session_id: UUID) -> None:
    """Leave a session in both places, as the baseline (copy, then delete) does if cut short."""
    for archive_table, live_table, key in zip(ARCHIVE, LIVE, ("id", "session_id"), strict=True):
        connection.execute(
            sql.SQL("INSERT INTO {} SELECT now(), live.* FROM {} AS live WHERE {} = %s").format(
                *map(sql.Identifier, (archive_table, live_table, key))
            ),
            [session_id],
        )
