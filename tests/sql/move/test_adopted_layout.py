"""What is particular to tables adopted through views; BOTH_LAYOUTS runs the rest on them too."""

from uuid import UUID

import psycopg
import pytest

from tests.support import Start, new_session
from tests.support.rows import archive, archived, images, live, restore

pytestmark = pytest.mark.parametrize("layout", ["views"], indirect=True)

SESSIONS, MESSAGES = "chat_sessions", "chat_messages"
SESSION_ARCHIVE, MESSAGE_ARCHIVE = "chat_sessions_archive", "chat_messages_archive"


def test_the_applications_own_tables_hold_the_rows_that_move_in_every_column(
    connection: psycopg.Connection,
) -> None:
    """Read from the tables beneath the views, among them columns that aria-db's own do not have."""
    session_id = new_session(connection)
    connection.execute(
        f"UPDATE {MESSAGES} SET embedding = '[0.5, 1.0, 1.00]', client_message_id = content"
    )
    before = [images(connection, table) for table in (SESSIONS, MESSAGES)]

    row = archive(connection, session_id)

    there = [
        images(connection, SESSION_ARCHIVE, columns_of=SESSIONS),
        images(connection, MESSAGE_ARCHIVE, columns_of=MESSAGES),
    ]
    assert there == before
    stamps = connection.execute(f"SELECT DISTINCT archived_at FROM {MESSAGE_ARCHIVE}").fetchall()
    assert stamps == [(row.archived_at,)]
    assert live(connection) == []

    restore(connection, session_id)
    assert [images(connection, table) for table in (SESSIONS, MESSAGES)] == before
    assert archived(connection) == []


@pytest.mark.parametrize("tables", [(SESSIONS,), (MESSAGES, MESSAGE_ARCHIVE)], ids=["live", "both"])
def test_a_column_that_only_the_table_beneath_a_view_has_is_refused(
    connection: psycopg.Connection, tables: tuple[str, ...]
) -> None:
    """A view's columns are fixed when it is made, and a move through it would drop this one."""
    session_id = new_session(connection)
    for table in tables:
        connection.execute(f"ALTER TABLE {table} ADD COLUMN mood text")
    connection.execute(f"UPDATE {tables[0]} SET mood = 'good'")
    before = images(connection, tables[0])

    with pytest.raises(psycopg.Error, match="mood") as refused:
        archive(connection, session_id)
    assert refused.value.sqlstate == "AR002"
    assert images(connection, tables[0]) == before


def test_a_column_added_to_table_and_view_alike_is_moved_by_connections_that_were_there_before(
    a: psycopg.Connection, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection)
    archive(a, session_id)
    restore(a, session_id)
    for table, view in (
        (MESSAGES, "engine_chat_messages"),
        (MESSAGE_ARCHIVE, "engine_chat_message_archive"),
    ):
        connection.execute(f"ALTER TABLE {table} ADD COLUMN mood text")
        definition = connection.execute("SELECT pg_get_viewdef(%s::regclass)", [view]).fetchone()
        assert definition is not None
        # in PostgreSQL a view grows at its end
        grown = definition[0].replace("\n   FROM", ",\n    mood\n   FROM")
        connection.execute(f"CREATE OR REPLACE VIEW {view} AS {grown}")
    connection.execute(f"UPDATE {MESSAGES} SET mood = 'good'")
    before = images(connection, MESSAGES)

    archive(a, session_id)
    assert images(connection, MESSAGE_ARCHIVE, columns_of=MESSAGES) == before
    restore(a, session_id)
    assert images(connection, MESSAGES) == before


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_move_waits_for_an_alter_of_the_table_beneath_a_view(
    a: psycopg.Connection,
    b: psycopg.Connection,
    ids: dict[str, UUID],
    start_blocked: Start,
    end: str,
) -> None:
    """And the other way round: an ALTER waits for the move."""
    b.execute("BEGIN")
    b.execute(f"ALTER TABLE {MESSAGES} ALTER COLUMN content SET STORAGE EXTERNAL")
    a.execute("BEGIN")
    archiving = start_blocked(archive, a, ids["session"])
    b.execute(end)
    assert archiving.result().newly_archived

    altering = start_blocked(
        lambda own: own.execute(f"ALTER TABLE {MESSAGE_ARCHIVE} ADD COLUMN mood text"), b
    )
    a.execute("COMMIT")
    altering.result()
