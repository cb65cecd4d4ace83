"""list, show, archive and restore."""

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from aria_db.database import Database
from tests.support import command_line, new_session, places
from tests.support.command_line import UNKNOWN, Cli, document, lines


def test_archive_moves_a_session_and_says_when(cli: Cli, connection: psycopg.Connection) -> None:
    session_id = new_session(connection, 3)

    (line,) = lines(cli("archive", session_id))

    assert re.fullmatch(rf"{session_id}  archived \d{{4}}-.*, 3 messages", line)
    assert places(connection, session_id) == (0, 0, 1, 3)


def test_archive_twice_keeps_the_first_time_and_exits_with_0(
    cli: Cli, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection, 1)

    first = document(cli("archive", "--json", session_id))
    second = document(cli("archive", "--json", session_id))

    (archived,) = first["sessions"]
    assert archived == {
        "id": str(session_id),
        "archived_at": archived["archived_at"],
        "message_count": 1,
        "newly_archived": True,
    }
    assert second == {"sessions": [{**archived, "newly_archived": False}], "not_found": []}


def test_an_unknown_id_exits_with_1_and_the_others_are_archived(
    cli: Cli, connection: psycopg.Connection
) -> None:
    session_ids = [new_session(connection), new_session(connection)]

    outcome = cli("archive", session_ids[1], UNKNOWN, session_ids[0], session_ids[1])

    assert [line.split()[0] for line in lines(outcome, 1)] == [
        str(session_ids[1]),
        str(session_ids[0]),
    ]
    assert outcome.stderr == f"Error: session {UNKNOWN} not found\n"
    assert [places(connection, known) for known in session_ids] == [(0, 0, 1, 3)] * 2


@pytest.mark.parametrize("command", ["archive", "restore"])
def test_json_lists_the_ids_that_do_not_exist(cli: Cli, command: str) -> None:
    answer = document(cli(command, "--json", UNKNOWN), status=1)

    assert answer == {"sessions": [], "not_found": [UNKNOWN]}


@pytest.mark.parametrize("command", ["archive", "restore"])
def test_a_refusal_moves_none_of_several_sessions(
    cli: Cli, connection: psycopg.Connection, command: str
) -> None:
    good, bad = new_session(connection), new_session(connection)
    if command == "restore":
        connection.execute("SELECT FROM archive_sessions(%s)", [[good, bad]])
        connection.execute("INSERT INTO engine_chat_sessions (id) VALUES (%s)", [bad])
    else:
        connection.execute(
            "INSERT INTO engine_chat_session_archive"
            " (archived_at, id, agent_id, session_type, status)"
            " VALUES (now(), %s, 'other', 'chat', 'active')",
            [bad],
        )
    before = places(connection, good), places(connection, bad)

    outcome = cli(command, "--json", good, bad)

    assert outcome.returncode == 1
    assert outcome.stdout == ""
    assert outcome.stderr.startswith(f"Error: session {bad} is ")
    assert "\nHint: Nothing was moved." in outcome.stderr
    assert (places(connection, good), places(connection, bad)) == before


def test_restore_brings_sessions_back(cli: Cli, connection: psycopg.Connection) -> None:
    session_ids = [new_session(connection, 2), new_session(connection, 0)]
    cli("archive", *session_ids)

    restored = lines(cli("restore", *session_ids))
    again = document(cli("restore", "--json", session_ids[0]))

    assert [line.partition(";")[0] for line in restored] == [
        f"{session_ids[0]}  restored, 2 messages",
        f"{session_ids[1]}  restored, 0 messages",
    ]
    (session,) = again["sessions"]
    assert (session["newly_restored"], session["restored_at"]) == (False, None)
    assert places(connection, session_ids[0]) == (1, 2, 0, 0)


def due_from(connection: psycopg.Connection, session_id: UUID) -> datetime:
    """Return when the policy of a live session makes it due for the prune."""
    ((moment,),) = connection.execute(
        "SELECT due_from FROM engine_archive_candidate WHERE id = %s", [session_id]
    )
    return moment.astimezone(UTC)


