"""What the purge deletes for good: what the policies say, and nothing else."""

from datetime import timedelta

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support import Connect, call, new_session, places
from tests.support.layouts import BOTH_LAYOUTS
from tests.support.retention import (
    ARCHIVED,
    GONE,
    LIVE,
    NOTHING,
    Moved,
    archived_for,
    begin_run,
    copy_to_archive,
    locked_sessions,
    place_hold,
    purge,
    restore,
    session_of_age,
    set_policy,
    where,
)


@pytest.fixture
def purge_after_a_year(connection: psycopg.Connection) -> None:
    """A policy that deletes what was archived a year ago."""
    set_policy(connection, "*", archive_after="30 days", purge_after="1 year")


def test_without_a_purge_after_nothing_is_deleted(connection: psycopg.Connection) -> None:
    ids = [archived_for(connection, "50 years", session_type=name) for name in ("cron", "a")]

    assert purge(connection) == NOTHING
    set_policy(connection, "*", purge_after="1 year", enabled=False)
    assert purge(connection) == NOTHING
    connection.execute("DELETE FROM engine_archive_policy")
    assert purge(connection) == NOTHING
    assert where(connection, ids) == [ARCHIVED] * 2


def test_a_session_is_deleted_at_the_age_of_its_types_policy_or_else_of_the_default(
    connection: psycopg.Connection,
) -> None:
    set_policy(connection, "*", purge_after="1 year")
    set_policy(connection, "cron", purge_after="7 days")
    set_policy(connection, "keep", archive_after="1 day")
    set_policy(connection, "off", purge_after="1 day", enabled=False)
    gone = [
        archived_for(connection, "8 days", session_type="cron"),
        archived_for(connection, "367 days"),
    ]
    kept = [
        archived_for(connection, "6 days", session_type="cron"),
        archived_for(connection, "363 days"),
        archived_for(connection, "9 years", session_type="keep"),
        archived_for(connection, "9 years", session_type="off"),
    ]

    assert purge(connection) == Moved(2, 6)
    assert purge(connection) == NOTHING
    assert where(connection, gone) == [GONE] * 2
    assert where(connection, kept) == [ARCHIVED] * 4


@pytest.mark.usefixtures("purge_after_a_year")
def test_what_counts_is_when_it_was_archived_not_when_it_was_used(
    connection: psycopg.Connection,
) -> None:
    session_id = archived_for(connection, "1 day", created_at="2001-01-01", updated_at="2001-01-01")

    assert purge(connection) == NOTHING
    assert places(connection, session_id) == ARCHIVED


@pytest.mark.usefixtures("purge_after_a_year")
def test_a_batch_deletes_the_oldest_and_locks_no_more_than_it_deletes(
    connection: psycopg.Connection, other: psycopg.Connection
) -> None:
    ids = [archived_for(connection, f"{500 - n} days") for n in range(5)]

    with connection.transaction():
        assert purge(connection, batch_size=3) == Moved(3, 9)
        assert locked_sessions(other, "engine_chat_session_archive") == set(ids[:3])

    assert where(connection, ids) == [GONE] * 3 + [ARCHIVED] * 2
    assert [purge(connection, batch_size=3).sessions for _ in range(2)] == [2, 0]


@pytest.mark.usefixtures("purge_after_a_year")
def test_only_sessions_of_the_named_type_are_deleted(connection: psycopg.Connection) -> None:
    ids = [archived_for(connection, "9 years", session_type=name) for name in ("a", "b")]

    assert purge(connection, session_type="a") == Moved(1, 3)
    assert where(connection, ids) == [GONE, ARCHIVED]


@pytest.mark.usefixtures("purge_after_a_year")
def test_a_run_goes_on_when_it_has_deleted_the_last_session_of_its_type(
    connection: psycopg.Connection,
) -> None:
    session_id = archived_for(connection, "9 years", session_type="a")
    run_id = begin_run(connection, "purge", arguments=Jsonb({"session_type": "a"}))

    batches = [purge(connection, session_type="a", run_id=run_id) for _ in range(2)]

    assert batches == [Moved(1, 3), NOTHING]
    assert places(connection, session_id) == GONE
    for run in (run_id, None):
        with pytest.raises(psycopg.errors.InvalidParameterValue, match='type "b"'):
            purge(connection, session_type="b", run_id=run)


@pytest.mark.usefixtures("purge_after_a_year")
def test_a_live_session_is_never_deleted_nor_is_an_archive_in_conflict_with_it(
    connection: psycopg.Connection,
) -> None:
    live = [session_of_age(connection, "9 years"), new_session(connection, status="archived")]
    both = session_of_age(connection, "9 years")
    copy_to_archive(connection, both)
    connection.execute("UPDATE engine_chat_session_archive SET archived_at = '2001-01-01'")

    assert purge(connection) == NOTHING
    assert where(connection, [*live, both]) == [LIVE, LIVE, (1, 3, 1, 3)]


@pytest.mark.usefixtures("purge_after_a_year")
def test_a_held_session_is_never_deleted_and_stops_nobody_else(
    connection: psycopg.Connection,
) -> None:
    ids = [archived_for(connection, f"{500 - n} days") for n in range(3)]
    place_hold(connection, ids[0])

    assert [purge(connection, batch_size=1).sessions for _ in range(3)] == [1, 1, 0]
    assert where(connection, ids) == [ARCHIVED, GONE, GONE]


