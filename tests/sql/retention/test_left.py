"""engine_archive_left: what a prune had to leave and why, until the session moves."""

from collections.abc import Callable
from concurrent.futures import Future
from uuid import UUID

import psycopg
import pytest

from tests.support import Connect, Start, call, places
from tests.support.retention import (
    ARCHIVED,
    GONE,
    LIVE,
    Moved,
    allow,
    archive,
    begin_run,
    copy_to_archive,
    finish_run,
    forbid,
    forbid_a_title,
    left,
    old_sessions,
    one,
    place_hold,
    prune,
    purge,
    release_hold,
    session_of_age,
    set_policy,
    stop_in_view,
    where,
)

FORBIDDEN = "AR007"


def take_message_id(connection: psycopg.Connection, session_id: UUID) -> None:
    """Give a message of the archive the id of one of the session, where ids are unique."""
    connection.execute("CREATE UNIQUE INDEX ON engine_chat_message_archive (id)")
    connection.execute(
        """
        INSERT INTO engine_chat_message_archive (archived_at, id, session_id, role, content)
        SELECT now(), id, gen_random_uuid(), role, content
        FROM engine_chat_messages WHERE session_id = %s LIMIT 1
        """,
        (session_id,),
    )


def left_by_a_prune(connection: psycopg.Connection) -> UUID:
    """Return a session that a prune had to leave, and that may be archived since."""
    forbid_a_title(connection)
    (session_id,) = old_sessions(connection, 1)
    forbid(connection, session_id)
    assert prune(connection) == Moved(0, 0, left_behind=1)
    assert set(left(connection)) == {session_id}
    allow(connection, session_id)
    return session_id


def delete(connection: psycopg.Connection, session_id: UUID) -> list:
    return call(connection, "delete_chat_session", session_id=session_id)


def resolve(connection: psycopg.Connection, session_id: UUID, destination: str) -> list:
    return call(
        connection,
        "resolve_session_conflict",
        session_id=session_id,
        destination=destination,
    )


def prune_one(connection: psycopg.Connection, session_id: UUID) -> Moved:
    return prune(connection)


MOVES = {"archive": (archive, ARCHIVED), "delete": (delete, GONE), "prune": (prune_one, ARCHIVED)}
EVERY_MOVE = pytest.mark.parametrize(("move", "place"), MOVES.values(), ids=MOVES)


# What is written down


@pytest.mark.parametrize("batch_size", [1, 500])
@pytest.mark.parametrize(
    ("forbid", "sqlstate", "reason"),
    [
        (forbid, FORBIDDEN, "violates check constraint"),
        (take_message_id, "AR001", "has the id of one that is in the archive"),
    ],
    ids=["constraint", "conflict"],
)
def test_a_session_that_cannot_be_moved_is_counted_and_written_down_with_the_reason(
    connection: psycopg.Connection,
    batch_size: int,
    forbid: Callable[[psycopg.Connection, UUID], None],
    sqlstate: str,
    reason: str,
) -> None:
    forbid_a_title(connection)
    stuck, *free = old_sessions(connection, 3)
    forbid(connection, stuck)
    run_id = begin_run(connection, "prune")
    began = one(connection, "SELECT clock_timestamp()")

    first = prune(connection, batch_size=batch_size, run_id=run_id)

    assert first == Moved(min(batch_size, 2), 3 * min(batch_size, 2), left_behind=1)
    (row,) = left(connection).values()
    assert (row.session_id, row.run_id, row.sqlstate) == (stuck, run_id, sqlstate)
    assert reason in row.message
    assert began < row.at < one(connection, "SELECT clock_timestamp()")
    while prune(connection, batch_size=batch_size, run_id=run_id).sessions:
        pass
    assert where(connection, [stuck, *free]) == [LIVE, ARCHIVED, ARCHIVED]
    assert set(left(connection)) == {stuck}


