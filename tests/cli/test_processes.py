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

from aria_db.database import Database
from aria_db.demo.processes import api
from tests.support import command_line, new_session, places, wait_until_something_is_blocked
from tests.support.command_line import document, finish, lines, refusal, start


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
    variables = {"ARIA_API_TOKEN": "a-token", "ARIA_DB_DATA": str(data)}

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


def servers(data: Path) -> list[int]:
    """Return the process ids of the servers of a data directory."""
    return [
        process.pid
        for process in psutil.process_iter(["name", "cmdline"])
        if process.info["name"] == "postgres" and str(data) in (process.info["cmdline"] or [])
    ]


@pytest.mark.slow
def test_without_a_database_the_commands_share_an_embedded_one_that_ends_with_the_last(
    data: Path, sample_file: Path
) -> None:
    variables = {"ARIA_DB_DATA": str(data)}
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
    with start("psql", "--", "-At", stdin=subprocess.PIPE, ARIA_DB_DATA=str(data)) as process:
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

    outcome = command_line.run("list", ARIA_DB_DATA=str(tmp_path))

    assert outcome.returncode == 1
    assert outcome.stdout == ""
    notice, told = outcome.stderr.splitlines()
    assert notice == f"Embedded PostgreSQL in {tmp_path}"
    assert told.startswith(f"Error: {tmp_path} ")
