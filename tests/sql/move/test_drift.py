"""Tables that differ: refused by table and column; alike again: moved, new columns and all.

PostgreSQL itself refuses to change the type of a session's column while the views are there, so
the tests of types change messages.
"""

from collections.abc import Callable
from uuid import UUID

import psycopg
import pytest

from tests.support import Start, new_session
from tests.support.rows import all_tables, archive, archive_many, archived, live, of, restore

SESSIONS, MESSAGES = "engine_chat_sessions", "engine_chat_messages"
SESSION_ARCHIVE, MESSAGE_ARCHIVE = "engine_chat_session_archive", "engine_chat_message_archive"

# What is altered, and the live table and the column that are named then.
DRIFTS = {
    "a column in the live sessions only": (
        f"ALTER TABLE {SESSIONS} ADD COLUMN mood text",
        (SESSIONS, "mood"),
    ),
    "a column in the live messages only": (
        f"ALTER TABLE {MESSAGES} ADD COLUMN embedding double precision[]",
        (MESSAGES, "embedding"),
    ),
    "a column in the session archive only": (
        f"ALTER TABLE {SESSION_ARCHIVE} ADD COLUMN reason text",
        (SESSIONS, "reason"),
    ),
    "a column in the message archive only": (
        f"ALTER TABLE {MESSAGE_ARCHIVE} ADD COLUMN reason text NOT NULL DEFAULT ''",
        (MESSAGES, "reason"),
    ),
    "a column dropped from the live table": (
        f"ALTER TABLE {MESSAGES} DROP COLUMN thinking",
        (MESSAGES, "thinking"),
    ),
    "a column dropped from the archive": (
        f"ALTER TABLE {MESSAGE_ARCHIVE} DROP COLUMN thinking",
        (MESSAGES, "thinking"),
    ),
    "a column renamed in the live table": (
        f"ALTER TABLE {MESSAGES} RENAME COLUMN thinking TO thoughts",
        (MESSAGES, "thinking"),
    ),
    "a column renamed in the archive": (
        f"ALTER TABLE {SESSION_ARCHIVE} RENAME COLUMN title TO name",
        (SESSIONS, "name"),
    ),
    "another type": (
        f"ALTER TABLE {MESSAGES} ALTER COLUMN latency_ms TYPE bigint",
        (MESSAGES, "latency_ms"),
    ),
    "another type in the archive": (
        f"ALTER TABLE {MESSAGE_ARCHIVE} ALTER COLUMN content TYPE varchar",
        (MESSAGES, "content"),
    ),
    "a longer varchar": (
        f"ALTER TABLE {MESSAGES} ALTER COLUMN role TYPE varchar(21)",
        (MESSAGES, "role"),
    ),
    "a longer varchar in the archive": (
        f"ALTER TABLE {MESSAGE_ARCHIVE} ALTER COLUMN role TYPE varchar(21)",
        (MESSAGES, "role"),
    ),
    "another scale": (
        f"ALTER TABLE {MESSAGES} ALTER COLUMN cost TYPE numeric(10, 7)",
        (MESSAGES, "cost"),
    ),
    "another precision of time": (
        f"ALTER TABLE {MESSAGE_ARCHIVE} ALTER COLUMN created_at TYPE timestamptz(3)",
        (MESSAGES, "created_at"),
    ),
    "json and jsonb": (
        f"ALTER TABLE {MESSAGE_ARCHIVE} ALTER COLUMN tool_calls TYPE json",
        (MESSAGES, "tool_calls"),
    ),
    "another order": (
        f"""
        ALTER TABLE {MESSAGES} DROP COLUMN tool_calls;
        ALTER TABLE {MESSAGES} ADD COLUMN tool_calls jsonb;
        """,
        # the first that is not in its place
        (MESSAGES, "tool_results"),
    ),
    "another order of columns that would take each other's values": (
        f"""
        ALTER TABLE {MESSAGE_ARCHIVE} RENAME COLUMN tokens_input TO other;
        ALTER TABLE {MESSAGE_ARCHIVE} RENAME COLUMN tokens_output TO tokens_input;
        ALTER TABLE {MESSAGE_ARCHIVE} RENAME COLUMN other TO tokens_output;
        """,
        (MESSAGES, "tokens_input"),
    ),
    "archived_at last": (
        f"""
        DROP VIEW
            engine_chat_session_archive_list, engine_chat_session_all, engine_archive_health,
            engine_session_conflict, _purge_candidate;
        ALTER TABLE {SESSION_ARCHIVE} DROP COLUMN archived_at;
        ALTER TABLE {SESSION_ARCHIVE} ADD COLUMN archived_at timestamptz NOT NULL DEFAULT now();
        """,
        (SESSIONS, "archived_at"),
    ),
    "archived_at without time zone": (
        f"ALTER TABLE {MESSAGE_ARCHIVE} ALTER COLUMN archived_at TYPE timestamp",
        (MESSAGES, "archived_at"),
    ),
    "archived_at under another name": (
        f"ALTER TABLE {MESSAGE_ARCHIVE} RENAME COLUMN archived_at TO moved_at",
        (MESSAGES, "archived_at"),
    ),
}


