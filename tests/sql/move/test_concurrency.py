"""Two connections at once under READ COMMITTED, in each order: nothing is lost or doubled.

One connection acts and leaves its transaction open, the other acts and is seen to wait, then the
first commits or rolls back. What must come out is a state that some order of the two would give.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.support import Connect, Start, call, new_session, places
from tests.support.layouts import BOTH_LAYOUTS
from tests.support.rows import (
    Row,
    all_tables,
    archive,
    archive_many,
    archived,
    copy_to_archive,
    delete_archived,
    delete_live,
    live,
    moved_now,
    not_of,
    of,
    restore,
    restore_many,
)
from tests.support.writes import ADD_A_MESSAGE, WRITES, begin, write


def assert_one_place_each(connection: psycopg.Connection, expected: list[Row]) -> None:
    """Every row is as expected, in one place, and no message is apart from its session."""
    assert sorted(live(connection) + archived(connection)) == sorted(expected)
    here, there = ({row.session_id for row in rows(connection)} for rows in (live, archived))
    assert not here & there


@BOTH_LAYOUTS
@pytest.mark.parametrize("name", WRITES)
def test_a_write_while_the_session_is_archived_waits_and_then_fails_or_finds_nothing(
    a: psycopg.Connection,
    b: psycopg.Connection,
    ids: dict[str, UUID],
    start_blocked: Start,
    name: str,
) -> None:
    before = live(a)
    begin(a)
    assert archive(a, ids["session"]).message_count == 3

    writing = start_blocked(write, b, name, ids)
    a.execute("COMMIT")

    if name in ADD_A_MESSAGE:
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            writing.result()
    else:
        assert writing.result() == 0
    assert archived(a) == of(before, ids["session"])
    assert live(a) == not_of(before, ids["session"])


@pytest.mark.parametrize("name", WRITES)
def test_a_write_that_waited_for_an_archive_that_rolled_back_succeeds(
    a: psycopg.Connection,
    b: psycopg.Connection,
    ids: dict[str, UUID],
    start_blocked: Start,
    name: str,
) -> None:
    before = live(a)
    begin(a)
    archive(a, ids["session"])

    writing = start_blocked(write, b, name, ids)
    a.execute("ROLLBACK")

    assert writing.result() > 0
    after = live(a)
    assert after != before
    assert archived(a) == []
    archive_many(a, [ids["session"], ids["other"]])
    assert archived(a) == after


@BOTH_LAYOUTS
@pytest.mark.parametrize("name", WRITES)
def test_an_archive_waits_for_a_write_and_has_what_it_wrote(
    a: psycopg.Connection,
    b: psycopg.Connection,
    ids: dict[str, UUID],
    start_blocked: Start,
    name: str,
) -> None:
    begin(b)
    write(b, name, ids)
    as_written = live(b)

    archiving = start_blocked(archive, a, ids["session"])
    b.execute("COMMIT")

    row = archiving.result()
    expected = of(as_written, ids["session"])
    if name == "delete the session":
        assert row is None
    else:
        assert row.newly_archived
        assert row.message_count == len(expected) - 1
    assert archived(a) == expected
    assert live(a) == not_of(as_written, ids["session"])


@pytest.mark.parametrize("name", WRITES)
def test_an_archive_that_waited_for_a_write_that_rolled_back_has_what_was_before(
    a: psycopg.Connection,
    b: psycopg.Connection,
    ids: dict[str, UUID],
    start_blocked: Start,
    name: str,
) -> None:
    before = live(a)
    begin(b)
    write(b, name, ids)

    archiving = start_blocked(archive, a, ids["session"])
    b.execute("ROLLBACK")

    assert archiving.result().message_count == 3
    assert archived(a) == of(before, ids["session"])
    assert live(a) == not_of(before, ids["session"])


def test_a_chat_turn_that_the_archive_waits_for_can_finish(
    a: psycopg.Connection, b: psycopg.Connection, ids: dict[str, UUID], start_blocked: Start
) -> None:
    """A message, then the counter of its session: the waiting archive is not in the way of it."""
    begin(b)
    write(b, "insert a message", ids)
    archiving = start_blocked(archive, a, ids["session"])

    b.execute(
        "UPDATE engine_chat_sessions SET message_count = 4, updated_at = now() WHERE id = %s",
        [ids["session"]],
    )
    write(b, "insert a message", ids)
    write(b, "update a message", ids)
    as_written = live(b)
    b.execute("COMMIT")

    assert archiving.result().message_count == 5
    assert archived(a) == of(as_written, ids["session"])


@pytest.mark.parametrize("victim", ["a", "b"])
def test_a_deadlock_with_a_writer_ends_with_one_of_them_refused_and_nothing_lost(
    a: psycopg.Connection,
    b: psycopg.Connection,
    ids: dict[str, UUID],
    start_blocked: Start,
    victim: str,
) -> None:
    """A message is written before its session, and the archive comes in between."""
    before = live(a)
    for own, name in ((a, "a"), (b, "b")):
        own.execute(f"SET deadlock_timeout = '{'10ms' if name == victim else '15s'}'")
    begin(b)
    write(b, "update a message", ids)
    edited = live(b)
    if victim == "b":
        archiving = start_blocked(archive, a, ids["session"])
        with pytest.raises(psycopg.errors.DeadlockDetected):
            write(b, "update the session", ids)
        b.execute("ROLLBACK")
        assert archiving.result().message_count == 3
        assert archived(a) == of(before, ids["session"])
    else:
        a.execute("SET deadlock_timeout = '1s'")
        archiving = start_blocked(archive, a, ids["session"])
        assert write(b, "update the session", ids) == 1
        with pytest.raises(psycopg.errors.DeadlockDetected):
            archiving.result()
        b.execute("COMMIT")
        assert archived(a) == []
        assert of(live(a), ids["session"])[1:] == of(edited, ids["session"])[1:]


def open_run(connection: psycopg.Connection, kind: str) -> int:
    ((run_id,),) = call(connection, "begin_archive_run", kind=kind)
    return run_id


# Each is a move of `session` in an open run. `archived` and `purged` are archived sessions.
MOVES_IN_RUNS: dict[str, Callable[[psycopg.Connection, dict[str, UUID]], object]] = {
    "archive": lambda connection, ids: archive_many(
        connection, [ids["session"]], open_run(connection, "archive")
    ),
    "restore": lambda connection, ids: restore_many(
        connection, [ids["archived"]], open_run(connection, "restore")
    ),
    "delete live": lambda connection, ids: delete_live(connection, ids["session"]),
    "delete archived": lambda connection, ids: delete_archived(connection, ids["archived"]),
    "hold": lambda connection, ids: call(
        connection, "place_hold", session_id=ids["session"], reason="asked"
    ),
    "prune": lambda connection, ids: call(
        connection, "prune_sessions", session_type="old", run_id=open_run(connection, "prune")
    ),
    "purge": lambda connection, ids: call(
        connection, "purge_archive", session_type="purged", run_id=open_run(connection, "purge")
    ),
}


@pytest.mark.parametrize("name", MOVES_IN_RUNS)
def test_nobody_who_works_on_other_sessions_waits_for_a_move(
    a: psycopg.Connection, b: psycopg.Connection, ids: dict[str, UUID], start: Start, name: str
) -> None:
    """Neither the application, nor another move, nor the next run of the same kind."""
    third = new_session(a)
    sets = []
    for _ in range(2):
        for_moves = {"session": new_session(a), "archived": new_session(a)}
        archive(a, for_moves["archived"])
        sets.append(for_moves)
    a.execute("UPDATE engine_archive_policy SET purge_after = '1 year'")
    for _ in range(2):
        new_session(a, session_type="old", status="archived")
        archive(a, new_session(a, session_type="purged"))
    a.execute(
        "UPDATE engine_chat_session_archive SET archived_at = now() - interval '2 years'"
        " WHERE session_type = 'purged'"
    )
    new_session(a, session_type="old", updated_at="2001-01-01")
    begin(a)
    MOVES_IN_RUNS[name](a, sets[0])
    others = {"session": third, "message": uuid4(), "other": ids["other"]}

    for written in WRITES:
        writing = start(write, b, written, others)
        assert writing.done(), written
        writing.result()
    for move in (archive, restore, archive):
        moving = start(move, b, ids["other"])
        assert moving.done()
        assert moved_now(moving.result())
    for other_name, other_move in MOVES_IN_RUNS.items():
        moving = start(other_move, b, sets[1])
        assert moving.done(), other_name
        moving.result()
        sets[1] = {"session": new_session(b), "archived": new_session(b)}
        archive(b, sets[1]["archived"])
    a.execute("COMMIT")


def test_a_connection_that_dies_before_it_commits_has_moved_nothing(
    a: psycopg.Connection, connection: psycopg.Connection, ids: dict[str, UUID]
) -> None:
    archive(connection, ids["other"])
    before = all_tables(connection)
    begin(a)
    archive(a, ids["session"])
    restore(a, ids["other"])

    connection.execute("SELECT pg_terminate_backend(%s, 10000)", [a.info.backend_pid])

    assert all_tables(connection) == before
    assert archive(connection, ids["session"]).newly_archived


@pytest.mark.parametrize("move", [archive, restore])
def test_a_call_that_is_cancelled_while_it_waits_has_moved_nothing(
    a: psycopg.Connection,
    b: psycopg.Connection,
    ids: dict[str, UUID],
    start_blocked: Start,
    move: Callable,
) -> None:
    if move is restore:
        archive(a, ids["session"])
    before = all_tables(a)
    begin(b)
    move(b, ids["session"])
    waiting = start_blocked(move, a, ids["session"])

    b.execute("SELECT pg_cancel_backend(%s)", [a.info.backend_pid])

    with pytest.raises(psycopg.errors.QueryCanceled):
        waiting.result()
    b.execute("ROLLBACK")
    assert all_tables(a) == before


@BOTH_LAYOUTS
def test_several_writers_at_once_are_all_waited_for(
    connect: Connect,
    a: psycopg.Connection,
    b: psycopg.Connection,
    ids: dict[str, UUID],
    start_blocked: Start,
) -> None:
    """Two share the session's row, a third holds a message: the archive waits for each in turn."""
    sharing, editing = connect(), connect()
    for writer, name in (
        (b, "insert a message"),
        (sharing, "move messages in"),
        (editing, "update a message"),
    ):
        begin(writer)
        write(writer, name, ids)
    archiving = start_blocked(archive, a, ids["session"])
    for writer in (b, sharing, editing):
        assert not archiving.done()
        writer.execute("COMMIT")

    assert archiving.result().message_count == 3 + 1 + 2
    rows = a.execute("SELECT content FROM engine_chat_message_archive").fetchall()
    assert {"late", "edited"} <= {content for (content,) in rows}
    assert {row.session_id for row in live(a)} == {ids["other"]}


