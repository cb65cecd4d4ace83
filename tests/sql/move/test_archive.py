"""archive_session and archive_sessions, alone with the database."""

from uuid import UUID, uuid4

import psycopg
import pytest

from tests.support import new_session, places
from tests.support.layouts import BOTH_LAYOUTS
from tests.support.rows import (
    all_tables,
    archive,
    archive_many,
    archived,
    copy_to_archive,
    images,
    live,
    not_of,
    of,
)
from tests.support.writes import WRITES


@BOTH_LAYOUTS
@pytest.mark.parametrize("messages", [0, 1, 3])
def test_a_session_moves_with_all_its_messages_and_no_other_does(
    connection: psycopg.Connection, messages: int
) -> None:
    session_id = new_session(connection, messages)
    new_session(connection)
    before = live(connection)

    row = archive(connection, session_id)

    assert (row.id, row.message_count, row.newly_archived) == (session_id, messages, True)
    assert places(connection, session_id) == (0, 0, 1, messages)
    assert archived(connection) == of(before, session_id)
    assert live(connection) == not_of(before, session_id)


def test_the_session_and_its_messages_carry_the_archived_at_that_is_returned(
    connection: psycopg.Connection,
) -> None:
    row = archive(connection, new_session(connection))

    stamps = connection.execute(
        """
        SELECT archived_at FROM engine_chat_session_archive
        UNION ALL
        SELECT archived_at FROM engine_chat_message_archive
        """
    ).fetchall()
    assert stamps == [(row.archived_at,)] * 4


def test_archived_at_is_the_time_of_the_move_not_of_the_transactions_begin(
    connection: psycopg.Connection,
) -> None:
    with connection.transaction():
        began = connection.execute("SELECT now()").fetchone()
        session_id = new_session(connection)
        inserted = connection.execute("SELECT clock_timestamp()").fetchone()

        row = archive(connection, session_id)

    assert began is not None
    assert inserted is not None
    assert began[0] < inserted[0] <= row.archived_at


def test_an_unknown_session_gives_no_row_and_changes_nothing(
    connection: psycopg.Connection,
) -> None:
    new_session(connection)
    before = all_tables(connection)

    assert archive(connection, uuid4()) is None
    assert all_tables(connection) == before


@BOTH_LAYOUTS
def test_archiving_again_returns_the_first_archived_at_and_changes_nothing(
    connection: psycopg.Connection,
) -> None:
    session_id = new_session(connection)
    first = archive(connection, session_id)
    before = all_tables(connection)

    again = archive(connection, session_id)

    assert again == first._replace(newly_archived=False)
    assert all_tables(connection) == before


def test_a_rolled_back_archive_leaves_everything_as_it_was(connection: psycopg.Connection) -> None:
    session_id = new_session(connection)
    before = all_tables(connection)

    with connection.transaction(force_rollback=True):
        assert archive(connection, session_id).newly_archived

    assert all_tables(connection) == before


def test_a_session_archived_in_a_transaction_can_be_archived_again_in_it(
    connection: psycopg.Connection,
) -> None:
    session_id = new_session(connection)

    with connection.transaction():
        first = archive(connection, session_id)
        again = archive(connection, session_id)

    assert again == first._replace(newly_archived=False)
    assert places(connection, session_id) == (0, 0, 1, 3)


def test_a_session_created_in_the_same_transaction_is_archived(
    connection: psycopg.Connection,
) -> None:
    with connection.transaction():
        session_id = new_session(connection)
        assert archive(connection, session_id).newly_archived

    assert places(connection, session_id) == (0, 0, 1, 3)


def test_a_query_archives_what_it_finds(connection: psycopg.Connection) -> None:
    """One call a row, while the query reads the table that the calls take the rows from."""
    for messages in range(5):
        new_session(connection, messages, agent_id="gone" if messages % 2 else "here")
    rows = live(connection)

    answers = connection.execute(
        """
        SELECT archived.id, archived.message_count, archived.newly_archived
        FROM engine_chat_sessions AS live
        CROSS JOIN LATERAL archive_session(live.id) AS archived
        WHERE live.agent_id = 'gone'
        """
    ).fetchall()

    assert sorted(answer[1:] for answer in answers) == [(1, True), (3, True)]
    gone = [answer[0] for answer in answers]
    assert archived(connection) == of(rows, *gone)
    assert live(connection) == not_of(rows, *gone)


@pytest.mark.parametrize(
    ("name", "messages"),
    [("insert a message", 4), ("update a message", 3), ("move messages in", 5)],
)
def test_what_the_calling_statement_wrote_before_the_call_is_archived(
    connection: psycopg.Connection, ids: dict[str, UUID], name: str, messages: int
) -> None:
    connection.execute(
        f"""
        WITH written AS ({WRITES[name]} RETURNING 1)
        SELECT FROM (SELECT count(*) FROM written) AS all_written (count)
        CROSS JOIN LATERAL archive_session(%(session)s)
        WHERE all_written.count > 0
        """,
        ids,
    )

    assert places(connection, ids["session"]) == (0, 0, 1, messages)
    contents = connection.execute("SELECT content FROM engine_chat_message_archive").fetchall()
    written = {"insert a message": ("late",), "update a message": ("edited",)}
    assert written.get(name, ("message 1",)) in contents