@pytest.mark.usefixtures("purge_after_a_year")
@pytest.mark.parametrize("outcome", ["COMMIT", "ROLLBACK"])
def test_a_session_that_is_being_restored_is_skipped(
    connection: psycopg.Connection, other: psycopg.Connection, outcome: str
) -> None:
    ids = [archived_for(connection, f"{500 - n} days") for n in range(2)]
    other.execute("BEGIN")
    restore(other, ids[0])

    assert purge(connection) == Moved(1, 3)
    other.execute(outcome)

    assert where(connection, ids) == [LIVE if outcome == "COMMIT" else ARCHIVED, GONE]
    assert purge(connection).sessions == (0 if outcome == "COMMIT" else 1)


@pytest.mark.usefixtures("purge_after_a_year")
@pytest.mark.parametrize(
    "arguments",
    [
        {"batch_size": 0},
        {"batch_size": -1},
        {"batch_size": None},
        {"session_type": "no such type"},
        {"session_type": "*"},
    ],
    ids=str,
)
def test_arguments_that_cannot_be_meant_are_refused_and_nothing_is_deleted(
    connection: psycopg.Connection, arguments: dict
) -> None:
    session_id = archived_for(connection, "9 years")

    with pytest.raises(psycopg.errors.InvalidParameterValue) as refusal:
        purge(connection, **arguments)

    assert refusal.value.diag.message_hint
    if "session_type" in arguments:
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            call(connection, "count_purgeable_sessions", **arguments)
    assert places(connection, session_id) == ARCHIVED


# The dry run


@BOTH_LAYOUTS
@pytest.mark.parametrize("arguments", [{}, {"session_type": "cron"}], ids=str)
def test_the_dry_run_counts_what_the_purge_then_deletes_and_what_is_held(
    connection: psycopg.Connection, connect: Connect, arguments: dict
) -> None:
    set_policy(connection, "*", purge_after="1 year")
    set_policy(connection, "cron", purge_after="7 days")
    set_policy(connection, "keep", archive_after="1 day")
    set_policy(connection, "off", purge_after="1 day", enabled=False)
    for name in ("interactive", "cron", "keep", "off"):
        for age in ("1 hour", "8 days", "400 days"):
            for messages in (0, 2):
                archived_for(connection, age, messages, session_type=name)
        place_hold(connection, archived_for(connection, "401 days", session_type=name))
        both = session_of_age(connection, "9 years", session_type=name)
        copy_to_archive(connection, both)
        connection.execute(
            "UPDATE engine_chat_session_archive SET archived_at = '2001-01-01' WHERE id = %s",
            (both,),
        )
    reader = connect(options="-c default_transaction_read_only=on")
    before = types_in_the_archive(connection)

    counted = call(reader, "count_purgeable_sessions", **arguments)

    assert types_in_the_archive(connection) == before
    figures = {row.of_type: (row.sessions, row.messages, row.held) for row in counted}
    assert figures == {
        "cron": (4, 4, 1),
        **({} if arguments else {"interactive": (2, 2, 1)}),
    }
    moved = purge(connection, **arguments)
    assert moved == Moved(
        sum(row.sessions for row in counted), sum(row.messages for row in counted)
    )
    after = types_in_the_archive(connection)
    assert {name: before[name] - after[name] for name in before if before[name] > after[name]} == {
        name: sessions for name, (sessions, *_) in figures.items()
    }
    again = call(reader, "count_purgeable_sessions", **arguments)
    assert [(row.of_type, row.sessions, row.held) for row in again] == [
        (name, 0, 1) for name in figures
    ]


def types_in_the_archive(connection: psycopg.Connection) -> dict[str, int]:
    """Return how many archived sessions there are of each type."""
    return dict(
        connection.execute(
            "SELECT session_type, count(*) FROM engine_chat_session_archive GROUP BY session_type"
        ).fetchall()
    )


@pytest.mark.usefixtures("purge_after_a_year")
def test_the_dry_run_says_when_the_first_and_the_last_were_archived(
    connection: psycopg.Connection,
) -> None:
    ids = [archived_for(connection, f"{days} days") for days in (366, 400, 380, 500, 360)]
    place_hold(connection, ids[3])

    (row,) = call(connection, "count_purgeable_sessions")
    connection.execute("SELECT place_hold(id, 'all') FROM engine_chat_session_archive")
    (held,) = call(connection, "count_purgeable_sessions")

    (now,) = connection.execute("SELECT now()").fetchone()
    ages = [now - moment for moment in (row.oldest_archived_at, row.newest_archived_at)]
    assert ages == [
        pytest.approx(timedelta(days=days), abs=timedelta(minutes=5)) for days in (400, 366)
    ]
    assert (row.sessions, row.held) == (3, 1)
    assert tuple(held) == ("interactive", 0, 0, None, None, 4)


@pytest.mark.usefixtures("purge_after_a_year")
def test_the_dry_run_of_a_purge_locks_no_row_and_is_hindered_by_none(
    connection: psycopg.Connection, connect: Connect, other: psycopg.Connection
) -> None:
    ids = [archived_for(connection, "400 days") for _ in range(2)]
    with connection.transaction(), other.transaction():
        restore(other, ids[0])
        (row,) = call(connection, "count_purgeable_sessions")
        assert (row.sessions, row.messages) == (2, 6)
        assert locked_sessions(connect(), "engine_chat_session_archive") == {ids[0]}


def test_the_dry_run_counts_nothing_without_a_purge_after(connection: psycopg.Connection) -> None:
    archived_for(connection, "50 years")

    assert call(connection, "count_purgeable_sessions") == []
    assert call(connection, "count_purgeable_sessions", session_type="interactive") == []
    connection.execute("DELETE FROM engine_archive_policy")
    assert call(connection, "count_purgeable_sessions") == []