@BOTH_LAYOUTS
def test_a_message_moved_between_two_sessions_that_are_archived_together_is_archived_once(
    a: psycopg.Connection, b: psycopg.Connection, ids: dict[str, UUID], start_blocked: Start
) -> None:
    begin(b)
    write(b, "move a message out", ids)
    as_written = live(b)
    archiving = start_blocked(archive_many, a, [ids["session"], ids["other"]])
    b.execute("COMMIT")

    rows = archiving.result()
    assert (rows[ids["session"]].message_count, rows[ids["other"]].message_count) == (2, 3)
    assert archived(a) == as_written
    assert live(a) == []


def test_a_session_inserted_anew_while_it_is_archived_is_in_conflict_with_its_archive(
    a: psycopg.Connection, b: psycopg.Connection, ids: dict[str, UUID], start_blocked: Start
) -> None:
    before = live(a)
    begin(a)
    archive(a, ids["session"])
    inserting = start_blocked(
        lambda connection: new_session(connection, 0, id=ids["session"], title="anew"), b
    )
    a.execute("COMMIT")
    inserting.result()
    assert archived(a) == of(before, ids["session"])
    in_both = all_tables(a)

    for move in (archive, restore):
        with pytest.raises(psycopg.Error, match=str(ids["session"])) as refused:
            move(a, ids["session"])
        assert refused.value.sqlstate == "AR001"
        assert all_tables(a) == in_both


