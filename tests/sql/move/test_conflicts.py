"""A session in both places: an equal copy is removed, a different one is refused whole."""

from collections.abc import Callable
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.support import Start, new_session, places
from tests.support.layouts import BOTH_LAYOUTS
from tests.support.rows import (
    ANOTHER_VALUE,
    ARCHIVE,
    LIVE,
    all_tables,
    archive,
    archive_many,
    archived,
    copy_to_archive,
    live,
    of,
    restore,
)


def assert_refused(connection: psycopg.Connection, session_id: UUID) -> psycopg.errors.Diagnostic:
    """The session is refused as being in both places, and nothing changes anywhere."""
    before = all_tables(connection)
    with pytest.raises(psycopg.Error) as refused:
        archive(connection, session_id)
    assert refused.value.sqlstate == "AR001"
    assert str(session_id) in str(refused.value)
    assert refused.value.diag.message_hint
    assert all_tables(connection) == before
    return refused.value.diag


@BOTH_LAYOUTS
def test_a_live_copy_that_the_archive_holds_bit_for_bit_is_removed(
    connection: psycopg.Connection,
) -> None:
    session_id = new_session(connection, 3, temperature=float("nan"), title=None)
    bystander = new_session(connection)
    rows = live(connection)
    copy_to_archive(connection, session_id)
    stamp = connection.execute("SELECT archived_at FROM engine_chat_session_archive").fetchone()

    row = archive(connection, session_id)

    assert (row.newly_archived, row.message_count) == (False, 3)
    assert (row.archived_at,) == stamp
    assert archived(connection) == of(rows, session_id)
    assert live(connection) == of(rows, bystander)


def test_a_live_copy_with_fewer_messages_than_the_archive_is_removed(
    connection: psycopg.Connection,
) -> None:
    """The baseline (copy, then delete) stopped while it deleted: the archive has all, and more."""
    session_id = new_session(connection, 3)
    rows = live(connection)
    copy_to_archive(connection, session_id)
    connection.execute(
        "DELETE FROM engine_chat_messages WHERE id IN (SELECT id FROM engine_chat_messages LIMIT 2)"
    )

    assert archive(connection, session_id).message_count == 3
    assert archived(connection) == rows
    assert live(connection) == []


@pytest.mark.parametrize("live_table", LIVE)
@pytest.mark.parametrize("changed", ["live", "archive"])
def test_a_difference_in_any_one_column_is_refused(
    connection: psycopg.Connection, live_table: str, changed: str
) -> None:
    session_id = new_session(connection, 1)
    copy_to_archive(connection, session_id)
    table = live_table if changed == "live" else dict(zip(LIVE, ARCHIVE, strict=True))[live_table]
    columns = connection.execute(
        """
        SELECT column_name, data_type
        FROM information_schema.columns
        WHERE table_name = %s AND data_type <> 'uuid'
        """,
        [live_table],
    ).fetchall()
    assert len(columns) > 10
    for name, data_type in columns:
        with connection.transaction(force_rollback=True):
            connection.execute(f"UPDATE {table} SET {name} = {ANOTHER_VALUE[data_type]}")
            with pytest.raises(psycopg.Error) as refused:
                archive(connection, session_id)
            assert refused.value.sqlstate == "AR001", name
    assert not archive(connection, session_id).newly_archived


def test_rows_that_only_look_alike_are_different(connection: psycopg.Connection) -> None:
    session_id = new_session(connection)
    copy_to_archive(connection, session_id)
    for in_archive, in_live in (
        ("temperature = 0.0", "temperature = '-0'"),
        ("""metadata = '{"a": 1.0}'""", """metadata = '{"a": 1.00}'"""),
        ("metadata = 'null'", "metadata = NULL"),
        ("title = 'a'", "title = 'a '"),
        ("title = ''", "title = NULL"),
        ("ended_at = 'infinity'", "ended_at = NULL"),
        ("total_cost = 'NaN'", "total_cost = NULL"),
    ):
        connection.execute(f"UPDATE engine_chat_session_archive SET {in_archive}")
        connection.execute(f"UPDATE engine_chat_sessions SET {in_live}")
        assert_refused(connection, session_id)
        connection.execute(f"UPDATE engine_chat_sessions SET {in_archive}")
        with connection.transaction(force_rollback=True):
            assert not archive(connection, session_id).newly_archived


@pytest.mark.parametrize(
    ("in_archive", "in_live"),
    [
        ("metadata = '{\"a\": 1.0}'", "metadata = '{\"a\": 1.00}'"),
        ("tool_calls = 'null'", "tool_calls = NULL"),
        ("thinking = ''", "thinking = NULL"),
    ],
)
def test_messages_that_only_look_alike_are_different(
    connection: psycopg.Connection, in_archive: str, in_live: str
) -> None:
    session_id = new_session(connection, 1)
    copy_to_archive(connection, session_id)
    connection.execute(f"UPDATE engine_chat_message_archive SET {in_archive}")
    connection.execute(f"UPDATE engine_chat_messages SET {in_live}")
    assert_refused(connection, session_id)
    connection.execute(f"UPDATE engine_chat_messages SET {in_archive}")
    assert not archive(connection, session_id).newly_archived


