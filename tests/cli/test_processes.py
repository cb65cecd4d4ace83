"""How the commands begin and end as processes: interrupted, cut off, serving, sharing a server."""

import re
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import httpx
import psutil
import psycopg
import pytest

from aria_db import conversations
from aria_db.database import Database
from aria_db.demo.processes import api
from tests.support import command_line, new_session, places, wait_until_something_is_blocked
from tests.support.command_line import SCRIPT, document, finish, lines, refusal, start

ROOT = Path(__file__).resolve().parents[2]
NOWHERE = "postgresql://127.0.0.1:1/nowhere"


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_an_interrupted_command_ends_without_a_word_and_without_effect(
    database: Database, connection: psycopg.Connection, number: int, status: int
) -> None:
    session_id = new_session(connection)
    url = database.libpq_url()
    with psycopg.connect(url) as editing:
        editing.execute("SELECT FROM engine_chat_sessions FOR UPDATE")
        with start("archive", session_id, DATABASE_URL=url) as process:
            wait_until_something_is_blocked(connection)
            process.send_signal(number)
            done = finish(process)

    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")
    assert places(connection, session_id) == (1, 3, 0, 0)


def test_a_reader_that_has_seen_enough_is_no_error(
    database: Database, connection: psycopg.Connection
) -> None:
    for _ in range(50):
        new_session(connection, title="a" * 500)
    with start("list", DATABASE_URL=database.libpq_url()) as process:
        process.stdout.close()
        told = process.stderr.read()

    assert told == b""


def test_serve_answers_until_it_is_ended(
    database: Database, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection)
    variables = {"DATABASE_URL": database.libpq_url(), "ARIA_DB_TOKEN": "a-token"}
    with start("serve", "--port", 0, **variables) as process:
        told = ""
        while (address := re.search(r"http://127\.0\.0\.1:\d+", told)) is None:
            told += process.stderr.readline().decode()
            assert process.poll() is None, told
        path = f"{address[0]}/api/engine/sessions/{session_id}/archive"
        refused = httpx.post(path)
        answered = httpx.post(path, headers={"Authorization": "Bearer a-token"})
        process.terminate()
        finish(process)

    assert refused.status_code == 401
    assert answered.json()["status"] == "archived"
    assert places(connection, session_id) == (0, 0, 1, 3)
    assert process.returncode == 0


def test_serve_does_not_listen_to_others_without_a_token(database: Database) -> None:
    told = refusal(
        command_line.run("serve", "--host", "0.0.0.0", DATABASE_URL=database.libpq_url()), 2
    )

    assert "ARIA_DB_TOKEN" in told[1]


@pytest.mark.slow
def test_serve_refuses_the_tokens_old_name_before_it_creates_an_embedded_database(
    data: Path,
) -> None:
    variables = {"ARIA_API_TOKEN": "a-token", **embedded_in(data)}

    for host in ("127.0.0.1", "0.0.0.0"):
        told = refusal(command_line.run("serve", "--host", host, "--port", 0, **variables), 2)
        assert "ARIA_DB_TOKEN" in told[0]
        assert not data.exists()


@pytest.mark.parametrize("name", ["ARIA_DB_TOKEN", "ARIA_API_TOKEN"])
def test_the_demos_server_asks_for_no_token_whichever_name_the_environment_sets(
    database: Database, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "a-token")

    with api(database) as address:
        assert httpx.get(f"{address}/api/engine/sessions").status_code == 200


def embedded_in(data: Path) -> dict[str, str]:
    """Return the variables that ask for an embedded server with these data."""
    return {"ARIA_DB_EMBEDDED": "1", "ARIA_DB_DATA": str(data)}


def servers(data: Path) -> list[int]:
    """Return the process ids of the servers of a data directory."""
    return [
        process.pid
        for process in psutil.process_iter(["name", "cmdline"])
        if process.info["name"] == "postgres" and str(data) in (process.info["cmdline"] or [])
    ]


@pytest.mark.slow
def test_commands_share_an_embedded_server_that_ends_with_the_last(
    data: Path, sample_file: Path
) -> None:
    variables = embedded_in(data)
    upgraded = command_line.run("upgrade", **variables)
    assert lines(upgraded)[0].startswith("Upgraded from nothing")
    assert upgraded.stderr == f"Embedded PostgreSQL in {data}\n"
    assert servers(data) == []

    with ExitStack() as stack:
        processes = [
            stack.enter_context(start(*words, **variables))
            for words in (
                ["import", "--json", sample_file],
                ["current", "--json"],
                ["list", "--json"],
                ["archive", "--json", uuid4()],
            )
        ]
        imported, current, listed, archived = map(finish, processes)

    assert document(imported)["imported"] > 20
    assert document(current)["is_newest"]
    assert document(listed)["total"] in (0, document(imported)["imported"])
    assert len(document(archived, status=1)["not_found"]) == 1
    assert servers(data) == []