def test_a_session_inserted_anew_is_refused_when_the_archive_rolls_back(
    a: psycopg.Connection, b: psycopg.Connection, ids: dict[str, UUID], start_blocked: Start
) -> None:
    before = all_tables(a)
    begin(a)
    archive(a, ids["session"])
    inserting = start_blocked(
        lambda connection: new_session(connection, 0, id=ids["session"], title="anew"), b
    )
    a.execute("ROLLBACK")

    with pytest.raises(psycopg.errors.UniqueViolation):
        inserting.result()
    assert all_tables(a) == before


@BOTH_LAYOUTS
@pytest.mark.parametrize("together", [False, True])
def test_twenty_connections_archive_one_session_once(
    connect: Connect,
    a: psycopg.Connection,
    ids: dict[str, UUID],
    start_blocked: Start,
    threads: ThreadPoolExecutor,
    together: bool,
) -> None:
    """All behind a lock that is released when all wait, or all at once from a standing start."""
    before = live(a)
    connections = [connect() for _ in range(20)]
    if together:
        start = threading.Barrier(len(connections))

        def archive_at_once(connection: psycopg.Connection) -> object:
            start.wait()
            return archive(connection, ids["session"])

        calls = [threads.submit(archive_at_once, connection) for connection in connections]
    else:
        begin(a)
        write(a, "update the session", ids)
        before = live(a)
        calls = [start_blocked(archive, connection, ids["session"]) for connection in connections]
        a.execute("COMMIT")

    rows = [future.result() for future in calls]
    assert Counter(row.newly_archived for row in rows) == {True: 1, False: 19}
    assert len({(row.id, row.archived_at, row.message_count) for row in rows}) == 1
    assert rows[0].message_count == 3
    assert archived(a) == of(before, ids["session"])
    assert live(a) == not_of(before, ids["session"])


