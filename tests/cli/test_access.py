"""``aria-db check --deep`` and ``aria-db grant``."""

from functools import partial

import psycopg

from tests.support import new_session
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
    for arguments in ((role, "--as", "owner"), (role,), ("--as", "app"), ("\udc80", "--as", "app")):
        outcome = cli("grant", *arguments)
        assert (outcome.returncode, outcome.stdout) == (2, "")
