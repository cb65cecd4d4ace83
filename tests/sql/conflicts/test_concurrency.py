"""Others work on a session while it is merged: they wait, nothing is lost, nobody deadlocks."""

from concurrent.futures import Future, ThreadPoolExecutor
from uuid import UUID

import psycopg
import pytest

from tests.support import Connect, Start, new_session, places
from tests.support.conflicts import (
    change,
    conflict,
    conflicts,
    insert_message,
    one,
    resolutions,
    resolve,
)
from tests.support.layouts import BOTH_LAYOUTS
from tests.support.rows import ARCHIVE, LIVE, all_tables, archive, archived, live, of, restore

BOTH_PLACES = pytest.mark.parametrize("destination", ["live", "archive"])
BOTH_ENDS = pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
PLACES = {"live": (1, 6, 0, 0), "archive": (0, 0, 1, 6)}


def sqlstate(future: Future) -> str | None:
    """Return the SQLSTATE that a call failed with; None if it did not."""
    error = future.exception()
    return error.sqlstate if isinstance(error, psycopg.Error) else None


def repeatable_read(connection: psycopg.Connection) -> None:
    """Begin a transaction, and take its snapshot."""
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    connection.execute("SELECT count(*) FROM engine_chat_session_all")


@BOTH_LAYOUTS
@BOTH_ENDS
@BOTH_PLACES
def test_of_two_calls_one_merges_and_the_other_waits_and_finds_it_done(
    a: psycopg.Connection,
    b: psycopg.Connection,
    start_blocked: Start,
    destination: str,
    end: str,
) -> None:
    session_id = conflict(a)
    a.execute("BEGIN")
    resolve(a, session_id, destination)
    second = start_blocked(resolve, b, session_id, destination)
    a.execute(end)

    assert second.result() == (session_id, destination, 6, end == "ROLLBACK")
    assert places(a, session_id) == PLACES[destination]
    assert len(resolutions(a)) == 1


@BOTH_PLACES
def test_the_second_of_two_calls_that_disagree_is_refused(
    a: psycopg.Connection, b: psycopg.Connection, start_blocked: Start, destination: str
) -> None:
    session_id = conflict(a)
    a.execute("BEGIN")
    resolve(a, session_id, destination)
    (other,) = PLACES.keys() - {destination}
    second = start_blocked(resolve, b, session_id, other)
    a.execute("COMMIT")

    assert sqlstate(second) == "22023"
    assert places(a, session_id) == PLACES[destination]


@BOTH_LAYOUTS
@BOTH_ENDS
@BOTH_PLACES
def test_a_message_inserted_meanwhile_waits_and_is_kept_or_refused_never_lost(
    a: psycopg.Connection,
    b: psycopg.Connection,
    start_blocked: Start,
    destination: str,
    end: str,
) -> None:
    session_id = conflict(a)
    a.execute("BEGIN")
    resolve(a, session_id, destination)
    inserting = start_blocked(insert_message, b, session_id, "late")
    a.execute(end)

    if (destination, end) == ("archive", "COMMIT"):
        assert sqlstate(inserting) == "23503"
        assert places(a, session_id) == PLACES["archive"]
    else:
        assert inserting.result() in {row.id for row in live(a)}


@BOTH_LAYOUTS
@BOTH_ENDS
@BOTH_PLACES
def test_a_message_that_is_being_inserted_is_waited_for_and_merged(
    a: psycopg.Connection,
    b: psycopg.Connection,
    start_blocked: Start,
    destination: str,
    end: str,
) -> None:
    session_id = conflict(a)
    b.execute("BEGIN")
    message_id = insert_message(b, session_id, "just now")
    merging = start_blocked(resolve, a, session_id, destination)
    b.execute(end)

    assert merging.result().message_count == (7 if end == "COMMIT" else 6)
    there = live(a) if destination == "live" else archived(a)
    assert (message_id in {row.id for row in there}) == (end == "COMMIT")


@BOTH_LAYOUTS
@BOTH_PLACES
@pytest.mark.parametrize("statement", ["UPDATE {} SET content = 'edited'", "DELETE FROM {}"])
def test_an_update_or_delete_of_a_copied_message_under_way_is_not_undone(
    a: psycopg.Connection, b: psycopg.Connection, start: Start, destination: str, statement: str
) -> None:
    """It writes to the live message, as if the merge had been before it."""
    session_id = conflict(a)
    message_id = one(a, f"SELECT id FROM {ARCHIVE[1]} ORDER BY created_at LIMIT 1")
    b.execute("BEGIN")
    b.execute(f"{statement.format(LIVE[1])} WHERE id = %s", [message_id])
    merging = start(resolve, a, session_id, destination)
    b.execute("COMMIT")
    merging.result()

    table = LIVE[1] if destination == "live" else ARCHIVE[1]
    contents = a.execute(f"SELECT content FROM {table} WHERE id = %s", [message_id]).fetchall()
    assert contents == ([("edited",)] if statement.startswith("UPDATE") else [])
    assert sum(places(a, session_id)) == (7 if contents else 6)
    assert conflicts(a) == {}