def test_twenty_connections_restore_one_session_once(
    connect: Connect, a: psycopg.Connection, ids: dict[str, UUID], start_blocked: Start
) -> None:
    before = live(a)
    archive(a, ids["session"])
    connections = [connect() for _ in range(20)]
    begin(a)
    assert restore(a, ids["session"]).newly_restored
    calls = [start_blocked(restore, connection, ids["session"]) for connection in connections]
    a.execute("ROLLBACK")

    rows = [future.result() for future in calls]
    assert Counter(row.newly_restored for row in rows) == {True: 1, False: 19}
    assert {row.message_count for row in rows} == {3}
    assert {row.restored_at is None for row in rows if not row.newly_restored} == {True}
    assert live(a) == before
    assert archived(a) == []


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_an_archive_waits_for_an_archive(
    a: psycopg.Connection,
    b: psycopg.Connection,
    ids: dict[str, UUID],
    start_blocked: Start,
    end: str,
) -> None:
    before = live(a)
    begin(b)
    first = archive(b, ids["session"])
    archiving = start_blocked(archive, a, ids["session"])
    b.execute(end)

    second = archiving.result()
    assert second.newly_archived == (end == "ROLLBACK")
    assert (second.archived_at == first.archived_at) == (end == "COMMIT")
    assert second.message_count == 3
    assert archived(a) == of(before, ids["session"])
    assert live(a) == not_of(before, ids["session"])


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_restore_waits_for_a_restore(
    a: psycopg.Connection,
    b: psycopg.Connection,
    ids: dict[str, UUID],
    start_blocked: Start,
    end: str,
) -> None:
    before = live(a)
    archive(a, ids["session"])
    begin(b)
    restore(b, ids["session"])
    restoring = start_blocked(restore, a, ids["session"])
    b.execute(end)

    row = restoring.result()
    assert row.newly_restored == (end == "ROLLBACK")
    assert row.message_count == 3
    assert live(a) == before
    assert archived(a) == []


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_session_on_its_way_back_is_still_archived_to_everyone_else(
    a: psycopg.Connection, b: psycopg.Connection, ids: dict[str, UUID], end: str
) -> None:
    """An archive does not wait for a restore under way: it comes before it."""
    before = live(a)
    first = archive(a, ids["session"])
    begin(b)
    restore(b, ids["session"])

    assert archive(a, ids["session"]) == first._replace(newly_archived=False)
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        write(a, "insert a message", ids)

    b.execute(end)
    assert_one_place_each(a, before)
    assert places(a, ids["session"]) == ((1, 3, 0, 0) if end == "COMMIT" else (0, 0, 1, 3))


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
@pytest.mark.parametrize("status", ["active", "archived"])
def test_a_restore_while_the_session_is_archived_is_true_before_or_after_it(
    a: psycopg.Connection,
    b: psycopg.Connection,
    ids: dict[str, UUID],
    start: Start,
    status: str,
    end: str,
) -> None:
    """Whether it waits or not, what it says has been so, and never is it 'no such session'.

    The soft-deleted one is restored by a restore in any case: it comes back as active.
    """
    a.execute("UPDATE engine_chat_sessions SET status = %s WHERE id = %s", [status, ids["session"]])
    begin(b)
    assert archive(b, ids["session"]).newly_archived
    restoring = start(restore, a, ids["session"])
    b.execute(end)

    row = restoring.result()
    assert row.id == ids["session"]
    assert row.message_count == 3
    is_live = places(a, ids["session"]) == (1, 3, 0, 0)
    assert is_live or places(a, ids["session"]) == (0, 0, 1, 3)
    if status == "archived":
        assert row.newly_restored
    if row.newly_restored:
        assert is_live
        assert a.execute(
            "SELECT status FROM engine_chat_sessions WHERE id = %s", [ids["session"]]
        ).fetchone() == ("active",)


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_restore_waits_for_a_session_that_is_inserted_with_its_id(
    a: psycopg.Connection,
    b: psycopg.Connection,
    ids: dict[str, UUID],
    start_blocked: Start,
    end: str,
) -> None:
    before = live(a)
    archive(a, ids["session"])
    begin(b)
    new_session(b, 1, id=ids["session"], title="anew")
    with_b = all_tables(b)
    restoring = start_blocked(restore, a, ids["session"])
    b.execute(end)

    if end == "ROLLBACK":
        assert restoring.result().newly_restored
        assert live(a) == before
        assert archived(a) == []
    else:
        with pytest.raises(psycopg.Error, match=str(ids["session"])) as refused:
            restoring.result()
        assert refused.value.sqlstate == "AR001"
        assert all_tables(a) == with_b


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_session_inserted_while_its_id_is_restored_waits_and_is_then_refused(
    a: psycopg.Connection,
    b: psycopg.Connection,
    ids: dict[str, UUID],
    start_blocked: Start,
    end: str,
) -> None:
    before = live(a)
    archive(a, ids["session"])
    begin(a)
    restore(a, ids["session"])
    inserting = start_blocked(
        lambda connection: new_session(connection, 0, id=ids["session"], title="anew"), b
    )
    a.execute(end)

    if end == "COMMIT":
        with pytest.raises(psycopg.errors.UniqueViolation):
            inserting.result()
        assert live(a) == before
    else:
        inserting.result()
        assert places(a, ids["session"]) == (1, 0, 1, 3)
        assert archived(a) == of(before, ids["session"])