@pytest.mark.slow
def test_psql_holds_the_embedded_server_until_it_ends(data: Path) -> None:
    with start("psql", "--", "-At", stdin=subprocess.PIPE, **embedded_in(data)) as process:
        process.stdin.write(b"SELECT 42;\nSELECT pg_sleep(600);\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"42\n"
        running = servers(data)
        process.terminate()
        done = finish(process)

    assert len(running) == 1
    assert done.returncode == 143
    assert servers(data) == []


def test_an_embedded_database_that_cannot_run_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "something").touch()

    outcome = command_line.run("list", "--embedded", ARIA_DB_DATA=str(tmp_path))

    assert outcome.returncode == 1
    assert outcome.stdout == ""
    notice, told = outcome.stderr.splitlines()
    assert notice == f"Embedded PostgreSQL in {tmp_path}"
    assert told.startswith(f"Error: {tmp_path} ")


@pytest.mark.slow
def test_serve_with_samples_is_ready_to_try_on_an_empty_machine(data: Path) -> None:
    variables = {"ARIA_DB_DATA": str(data)}
    count = len(conversations.SAMPLE.read_text("utf-8").splitlines())
    for imported in (
        f"Samples: {count} imported, 0 already there",
        f"Samples: 0 imported, {count} already there",
    ):
        words = ("serve", "--embedded", "--samples", "--port", 0)
        with start(*words, **variables) as process:
            told = iter(process.stderr.readline, b"")
            assert imported in next(line for line in told if b"Samples" in line).decode()
            line = next(line for line in told if b"running on" in line).decode()
            address = line.split("running on ")[1].split()[0]
            assert httpx.get(f"{address}/api/engine/sessions").json()["total"] == count
            process.terminate()
    assert servers(data) == []


def test_serve_puts_no_samples_into_a_database_that_is_not_the_embedded_one(
    database: Database,
) -> None:
    outcome = command_line.run("serve", "--samples", DATABASE_URL=database.libpq_url())

    assert outcome.returncode == 2
    assert "give --embedded" in outcome.stderr


@pytest.mark.parametrize(
    ("variables", "what"),
    [
        ({}, "no database is configured"),
        ({"DATABASE_URL": ""}, "DATABASE_URL is empty"),
        ({"DATABASE_URL": " ", "PGHOST": "here"}, "DATABASE_URL is empty"),
        ({"DATABASE_URL": "", "ARIA_DB_EMBEDDED": "1"}, "DATABASE_URL is empty"),
        ({"DATABASE_URI": NOWHERE}, "no database is configured"),
        ({"ARIA_DB_EMBEDDED": "0"}, "no database is configured"),
        ({"ARIA_DB_EMBEDDED": "maybe"}, "ARIA_DB_EMBEDDED is 'maybe'"),
        ({"ARIA_DB_EMBEDDED": "1", "DATABASE_URL": NOWHERE}, "name two databases"),
        ({"ARIA_DB_EMBEDDED": "1", "PGHOST": "here"}, "name two databases"),
    ],
)
def test_a_command_without_a_database_fails_and_creates_none(
    tmp_path: Path, variables: dict[str, str], what: str
) -> None:
    data = tmp_path / "data"

    prune = command_line.run("prune", ARIA_DB_DATA=str(data), **variables)
    with subprocess.Popen(
        [SCRIPT.with_name("alembic"), "upgrade", "head"],
        cwd=ROOT,
        env=command_line.environment(ARIA_DB_DATA=str(data), **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        alembic = finish(process)

    for told in (refusal(prune, 2), alembic.stderr.splitlines()):
        assert what in told[0]
        assert told[1].startswith("Hint: ")
    assert alembic.returncode == 2
    assert not data.exists()


def test_embedded_on_the_command_line_wins_over_the_environment_and_not_over_a_url(
    tmp_path: Path,
) -> None:
    (tmp_path / "something").touch()
    variables = {"DATABASE_URL": NOWHERE, "ARIA_DB_DATA": str(tmp_path)}

    chosen = command_line.run("list", "--embedded", **variables)
    both = command_line.run("list", "--embedded", "--database-url", NOWHERE)

    assert f"Embedded PostgreSQL in {tmp_path}" in chosen.stderr
    assert both.returncode == 2
    assert "give one of --embedded and --database-url" in both.stderr