@BOTH_PLACES
def test_an_update_of_the_session_under_way_is_waited_for_and_then_compared(
    a: psycopg.Connection, b: psycopg.Connection, start_blocked: Start, destination: str
) -> None:
    session_id = conflict(a)
    b.execute("BEGIN")
    change(b, LIVE[0], "title = 'renamed'", session_id)
    merging = start_blocked(resolve, a, session_id, destination)
    b.execute("COMMIT")

    assert sqlstate(merging) == "AR001"
    assert places(a, session_id) == (1, 4, 1, 4)


@BOTH_LAYOUTS
@BOTH_PLACES
def test_a_session_that_is_being_deleted_is_waited_for_and_then_archived_alone(
    a: psycopg.Connection, b: psycopg.Connection, start_blocked: Start, destination: str
) -> None:
    session_id = conflict(a)
    b.execute("BEGIN")
    b.execute("DELETE FROM engine_chat_sessions WHERE id = %s", [session_id])
    merging = start_blocked(resolve, a, session_id, destination)
    b.execute("COMMIT")

    if destination == "archive":
        assert not merging.result().newly_resolved
    else:
        assert sqlstate(merging) == "22023"
    assert places(a, session_id) == (0, 0, 1, 4)


@BOTH_LAYOUTS
@BOTH_ENDS
@BOTH_PLACES
def test_an_archive_waits_for_the_merge(
    a: psycopg.Connection,
    b: psycopg.Connection,
    start_blocked: Start,
    destination: str,
    end: str,
) -> None:
    session_id = conflict(a)
    a.execute("BEGIN")
    resolve(a, session_id, destination)
    archiving = start_blocked(archive, b, session_id)
    a.execute(end)

    if end == "ROLLBACK":
        assert sqlstate(archiving) == "AR001"
    else:
        assert archiving.result().newly_archived == (destination == "live")
        assert places(a, session_id) == PLACES["archive"]


@BOTH_LAYOUTS
@BOTH_PLACES
def test_a_merge_waits_for_an_archive_that_removes_the_live_copy(
    a: psycopg.Connection, b: psycopg.Connection, start_blocked: Start, destination: str
) -> None:
    session_id = conflict(a, only_live=0)
    b.execute("BEGIN")
    archive(b, session_id)
    merging = start_blocked(resolve, a, session_id, destination)
    b.execute("COMMIT")

    if destination == "archive":
        assert merging.result() == (session_id, "archive", 4, False)
    else:
        assert sqlstate(merging) == "22023"
    assert places(a, session_id) == (0, 0, 1, 4)


@BOTH_LAYOUTS
@BOTH_ENDS
@BOTH_PLACES
def test_a_restore_waits_for_the_merge(
    a: psycopg.Connection,
    b: psycopg.Connection,
    start_blocked: Start,
    destination: str,
    end: str,
) -> None:
    session_id = conflict(a)
    a.execute("BEGIN")
    resolve(a, session_id, destination)
    restoring = start_blocked(restore, b, session_id)
    a.execute(end)

    if end == "ROLLBACK":
        assert sqlstate(restoring) == "AR001"
    else:
        assert restoring.result().newly_restored == (destination == "archive")
        assert places(a, session_id) == PLACES["live"]


@BOTH_LAYOUTS
@BOTH_PLACES
def test_a_restore_that_came_first_gives_up_and_does_not_deadlock_with_the_merge(
    a: psycopg.Connection, b: psycopg.Connection, start_blocked: Start, destination: str
) -> None:
    """It has locked the archived row, and comes to the live one, which the merge has locked."""
    session_id = conflict(a)
    b.execute("BEGIN")
    b.execute(f"SELECT FROM {ARCHIVE[0]} WHERE id = %s FOR UPDATE", [session_id])
    merging = start_blocked(resolve, a, session_id, destination)

    with pytest.raises(psycopg.Error) as refused:
        restore(b, session_id)
    assert refused.value.sqlstate == "AR001"
    b.execute("ROLLBACK")
    assert merging.result().newly_resolved


@BOTH_PLACES
def test_a_restore_that_is_not_committed_does_not_hold_up_a_call_on_its_session(
    a: psycopg.Connection, b: psycopg.Connection, destination: str
) -> None:
    session_id = new_session(a)
    archive(a, session_id)
    b.execute("BEGIN")
    restore(b, session_id)

    if destination == "archive":
        assert not resolve(a, session_id, destination).newly_resolved
    else:
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            resolve(a, session_id, destination)
    b.execute("COMMIT")
    assert places(a, session_id) == (1, 3, 0, 0)