def test_what_the_calling_statement_writes_after_the_call_is_refused_and_nothing_moves(
    connection: psycopg.Connection, ids: dict[str, UUID]
) -> None:
    """The statement began before the move and would write to rows that it still sees."""
    before = all_tables(connection)
    for write in (write for write in WRITES.values() if " WHERE " in write):
        with pytest.raises((psycopg.errors.TriggeredDataChangeViolation, psycopg.IntegrityError)):
            connection.execute(
                f"""
                WITH moved AS MATERIALIZED (SELECT * FROM archive_session(%(session)s))
                {write} AND EXISTS (SELECT FROM moved)
                """,
                ids,
            )
        assert all_tables(connection) == before


@pytest.mark.parametrize(
    "call",
    [
        "archive_session(NULL)",
        "restore_session(NULL)",
        "archive_sessions(NULL)",
        "archive_sessions(ARRAY[NULL]::uuid[])",
        "archive_sessions(NULL::uuid || ARRAY(SELECT id FROM engine_chat_sessions))",
        "archive_sessions(ARRAY(SELECT id FROM engine_chat_sessions) || NULL::uuid)",
    ],
)
def test_null_is_refused_as_a_bad_argument_with_a_hint(
    connection: psycopg.Connection, call: str
) -> None:
    new_session(connection)
    before = all_tables(connection)

    with pytest.raises(psycopg.errors.InvalidParameterValue) as refused:
        connection.execute(f"SELECT * FROM {call}")

    assert refused.value.sqlstate == "22023"
    assert refused.value.diag.message_hint
    assert all_tables(connection) == before


def test_no_ids_give_no_rows(connection: psycopg.Connection) -> None:
    new_session(connection)
    before = all_tables(connection)

    assert archive_many(connection, []) == {}
    assert all_tables(connection) == before


@BOTH_LAYOUTS
def test_many_sessions_are_told_apart_by_what_they_were_before_the_call(
    connection: psycopg.Connection,
) -> None:
    """New ones, archived ones, unknown ones, each named twice, in no order."""
    new = {new_session(connection, messages): messages for messages in (0, 1, 5)}
    old = {new_session(connection, messages): messages for messages in (0, 2)}
    first = archive_many(connection, old)
    before = live(connection) + archived(connection)

    rows = archive_many(connection, [uuid4(), *new, *old, uuid4(), *old, *reversed(new)])

    assert rows.keys() == new.keys() | old.keys()
    for session_id, messages in new.items():
        assert (rows[session_id].message_count, rows[session_id].newly_archived) == (messages, True)
    for session_id in old:
        assert rows[session_id] == first[session_id]._replace(newly_archived=False)
    assert live(connection) == []
    assert sorted(archived(connection)) == sorted(before)


def test_one_session_that_must_not_move_keeps_all_others(connection: psycopg.Connection) -> None:
    session_ids = sorted(new_session(connection) for _ in range(20))
    copy_to_archive(connection, session_ids[13])
    connection.execute(
        "UPDATE engine_chat_sessions SET title = 'another' WHERE id = %s", [session_ids[13]]
    )
    before = all_tables(connection)

    with pytest.raises(psycopg.Error, match=str(session_ids[13])) as refused:
        archive_many(connection, session_ids)

    assert refused.value.sqlstate == "AR001"
    assert all_tables(connection) == before


def test_five_thousand_sessions_move_in_one_call(connection: psycopg.Connection) -> None:
    connection.execute(
        """
        INSERT INTO engine_chat_sessions (title)
        SELECT 'session ' || number FROM generate_series(1, 5000) AS number
        """
    )
    connection.execute(
        """
        INSERT INTO engine_chat_messages (session_id, role, content)
        SELECT id, 'user', title || ', message ' || number
        FROM engine_chat_sessions CROSS JOIN generate_series(1, 2) AS number
        """
    )
    bystander = new_session(connection)
    before = live(connection)
    session_ids: list[UUID] = [
        row.id for row in images(connection, "engine_chat_sessions") if row.id != bystander
    ]

    rows = archive_many(connection, session_ids)

    assert len(rows) == 5000
    assert {(row.message_count, row.newly_archived) for row in rows.values()} == {(2, True)}
    assert {row.archived_at for row in rows.values()} == {rows[session_ids[0]].archived_at}
    assert archived(connection) == not_of(before, bystander)
    assert live(connection) == of(before, bystander)


def test_a_plan_made_for_empty_tables_still_finds_by_index_when_they_are_full(
    connection: psycopg.Connection,
) -> None:
    """The functions keep one plan for the life of a connection: never a scan of a table."""
    archive(connection, uuid4())
    connection.execute(
        """
        WITH sessions AS (
            INSERT INTO engine_chat_sessions (title)
            SELECT '' FROM generate_series(1, 20000)
            RETURNING id
        )
        INSERT INTO engine_chat_messages (session_id, role, content)
        SELECT id, 'user', '' FROM sessions
        """
    )
    session_id = new_session(connection)
    read = """
        SELECT pg_stat_get_xact_tuples_returned('engine_chat_sessions'::regclass)
            + pg_stat_get_xact_tuples_returned('engine_chat_messages'::regclass)
    """
    with connection.transaction():
        before = connection.execute(read).fetchone()
        archive(connection, session_id)
        after = connection.execute(read).fetchone()

    assert before is not None
    assert after is not None
    assert after[0] - before[0] < 100
