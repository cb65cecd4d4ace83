"""A held session stays where it is, whatever comes at the same moment."""

from collections.abc import Callable
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.support import Connect, Start, call, new_session, places
from tests.support.retention import (
    ARCHIVED,
    GONE,
    LIVE,
    NOTHING,
    Moved,
    archive,
    archived_for,
    left,
    old_sessions,
    one,
    place_hold,
    prune,
    purge,
    release_hold,
    restore,
    set_policy,
    stop_in_view,
    where,
)


def assert_held(error: psycopg.Error, session_id: UUID, reason: str) -> None:
    assert error.sqlstate == "AR003"
    assert error.diag.message_primary == f"session {session_id} is on hold: {reason}"
    assert error.diag.message_hint


def archive_one(connection: psycopg.Connection, session_id: UUID) -> list:
    return call(connection, "archive_session", session_id=session_id)


@pytest.mark.parametrize("function", [archive, archive_one])
def test_an_explicit_archive_of_a_held_session_is_refused_with_its_reason(
    connection: psycopg.Connection, function: Callable
) -> None:
    session_id = new_session(connection)
    place_hold(connection, session_id, "legal, case 7")

    with pytest.raises(psycopg.Error) as refusal:
        function(connection, session_id)

    assert_held(refusal.value, session_id, "legal, case 7")
    assert refusal.value.diag.message_detail == "The hold was placed by postgres."
    assert places(connection, session_id) == LIVE


def test_one_held_session_among_several_means_that_none_is_archived(
    connection: psycopg.Connection,
) -> None:
    ids = [new_session(connection) for _ in range(3)]
    place_hold(connection, ids[1])

    with pytest.raises(psycopg.Error) as refusal:
        archive(connection, *ids)

    assert_held(refusal.value, ids[1], "asked")
    assert where(connection, ids) == [LIVE] * 3


def test_a_hold_stays_while_the_session_is_restored_and_keeps_it_live(
    connection: psycopg.Connection,
) -> None:
    session_id = new_session(connection)
    archive(connection, session_id)
    (hold,) = place_hold(connection, session_id)

    # Again, as a client retries: it is archived, and stays.
    assert [row.newly_archived for row in archive(connection, session_id)] == [False]
    restore(connection, session_id)
    with pytest.raises(psycopg.Error) as refusal:
        archive(connection, session_id)

    assert_held(refusal.value, session_id, "asked")
    assert one(connection, "SELECT placed_at FROM engine_session_hold") == hold.placed_at
    assert release_hold(connection, session_id)
    archive(connection, session_id)
    assert places(connection, session_id) == ARCHIVED


def test_a_released_session_is_pruned_and_purged_again(connection: psycopg.Connection) -> None:
    (live,) = old_sessions(connection, 1)
    archived = archived_for(connection, "400 days")
    set_policy(connection, "*", archive_after="30 days", purge_after="1 year")
    for session_id in (live, archived):
        place_hold(connection, session_id)
    assert (prune(connection), purge(connection)) == (NOTHING, NOTHING)

    assert [release_hold(connection, session_id) for session_id in (live, archived)] == [True] * 2

    assert (prune(connection), purge(connection)) == (Moved(1, 3), Moved(1, 3))
    assert where(connection, [live, archived]) == [ARCHIVED, GONE]


def test_a_hold_tells_who_placed_it_and_a_second_one_changes_the_reason_alone(
    connection: psycopg.Connection, connect: Connect, role: str
) -> None:
    connection.execute(f'GRANT EXECUTE ON FUNCTION place_hold(uuid, text, text) TO "{role}"')
    session_id = new_session(connection)

    (first,) = place_hold(connect(user=role), session_id, "first")
    (second,) = place_hold(connection, session_id, "second", actor="ada")

    assert (first.id, first.hold_reason, first.placed_by) == (session_id, "first", role)
    assert second == first._replace(hold_reason="second")
    assert one(connection, "SELECT count(*) FROM engine_session_hold") == 1


def test_a_hold_and_its_refusals_name_the_actor_who_placed_it(
    connection: psycopg.Connection,
) -> None:
    session_id = new_session(connection)

    (hold,) = place_hold(connection, session_id, actor="ada")

    assert hold.placed_by == "ada"
    with pytest.raises(psycopg.Error) as refusal:
        archive(connection, session_id, actor="bob")
    assert refusal.value.diag.message_detail == "The hold was placed by ada."


def test_an_unknown_session_cannot_be_held(connection: psycopg.Connection) -> None:
    assert place_hold(connection, uuid4()) == []
    assert one(connection, "SELECT count(*) FROM engine_session_hold") == 0


@pytest.mark.parametrize("reason", ["", "  ", None])
def test_a_hold_without_a_reason_is_refused(
    connection: psycopg.Connection, reason: str | None
) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue) as refusal:
        place_hold(connection, new_session(connection), reason)

    assert refusal.value.diag.message_hint


def test_releasing_tells_whether_there_was_a_hold(connection: psycopg.Connection) -> None:
    session_id = new_session(connection)
    place_hold(connection, session_id)

    assert [release_hold(connection, session_id) for _ in range(2)] == [True, False]
    assert not release_hold(connection, uuid4())


# At the same moment


