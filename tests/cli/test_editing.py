"""edit, delete and delete-empty, and what list and show leave out."""

import json
from datetime import datetime
from uuid import UUID

import psycopg
import pytest

from aria_db.database import Database
from tests.support import call, command_line, events, new_session, places
from tests.support.command_line import UNKNOWN, Cli, document, lines, refusal
from tests.support.retention import ARCHIVED, GONE, LIVE, archive, runs, session_of_age


def session(connection: psycopg.Connection, session_id: UUID) -> tuple:
    row = connection.execute(
        "SELECT title, model, metadata FROM engine_chat_sessions WHERE id = %s", [session_id]
    ).fetchone()
    assert row is not None
    return row


# edit


def test_edit_changes_what_is_given_and_nothing_else(
    cli: Cli, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection, title="a title", model="a-model")

    (line,) = lines(cli("edit", session_id, "--title", "another"))
    assert line == f"{session_id}  changed: title"
    assert session(connection, session_id) == ("another", "a-model", {})

    answer = document(
        cli("edit", "--json", session_id, "--model", "", "--metadata", '{"pinned": true}')
    )
    assert session(connection, session_id) == ("another", None, {"pinned": True})
    assert answer["session"]["id"] == str(session_id)
    assert answer["session"]["metadata"] == {"pinned": True}


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ([], "give --title, --model or --metadata"),
        (["--title", "x" * 501], "longer than 500 characters"),
        (["--model", "x" * 201], "longer than 200 characters"),
        (["--metadata", "{"], "no JSON that can be stored"),
        (["--metadata", "[1]"], "must be a JSON object"),
        (["--metadata", '{"a": NaN}'], "not finite"),
    ],
)
def test_edit_refuses_what_cannot_be_stored(cli: Cli, options: list[str], wrong: str) -> None:
    outcome = cli("edit", UNKNOWN, *options)

    assert outcome.returncode == 2
    assert wrong in " ".join(outcome.stderr.split())


def test_edit_looks_among_the_live_sessions(cli: Cli, connection: psycopg.Connection) -> None:
    session_id = new_session(connection)
    archive(connection, session_id)

    for unknown in (session_id, UNKNOWN):
        (told,) = refusal(cli("edit", unknown, "--title", "another"))
        assert told == f"Error: session {unknown} not found among the live ones"


# delete


@pytest.mark.parametrize("archived", [False, True])
def test_delete_deletes_from_the_place_that_is_named(
    cli: Cli, connection: psycopg.Connection, archived: bool
) -> None:
    live, put_away = new_session(connection), new_session(connection)
    archive(connection, put_away)
    options = ["--archived"] if archived else []
    wanted, other = (put_away, live) if archived else (live, put_away)

    (line,) = lines(cli("delete", wanted, "--yes", "--actor", "ada", *options))

    assert line == f"{wanted}  deleted, 3 messages"
    assert places(connection, wanted) == GONE
    assert events(connection, wanted)[-1].actor == "ada"
    before = places(connection, other)
    there = "in the archive" if archived else "among the live ones"
    assert refusal(cli("delete", other, "--yes", *options)) == [
        f"Error: session {other} not found {there}"
    ]
    assert places(connection, other) == before


def test_delete_asks_before(database: Database, connection: psycopg.Connection) -> None:
    session_id = new_session(connection)
    url = database.libpq_url()

    asked = command_line.run_in_terminal(["delete", session_id], 120, typed="n\n", DATABASE_URL=url)

    assert f"Delete session {session_id} with its messages, for good?" in asked
    assert places(connection, session_id) == LIVE
    in_a_pipe = command_line.run("delete", session_id, DATABASE_URL=url)
    assert in_a_pipe.returncode == 2
    assert "--yes" in in_a_pipe.stderr
    command_line.run_in_terminal(["delete", session_id], 120, typed="y\n", DATABASE_URL=url)
    assert places(connection, session_id) == GONE


def test_delete_leaves_a_session_on_hold_and_says_why(
    cli: Cli, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection)
    call(connection, "place_hold", session_id=session_id, reason="an audit")

    outcome = cli("delete", session_id, "--yes")

    assert outcome.returncode == 1
    assert outcome.stderr.startswith(f"Error: session {session_id} is on hold: an audit\n")
    assert places(connection, session_id) == LIVE


# delete-empty