@pytest.mark.parametrize(
    "there_and_back",
    [
        "SELECT archive_session(%(session)s); SELECT restore_session(%(session)s)",
        # the application writes the whole session anew
        """
        CREATE TEMP TABLE kept ON COMMIT DROP AS
            SELECT * FROM engine_chat_sessions WHERE id = %(session)s;
        CREATE TEMP TABLE kept_messages ON COMMIT DROP AS
            SELECT * FROM engine_chat_messages WHERE session_id = %(session)s;
        DELETE FROM engine_chat_sessions WHERE id = %(session)s;
        INSERT INTO engine_chat_sessions SELECT * FROM kept;
        INSERT INTO engine_chat_messages SELECT * FROM kept_messages;
        """,
    ],
    ids=["archived and restored", "deleted and inserted"],
)
def test_a_session_that_left_and_came_back_while_the_archive_waited_is_archived(
    a: psycopg.Connection,
    b: psycopg.Connection,
    ids: dict[str, UUID],
    start_blocked: Start,
    there_and_back: str,
) -> None:
    """The row that was waited for is gone, and its successor is another row: look again."""
    before = live(a)
    begin(b)
    for statement in filter(str.strip, there_and_back.split(";")):
        b.execute(statement, ids)
    archiving = start_blocked(archive, a, ids["session"])
    b.execute("COMMIT")

    row = archiving.result()
    assert (row.newly_archived, row.message_count) == (True, 3)
    assert archived(a) == of(before, ids["session"])
    assert live(a) == not_of(before, ids["session"])