@pytest.mark.parametrize("outcome", ["COMMIT", "ROLLBACK"])
def test_a_hold_placed_while_the_session_is_archived_waits_and_holds_it_where_it_is_then(
    connection: psycopg.Connection,
    other: psycopg.Connection,
    start_blocked: Start,
    outcome: str,
) -> None:
    session_id = new_session(connection)
    connection.execute("BEGIN")
    archive(connection, session_id)

    holding = start_blocked(place_hold, other, session_id)
    connection.execute(outcome)

    assert [hold.id for hold in holding.result()] == [session_id]
    assert places(connection, session_id) == (ARCHIVED if outcome == "COMMIT" else LIVE)
    assert one(connection, "SELECT session_id FROM engine_session_hold") == session_id


def test_a_hold_placed_while_the_session_is_restored_waits_and_holds_it(
    connection: psycopg.Connection, other: psycopg.Connection, start_blocked: Start
) -> None:
    session_id = archived_for(connection, "1 day")
    connection.execute("BEGIN")
    restore(connection, session_id)

    holding = start_blocked(place_hold, other, session_id)
    connection.execute("COMMIT")

    assert [hold.id for hold in holding.result()] == [session_id]
    with pytest.raises(psycopg.Error) as refusal:
        archive(connection, session_id)
    assert_held(refusal.value, session_id, "asked")


def test_a_hold_placed_while_the_session_is_purged_finds_none(
    connection: psycopg.Connection, other: psycopg.Connection, start_blocked: Start
) -> None:
    set_policy(connection, "*", purge_after="1 year")
    session_id = archived_for(connection, "400 days")
    connection.execute("BEGIN")
    assert purge(connection) == Moved(1, 3)

    holding = start_blocked(place_hold, other, session_id)
    connection.execute("COMMIT")

    assert holding.result() == []
    assert one(connection, "SELECT count(*) FROM engine_session_hold") == 0


@pytest.mark.parametrize("outcome", ["COMMIT", "ROLLBACK"])
def test_an_archive_waits_for_a_hold_that_is_being_placed_and_is_refused_if_it_stays(
    connection: psycopg.Connection,
    other: psycopg.Connection,
    start_blocked: Start,
    outcome: str,
) -> None:
    session_id = new_session(connection)
    connection.execute("BEGIN")
    place_hold(connection, session_id)

    archiving = start_blocked(archive, other, session_id)
    connection.execute(outcome)

    if outcome == "COMMIT":
        with pytest.raises(psycopg.Error) as refusal:
            archiving.result()
        assert_held(refusal.value, session_id, "asked")
        assert places(connection, session_id) == LIVE
    else:
        assert [row.newly_archived for row in archiving.result()] == [True]


def test_prune_and_purge_skip_a_session_while_a_hold_is_being_placed(
    connection: psycopg.Connection, other: psycopg.Connection
) -> None:
    set_policy(connection, "*", archive_after="30 days", purge_after="1 year")
    archived = archived_for(connection, "400 days")
    (live,) = old_sessions(connection, 1)

    with other.transaction():
        for session_id in (live, archived):
            place_hold(other, session_id)
        assert (prune(connection), purge(connection)) == (NOTHING, NOTHING)

    assert (prune(connection), purge(connection)) == (NOTHING, NOTHING)
    assert where(connection, [live, archived]) == [LIVE, ARCHIVED]


@pytest.mark.parametrize("function", [prune, purge])
def test_a_hold_placed_after_a_session_was_chosen_and_before_it_was_locked_keeps_it(
    connection: psycopg.Connection,
    other: psycopg.Connection,
    start_blocked: Start,
    function: Callable,
) -> None:
    set_policy(connection, "*", archive_after="30 days", purge_after="1 year")
    if function is prune:
        held, free = old_sessions(connection, 2)
        stop_in_view(connection, "engine_archive_candidate")
    else:
        held, free = (archived_for(connection, f"{days} days") for days in (401, 400))
        stop_in_view(connection, "_purge_candidate")
    before = places(connection, held)

    other.execute("SELECT pg_advisory_lock(1)")
    working = start_blocked(function, connection)
    place_hold(other, held)
    other.execute("SELECT pg_advisory_unlock(1)")

    if function is prune:
        assert working.result() == Moved(1, 3, left_behind=1)
        assert [(row.session_id, row.sqlstate) for row in left(other).values()] == [(held, "AR003")]
        assert places(other, free) == ARCHIVED
    else:
        assert working.result() == Moved(1, 3)
        assert places(other, free) == GONE
    assert places(other, held) == before


@pytest.mark.parametrize("function", [archive, prune, purge])
@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_hold_that_a_snapshot_does_not_show_keeps_the_session(
    connection: psycopg.Connection, other: psycopg.Connection, level: str, function: Callable
) -> None:
    set_policy(connection, "*", archive_after="30 days", purge_after="1 year")
    (live,) = old_sessions(connection, 1)
    held = archived_for(connection, "400 days") if function is purge else live
    before = places(connection, held)
    connection.execute(f"BEGIN ISOLATION LEVEL {level}")
    assert one(connection, "SELECT count(*) FROM engine_session_hold") == 0
    place_hold(other, held)

    with pytest.raises(psycopg.errors.SerializationFailure):
        function(connection, *([held] if function is archive else []))

    connection.execute("ROLLBACK")
    assert places(connection, held) == before
    assert one(connection, "SELECT session_id FROM engine_session_hold") == held


def test_an_archive_with_a_snapshot_leaves_no_hold_behind(connection: psycopg.Connection) -> None:
    session_id = new_session(connection)
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    archive(connection, session_id)
    connection.execute("COMMIT")

    assert places(connection, session_id) == ARCHIVED
    assert one(connection, "SELECT count(*) FROM engine_session_hold") == 0
