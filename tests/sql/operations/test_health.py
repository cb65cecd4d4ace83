"""engine_archive_health: each figure green, and red exactly where somebody should act."""

from typing import Any

import psycopg
import pytest
from psycopg.rows import namedtuple_row

from tests.support import Connect, new_session
from tests.support.retention import (
    archived_for,
    begin_run,
    copy_to_archive,
    finish_run,
    old_sessions,
    one,
    place_hold,
    prune,
    session_of_age,
    session_restored,
    set_policy,
)

FIGURES = {
    ("backlog", "*"),
    ("backlog", "cron"),
    ("backlog", "subagent"),
    ("backlog", "swarm"),
    ("soft_deleted", "engine_chat_sessions"),
    ("conflicts", "engine_chat_sessions"),
    ("left", "engine_archive_left"),
    ("held", "engine_session_hold"),
    ("oldest_archived", "engine_chat_session_archive"),
    ("size", "engine_chat_sessions"),
    ("size", "engine_chat_messages"),
    ("size", "engine_chat_session_archive"),
    ("size", "engine_chat_message_archive"),
}


def health(connection: psycopg.Connection) -> dict[tuple[str, str], Any]:
    """Return the rows by figure and subject."""
    cursor = connection.cursor(row_factory=namedtuple_row)
    rows = cursor.execute("SELECT * FROM engine_archive_health").fetchall()
    by_name = {(row.figure, row.subject): row for row in rows}
    assert len(by_name) == len(rows)
    return by_name


def red(connection: psycopg.Connection) -> set[tuple[str, str]]:
    """Return the figures that somebody should act on, each of which says how."""
    bad = {name: row for name, row in health(connection).items() if not row.is_ok}
    assert all(row.remedy for row in bad.values())
    return set(bad)


def figures(connection: psycopg.Connection, *name: str) -> tuple[object, str, bool]:
    """Return value and unit of a figure, and whether it says what to do."""
    row = health(connection)[name]
    return row.value, row.unit, row.remedy is not None


def reading(connection: psycopg.Connection, *name: str) -> str:
    return health(connection)[name].reading


def run_that_ended(
    connection: psycopg.Connection, kind: str, stop_reason: str, error: str | None = None
) -> None:
    finish_run(connection, begin_run(connection, kind), stop_reason, error)


def test_a_new_database_has_every_figure_and_all_are_green(connection: psycopg.Connection) -> None:
    rows = health(connection)

    assert set(rows) == FIGURES
    assert red(connection) == set()
    assert all(row.reading and row.unit for row in rows.values())
    assert {row.remedy for row in rows.values()} == {None}
    assert reading(connection, "oldest_archived", "engine_chat_session_archive") == "nothing"


def test_every_figure_has_its_value_and_unit_and_a_remedy_where_there_is_something_to_do(
    connection: psycopg.Connection,
) -> None:
    nothing_to_do, something_to_do = False, True
    archived_for(connection, "3 days")
    seconds = one(connection, "SELECT extract(epoch FROM interval '3 days')")
    oldest, unit, has_remedy = figures(connection, "oldest_archived", "engine_chat_session_archive")
    assert seconds <= oldest < seconds + 60
    assert (unit, has_remedy) == ("seconds", nothing_to_do)
    for table in ("engine_chat_sessions", "engine_chat_message_archive"):
        size = one(connection, "SELECT pg_total_relation_size(%s)", table)
        assert figures(connection, "size", table) == (size, "bytes", nothing_to_do)

    sessions = "engine_chat_sessions"
    expected = {
        ("backlog", "*"): 3,
        ("backlog", "cron"): 0,
        ("backlog", "subagent"): 0,
        ("backlog", "swarm"): 0,
        ("soft_deleted", sessions): 2,
        ("conflicts", sessions): 1,
        ("held", "engine_session_hold"): 4,
    }
    old_sessions(connection, 3)
    for _ in range(2):
        new_session(connection, status="archived")
    copy_to_archive(connection, new_session(connection))
    for _ in range(4):
        place_hold(connection, new_session(connection))
    for name, value in expected.items():
        assert figures(connection, *name) == (
            value,
            "sessions",
            something_to_do if value else nothing_to_do,
        )

    connection.execute("ALTER TABLE engine_chat_messages ADD COLUMN rating integer")
    rating = ("drift", "engine_chat_messages.rating")
    assert figures(connection, *rating) == (1, "columns", something_to_do)

    for stop_reason, remedy in (("nothing left", nothing_to_do), ("failed", something_to_do)):
        run_that_ended(connection, "prune", stop_reason)
        connection.execute("UPDATE engine_archive_run SET started_at = now() - interval '1 hour'")
        age, *others = figures(connection, "last_run", "prune")
        assert 3600 <= age < 3660
        assert others == ["seconds", remedy]


def test_a_backlog_is_red_when_its_oldest_session_is_due_for_two_days(
    connection: psycopg.Connection,
) -> None:
    session_of_age(connection, "31 days")
    session_of_age(connection, "29 days")
    session_of_age(connection, "2 days 23 hours", session_type="cron")
    assert red(connection) == set()
    assert reading(connection, "backlog", "*") == "1 sessions are due"
    assert reading(connection, "backlog", "cron") == "1 sessions are due"

    session_of_age(connection, "3 days 1 hour", session_type="cron")
    assert red(connection) == {("backlog", "cron")}
    session_of_age(connection, "32 days 1 hour")
    assert red(connection) == {("backlog", "cron"), ("backlog", "*")}

    prune(connection)
    assert red(connection) == set()
    assert reading(connection, "backlog", "*") == "0 sessions are due"