def test_one_of_many_that_left_and_came_back_while_the_archive_waited_moves_nothing(
    connection: psycopg.Connection,
    a: psycopg.Connection,
    b: psycopg.Connection,
    start_blocked: Start,
) -> None:
    """Another session is locked already: locking this one now could deadlock, so try again."""
    session_ids = sorted(new_session(connection) for _ in range(3))
    before = all_tables(a)
    begin(b)
    archive(b, session_ids[1])
    restore(b, session_ids[1])
    archiving = start_blocked(archive_many, a, session_ids)
    b.execute("COMMIT")

    with pytest.raises(psycopg.errors.SerializationFailure, match=str(session_ids[1])) as refused:
        archiving.result()
    assert refused.value.diag.message_hint
    assert all_tables(a) == before
    assert {row.newly_archived for row in archive_many(a, session_ids).values()} == {True}


def test_one_of_many_that_came_back_and_left_while_the_restore_waited_moves_nothing(
    connection: psycopg.Connection,
    a: psycopg.Connection,
    b: psycopg.Connection,
    start_blocked: Start,
) -> None:
    """Another session is locked already: locking this one now could deadlock, so try again."""
    session_ids = sorted(new_session(connection) for _ in range(3))
    archive_many(a, session_ids)
    before = live(a) + archived(a)
    begin(b)
    restore(b, session_ids[1])
    archive(b, session_ids[1])
    restoring = start_blocked(restore_many, a, session_ids)
    b.execute("COMMIT")

    with pytest.raises(psycopg.errors.SerializationFailure, match=str(session_ids[1])) as refused:
        restoring.result()
    assert refused.value.diag.message_hint
    assert live(a) + archived(a) == before
    assert all(map(moved_now, restore_many(a, session_ids).values()))


def test_one_of_many_that_was_archived_while_the_restore_waited_moves_nothing(
    connection: psycopg.Connection,
    a: psycopg.Connection,
    b: psycopg.Connection,
    start_blocked: Start,
) -> None:
    """The restore has the archived ones, waits for the live one, and finds that it has left."""
    session_ids = sorted(new_session(connection) for _ in range(3))
    archive_many(a, session_ids[1:])
    begin(b)
    archive(b, session_ids[0])
    restoring = start_blocked(restore_many, a, session_ids)
    b.execute("COMMIT")
    before = all_tables(a)

    with pytest.raises(psycopg.errors.SerializationFailure, match=str(session_ids[0])) as refused:
        restoring.result()
    assert refused.value.diag.message_hint
    assert all_tables(a) == before
    assert all(map(moved_now, restore_many(a, session_ids).values()))