def test_a_session_held_after_it_was_chosen_is_counted_and_written_down_with_the_reason(
    connection: psycopg.Connection, other: psycopg.Connection, start_blocked: Start
) -> None:
    (held,) = old_sessions(connection, 1)
    stop_in_view(connection, "engine_archive_candidate")

    other.execute("SELECT pg_advisory_lock(1)")
    pruning = start_blocked(prune, connection)
    place_hold(other, held, "legal, case 7")
    other.execute("SELECT pg_advisory_unlock(1)")

    assert pruning.result() == Moved(0, 0, left_behind=1)
    (row,) = left(other).values()
    assert (row.session_id, row.run_id, row.sqlstate) == (held, None, "AR003")
    assert row.message == f"session {held} is on hold: legal, case 7"


@pytest.mark.parametrize(
    "in_use",
    [
        "UPDATE engine_chat_sessions SET title = 'in use' WHERE id = %s",
        "UPDATE engine_chat_messages SET content = 'in use' WHERE session_id = %s",
    ],
    ids=["session", "message"],
)
def test_a_session_that_is_merely_in_use_is_neither_counted_nor_written_down(
    connection: psycopg.Connection, other: psycopg.Connection, in_use: str
) -> None:
    busy, free = old_sessions(connection, 2)

    with other.transaction():
        other.execute(in_use, (busy,))
        assert prune(connection) == Moved(1, 3, left_behind=0)

    assert left(connection) == {}
    assert where(connection, [busy, free]) == [LIVE, ARCHIVED]


def test_what_is_left_again_has_the_reason_the_run_and_the_time_of_the_last_prune(
    connection: psycopg.Connection,
) -> None:
    forbid_a_title(connection)
    (stuck,) = old_sessions(connection, 1)
    forbid(connection, stuck)
    first_run, second_run = (begin_run(connection, "prune") for _ in range(2))
    prune(connection, run_id=first_run)
    (first,) = left(connection).values()

    allow(connection, stuck)
    take_message_id(connection, stuck)
    assert prune(connection, run_id=second_run) == Moved(0, 0, left_behind=1)

    (second,) = left(connection).values()
    assert (first.run_id, first.sqlstate) == (first_run, FORBIDDEN)
    assert (second.session_id, second.run_id, second.sqlstate) == (stuck, second_run, "AR001")
    assert "has the id of one that is in the archive" in second.message
    assert second.at > first.at


def test_a_prune_that_is_rolled_back_writes_nothing_down(connection: psycopg.Connection) -> None:
    forbid_a_title(connection)
    (stuck,) = old_sessions(connection, 1)
    forbid(connection, stuck)

    with connection.transaction(force_rollback=True):
        assert prune(connection) == Moved(0, 0, left_behind=1)

    assert left(connection) == {}


# Until the session moves


@EVERY_MOVE
def test_what_was_left_is_forgotten_when_the_session_moves(
    connection: psycopg.Connection, move: Callable, place: tuple
) -> None:
    session_id = left_by_a_prune(connection)

    with connection.transaction(force_rollback=True):
        move(connection, session_id)
        assert left(connection) == {}
    assert set(left(connection)) == {session_id}
    move(connection, session_id)

    assert left(connection) == {}
    assert places(connection, session_id) == place


@pytest.mark.parametrize("destination", ["live", "archive"])
def test_what_was_left_is_forgotten_when_its_conflict_is_resolved(
    connection: psycopg.Connection, destination: str
) -> None:
    session_id = left_by_a_prune(connection)
    copy_to_archive(connection, session_id)

    resolve(connection, session_id, destination)

    assert left(connection) == {}
    assert places(connection, session_id) == (LIVE if destination == "live" else ARCHIVED)


def test_what_was_left_is_forgotten_when_the_live_copy_is_removed(
    connection: psycopg.Connection,
) -> None:
    session_id = left_by_a_prune(connection)
    copy_to_archive(connection, session_id)

    assert [row.newly_archived for row in archive(connection, session_id)] == [False]

    assert left(connection) == {}
    assert places(connection, session_id) == ARCHIVED


