"""aria-db conflicts, conflicts show and conflicts resolve, as processes."""

from datetime import UTC
from functools import partial

import psycopg
import pytest

from aria_db.database import Database
from tests.support import command_line, new_session, places
from tests.support.command_line import UNKNOWN, Cli, document, lines, refusal
from tests.support.conflicts import change, conflict, one
from tests.support.rows import ARCHIVE, LIVE


@pytest.fixture
def cli(database: Database) -> Cli:
    """Run ``aria-db`` on the test's database."""
    return partial(command_line.run, DATABASE_URL=database.libpq_url())


def test_conflicts_are_listed_in_lines_and_as_json(
    cli: Cli, connection: psycopg.Connection
) -> None:
    nothing = cli("conflicts")
    session_id = conflict(connection)
    new_session(connection)

    printed, listed = lines(cli("conflicts")), document(cli("conflicts", "--json"))

    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert nothing.stderr == "No conflicts\n"
    (line,) = printed
    cells = line.split("\t")
    assert cells[0] == str(session_id)
    assert cells[2:] == ["equal", "4", "4", "2", "0", "a session"]
    (found,) = listed["conflicts"]
    archived_at = one(connection, f"SELECT archived_at FROM {ARCHIVE[0]}")
    assert found == {
        "session_id": str(session_id),
        "title": "a session",
        "archived_at": archived_at.astimezone(UTC).isoformat(),
        "session_rows": "equal",
        "messages_live": 4,
        "messages_archive": 4,
        "messages_equal": 2,
        "messages_different": 0,
    }


def test_show_prints_each_difference_with_both_values(
    cli: Cli, connection: psycopg.Connection
) -> None:
    session_id = conflict(connection, only_live=1, only_archive=0)
    change(connection, LIVE[0], "title = E'two\\nlines \\x1b[31m', model = 'm'", session_id)
    message = one(connection, f"SELECT id FROM {LIVE[1]} WHERE content = 'only live 0'")

    printed = lines(cli("conflicts", "show", session_id))
    shown = document(cli("conflicts", "show", session_id, "--json"))

    assert printed[:3] == [
        "session, title: different",
        "  live     two lines \N{REPLACEMENT CHARACTER}[31m",
        "  archive  a session",
    ]
    assert "  archive  NULL" in printed
    assert [line for line in printed if line.startswith("message")] == [
        f"message {message}: only live"
    ]
    assert shown["session_id"] == str(session_id)
    assert shown["differences"][1] == {
        "message_id": None,
        "difference": "different",
        "column_name": "model",
        "live_value": "m",
        "archive_value": None,
    }
    assert [difference["column_name"] for difference in shown["differences"]] == [
        *("title", "model", None)
    ]


def test_show_says_so_where_both_places_hold_the_same(
    cli: Cli, connection: psycopg.Connection
) -> None:
    session_id = conflict(connection, only_live=0, only_archive=0)

    assert lines(cli("conflicts", "show", session_id)) == ["Both places hold the same"]


@pytest.mark.parametrize("place", ["unknown", "live"])
def test_show_of_a_session_that_is_not_in_both_places_fails(
    cli: Cli, connection: psycopg.Connection, place: str
) -> None:
    session_id = UNKNOWN if place == "unknown" else new_session(connection)

    (told,) = refusal(cli("conflicts", "show", session_id))

    assert str(session_id) in told


@pytest.mark.parametrize(
    ("place", "where", "expected"),
    [("live", "live", (1, 6, 0, 0)), ("archive", "in the archive", (0, 0, 1, 6))],
)
def test_resolve_shows_what_differs_and_merges_and_may_be_repeated(
    cli: Cli,
    connection: psycopg.Connection,
    place: str,
    where: str,
    expected: tuple[int, ...],
) -> None:
    session_id = conflict(connection)

    *shown, done = lines(cli("conflicts", "resolve", session_id, "--into", place))
    again = lines(cli("conflicts", "resolve", session_id, "--into", place))

    assert done == f"{session_id}  is now {where}, 6 messages"
    assert sum(line.endswith(": only live") for line in shown) == 2
    assert sum(line.endswith(": only archive") for line in shown) == 2
    assert again == [f"{session_id}  was already {where}, 6 messages"]
    assert places(connection, session_id) == expected


def test_resolve_asks_which_row_to_keep_where_they_differ(
    cli: Cli, connection: psycopg.Connection
) -> None:
    session_id = conflict(connection, only_live=0, only_archive=0)
    change(connection, LIVE[0], "title = 'new'", session_id)
    resolve = partial(cli, "conflicts", "resolve", session_id, "--into", "live")

    refused = resolve()
    assert refused.returncode == 1
    assert "session, title: different" in refused.stdout
    assert f"Error: session {session_id}" in refused.stderr
    assert "--keep" in refused.stderr
    refusal(resolve("--json"))
    assert places(connection, session_id) == (1, 2, 1, 2)

    resolved = document(resolve("--keep", "archive", "--json"))
    assert resolved["resolved"] == {
        "id": str(session_id),
        "place": "live",
        "message_count": 2,
        "newly_resolved": True,
    }
    assert [difference["live_value"] for difference in resolved["differences"]] == ["new"]
    assert one(connection, "SELECT title FROM engine_chat_sessions") == "a session"


def test_resolve_refuses_a_message_that_differs_and_a_hold_and_names_them(
    cli: Cli, connection: psycopg.Connection
) -> None:
    held, different = (conflict(connection) for _ in range(2))
    connection.execute("SELECT place_hold(%s, 'case 17')", [held])
    change(connection, ARCHIVE[1], "content = 'another'", different)

    for session_id, told in ((held, "case 17"), (different, "message ")):
        outcome = cli("conflicts", "resolve", session_id, "--into", "archive")
        assert outcome.returncode == 1
        assert told in outcome.stderr
        assert places(connection, session_id) == (1, 4, 1, 4)


def test_resolve_of_a_session_that_is_unknown_or_in_the_other_place_fails(
    cli: Cli, connection: psycopg.Connection
) -> None:
    live = new_session(connection)

    for session_id, told in ((UNKNOWN, "not found"), (live, "no conflict")):
        message = refusal(cli("conflicts", "resolve", session_id, "--into", "archive"))[0]
        assert told in message
    assert places(connection, live) == (1, 3, 0, 0)


@pytest.mark.parametrize(
    "arguments",
    [
        ("resolve", UNKNOWN),
        ("resolve", UNKNOWN, "--into", "nowhere"),
        ("resolve", UNKNOWN, "--into", "live", "--keep", "both"),
        ("resolve", UNKNOWN, "--into", "live", "--keep", "archived"),
        ("resolve", "no-uuid", "--into", "live"),
        ("show",),
        ("frobnicate",),
        # the list would take them, and the command not see them
        ("--json", "show", UNKNOWN),
        ("--schema", "elsewhere", "resolve", UNKNOWN, "--into", "live"),
    ],
)
def test_wrong_usage_is_reported_with_status_2(cli: Cli, arguments: tuple[str, ...]) -> None:
    outcome = cli("conflicts", *arguments)

    assert outcome.returncode == 2
    assert outcome.stdout == ""