def test_a_session_that_left_and_came_back_while_the_restore_waited_is_live(
    a: psycopg.Connection, b: psycopg.Connection, ids: dict[str, UUID], start_blocked: Start
) -> None:
    """The row that was waited for is gone, and its successor is another row: look again."""
    before = live(a)
    begin(b)
    archive(b, ids["session"])
    restore(b, ids["session"])
    restoring = start_blocked(restore, a, ids["session"])
    b.execute("COMMIT")

    row = restoring.result()
    assert (row.id, row.message_count, row.newly_restored) == (ids["session"], 3, False)
    assert live(a) == before


@BOTH_LAYOUTS
def test_a_session_that_came_back_and_left_while_the_restore_waited_is_restored(
    a: psycopg.Connection, b: psycopg.Connection, ids: dict[str, UUID], start_blocked: Start
) -> None:
    before = live(a)
    archive(a, ids["session"])
    begin(b)
    restore(b, ids["session"])
    archive(b, ids["session"])
    restoring = start_blocked(restore, a, ids["session"])
    b.execute("COMMIT")

    row = restoring.result()
    assert (row.newly_restored, row.message_count) == (True, 3)
    assert live(a) == before
    assert archived(a) == []


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_an_archive_that_meets_a_copy_made_at_the_same_time_loses_and_doubles_nothing(
    a: psycopg.Connection,
    b: psycopg.Connection,
    ids: dict[str, UUID],
    start_blocked: Start,
    end: str,
) -> None:
    """The baseline (copy, then delete) was there first: a conflict, or try again."""
    before = live(a)
    begin(b)
    copy_to_archive(b, ids["session"])
    copied = all_tables(b)
    archiving = start_blocked(archive, a, ids["session"])
    b.execute(end)

    if end == "ROLLBACK":
        assert archiving.result().newly_archived
        assert_one_place_each(a, before)
    else:
        with pytest.raises(psycopg.Error) as refused:
            archiving.result()
        assert all_tables(a) == copied
        assert not archive(a, ids["session"]).newly_archived
        assert_one_place_each(a, before)
        assert refused.value.sqlstate in {"AR001", "40001"}
        assert refused.value.diag.message_hint


def test_a_session_without_messages_does_not_vanish_behind_another_copy_made_at_the_same_time(
    a: psycopg.Connection, b: psycopg.Connection, start_blocked: Start
) -> None:
    """No message tells the two apart: only the row of the session does."""
    session_id = new_session(a, 0)
    begin(b)
    copy_to_archive(b, session_id)
    b.execute("UPDATE engine_chat_session_archive SET title = 'before it was renamed'")
    copied = all_tables(b)
    archiving = start_blocked(archive, a, session_id)
    b.execute("COMMIT")

    with pytest.raises(psycopg.Error) as refused:
        archiving.result()
    assert refused.value.sqlstate == "AR001"
    assert all_tables(a) == copied


@BOTH_LAYOUTS
def test_a_conflict_is_judged_by_rows_that_nobody_can_still_change(
    a: psycopg.Connection, b: psycopg.Connection, ids: dict[str, UUID], start_blocked: Start
) -> None:
    """A message of the live copy is being edited: the archive waits, and then they differ."""
    copy_to_archive(a, ids["session"])
    begin(b)
    write(b, "update a message", ids)
    edited = all_tables(b)
    archiving = start_blocked(archive, a, ids["session"])
    b.execute("COMMIT")

    with pytest.raises(psycopg.Error, match=str(ids["message"])) as refused:
        archiving.result()
    assert refused.value.sqlstate == "AR001"
    assert all_tables(a) == edited


@pytest.mark.parametrize("place", ["archived", "live"])
def test_restores_of_the_same_sessions_in_other_orders_do_not_deadlock(
    connect: Connect,
    connection: psycopg.Connection,
    a: psycopg.Connection,
    b: psycopg.Connection,
    start_blocked: Start,
    place: str,
) -> None:
    """Both wait, and one holds a row already: whoever took rows in its own order would deadlock."""
    session_ids = sorted(new_session(connection, status="archived") for _ in range(3))
    before = live(connection)
    table = "engine_chat_sessions"
    if place == "archived":
        archive_many(connection, session_ids)
        table = "engine_chat_session_archive"
    holding = connect()
    begin(holding)
    holding.execute(f"SELECT 1 FROM {table} WHERE id = %s FOR UPDATE", [session_ids[1]])

    first = start_blocked(restore_many, a, session_ids)
    second = start_blocked(restore_many, b, session_ids[::-1])
    holding.execute("ROLLBACK")

    moved = Counter(
        moved_now(row) for future in (first, second) for row in future.result().values()
    )
    assert moved == {True: 3, False: 3}
    assert [row[:2] for row in live(connection)] == [row[:2] for row in before]
    assert archived(connection) == []


