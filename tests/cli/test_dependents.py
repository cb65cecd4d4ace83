"""The commands left and dependents, and the hazards that check prints."""

from uuid import UUID

import psycopg
import pytest

from tests.support import new_session, places
from tests.support.command_line import Cli, document, lines, refusal
from tests.support.dependents import CHAT, add_bookmark, refer_to_sessions
from tests.support.retention import forbid, forbid_a_title, old_sessions


@pytest.fixture
def bookmarked(connection: psycopg.Connection) -> UUID:
    """An old session to which a row of another table refers."""
    refer_to_sessions(connection, CHAT["tables"], "CASCADE")
    (session_id,) = old_sessions(connection, 1)
    add_bookmark(connection, session_id)
    return session_id


def test_an_archive_that_is_refused_says_what_to_run(
    cli: Cli, connection: psycopg.Connection, bookmarked: UUID
) -> None:
    error, hint = refusal(cli("archive", bookmarked))
    assert error.startswith(f"Error: session {bookmarked} has rows in bookmark")
    assert "`aria-db dependents set bookmark --move`" in hint

    # as the hint says it, without the schema
    assert lines(cli("dependents", "set", "bookmark", "--move")) == ["public.bookmark  move"]
    assert cli("archive", bookmarked).returncode == 0
    assert places(connection, bookmarked) == (0, 0, 1, 3)


def test_dependents_lists_each_key(cli: Cli, bookmarked: UUID) -> None:
    (line,) = lines(cli("dependents"))
    assert line.split("\t")[:7] == [
        *("public", "bookmark", "bookmark_session_id_fkey", "engine_chat_sessions"),
        *("CASCADE", "True", "refuse"),
    ]
    (listed,) = document(cli("dependents", "--json"))["dependents"]
    assert (listed["table_name"], listed["handling"]) == ("bookmark", "refuse")


def test_without_dependents_the_list_says_so(cli: Cli) -> None:
    assert cli("dependents").stderr == "No other table refers to chat rows\n"


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("public.bookmark",), "give one of --move, --delete, --detach and --refuse"),
        (("public.bookmark", "--move", "--delete"), "give one of --move"),
        (("bookmark", "--move"), "give it with its schema"),
    ],
)
def test_a_setting_that_is_not_clear_is_refused(
    cli: Cli, arguments: tuple[str, ...], names: str
) -> None:
    refused = cli("dependents", "set", *arguments)
    assert refused.returncode == 2
    assert names in " ".join(refused.stderr.split())


def test_a_handling_that_does_not_fit_is_refused(cli: Cli, bookmarked: UUID) -> None:
    error, hint = refusal(cli("dependents", "set", "public.bookmark", "--detach"))
    assert "is not ON DELETE SET NULL" in error
    assert hint.startswith("Hint: Choose move")


def test_left_lists_what_the_prune_could_not_archive_and_check_says_to_look_there(
    cli: Cli, connection: psycopg.Connection, bookmarked: UUID
) -> None:
    forbid_a_title(connection)
    (other,) = old_sessions(connection, 1)
    forbid(connection, other)
    assert lines(cli("prune"))[-1].endswith("2 sessions left behind: see `aria-db left`")

    rows = {line.split("\t")[0]: line.split("\t") for line in lines(cli("left"))}
    assert set(rows) == {str(bookmarked), str(other)}
    assert rows[str(bookmarked)][2] == "AR005"
    assert "aria-db dependents" in rows[str(bookmarked)][5]
    assert rows[str(other)][2] == "AR007"
    assert len(document(cli("left", "--json"))["left"]) == 2

    checked = "\n".join(lines(cli("check"), status=1))
    assert "RED  left engine_archive_left: 2 sessions could not be archived" in checked
    assert "Run `aria-db left`" in checked
    assert "Run `aria-db prune`" not in checked


def test_where_nothing_was_left_the_list_says_so(cli: Cli) -> None:
    assert cli("left").stderr == "No session was left\n"


def test_a_dry_run_counts_what_is_referred_to(cli: Cli, bookmarked: UUID) -> None:
    counted = cli("prune", "--dry-run")
    assert lines(counted) == ["interactive\t0\t0\t0\t0\t1"]
    assert "A prune would archive 0 sessions" in counted.stderr
    assert "`aria-db dependents` lists these tables" in counted.stderr


def test_check_prints_hazards_and_is_red_for_those_that_lose_rows(
    cli: Cli, connection: psycopg.Connection
) -> None:
    new_session(connection)
    connection.execute(
        "CREATE TABLE notes (session_id uuid REFERENCES engine_chat_sessions ON DELETE CASCADE)"
    )
    checked = "\n".join(lines(cli("check")))
    assert "--   refuses: dependent without handling notes.notes_session_id_fkey" in checked
    assert "`aria-db dependents set notes` --move or --delete" in checked
    assert "--   slow: reference without index" in checked

    connection.execute("ALTER TABLE engine_chat_message_archive SET UNLOGGED")
    checked = "\n".join(lines(cli("check"), status=1))
    assert "RED  unsafe: unlogged table engine_chat_message_archive" in checked
    assert "ALTER TABLE engine_chat_message_archive SET LOGGED" in checked
    found = document(cli("check", "--json"), status=1)
    assert not found["is_ok"]
    assert {hazard["effect"] for hazard in found["hazards"]} == {"refuses", "slow", "unsafe"}


def test_a_prune_of_a_type_that_nothing_has_leaves_no_failed_run(cli: Cli) -> None:
    error, _ = refusal(cli("prune", "--type", "typo"))
    assert 'no session has the type "typo"' in error
    assert document(cli("runs", "--json"))["runs"] == []
    assert cli("check").returncode == 0
