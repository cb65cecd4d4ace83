"""``aria-db check --deep``, ``aria-db grant``, and the commands as roles that were granted."""

from dataclasses import replace
from functools import partial

import psycopg
import pytest

from aria_db.database import Database
from tests.support import command_line, new_session, places
from tests.support.access import grant_live_tables
from tests.support.command_line import Cli, document, lines, refusal
from tests.support.layouts import BOTH_LAYOUTS
from tests.support.rows import archive


@BOTH_LAYOUTS
def test_check_deep_exits_with_1_while_something_is_found(
    cli: Cli, connection: psycopg.Connection, layout: str
) -> None:
    """What the figures do not show: an archive that a restore of a backup left half."""
    session_id = new_session(connection)
    archive(connection, session_id)
    well = lines(cli("check", "--deep"))
    connection.execute("UPDATE engine_chat_message_archive SET archived_at = 'epoch'")

    shallow = document(cli("check", "--json"))
    told = lines(cli("check", "--deep"), 1)
    found = document(cli("check", "--deep", "--json"), 1)
    recent = lines(cli("check", "--since", "1h"), 1)

    assert well[-1] == "verified: 0 findings"
    assert shallow["is_ok"] is True
    assert "findings" not in shallow
    assert told[-4:-2] == ["verified: 1 finding", "RED  archived_at differs: 1"]
    assert told[-1].startswith(f"     session {session_id}, 3 messages, ")
    assert recent == told
    assert found["is_ok"] is False
    assert all(figure["is_ok"] for figure in found["figures"])
    (finding,) = found["findings"]
    assert (finding["finding"], finding["session_id"], finding["messages"]) == (
        *("archived_at differs", str(session_id)),
        3,
    )


def test_check_deep_shows_some_of_many_findings_and_json_all(
    cli: Cli, connection: psycopg.Connection
) -> None:
    connection.execute(
        "INSERT INTO engine_chat_message_archive (archived_at, id, session_id, role, content)"
        " SELECT now(), gen_random_uuid(), gen_random_uuid(), 'user', 'hello'"
        " FROM generate_series(1, 30)"
    )

    told = lines(cli("check", "--deep"), 1)

    assert "RED  archived messages without a session: 30" in told
    assert sum(line.startswith("     session ") for line in told) == 10
    assert told[-1] == "     and 20 more: --json lists all"
    assert len(document(cli("check", "--deep", "--json"), 1)["findings"]) == 30


@BOTH_LAYOUTS
def test_grant_prints_the_statements_that_it_runs_and_revoke_those_back(
    cli: Cli, connection: psycopg.Connection, role: str, layout: str
) -> None:
    may = partial(connection.execute, "SELECT has_function_privilege(%s, %s, 'EXECUTE')")
    asked = [role, "archive_session(uuid, text)"]

    planned = lines(cli("grant", role, "--as", "app", "--dry-run"))
    assert may(asked).fetchone() == (False,)
    granted = lines(cli("grant", role, "--as", "app"))
    assert may(asked).fetchone() == (True,)
    again = lines(cli("grant", role, "--as", "app"))
    revoked = lines(cli("grant", role, "--as", "app", "--revoke"))

    assert planned == granted == again
    assert all(line.startswith("GRANT ") and line.endswith(f" TO {role};") for line in granted)
    assert all(line.startswith("REVOKE ") and line.endswith(f" FROM {role};") for line in revoked)
    assert may(asked).fetchone() == (False,)


def test_grant_refuses_what_it_does_not_know(cli: Cli, role: str) -> None:
    told = refusal(cli("grant", "nobody_knows", "--as", "app"))

    assert told[0] == "Error: role nobody_knows does not exist"
    assert told[1].startswith("Hint: Create it first")
    for arguments in (
        *((role, "--as", "owner"), (role,), ("--as", "app"), ("\udc80", "--as", "app")),
        *((), (role, "--repair"), ("--repair", "--as", "app"), ("--repair", "--revoke")),
    ):
        outcome = cli("grant", *arguments)
        assert (outcome.returncode, outcome.stdout) == (2, "")