def test_restore_says_from_when_the_prune_may_archive_the_session_again(
    cli: Cli, connection: psycopg.Connection
) -> None:
    """A month from the restore, however old it is: until then the prune leaves it alone."""
    old = new_session(connection, updated_at=datetime(2020, 1, 1, tzinfo=UTC))
    cli("archive", old)

    (restored,) = lines(cli("restore", old))
    due = due_from(connection, old)
    (again,) = lines(cli("restore", old))
    (session,) = document(cli("restore", "--json", old))["sessions"]
    pruned = document(cli("prune", "--json"))

    assert timedelta(days=29) < due - datetime.now(UTC) < timedelta(days=31)
    moment = f"{due:%Y-%m-%d %H:%M} UTC"
    assert restored == f"{old}  restored, 3 messages; due for the prune again from {moment}"
    assert again == f"{old}  live already, 3 messages; due for the prune from {moment}"
    assert session["due_from"] == due.isoformat()
    assert pruned["sessions"] == 0
    assert places(connection, old) == (1, 3, 0, 0)


def test_restore_says_nothing_of_the_prune_where_no_policy_makes_the_session_due(
    cli: Cli, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection)
    cli("archive", session_id)
    cli("policy", "set", "default", "--archive-after", "never")

    (restored,) = lines(cli("restore", session_id))
    (session,) = document(cli("restore", "--json", session_id))["sessions"]

    assert restored == f"{session_id}  restored, 3 messages"
    assert session["due_from"] is None


def test_list_shows_live_sessions_and_the_archive_apart(
    cli: Cli, connection: psycopg.Connection
) -> None:
    live, archived = new_session(connection), new_session(connection)
    new_session(connection, status="archived")
    connection.execute("SELECT FROM archive_session(%s)", [archived])

    (live_line,) = lines(cli("list"))
    (archived_line,) = lines(cli("list", "--archived"))
    page = document(cli("list", "--archived", "--json"))

    assert live_line.split("\t")[0] == str(live)
    assert archived_line.split("\t")[0] == str(archived)
    assert [session["id"] for session in page["sessions"]] == [str(archived)]
    assert page["sessions"][0]["archived_at"]
    assert {key: page[key] for key in page if key != "sessions"} == {
        "total": 1,
        "total_is_estimate": False,
        "limit": None,
        "offset": 0,
        "has_more": False,
        "next_cursor": None,
    }


def test_list_takes_filters_and_a_page(cli: Cli, connection: psycopg.Connection) -> None:
    for number in range(3):
        new_session(
            connection,
            title=f"Invoice {number}",
            agent_id="analyst",
            session_type="cron",
            updated_at=f"2026-01-0{number + 1}",
        )
    new_session(connection, title="Invoice", agent_id="aria", session_type="cron")
    new_session(connection, title="Invoice", agent_id="analyst", session_type="chat")
    new_session(connection, title="other", agent_id="analyst", session_type="cron")
    filters = ("--agent", "analyst", "--type", "cron", "--search", "INVOICE")

    page = document(cli("list", "--json", *filters, "--limit", 1, "--offset", 1))
    piped = cli("list", *filters, "--limit", 1, "--offset", 1)

    assert [session["title"] for session in page["sessions"]] == ["Invoice 1"]
    assert (page["total"], page["has_more"]) == (3, True)
    assert lines(piped)[0].endswith("\tcron\tanalyst\t0\tInvoice 1")
    assert piped.stderr == "2 of 3; --offset 2 lists what follows\n"

    page = document(cli("list", "--json", *filters, "--limit", 1))
    piped = cli("list", *filters, "--limit", 1, "--cursor", page["next_cursor"])
    assert lines(piped)[0].endswith("\tInvoice 1")
    assert re.fullmatch(r"1 of 3; --cursor \S+ lists what follows\n", piped.stderr)


