"""purge: what it deletes, and what it asks before."""

import json
from datetime import datetime

import psycopg
import pytest

from aria_db.database import Database
from tests.support import command_line, places
from tests.support.command_line import Cli, document, lines
from tests.support.retention import (
    ARCHIVED,
    GONE,
    how_many,
    runs,
    sessions_archived_for,
    set_archived,
    where,
)

NOBODY_HOME = "postgresql://127.0.0.1:1/nowhere"


def test_a_purge_deletes_what_the_policy_says_and_no_held_session(
    cli: Cli, connection: psycopg.Connection
) -> None:
    old, kept = (
        sessions_archived_for(connection, 3, "10 days"),
        sessions_archived_for(connection, 1, "10 days", session_type="cron"),
    )
    cli("hold", old[0], "--reason", "a case")

    before = document(cli("purge", "--yes", "--json"))
    cli("policy", "set", "default", "--purge-after", "7d")
    after = document(cli("purge", "--yes", "--json", "--batch-size", 1))

    assert (before["sessions"], after["sessions"], after["messages"]) == (0, 2, 6)
    assert [places(connection, session_id) for session_id in old] == [ARCHIVED, GONE, GONE]
    assert how_many(connection, kept, ARCHIVED) == 1
    assert [run.kind for run in runs(connection)] == ["purge", "purge"]


def test_a_dry_run_of_a_purge_counts_per_type_with_ages_and_deletes_nothing(
    cli: Cli, connection: psycopg.Connection
) -> None:
    due = sessions_archived_for(connection, 3, "10 days") + sessions_archived_for(
        connection, 1, "10 days", session_type="cron"
    )
    held, _ = sessions_archived_for(connection, 2, "10 days", session_type="cron")
    set_archived(connection, due[0], "400 days")
    connection.execute("SELECT place_hold(%s, 'a case')", (held,))
    nothing = cli("purge", "--dry-run")
    cli("policy", "set", "default", "--purge-after", "7d")
    cli("policy", "set", "cron", "--purge-after", "1 week")
    moments = {
        name: (oldest, newest)
        for name, oldest, newest in connection.execute(
            "SELECT session_type, min(archived_at), max(archived_at)"
            " FROM engine_chat_session_archive WHERE id <> %s GROUP BY session_type",
            [held],
        )
    }

    counted = document(cli("purge", "--dry-run", "--json"))
    printed = cli("purge", "--dry-run")
    of_one = cli("purge", "--dry-run", "--type", "cron")

    assert (lines(nothing), nothing.stderr) == (
        [],
        "A purge would delete 0 sessions with 0 messages\n",
    )
    assert counted["dry_run"] is True
    assert [
        (
            of_type.pop("of_type"),
            datetime.fromisoformat(of_type.pop("oldest_archived_at")),
            datetime.fromisoformat(of_type.pop("newest_archived_at")),
            of_type,
        )
        for of_type in counted["types"]
    ] == [
        ("cron", *moments["cron"], {"sessions": 2, "messages": 6, "held": 1}),
        ("interactive", *moments["interactive"], {"sessions": 3, "messages": 9, "held": 0}),
    ]
    cells = [line.split("\t") for line in lines(printed)]
    assert [(*row[:3], row[5]) for row in cells] == [
        ("cron", "2", "6", "1"),
        ("interactive", "3", "9", "0"),
    ]
    assert [datetime.fromisoformat(cell) for cell in cells[1][3:5]] == [
        moment.replace(microsecond=0) for moment in moments["interactive"]
    ]
    assert printed.stderr == (
        "A purge would delete 5 sessions with 15 messages, archived 10 to 400 days ago\n"
    )
    assert len(lines(of_one)) == 1
    assert "2 sessions with 6 messages, archived 10 days ago" in of_one.stderr
    assert how_many(connection, due, ARCHIVED) == 4
    assert runs(connection) == []


def test_a_purge_says_how_much_and_how_old_and_asks_before_it_deletes(
    cli: Cli, database: Database, connection: psycopg.Connection
) -> None:
    old, older = sessions_archived_for(connection, 2, "10 days")
    set_archived(connection, older, "400 days")
    cli("policy", "set", "default", "--purge-after", "P1W")
    url = database.libpq_url()

    refused = command_line.run_in_terminal(["purge"], 80, typed="n\n", DATABASE_URL=url)
    some = command_line.run_in_terminal(
        ["purge", "--max-sessions", 1], 80, typed="n\n", DATABASE_URL=url
    )
    assert where(connection, [old, older]) == [ARCHIVED, ARCHIVED]
    agreed = command_line.run_in_terminal(["purge"], 80, typed="y\n", DATABASE_URL=url)

    what = "2 sessions with 6 messages, archived 10 to 400 days ago, for good?"
    assert f"Delete {what}" in refused
    assert "Nothing was done" in refused
    assert f"Delete the oldest 1 of {what}" in some
    assert "Deleted 2 sessions with 6 messages in 1 batch: nothing left" in agreed
    assert "below one day" not in agreed
    assert where(connection, [old, older]) == [GONE, GONE]