def test_what_no_policy_asks_for_and_what_waits_is_no_backlog(
    connection: psycopg.Connection,
) -> None:
    set_policy(connection, "off", archive_after="1 day", enabled=False)
    set_policy(connection, "keep", archive_after=None)
    for name in ("off", "keep"):
        session_of_age(connection, "5 years", session_type=name)
    place_hold(connection, session_of_age(connection, "5 years"))

    assert red(connection) == set()
    for name in ("off", "keep", "*"):
        assert reading(connection, "backlog", name) == "0 sessions are due"
    assert reading(connection, "held", "engine_session_hold") == "1 sessions"


def test_a_restored_session_is_no_backlog_until_it_is_due_again(
    connection: psycopg.Connection,
) -> None:
    session_restored(connection, "29 days")
    assert figures(connection, "backlog", "*") == (0, "sessions", False)

    session_restored(connection, "31 days")
    assert figures(connection, "backlog", "*") == (1, "sessions", True)
    assert red(connection) == set()

    session_restored(connection, "33 days")
    assert figures(connection, "backlog", "*") == (2, "sessions", True)
    assert red(connection) == {("backlog", "*")}


@pytest.mark.parametrize(
    "updated_at",
    ["infinity", "-infinity", "294276-12-31 23:59:59.999999 UTC", "4713-01-01 BC"],
)
def test_a_session_at_an_end_of_time_hides_no_figure(
    connection: psycopg.Connection, updated_at: str
) -> None:
    set_policy(connection, "*", archive_after="365000 days")
    new_session(connection, created_at=updated_at, updated_at=updated_at)
    due = 1 if updated_at in {"-infinity", "4713-01-01 BC"} else 0

    assert set(health(connection)) == FIGURES
    assert figures(connection, "backlog", "*") == (due, "sessions", due == 1)


def test_soft_deleted_leftovers_are_counted_until_a_prune_takes_them(
    connection: psycopg.Connection,
) -> None:
    session_of_age(connection, "5 years", status="archived")
    assert reading(connection, "soft_deleted", "engine_chat_sessions") == "1 sessions"
    assert red(connection) == set()

    prune(connection)
    assert reading(connection, "soft_deleted", "engine_chat_sessions") == "0 sessions"


def test_a_session_that_is_live_and_archived_is_red_until_one_copy_goes(
    connection: psycopg.Connection,
) -> None:
    session_id = new_session(connection)
    copy_to_archive(connection, session_id)
    assert red(connection) == {("conflicts", "engine_chat_sessions")}
    assert "1 sessions" in reading(connection, "conflicts", "engine_chat_sessions")

    connection.execute("DELETE FROM engine_chat_sessions WHERE id = %s", (session_id,))
    assert red(connection) == set()


def test_a_column_that_would_be_lost_is_red_until_the_archive_has_it(
    connection: psycopg.Connection,
) -> None:
    connection.execute("ALTER TABLE engine_chat_messages ADD COLUMN rating integer")
    assert red(connection) == {("drift", "engine_chat_messages.rating")}

    connection.execute("ALTER TABLE engine_chat_message_archive ADD COLUMN rating integer")
    assert red(connection) == set()


@pytest.mark.parametrize("kind", ["prune", "purge"])
def test_the_last_run_of_a_kind_is_red_when_it_failed_and_green_when_the_next_did_not(
    connection: psycopg.Connection, kind: str
) -> None:
    run_that_ended(connection, "purge" if kind == "prune" else "prune", "nothing left")
    run_that_ended(connection, kind, "failed", "it broke")
    assert red(connection) == {("last_run", kind)}
    assert "failed" in reading(connection, "last_run", kind)
    assert "it broke" in reading(connection, "last_run", kind)

    run_that_ended(connection, kind, "interrupted")
    assert red(connection) == set()
    assert "interrupted" in reading(connection, "last_run", kind)


def test_the_last_run_is_red_when_it_was_killed_and_not_while_it_runs(
    connection: psycopg.Connection,
) -> None:
    begin_run(connection, "prune")
    assert red(connection) == set()
    assert reading(connection, "last_run", "prune").startswith("running, began ")

    # No backend has this pid.
    connection.execute("UPDATE engine_archive_run SET backend_pid = 0")
    assert red(connection) == {("last_run", "prune")}
    assert reading(connection, "last_run", "prune").startswith("killed, ")


def test_the_oldest_and_the_newest_archived_session_are_told(
    connection: psycopg.Connection,
) -> None:
    for age in ("3 days", "1 day", "2 days"):
        archived_for(connection, age)
    (expected,) = connection.execute(
        "SELECT format('from %s to %s', min(archived_at), max(archived_at)) "
        "FROM engine_chat_session_archive"
    )

    assert (reading(connection, "oldest_archived", "engine_chat_session_archive"),) == expected
    assert red(connection) == set()


def test_a_monitoring_role_needs_the_view_and_the_function_of_the_drift_and_nothing_else(
    connection: psycopg.Connection, connect: Connect, role: str
) -> None:
    connection.execute(f'GRANT SELECT ON engine_archive_health TO "{role}"')
    monitor = connect(user=role)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="archive_column_drift"):
        health(monitor)

    connection.execute(f'GRANT EXECUTE ON FUNCTION archive_column_drift() TO "{role}"')

    assert set(health(monitor)) == FIGURES