@pytest.fixture
def ids(connection: psycopg.Connection) -> dict[str, UUID]:
    """A live session and an archived one."""
    ids = {"live": new_session(connection), "archived": new_session(connection)}
    archive(connection, ids["archived"])
    return ids


def add_column(connection: psycopg.Connection, name: str, *tables: str) -> None:
    for table in tables:
        connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} text")


def assert_drift(connection: psycopg.Connection, table: str, column: str) -> None:
    with pytest.raises(psycopg.Error, match=f"{table}.{column}") as refused:
        archive_many(connection, [])
    assert refused.value.sqlstate == "AR002"


@pytest.mark.parametrize("name", DRIFTS)
def test_drift_is_refused_by_table_and_column_and_moves_nothing(
    a: psycopg.Connection, connection: psycopg.Connection, ids: dict[str, UUID], name: str
) -> None:
    change, (table, column) = DRIFTS[name]
    # this connection has its plans from before the change
    a.execute("SELECT * FROM archive_session(gen_random_uuid())")
    a.execute("SELECT * FROM restore_session(gen_random_uuid())")
    connection.execute(change)
    before = all_tables(connection)

    for own in (a, connection):
        for call in (archive, restore):
            for session_id in ids.values():
                with pytest.raises(psycopg.Error, match=f"{table}.{column}") as refused:
                    call(own, session_id)
                assert refused.value.sqlstate == "AR002"
                assert "archive_column_drift" in str(refused.value.diag.message_hint)
    assert all_tables(connection) == before
    drift = connection.execute("SELECT live_table, column_name FROM archive_column_drift()")
    assert (table, column) in drift.fetchall()


def test_without_drift_there_is_nothing_to_report(connection: psycopg.Connection) -> None:
    assert connection.execute("SELECT * FROM archive_column_drift()").fetchall() == []


def test_every_difference_is_reported(connection: psycopg.Connection) -> None:
    connection.execute(f"ALTER TABLE {SESSIONS} ADD COLUMN mood text")
    connection.execute(f"ALTER TABLE {MESSAGES} ALTER COLUMN role TYPE varchar(30)")
    connection.execute(f"ALTER TABLE {MESSAGE_ARCHIVE} ADD COLUMN reason text")

    drift = connection.execute(
        "SELECT live_table, column_name, problem FROM archive_column_drift()"
    )

    found = {(table, column): problem for table, column, problem in drift}
    assert found.keys() == {(SESSIONS, "mood"), (MESSAGES, "role"), (MESSAGES, "reason")}
    assert "varchar" in found[MESSAGES, "role"] or "character varying" in found[MESSAGES, "role"]
    assert all(found.values())


