"""check and runs: what an operator watches."""

import getpass
import re
import socket

import psycopg

from tests.support import command_line, new_session
from tests.support.command_line import Cli, document, lines
from tests.support.retention import sessions_archived_for, sessions_of_age


def test_runs_are_listed_with_who_started_them_and_the_role(
    cli: Cli, connection: psycopg.Connection
) -> None:
    connection.execute("SELECT begin_archive_run('restore', '{}', 'alice')")
    cli("prune")

    pruned, restored = document(cli("runs", "--json"))["runs"]
    printed = [line.split("\t")[1:3] for line in lines(cli("runs"))]

    user = connection.info.user
    assert (restored["kind"], restored["started_by"], restored["role"]) == (
        *("restore", "alice"),
        user,
    )
    assert (pruned["kind"], pruned["role"]) == ("prune", user)
    assert pruned["started_by"] == f"{getpass.getuser()}@{socket.gethostname()}"
    assert printed == [["prune", "finished"], ["restore", "running"]]


def figures_of(outcome: command_line.Outcome, status: int = 0) -> dict[tuple[str, str], dict]:
    """Return the figures of ``check --json`` by name and subject."""
    figures = document(outcome, status)["figures"]
    by_name = {(figure.pop("figure"), figure.pop("subject")): figure for figure in figures}
    assert len(by_name) == len(figures)
    return by_name


def test_check_prints_a_remedy_only_where_there_is_something_to_do(
    cli: Cli, connection: psycopg.Connection
) -> None:
    well = cli("check"), figures_of(cli("check", "--json"))
    new_session(connection, status="archived")
    told = cli("check"), figures_of(cli("check", "--json"))

    assert all(line.startswith("ok ") for line in lines(well[0])[1:])
    assert {figure["remedy"] for figure in well[1].values()} == {None}
    printed = lines(told[0])
    soft_deleted = printed.index("ok   soft_deleted engine_chat_sessions: 1 sessions")
    remedy = "Run `aria-db prune`: it archives them, whatever their age."
    assert [line for line in printed if line.startswith("  ")] == [f"     {remedy}"]
    assert printed[soft_deleted + 1] == f"     {remedy}"
    assert told[1]["soft_deleted", "engine_chat_sessions"] == {
        "value": 1,
        "unit": "sessions",
        "is_ok": True,
        "reading": "1 sessions",
        "remedy": remedy,
    }


def test_check_gives_programs_identifiers_and_numbers(
    cli: Cli, connection: psycopg.Connection
) -> None:
    empty = figures_of(cli("check", "--json"))
    sessions_archived_for(connection, 1, "10 days")
    cli("prune")

    figures = figures_of(cli("check", "--json"))

    assert all(re.fullmatch("[a-z_]+", name) for name, _ in figures)
    assert empty["oldest_archived", "engine_chat_session_archive"]["value"] is None
    in_archive = figures["oldest_archived", "engine_chat_session_archive"]
    assert 0 <= in_archive["value"] - 10 * 24 * 3600 < 300
    assert in_archive["unit"] == "seconds"
    assert figures["size", "engine_chat_messages"]["unit"] == "bytes"
    assert figures["size", "engine_chat_messages"]["value"] >= 8192
    assert figures["held", "engine_session_hold"]["value"] == 0
    assert figures["last_run", "prune"]["unit"] == "seconds"
    assert all(isinstance(figure["value"], int) for figure in figures.values())


def test_check_exits_with_1_while_something_needs_attention(
    cli: Cli, connection: psycopg.Connection
) -> None:
    well = lines(cli("check"))
    sessions_of_age(connection, 1, "40 days")
    red = lines(cli("check"), 1)
    figures = document(cli("check", "--json"), 1)
    cli("prune")
    fixed = document(cli("check", "--json"))

    assert well[0].startswith("0 of ")
    assert red[1:3] == [
        "RED  backlog *: 1 sessions are due",
        "     Run `aria-db prune`, and check that it is scheduled.",
    ]
    assert all(line.startswith("ok ") for line in red[3:])
    assert [figure["is_ok"] for figure in figures["figures"]].index(True) == 1
    assert (figures["is_ok"], fixed["is_ok"]) == (False, True)