@BOTH_LAYOUTS
def test_a_live_message_that_the_archive_has_not_is_refused_and_named(
    connection: psycopg.Connection,
) -> None:
    session_id = new_session(connection)
    copy_to_archive(connection, session_id)
    message = connection.execute(
        """
        INSERT INTO engine_chat_messages (session_id, role, content) VALUES (%s, 'user', 'late')
        RETURNING id
        """,
        [session_id],
    ).fetchone()
    assert message is not None

    assert str(message[0]) in str(assert_refused(connection, session_id).message_primary)


def test_a_session_of_which_only_messages_are_archived_is_refused(
    connection: psycopg.Connection,
) -> None:
    """Equal messages or not: without its session row the archive is nothing to trust."""
    session_id = new_session(connection)
    copy_to_archive(connection, session_id)
    connection.execute("DELETE FROM engine_chat_session_archive")
    assert_refused(connection, session_id)

    connection.execute(
        "UPDATE engine_chat_message_archive SET id = gen_random_uuid(), content = 'another'"
    )
    assert_refused(connection, session_id)


def test_a_session_of_which_only_the_row_is_archived_is_refused(
    connection: psycopg.Connection,
) -> None:
    session_id = new_session(connection)
    copy_to_archive(connection, session_id)
    connection.execute("DELETE FROM engine_chat_message_archive")
    assert_refused(connection, session_id)


def test_copies_new_ones_and_archived_ones_go_in_one_call(connection: psycopg.Connection) -> None:
    copied, new, old = (new_session(connection, messages) for messages in (1, 2, 3))
    rows = live(connection)
    archive(connection, old)
    copy_to_archive(connection, copied)

    answers = archive_many(connection, [new, copied, old, uuid4(), copied])

    assert {key: row.newly_archived for key, row in answers.items()} == {
        copied: False,
        new: True,
        old: False,
    }
    assert {key: row.message_count for key, row in answers.items()} == {
        copied: 1,
        new: 2,
        old: 3,
    }
    assert archived(connection) == rows
    assert live(connection) == []


@BOTH_LAYOUTS
@pytest.mark.parametrize("change", ["title = title", "title = 'another'", "status = 'archived'"])
@pytest.mark.parametrize("messages", [0, 3])
def test_a_session_is_not_restored_over_a_live_one(
    connection: psycopg.Connection, messages: int, change: str
) -> None:
    """Not even over an equal one; the HINT names what merges the two."""
    session_id = new_session(connection, messages)
    copy_to_archive(connection, session_id)
    connection.execute(f"UPDATE engine_chat_sessions SET {change}")
    before = all_tables(connection)

    with pytest.raises(psycopg.Error) as refused:
        restore(connection, session_id)

    assert refused.value.sqlstate == "AR001"
    assert str(session_id) in str(refused.value)
    assert "aria-db conflicts" in str(refused.value.diag.message_hint)
    assert all_tables(connection) == before


@pytest.mark.parametrize("layout", ["views"], indirect=True)
@pytest.mark.parametrize("call", [archive, restore])
def test_a_message_whose_id_another_session_has_in_the_other_place_is_refused(
    connection: psycopg.Connection, call: Callable
) -> None:
    """Where a message's id is unique in the whole table, it can be taken there."""
    session_id, other = (new_session(connection, 2) for _ in range(2))
    archive(connection, other)
    if call is restore:
        session_id, other = other, session_id
    connection.execute(
        """
        UPDATE engine_chat_messages SET id = (SELECT id FROM engine_chat_message_archive LIMIT 1)
        WHERE id = (SELECT id FROM engine_chat_messages LIMIT 1)
        """
    )
    before = all_tables(connection)

    with pytest.raises(psycopg.Error) as refused:
        call(connection, session_id)

    assert all_tables(connection) == before
    assert refused.value.sqlstate == "AR001"
    assert refused.value.diag.message_hint


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_restore_waits_for_the_removal_of_the_live_copy(
    a: psycopg.Connection,
    b: psycopg.Connection,
    ids: dict[str, UUID],
    start_blocked: Start,
    end: str,
) -> None:
    rows = live(a)
    copy_to_archive(a, ids["session"])
    before = all_tables(a)
    a.execute("BEGIN")
    assert not archive(a, ids["session"]).newly_archived
    restoring = start_blocked(restore, b, ids["session"])
    a.execute(end)

    if end == "COMMIT":
        assert restoring.result().newly_restored
        assert live(a) == rows
        assert archived(a) == []
    else:
        with pytest.raises(psycopg.Error) as refused:
            restoring.result()
        assert refused.value.sqlstate == "AR001"
        assert all_tables(a) == before


def test_an_insert_while_the_live_copy_is_removed_waits_and_is_then_refused(
    a: psycopg.Connection, b: psycopg.Connection, ids: dict[str, UUID], start_blocked: Start
) -> None:
    copy_to_archive(a, ids["session"])
    a.execute("BEGIN")
    archive(a, ids["session"])
    inserting = start_blocked(
        lambda connection: connection.execute(
            "INSERT INTO engine_chat_messages (session_id, role, content) VALUES (%s, 'user', '')",
            [ids["session"]],
        ),
        b,
    )
    a.execute("COMMIT")

    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        inserting.result()
    assert places(a, ids["session"]) == (0, 0, 1, 3)