def test_columns_dropped_from_both_tables_are_no_drift(
    connection: psycopg.Connection, ids: dict[str, UUID]
) -> None:
    """Dropped columns leave gaps in the numbering, and in different places."""
    connection.execute(f"ALTER TABLE {MESSAGES} ADD COLUMN passing text")
    connection.execute(f"ALTER TABLE {MESSAGES} DROP COLUMN passing, DROP COLUMN thinking")
    connection.execute(f"ALTER TABLE {MESSAGE_ARCHIVE} DROP COLUMN thinking")
    add_column(connection, "mood", MESSAGES, MESSAGE_ARCHIVE)
    connection.execute(f"UPDATE {MESSAGES} SET mood = 'good'")
    rows = live(connection)

    archive(connection, ids["live"])
    assert of(archived(connection), ids["live"]) == rows
    restore(connection, ids["live"])
    assert live(connection) == rows


def test_a_column_added_to_both_is_moved_from_then_on_by_connections_that_were_there_before(
    a: psycopg.Connection, connection: psycopg.Connection, ids: dict[str, UUID]
) -> None:
    """Their plans are from before; old archived rows get the column too."""
    for session_id in (ids["live"], ids["live"]):
        archive(a, session_id)
        restore(a, session_id)
    for column in ("mood", '"Select"'):
        add_column(connection, column, SESSIONS, SESSION_ARCHIVE)
        connection.execute(f"UPDATE {SESSIONS} SET {column} = 'good'")
        add_column(connection, column, MESSAGES, MESSAGE_ARCHIVE)
        connection.execute(f"UPDATE {MESSAGES} SET {column} = content || ' is good'")
        rows = live(connection)

        archive(a, ids["live"])
        assert of(archived(connection), ids["live"]) == rows
        restore(a, ids["live"])
        assert live(connection) == rows
        restore(a, ids["archived"])
        archive(a, ids["archived"])
        assert len(of(archived(connection), ids["archived"])) == 4


def test_a_column_that_the_database_numbers_keeps_its_numbers(
    connection: psycopg.Connection, ids: dict[str, UUID]
) -> None:
    restore(connection, ids["archived"])
    connection.execute(
        f"ALTER TABLE {MESSAGES} ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY"
    )
    connection.execute(f"ALTER TABLE {MESSAGE_ARCHIVE} ADD COLUMN number bigint NOT NULL")
    rows = live(connection)

    for session_id in ids.values():
        archive(connection, session_id)
    assert archived(connection) == rows
    for session_id in ids.values():
        restore(connection, session_id)
    assert live(connection) == rows


def test_a_column_that_the_database_computes_is_archived_and_computed_again(
    connection: psycopg.Connection, ids: dict[str, UUID]
) -> None:
    restore(connection, ids["archived"])
    for table, text in ((SESSIONS, "title"), (MESSAGES, "content")):
        computed = f"GENERATED ALWAYS AS (length({text})) STORED"
        connection.execute(f"ALTER TABLE {table} ADD COLUMN words integer {computed}")
    for table in (SESSION_ARCHIVE, MESSAGE_ARCHIVE):
        connection.execute(f"ALTER TABLE {table} ADD COLUMN words integer")
    rows = live(connection)

    for session_id in ids.values():
        archive(connection, session_id)
    assert archived(connection) == rows
    for session_id in ids.values():
        restore(connection, session_id)
    assert live(connection) == rows


def test_a_column_added_in_the_callers_own_transaction_is_seen(
    connection: psycopg.Connection, ids: dict[str, UUID]
) -> None:
    archive(connection, ids["live"])
    restore(connection, ids["live"])
    with connection.transaction(force_rollback=True):
        add_column(connection, "mood", SESSIONS)
        with pytest.raises(psycopg.Error) as refused:
            archive(connection, ids["live"])
        assert refused.value.sqlstate == "AR002"
    with connection.transaction():
        add_column(connection, "mood", SESSIONS, SESSION_ARCHIVE)
        connection.execute(f"UPDATE {SESSIONS} SET mood = 'good'")
        rows = live(connection)
        archive(connection, ids["live"])
    assert of(archived(connection), ids["live"]) == rows


