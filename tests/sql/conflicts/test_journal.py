"""What the journal says of a session that was in both places and is merged."""

import psycopg
import pytest

from tests.support import new_session
from tests.support.conflicts import change, conflict, events, one, resolutions, resolve
from tests.support.layouts import BOTH_LAYOUTS
from tests.support.rows import ARCHIVE, LIVE, archive, archived, of

BOTH_PLACES = pytest.mark.parametrize("destination", ["live", "archive"])


@BOTH_LAYOUTS
@BOTH_PLACES
@pytest.mark.parametrize("keep", [None, "live", "archive"])
def test_resolving_is_recorded_with_destination_kept_row_and_actor(
    connection: psycopg.Connection, destination: str, keep: str | None
) -> None:
    session_id = conflict(connection)
    if keep is not None:
        change(connection, LIVE[0], "title = 'new'", session_id)
    begun_at = one(connection, "SELECT clock_timestamp()")

    resolve(connection, session_id, destination, keep, "alice")

    event = events(connection)[-1]
    kept = {} if keep is None else {"kept": keep}
    assert (event.session_id, event.event) == (session_id, "resolved")
    assert event.detail == {"destination": destination, **kept}
    assert (event.message_count, event.run_id) == (6, None)
    assert (event.actor, event.role) == ("alice", connection.info.user)
    assert begun_at < event.at < one(connection, "SELECT clock_timestamp()")
    assert [resolution.resolved_by for resolution in resolutions(connection)] == ["alice"]


@BOTH_LAYOUTS
def test_resolving_into_the_archive_is_recorded_as_an_archive_too(
    connection: psycopg.Connection,
) -> None:
    session_id = conflict(connection)

    resolve(connection, session_id, "archive", actor="alice")

    moved, resolved = events(connection)
    assert (moved.session_id, moved.event, resolved.event) == (session_id, "archived", "resolved")
    assert moved.at == one(connection, f"SELECT archived_at FROM {ARCHIVE[0]}")
    assert moved.at <= resolved.at
    assert (moved.message_count, moved.run_id, moved.detail) == (6, None, None)
    assert (moved.actor, moved.role) == ("alice", connection.info.user)


@BOTH_LAYOUTS
def test_resolving_into_the_live_tables_is_no_archive_and_no_restore(
    connection: psycopg.Connection,
) -> None:
    resolve(connection, conflict(connection), "live")

    assert [event.event for event in events(connection)] == ["resolved"]


def test_without_an_actor_resolving_is_recorded_with_the_setting_or_else_the_role(
    connection: psycopg.Connection,
) -> None:
    resolve(connection, conflict(connection), "archive")
    connection.execute("SET aria_db.actor = 'bob'")
    resolve(connection, conflict(connection), "archive")

    user = connection.info.user
    assert [event.actor for event in events(connection)] == [user, user, "bob", "bob"]
    assert {event.role for event in events(connection)} == {user}
    assert [resolution.resolved_by for resolution in resolutions(connection)] == [user, "bob"]


@BOTH_LAYOUTS
def test_archiving_a_session_whose_archived_copy_is_identical_is_recorded_as_resolved(
    connection: psycopg.Connection,
) -> None:
    """Only the live copy goes: nothing comes into the archive, which has everything."""
    session_id = conflict(connection, only_live=0, only_archive=1)
    rows = of(archived(connection), session_id)

    archive(connection, session_id)

    (event,) = events(connection)
    assert (event.session_id, event.event) == (session_id, "resolved")
    assert event.detail == {"destination": "archive"}
    assert (event.message_count, event.run_id) == (3, None)
    assert (event.actor, event.role) == (connection.info.user,) * 2
    assert of(archived(connection), session_id) == rows


def test_a_run_that_meets_an_identical_copy_is_named_beside_what_it_archived(
    connection: psycopg.Connection,
) -> None:
    copied, ordinary = conflict(connection, only_live=0), new_session(connection)
    run_id = one(connection, "SELECT begin_archive_run('archive')")

    connection.execute(
        "SELECT FROM archive_sessions(%s, %s, 'alice')", ([copied, ordinary], run_id)
    )

    assert {
        (event.session_id, event.event, event.run_id, event.actor) for event in events(connection)
    } == {(copied, "resolved", run_id, "alice"), (ordinary, "archived", run_id, "alice")}


@BOTH_PLACES
def test_a_session_that_a_prune_had_to_leave_is_not_left_any_more_once_it_is_resolved(
    connection: psycopg.Connection, destination: str
) -> None:
    session_id, other = conflict(connection), conflict(connection)
    for left in (session_id, other):
        connection.execute(
            "INSERT INTO engine_archive_left (session_id, sqlstate, message)"
            " VALUES (%s, 'AR001', 'in both places')",
            [left],
        )

    resolve(connection, session_id, destination)

    left = connection.execute("SELECT session_id FROM engine_archive_left").fetchall()
    assert left == [(other,)]


def test_the_journal_of_a_merge_outlives_the_session(connection: psycopg.Connection) -> None:
    session_id = conflict(connection)
    resolve(connection, session_id, "archive")

    connection.execute("SELECT FROM delete_archived_session(%s)", [session_id])

    history = [event.event for event in events(connection) if event.session_id == session_id]
    assert history == ["archived", "resolved", "deleted"]