def test_an_empty_list_is_no_error_and_prints_nothing(cli: Cli) -> None:
    outcome = cli("list")

    assert lines(outcome) == []
    assert outcome.stderr == "No such sessions\n"


def test_show_finds_a_session_and_its_transcript_live_or_archived(
    cli: Cli, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection, 2, title="Holiday plans")

    live = document(cli("show", "--json", session_id))
    cli("archive", session_id)
    archived = document(cli("show", "--json", session_id))
    read = cli("show", session_id).stdout

    assert live["session"]["archived_at"] is None
    archived_at = archived["session"].pop("archived_at")
    assert archived["session"] | {"archived_at": None} == live["session"]
    for message in archived["messages"]:
        assert message.pop("archived_at") == archived_at
    assert archived["messages"] == live["messages"]
    assert [message["content"] for message in live["messages"]] == ["message 1", "message 2"]
    assert re.search(r"^title +Holiday plans$", read, re.MULTILINE)
    assert read.index("message 1") < read.index("message 2")


def test_show_of_an_unknown_id_exits_with_1(cli: Cli) -> None:
    assert command_line.refusal(cli("show", UNKNOWN)) == [f"Error: session {UNKNOWN} not found"]


HARD_TO_PRINT = {
    "title": "tab\tline\nescape \x1b[31m bell \x07 emoji 👩🏽‍💻 עברית",
    "temperature": float("nan"),
    "total_cost": "NaN",
    "created_at": "-infinity",
    "updated_at": "infinity",
}


def test_values_that_hurt_are_printed_on_a_line_and_as_json(
    cli: Cli, connection: psycopg.Connection
) -> None:
    deep, long = "[" * 3000 + "]" * 3000, f'{{"digits": {"9" * 5000}}}'
    hard = new_session(connection, 1, metadata=deep, **HARD_TO_PRINT)
    new_session(connection, 0, metadata=long)
    connection.execute("UPDATE engine_chat_messages SET content = E'escape \\x1b[31m\\r\\n\\tend'")

    listed = lines(cli("list"))
    page = document(cli("list", "--json"))
    read = cli("show", hard).stdout

    assert len(listed) == 2
    assert listed[0].startswith(f"{hard}\t9999-12-31")
    assert listed[0].endswith("\ttab line escape \ufffd[31m bell \ufffd emoji 👩🏽‍💻 עברית")
    session = page["sessions"][0]
    assert session["title"] == HARD_TO_PRINT["title"]
    assert (session["temperature"], session["total_cost"]) == ("NaN", "NaN")
    assert session["metadata"] == deep
    assert page["sessions"][1]["metadata"] == long.replace('":', '": ').replace("  ", " ")
    assert "\nescape \ufffd[31m\ufffd\n\tend\n" in read


def test_output_that_the_locale_cannot_write_is_no_error(
    cli: Cli, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection, 0, title="emoji 👩🏽‍💻")

    listed = cli("list", PYTHONIOENCODING="latin-1")
    shown = cli("show", "--json", session_id, PYTHONIOENCODING="latin-1")

    assert lines(listed)[0].endswith(r"emoji \U0001f469\U0001f3fd\u200d\U0001f4bb")
    assert document(shown)["session"]["title"] == "emoji 👩🏽‍💻"


@pytest.mark.parametrize("columns", [30, 120])
def test_ids_are_whole_on_a_terminal_of_any_width(
    database: Database, connection: psycopg.Connection, columns: int
) -> None:
    session_id = new_session(connection, title="[bold]long " * 20, agent_id="a" * 100)

    printed = command_line.run_in_terminal(["list"], columns, DATABASE_URL=database.libpq_url())

    assert f"\n{session_id} " in printed
    assert "[bold]" in printed


def test_piped_output_has_no_colours_even_where_they_are_forced(
    cli: Cli, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection)

    outcome = cli("list", FORCE_COLOR="1", COLUMNS="20")

    assert "\x1b" not in outcome.stdout
    assert lines(outcome)[0].startswith(f"{session_id}\t")