@BOTH_LAYOUTS
def test_grant_repair_prints_the_statements_that_it_runs_and_check_is_green_again(
    cli: Cli, connection: psycopg.Connection, role: str, layout: str
) -> None:
    lines(cli("grant", role, "--as", "operator"))
    connection.execute(f"GRANT DELETE ON engine_archive_event TO {role}")
    connection.execute("GRANT EXECUTE ON FUNCTION restore_session TO PUBLIC")
    told = lines(cli("check"), 1)
    assert "     SELECT repair_archive_access() (`aria-db grant --repair`) revokes it." in told

    planned = lines(cli("grant", "--repair", "--dry-run"))
    assert lines(cli("check"), 1) == told
    repaired = lines(cli("grant", "--repair"))

    assert planned == repaired
    assert {line.split(" ON ")[0] for line in repaired} == {"REVOKE EXECUTE", "REVOKE DELETE"}
    lines(cli("check"))
    assert lines(cli("grant", "--repair")) == []
    # what it was granted as an operator stays
    may = "SELECT has_table_privilege(%s, 'engine_archive_event', 'SELECT')"
    assert connection.execute(may, [role]).fetchone() == (True,)


# Commands as a role


@pytest.fixture
def cli_of_role(database: Database, role: str) -> Cli:
    """Run ``aria-db`` as the role."""
    return command_line.on(replace(database, url=database.url.set(username=role)))


@BOTH_LAYOUTS
def test_support_reads_lists_transcripts_and_history_of_both_places_and_changes_nothing(
    cli: Cli, cli_of_role: Cli, connection: psycopg.Connection, role: str, layout: str
) -> None:
    live, archived = new_session(connection), new_session(connection)
    archive(connection, archived)
    lines(cli("grant", role, "--as", "support"))

    for arguments in (
        *(("list",), ("list", "--archived"), ("list", "--all-places")),
        *(("list", "--search", "message"), ("list", "--archived", "--search", "message")),
        *(("show", live), ("show", archived), ("show", str(archived)[:8])),
        *(("history", live), ("history", archived)),
    ):
        told = cli_of_role(*arguments)
        assert told.returncode == 0, told
        assert told.stdout == cli(*arguments).stdout
    for arguments in (
        *(("archive", live), ("restore", archived), ("delete", live), ("hold", live)),
        ("prune",),
    ):
        assert cli_of_role(*arguments).returncode != 0
    assert places(connection, live)[0] == places(connection, archived)[2] == 1


@BOTH_LAYOUTS
@pytest.mark.parametrize("access", ["app", "operator"])
def test_app_and_operator_show_an_archived_session_and_no_live_one(
    cli: Cli, cli_of_role: Cli, connection: psycopg.Connection, role: str, access: str, layout: str
) -> None:
    live, archived = new_session(connection), new_session(connection)
    archive(connection, archived)
    lines(cli("grant", role, "--as", access))

    shown = lines(cli_of_role("show", archived))

    assert shown == lines(cli("show", archived))
    assert document(cli_of_role("show", "--json", archived)) == document(
        cli("show", "--json", archived)
    )
    assert "permission denied" in cli_of_role("show", live).stderr
    assert refusal(cli_of_role("show", command_line.UNKNOWN))[0].endswith("not found")
    grant_live_tables(connection, role)
    assert lines(cli_of_role("show", live)) == lines(cli("show", live))


@BOTH_LAYOUTS
def test_a_reader_lists_and_shows_no_transcript(
    cli: Cli, cli_of_role: Cli, connection: psycopg.Connection, role: str, layout: str
) -> None:
    live, archived = new_session(connection), new_session(connection)
    archive(connection, archived)
    lines(cli("grant", role, "--as", "reader"))

    assert len(lines(cli_of_role("list", "--all-places"))) == 2
    for session_id in (live, archived):
        assert "permission denied" in cli_of_role("show", session_id).stderr
