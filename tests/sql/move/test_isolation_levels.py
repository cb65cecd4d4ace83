"""Callers in REPEATABLE READ and SERIALIZABLE: the right result, or 'try again' and nothing moved.

Each test takes a snapshot first, and then another connection commits what that cannot see.
"""

from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

import psycopg
import pytest

from tests.support import Start, new_session, places
from tests.support.rows import (
    all_tables,
    archive,
    archive_many,
    archived,
    live,
    moved_now,
    not_of,
    of,
    restore,
    restore_many,
)
from tests.support.writes import ADD_A_MESSAGE, WRITES, begin, write

LEVELS = pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])


def begin_with_snapshot(connection: psycopg.Connection, level: str) -> None:
    connection.execute(f"BEGIN ISOLATION LEVEL {level}")
    connection.execute("SELECT count(*) FROM engine_chat_sessions")


@pytest.mark.parametrize(
    ("level", "layout"),
    [("REPEATABLE READ", "tables"), ("SERIALIZABLE", "views")],
    indirect=["layout"],
)
@pytest.mark.parametrize("name", WRITES)
def test_an_archive_that_cannot_see_a_committed_write_is_told_to_try_again(
    a: psycopg.Connection, b: psycopg.Connection, ids: dict[str, UUID], level: str, name: str
) -> None:
    begin_with_snapshot(a, level)
    write(b, name, ids)
    as_written = all_tables(b)
    rows = live(b)

    with pytest.raises(psycopg.errors.SerializationFailure):
        archive(a, ids["session"])
    a.execute("ROLLBACK")

    assert all_tables(a) == as_written
    begin_with_snapshot(a, level)
    assert (archive(a, ids["session"]) is None) == (name == "delete the session")
    a.execute("COMMIT")
    assert archived(a) == of(rows, ids["session"])
    assert live(a) == not_of(rows, ids["session"])


@pytest.mark.parametrize("name", WRITES)
def test_a_write_that_cannot_see_that_the_session_was_archived_is_refused(
    a: psycopg.Connection, b: psycopg.Connection, ids: dict[str, UUID], name: str
) -> None:
    begin_with_snapshot(b, "REPEATABLE READ")
    archive(a, ids["session"])
    after = all_tables(a)

    with pytest.raises(
        (psycopg.errors.SerializationFailure, psycopg.errors.ForeignKeyViolation)
    ) as refused:
        write(b, name, ids)
    b.execute("ROLLBACK")

    if name not in ADD_A_MESSAGE:
        assert refused.value.sqlstate == "40001"
    assert all_tables(a) == after


@pytest.mark.parametrize("name", WRITES)
def test_an_archive_that_waits_for_a_write_is_told_to_try_again_when_that_commits(
    a: psycopg.Connection,
    b: psycopg.Connection,
    ids: dict[str, UUID],
    start_blocked: Start,
    name: str,
) -> None:
    begin_with_snapshot(a, "REPEATABLE READ")
    begin(b)
    write(b, name, ids)
    as_written = all_tables(b)
    archiving = start_blocked(archive, a, ids["session"])
    b.execute("COMMIT")

    with pytest.raises(psycopg.errors.SerializationFailure):
        archiving.result()
    a.execute("ROLLBACK")
    assert all_tables(a) == as_written


@LEVELS
def test_an_archive_that_waits_for_a_write_goes_on_when_that_rolls_back(
    a: psycopg.Connection,
    b: psycopg.Connection,
    ids: dict[str, UUID],
    start_blocked: Start,
    level: str,
) -> None:
    before = live(a)
    begin_with_snapshot(a, level)
    begin(b)
    for name in ("insert a message", "update a message", "update the session"):
        write(b, name, ids)
    archiving = start_blocked(archive, a, ids["session"])
    b.execute("ROLLBACK")

    assert archiving.result().message_count == 3
    a.execute("COMMIT")
    assert archived(a) == of(before, ids["session"])
    assert live(a) == not_of(before, ids["session"])


@pytest.mark.parametrize("second", [archive, restore])
@pytest.mark.parametrize("first", [archive, restore])
def test_moves_that_do_not_see_each_other_move_once_and_know_the_session(
    a: psycopg.Connection,
    b: psycopg.Connection,
    ids: dict[str, UUID],
    first: Callable,
    second: Callable,
) -> None:
    """The same move twice: try again. The other one: so too, or it came first and finds it done."""
    rows = live(a)
    if first is restore:
        archive(a, ids["session"])
    begin_with_snapshot(a, "REPEATABLE READ")
    assert first(b, ids["session"]).message_count == 3
    after = all_tables(b)

    try_again = psycopg.errors.SerializationFailure
    with pytest.raises(try_again) if first is second else suppress(try_again):
        row = second(a, ids["session"])
        assert row.id == ids["session"]
        assert not moved_now(row)
        assert row.message_count == 3
    a.execute("ROLLBACK")

    assert all_tables(a) == after
    assert sorted(live(a) + archived(a)) == sorted(rows)


def test_many_sessions_move_all_or_none_when_one_was_written_unseen(
    a: psycopg.Connection, b: psycopg.Connection, ids: dict[str, UUID]
) -> None:
    session_ids = [ids["session"], *(new_session(b) for _ in range(5))]
    begin_with_snapshot(a, "REPEATABLE READ")
    write(b, "insert a message", ids)
    before = all_tables(b)

    with pytest.raises(psycopg.errors.SerializationFailure):
        archive_many(a, session_ids)
    a.execute("ROLLBACK")

    assert all_tables(a) == before


def test_many_sessions_come_back_all_or_none_when_one_was_moved_unseen(
    a: psycopg.Connection, b: psycopg.Connection, ids: dict[str, UUID]
) -> None:
    session_ids = [ids["session"], *(new_session(b) for _ in range(5))]
    archive_many(b, session_ids)
    begin_with_snapshot(a, "REPEATABLE READ")
    restore(b, session_ids[3])
    before = all_tables(b)

    with pytest.raises(psycopg.errors.SerializationFailure):
        restore_many(a, session_ids)
    a.execute("ROLLBACK")

    assert all_tables(a) == before


@LEVELS
def test_a_snapshot_taken_by_the_archive_itself_needs_no_second_try(
    a: psycopg.Connection, ids: dict[str, UUID], level: str
) -> None:
    a.execute(f"BEGIN ISOLATION LEVEL {level}")
    assert archive(a, ids["session"]).message_count == 3
    a.execute("COMMIT")
    assert places(a, ids["session"]) == (0, 0, 1, 3)


def test_a_read_only_transaction_moves_nothing(a: psycopg.Connection, ids: dict[str, UUID]) -> None:
    before = all_tables(a)
    a.execute("BEGIN READ ONLY")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        archive(a, ids["session"])
    a.execute("ROLLBACK")
    assert all_tables(a) == before