def test_delete_empty_deletes_sessions_without_a_message_and_is_a_run(
    cli: Cli, connection: psycopg.Connection
) -> None:
    empty, young = (session_of_age(connection, age, 0) for age in ("2 hours", "30 minutes"))
    chat = session_of_age(connection, "2 hours")

    assert lines(cli("delete-empty", "--dry-run", "--older-than", "1h")) == [
        "It would delete 1 session"
    ]
    assert document(cli("delete-empty", "--dry-run", "--json")) == {"dry_run": True, "sessions": 2}
    assert places(connection, empty) == (1, 0, 0, 0)

    *_, line = lines(cli("delete-empty", "--yes", "--older-than", "1h", "--actor", "ada"))

    assert line == "Deleted 1 session with 0 messages in 1 batch: nothing left"
    assert places(connection, empty) == GONE
    assert places(connection, young) == (1, 0, 0, 0)
    assert places(connection, chat) == LIVE
    (run,) = runs(connection)
    assert (run.kind, run.sessions, run.started_by) == ("empty", 1, "ada")
    assert document(cli("delete-empty", "--yes", "--json"))["sessions"] == 1


def test_delete_empty_asks_before(database: Database, connection: psycopg.Connection) -> None:
    empty = session_of_age(connection, "1 hour", 0)
    url = database.libpq_url()

    asked = command_line.run_in_terminal(["delete-empty"], 120, typed="n\n", DATABASE_URL=url)

    assert "Delete 1 session without a message, for good?" in asked
    assert places(connection, empty) == (1, 0, 0, 0)
    assert command_line.run("delete-empty", DATABASE_URL=url).returncode == 2


@pytest.mark.parametrize("age", ["0m", "soon", "-1h"])
def test_delete_empty_refuses_what_is_no_age(cli: Cli, age: str) -> None:
    assert cli("delete-empty", "--yes", f"--older-than={age}").returncode == 2


# prune


def test_a_prune_ends_the_zombies_first(cli: Cli, connection: psycopg.Connection) -> None:
    zombie = session_of_age(connection, "3 hours", session_type="cron")
    old_zombie = session_of_age(connection, "3 days", session_type="cron")

    assert document(cli("prune", "--dry-run", "--json"))["zombies"] == 2
    assert "A prune would end 2 zombies, and archive 1 session" in cli("prune", "--dry-run").stderr
    *_, summary = lines(cli("prune"))

    assert summary == (
        "Archived 1 session with 3 messages in 1 batch: nothing left; ended 2 zombies"
    )
    assert places(connection, old_zombie) == ARCHIVED
    row = connection.execute("SELECT status FROM engine_chat_sessions WHERE id = %s", [zombie])
    assert row.fetchone() == ("ended",)
    assert document(cli("prune", "--json"))["zombies"] == 0


def test_a_prune_of_one_type_ends_no_zombie(cli: Cli, connection: psycopg.Connection) -> None:
    zombie = session_of_age(connection, "3 hours", session_type="cron")

    assert "zombies" not in document(cli("prune", "--json", "--type", "cron"))

    row = connection.execute("SELECT status FROM engine_chat_sessions WHERE id = %s", [zombie])
    assert row.fetchone() == ("active",)


# list and show


def test_list_leaves_out_what_the_filters_do_not_find(
    cli: Cli, connection: psycopg.Connection
) -> None:
    chat, cron, swarm = (
        new_session(connection, 1, session_type=kind, status=status, message_count=count)
        for kind, status, count in (
            ("chat", "active", 1),
            ("cron", "ended", 0),
            ("swarm", "active", 0),
        )
    )

    def listed(*options: object) -> set[str]:
        return {line.split("\t")[0] for line in lines(cli("list", *options))}

    assert listed("--exclude-type", "cron", "--exclude-type", "swarm") == {str(chat)}
    assert listed("--status", "ended") == {str(cron)}
    assert listed("--max-messages", 0) == {str(cron), str(swarm)}
    assert listed("--min-messages", 1) == {str(chat)}
    archive(connection, chat)
    assert listed("--archived", "--archived-after", "1h ago") == {str(chat)}
    assert listed("--archived", "--archived-before", "1h ago") == set()
    refused = cli("list", "--archived-after", "1h ago")
    assert refused.returncode == 2
    assert "add --archived" in " ".join(refused.stderr.split())


def test_list_and_show_say_when_the_last_message_was_written_and_by_whom(
    cli: Cli, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection, 4)

    (listed,) = document(cli("list", "--json"))["sessions"]
    messages = document(cli("show", "--json", session_id))["messages"]

    assert listed["last_message_at"] == messages[-1]["created_at"]
    since = messages[1]["created_at"]
    assert datetime.fromisoformat(since).tzinfo
    later = document(cli("show", "--json", session_id, "--since", since, "--role", "user"))
    assert later["messages"] == messages[2:3]
    assert json.dumps(later["session"]) == json.dumps(
        document(cli("show", "--json", session_id))["session"]
    )