DELETIONS = {
    "purge": lambda connection, _: purge(connection, batch_size=1),
    "delete": lambda connection, session_id: call(
        connection, "delete_archived_session", session_id=session_id
    ),
}


@pytest.mark.parametrize("deletion", DELETIONS.values(), ids=DELETIONS)
def test_what_an_undo_left_is_forgotten_when_the_session_is_deleted_from_the_archive(
    connection: psycopg.Connection, deletion: Callable
) -> None:
    ids = old_sessions(connection, 2)
    run_id = begin_run(connection, "prune")
    assert prune(connection, run_id=run_id) == Moved(2, 6)
    finish_run(connection, run_id)
    # what both need to come back
    connection.execute("ALTER TABLE engine_chat_messages ADD CHECK (role <> 'user') NOT VALID")
    (undone,) = call(connection, "restore_run", run_id=run_id)
    assert (undone.sessions, undone.left_behind) == (0, 2)
    set_policy(connection, "*", purge_after="1 year")
    connection.execute(
        "UPDATE engine_chat_session_archive SET archived_at = now() - interval '400 days'"
        " WHERE id = %s",
        (ids[0],),
    )

    with connection.transaction(force_rollback=True):
        deletion(connection, ids[0])
        assert set(left(connection)) == {ids[1]}
    assert set(left(connection)) == {*ids}
    deletion(connection, ids[0])

    assert set(left(connection)) == {ids[1]}
    assert where(connection, ids) == [GONE, ARCHIVED]


def test_what_was_left_stays_while_the_session_stays(connection: psycopg.Connection) -> None:
    """Not every call that names the session moves it, and another one moves another."""
    session_id = left_by_a_prune(connection)
    (other,) = old_sessions(connection, 1)
    archive(connection, other)
    delete(connection, session_of_age(connection, "1 day"))
    place_hold(connection, session_id)
    with pytest.raises(psycopg.Error) as refusal:
        archive(connection, session_id)
    assert refusal.value.sqlstate == "AR003"
    release_hold(connection, session_id)

    assert set(left(connection)) == {session_id}


# At the same moment


def leave_while_another_waits(
    pruning: psycopg.Connection, observer: psycopg.Connection, start_blocked: Start
) -> tuple[UUID, Future]:
    """Return a session that a prune has refused, and the prune in the middle of its batch.

    The prune has let go of the session, and will write it down when the advisory lock 1, which
    the observer has, is free.
    """
    forbid_a_title(observer)
    stuck, slow = old_sessions(observer, 2)
    forbid(observer, stuck)
    observer.execute(
        f"""
        CREATE FUNCTION stop_here() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS $$
        BEGIN
            PERFORM pg_advisory_xact_lock_shared(1);
            RETURN OLD;
        END; $$;
        CREATE TRIGGER stop_here BEFORE DELETE ON engine_chat_sessions
        FOR EACH ROW WHEN (OLD.id = '{slow}') EXECUTE FUNCTION stop_here();
        """
    )
    observer.execute("SELECT pg_advisory_lock(1)")
    working = start_blocked(prune, pruning, batch_size=1)
    allow(observer, stuck)
    return stuck, working


@pytest.mark.parametrize("outcome", ["COMMIT", "ROLLBACK"])
@pytest.mark.parametrize(("move", "place"), [MOVES["archive"], MOVES["delete"]])
def test_a_session_that_another_connection_is_moving_is_not_waited_for_and_not_written_down(
    connection: psycopg.Connection,
    other: psycopg.Connection,
    connect: Connect,
    start_blocked: Start,
    move: Callable,
    place: tuple,
    outcome: str,
) -> None:
    observer = connect()
    stuck, pruning = leave_while_another_waits(connection, observer, start_blocked)
    other.execute("BEGIN")
    move(other, stuck)

    observer.execute("SELECT pg_advisory_unlock(1)")
    assert pruning.result() == Moved(1, 3, left_behind=1)
    other.execute(outcome)

    assert left(observer) == {}
    assert places(observer, stuck) == (place if outcome == "COMMIT" else LIVE)