@pytest.mark.parametrize("table", [SESSIONS, MESSAGES, SESSION_ARCHIVE, MESSAGE_ARCHIVE])
@pytest.mark.parametrize("call", [archive, restore])
def test_a_move_waits_for_an_alter_table_and_then_sees_the_column(
    a: psycopg.Connection,
    b: psycopg.Connection,
    ids: dict[str, UUID],
    start_blocked: Start,
    table: str,
    call: Callable,
) -> None:
    session_id = ids["live" if call is archive else "archived"]
    b.execute("BEGIN")
    add_column(b, "mood", table)
    altered = all_tables(b)
    moving = start_blocked(call, a, session_id)
    b.execute("COMMIT")

    with pytest.raises(psycopg.Error, match="mood") as refused:
        moving.result()
    assert refused.value.sqlstate == "AR002"
    assert all_tables(a) == altered


def test_a_move_that_waited_for_an_alter_table_that_rolled_back_goes_on(
    a: psycopg.Connection, b: psycopg.Connection, ids: dict[str, UUID], start_blocked: Start
) -> None:
    rows = live(a)
    b.execute("BEGIN")
    add_column(b, "mood", MESSAGES)
    archiving = start_blocked(archive, a, ids["live"])
    b.execute("ROLLBACK")

    assert archiving.result().newly_archived
    assert of(archived(a), ids["live"]) == rows


def test_a_move_waits_for_an_alter_of_both_tables_and_moves_the_new_column(
    a: psycopg.Connection, b: psycopg.Connection, ids: dict[str, UUID], start_blocked: Start
) -> None:
    b.execute("BEGIN")
    add_column(b, "mood", MESSAGES, MESSAGE_ARCHIVE)
    b.execute(f"UPDATE {MESSAGES} SET mood = 'good'")
    rows = live(b)
    archiving = start_blocked(archive, a, ids["live"])
    b.execute("COMMIT")

    assert archiving.result().newly_archived
    assert of(archived(a), ids["live"]) == rows


@pytest.mark.parametrize("table", [SESSIONS, MESSAGES, SESSION_ARCHIVE, MESSAGE_ARCHIVE])
def test_an_alter_table_waits_for_a_move_and_the_next_move_is_refused(
    a: psycopg.Connection,
    b: psycopg.Connection,
    ids: dict[str, UUID],
    start_blocked: Start,
    table: str,
) -> None:
    """Even for a move that finds nothing: the tables stay as they were checked."""
    rows = live(a)
    a.execute("BEGIN")
    assert archive(a, ids["live"]).newly_archived
    altering = start_blocked(add_column, b, "mood", table)
    a.execute("COMMIT")
    altering.result()

    live_table = {SESSION_ARCHIVE: SESSIONS, MESSAGE_ARCHIVE: MESSAGES}.get(table, table)
    assert_drift(a, live_table, "mood")
    partner = {SESSIONS: SESSION_ARCHIVE, MESSAGES: MESSAGE_ARCHIVE}.get(table, live_table)
    add_column(b, "mood", partner)
    assert restore(a, ids["live"]).newly_restored
    assert len(live(a)) == len(rows)


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_columns_that_change_places_behind_a_callers_snapshot_do_not_take_each_others_values(
    a: psycopg.Connection, b: psycopg.Connection, level: str
) -> None:
    """The catalogue that the caller sees is from before the change, the rows it moves are not."""
    add_column(b, "alpha", MESSAGES, MESSAGE_ARCHIVE)
    add_column(b, "beta", MESSAGES, MESSAGE_ARCHIVE)
    session_id = new_session(b)
    b.execute(f"UPDATE {MESSAGES} SET alpha = 'one', beta = 'two'")
    a.execute(f"BEGIN ISOLATION LEVEL {level}")
    a.execute("SELECT count(*) FROM pg_class")
    b.execute(f"ALTER TABLE {MESSAGES} DROP COLUMN alpha, ADD COLUMN alpha text DEFAULT 'another'")
    before = all_tables(b)

    with pytest.raises(psycopg.Error) as refused:
        archive(a, session_id)
    a.execute("ROLLBACK")

    assert refused.value.sqlstate in {"AR002", "40001"}
    assert all_tables(b) == before
    assert_drift(b, MESSAGES, "beta")