def test_a_purge_with_nothing_to_delete_says_so_and_does_not_ask(
    cli: Cli, database: Database, connection: psycopg.Connection
) -> None:
    (held,) = sessions_archived_for(connection, 1, "10 days")
    url = database.libpq_url()

    nothing = command_line.run_in_terminal(["purge"], 80, DATABASE_URL=url)
    cli("policy", "set", "default", "--purge-after", "1h")
    connection.execute("SELECT place_hold(%s, 'a case')", (held,))
    on_hold = command_line.run_in_terminal(["purge"], 80, DATABASE_URL=url)
    for_programs = command_line.run_in_terminal(["purge", "--json"], 80, DATABASE_URL=url)

    assert nothing == "Nothing to delete\r\n"
    assert on_hold == "Nothing to delete; 1 session on hold\r\n"
    told = json.loads(for_programs)
    assert (told["dry_run"], told["sessions"], told["stop_reason"]) == (False, 0, "nothing left")
    assert places(connection, held) == ARCHIVED
    assert runs(connection) == []


def test_a_purge_asks_again_where_purge_after_is_below_one_day(
    cli: Cli, database: Database, connection: psycopg.Connection
) -> None:
    (session_id,) = sessions_archived_for(connection, 1, "10 days")
    cli("policy", "set", "default", "--purge-after", "6m")
    url = database.libpq_url()

    refused = command_line.run_in_terminal(["purge"], 80, typed="y\nn\n", DATABASE_URL=url)
    assert places(connection, session_id) == ARCHIVED
    agreed = command_line.run_in_terminal(["purge"], 80, typed="y\ny\n", DATABASE_URL=url)

    question = "purge-after is below one day (* after 6 minutes). Is that meant?"
    assert question in refused
    assert "Nothing was done" in refused
    assert question in agreed
    assert "Deleted 1 session with 3 messages" in agreed
    assert places(connection, session_id) == GONE


def test_yes_alone_deletes_nothing_where_purge_after_is_below_one_day(
    cli: Cli, connection: psycopg.Connection
) -> None:
    (session_id,) = sessions_archived_for(connection, 1, "10 days")
    cli("policy", "set", "default", "--purge-after", "23h")

    refused = cli("purge", "--yes")
    told = " ".join(refused.stderr.replace("│", " ").split())
    dry = cli("purge", "--dry-run")

    assert (refused.returncode, refused.stdout) == (2, "")
    assert "purge-after is below one day (* after 23 hours); pass --allow-short" in told
    assert "Warning: purge-after is below one day (* after 23 hours)\n" in dry.stderr
    assert places(connection, session_id) == ARCHIVED
    assert runs(connection) == []
    assert document(cli("purge", "--yes", "--allow-short", "--json"))["sessions"] == 1
    assert places(connection, session_id) == GONE


@pytest.mark.parametrize(
    ("short", "options", "status"),
    [
        ("cron", ("--type", "cron"), 2),
        ("cron", (), 2),
        ("default", ("--type", "interactive"), 2),
        # cron has a policy of its own
        ("default", ("--type", "cron"), 0),
        ("cron", ("--type", "interactive"), 0),
    ],
    ids=repr,
)
def test_a_short_purge_after_of_a_policy_that_does_not_apply_needs_no_consent(
    cli: Cli,
    connection: psycopg.Connection,
    short: str,
    options: tuple[str, ...],
    status: int,
) -> None:
    sessions_archived_for(connection, 1, "10 days")
    sessions_archived_for(connection, 1, "10 days", session_type="cron")
    for name in ("default", "cron"):
        cli("policy", "set", name, "--purge-after", "1m" if name == short else "1d")

    assert cli("purge", "--yes", *options).returncode == status


def test_a_short_purge_after_of_a_disabled_policy_needs_no_consent(cli: Cli) -> None:
    cli("policy", "set", "default", "--purge-after", "1m", "--disable")

    assert cli("purge", "--yes").returncode == 0


def test_a_purge_in_a_pipe_needs_yes() -> None:
    outcome = command_line.run("purge", stdin="y\n", DATABASE_URL=NOBODY_HOME)

    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert "not a terminal: pass --yes to confirm" in outcome.stderr.replace("\n", " ")