@pytest.mark.parametrize(("move", "place"), [MOVES["archive"], MOVES["delete"]])
def test_a_session_that_another_connection_has_moved_meanwhile_is_not_written_down(
    connection: psycopg.Connection,
    connect: Connect,
    start_blocked: Start,
    move: Callable,
    place: tuple,
) -> None:
    observer = connect()
    stuck, pruning = leave_while_another_waits(connection, observer, start_blocked)
    move(observer, stuck)

    observer.execute("SELECT pg_advisory_unlock(1)")

    assert pruning.result() == Moved(1, 3, left_behind=1)
    assert left(observer) == {}
    assert places(observer, stuck) == place


def test_a_session_that_another_connection_resolves_meanwhile_is_not_written_down(
    connection: psycopg.Connection, connect: Connect, start_blocked: Start
) -> None:
    observer = connect()
    stuck, pruning = leave_while_another_waits(connection, observer, start_blocked)
    copy_to_archive(observer, stuck)
    resolve(observer, stuck, "archive")

    observer.execute("SELECT pg_advisory_unlock(1)")

    assert pruning.result() == Moved(1, 3, left_behind=1)
    assert left(observer) == {}
    assert places(observer, stuck) == ARCHIVED


@pytest.mark.parametrize("outcome", ["COMMIT", "ROLLBACK"])
@pytest.mark.parametrize(("move", "place"), [MOVES["archive"], MOVES["delete"]])
def test_a_move_waits_for_the_prune_that_writes_its_session_down_and_then_takes_that_back(
    connection: psycopg.Connection,
    other: psycopg.Connection,
    start_blocked: Start,
    move: Callable,
    place: tuple,
    outcome: str,
) -> None:
    forbid_a_title(connection)
    (stuck,) = old_sessions(connection, 1)
    forbid(connection, stuck)
    connection.execute("BEGIN")
    assert prune(connection) == Moved(0, 0, left_behind=1)
    allow(connection, stuck)

    moving = start_blocked(move, other, stuck)
    connection.execute(outcome)

    if outcome == "ROLLBACK" and move is archive:  # the archive refuses the title as before
        with pytest.raises(psycopg.DatabaseError, match="not_forbidden"):
            moving.result()
        assert places(connection, stuck) == LIVE
    else:
        moving.result()
        assert places(connection, stuck) == place
    assert left(connection) == {}


def test_two_prunes_that_leave_the_same_session_do_not_hinder_each_other(
    connection: psycopg.Connection,
    other: psycopg.Connection,
    connect: Connect,
    start_blocked: Start,
) -> None:
    """The second one has written the session down, and has not committed yet."""
    observer = connect()
    stuck, pruning = leave_while_another_waits(connection, observer, start_blocked)
    forbid(observer, stuck)
    other.execute("BEGIN")
    assert prune(other, batch_size=1) == Moved(0, 0, left_behind=1)

    observer.execute("SELECT pg_advisory_unlock(1)")
    assert pruning.result() == Moved(1, 3, left_behind=1)
    other.execute("COMMIT")

    assert set(left(observer)) == {stuck}


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
@EVERY_MOVE
def test_what_a_snapshot_does_not_show_as_left_is_forgotten_or_the_move_is_to_be_tried_again(
    connection: psycopg.Connection,
    other: psycopg.Connection,
    level: str,
    move: Callable,
    place: tuple,
) -> None:
    forbid_a_title(connection)
    (stuck,) = old_sessions(connection, 1)
    forbid(connection, stuck)
    other.execute(f"BEGIN ISOLATION LEVEL {level}")
    assert left(other) == {}
    prune(connection)
    allow(connection, stuck)

    try:
        move(other, stuck)
        other.execute("COMMIT")
    except psycopg.errors.SerializationFailure:
        other.execute("ROLLBACK")
        assert places(connection, stuck) == LIVE
        move(other, stuck)

    assert places(connection, stuck) == place
    assert left(connection) == {}