def test_restores_of_many_sessions_in_other_orders_move_each_once(
    connect: Connect, connection: psycopg.Connection, threads: ThreadPoolExecutor
) -> None:
    session_ids = [new_session(connection, 1) for _ in range(60)]
    before = live(connection)
    orders = [session_ids, session_ids[::-1], sorted(session_ids), [*session_ids[30:], uuid4()]]
    start = threading.Barrier(len(orders))

    def restore_every_round(own: psycopg.Connection, order: list[UUID]) -> list[list[UUID]]:
        moved = []
        for _ in range(20):
            if order is orders[0]:
                archive_many(own, order)
            start.wait(timeout=20)
            rows = restore_many(own, order)
            start.wait(timeout=20)
            moved.append([row.id for row in rows.values() if row.newly_restored])
        return moved

    calls = [threads.submit(restore_every_round, connect(), order) for order in orders]
    for moved in zip(*(future.result() for future in calls), strict=True):
        assert sorted(session_id for part in moved for session_id in part) == sorted(session_ids)
    assert live(connection) == before
    assert archived(connection) == []


def test_archives_of_the_same_sessions_in_other_orders_do_not_deadlock(
    connect: Connect, connection: psycopg.Connection, threads: ThreadPoolExecutor
) -> None:
    session_ids = [new_session(connection, 1) for _ in range(60)]
    before = live(connection)
    orders = [session_ids, session_ids[::-1], sorted(session_ids), [*session_ids[30:], uuid4()]]
    rounds = 30
    start = threading.Barrier(len(orders))

    def archive_every_round(own: psycopg.Connection, order: list[UUID]) -> Iterator[list[object]]:
        for _ in range(rounds):
            start.wait(timeout=20)
            rows = archive_many(own, order)
            start.wait(timeout=20)
            yield [(row.id, row.archived_at) for row in rows.values() if row.newly_archived]
            if order is orders[0]:
                own.execute("SELECT restore_session(id) FROM engine_chat_session_archive")

    calls = [
        threads.submit(lambda *arguments: list(archive_every_round(*arguments)), connect(), order)
        for order in orders
    ]
    moved_by_each = [future.result() for future in calls]

    for moved in zip(*moved_by_each, strict=True):
        ids_moved = [session_id for part in moved for session_id, _ in part]
        assert sorted(ids_moved) == sorted(session_ids)
    assert live(connection) == before
    assert archived(connection) == []


@BOTH_LAYOUTS
def test_archives_and_restores_at_random_lose_and_double_nothing(
    connect: Connect, connection: psycopg.Connection, threads: ThreadPoolExecutor
) -> None:
    """Nobody is told 'no such session' either. What may collide says that it did."""
    session_ids = sorted(new_session(connection, 2) for _ in range(6))
    before = live(connection)
    retryable = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)

    def work(own: psycopg.Connection, number: int) -> int:
        answered = 0
        for turn in range(60):
            session_id = session_ids[(turn * (number + 1)) % len(session_ids)]
            try:
                if (turn + number) % 3 == 0:
                    move_many = (archive_many, restore_many)[turn % 2]
                    assert set(move_many(own, session_ids)) == set(session_ids)
                else:
                    move = (archive, restore)[(turn + number) % 2]
                    assert move(own, session_id).id == session_id
            except retryable:
                continue
            answered += 1
        return answered

    calls = [threads.submit(work, connect(), number) for number in range(4)]
    assert min(future.result() for future in calls) > 0

    assert_one_place_each(connection, before)