@BOTH_PLACES
def test_prune_and_purge_pass_over_a_session_that_is_being_merged(
    a: psycopg.Connection, b: psycopg.Connection, destination: str
) -> None:
    session_id = conflict(a)
    for table in (LIVE[0], ARCHIVE[0]):
        change(a, table, "updated_at = '2001-01-01'", session_id)
    change(a, ARCHIVE[0], "archived_at = '2001-01-01'", session_id)
    a.execute("UPDATE engine_archive_policy SET purge_after = '1 day'")
    a.execute("BEGIN")
    resolve(a, session_id, destination)

    for function in ("prune_sessions", "purge_archive"):
        assert b.execute(f"SELECT sessions FROM {function}()").fetchone() == (0,)
    a.execute("COMMIT")
    assert places(a, session_id) == PLACES[destination]


@BOTH_PLACES
def test_a_hold_waits_for_the_merge_and_then_holds(
    a: psycopg.Connection, b: psycopg.Connection, start_blocked: Start, destination: str
) -> None:
    session_id = conflict(a)
    a.execute("BEGIN")
    resolve(a, session_id, destination)
    holding = start_blocked(
        lambda own: own.execute("SELECT id FROM place_hold(%s, 'a case')", [session_id]).fetchone(),
        b,
    )
    a.execute("COMMIT")

    assert holding.result() == (session_id,)
    assert places(a, session_id) == PLACES[destination]


def test_a_hold_that_is_being_placed_is_waited_for_and_then_refuses(
    a: psycopg.Connection, b: psycopg.Connection, start_blocked: Start
) -> None:
    session_id = conflict(a)
    b.execute("BEGIN")
    b.execute("SELECT place_hold(%s, 'a case')", [session_id])
    before = all_tables(a)
    merging = start_blocked(resolve, a, session_id, "archive")
    b.execute("COMMIT")

    assert sqlstate(merging) == "AR003"
    assert all_tables(a) == before
    assert resolutions(a) == []


@BOTH_LAYOUTS
@BOTH_PLACES
@pytest.mark.parametrize("other_writes", ["a message", "the session", "an archive"])
def test_under_repeatable_read_what_came_after_the_snapshot_is_never_lost(
    a: psycopg.Connection, b: psycopg.Connection, destination: str, other_writes: str
) -> None:
    session_id = conflict(a, only_live=0)
    repeatable_read(a)
    if other_writes == "a message":
        insert_message(b, session_id, "late")
    elif other_writes == "the session":
        change(b, LIVE[0], "title = 'renamed'", session_id)
    else:
        archive(b, session_id)
    before = all_tables(b)

    if (destination, other_writes) == ("live", "a message"):
        # nothing that this call does concerns it
        resolve(a, session_id, destination)
        a.execute("COMMIT")
        assert places(a, session_id) == (1, 5, 0, 0)
        return
    with pytest.raises(psycopg.errors.SerializationFailure):
        resolve(a, session_id, destination)
    a.execute("ROLLBACK")
    assert all_tables(a) == before


def test_everybody_at_once_loses_no_message_and_nobody_deadlocks(
    connection: psycopg.Connection, connect: Connect, threads: ThreadPoolExecutor
) -> None:
    """Merges both ways, archives, restores and inserts, on three sessions."""
    session_ids = [conflict(connection) for _ in range(3)]
    expected = {row.id for row in live(connection) + archived(connection)}
    calls = [
        lambda own, session_id: resolve(own, session_id, "live"),
        lambda own, session_id: resolve(own, session_id, "archive"),
        lambda own, session_id: insert_message(own, session_id, "meanwhile"),
        archive,
        restore,
    ]

    def work(number: int) -> tuple[set[UUID], set[str | None]]:
        """Call one after the other; return what was inserted and which errors there were."""
        own, inserted, errors = connect(), set(), set()
        for step in range(30):
            call = calls[(number + step) % len(calls)]
            try:
                answer = call(own, session_ids[(number + step // 5) % len(session_ids)])
            except psycopg.Error as error:
                errors.add(error.sqlstate)
            else:
                if isinstance(answer, UUID):
                    inserted.add(answer)
        return inserted, errors

    for inserted, errors in threads.map(work, range(6)):
        expected |= inserted
        # refused as a conflict, as in the other place, or because the session is archived
        assert errors <= {"AR001", "22023", "23503"}

    rows = live(connection) + archived(connection)
    assert {row.id for row in rows} == expected
    for session_id in session_ids:
        assert len({row.id for row in of(rows, session_id)}) == len(of(rows, session_id))
