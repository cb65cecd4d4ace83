"""The API and the command line through a real pooler, which refuses startup options."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import httpx
import psycopg
import pytest

from aria_db.database import Database
from aria_db.demo.processes import api
from tests.support import command_line, new_session, places
from tests.support.command_line import lines
from tests.support.pooler import pgbouncer
from tests.support.server import new_place

CLIENTS = 12
SECONDS = 5


@pytest.fixture(params=["transaction", "session"])
def pooled(request: pytest.FixtureRequest, database: Database) -> Iterator[Database]:
    """The database, behind a pooler that shares its connections by transaction or by session."""
    with new_place() as place, pgbouncer(database, request.param, place) as behind:
        yield behind


@pytest.mark.slow
def test_each_of_many_requests_gets_the_answer_to_its_own_call(
    pooled: Database, connection: psycopg.Connection
) -> None:
    sessions = [new_session(connection) for _ in range(CLIENTS)]

    def work(session_id: UUID) -> int:
        rounds, deadline = 0, time.monotonic() + SECONDS
        with httpx.Client(base_url=f"{address}/api/engine/sessions", timeout=60) as client:
            while time.monotonic() < deadline:
                for deed in ("archive", "restore"):
                    answer = client.post(f"/{session_id}/{deed}")
                    assert answer.status_code == 200, answer.text
                    assert answer.json()["session_id"] == str(session_id)
                    assert answer.json()["status"] == f"{deed}d"
                    found = client.get(f"/{session_id}").status_code
                    assert found == (404 if deed == "archive" else 200)
                rounds += 1
        return rounds

    with api(pooled) as address, ThreadPoolExecutor(CLIENTS) as threads:
        rounds = list(threads.map(work, sessions))

    assert min(rounds) > 0
    for session_id, done in zip(sessions, rounds, strict=True):
        assert places(connection, session_id) == (1, 3, 0, 0)
        recorded = connection.execute(
            "SELECT count(*) FROM engine_archive_event WHERE session_id = %s", [session_id]
        ).fetchone()
        assert recorded == (2 * done,)


def test_the_command_line_and_the_api_work_through_a_pooler_in_a_schema_of_its_own(
    pooled: Database, connection: psycopg.Connection
) -> None:
    cli = command_line.on(Database(pooled.url, "aria"))

    assert lines(cli("upgrade"))
    connection.execute("SET search_path = aria")
    session_id = new_session(connection)
    assert len(lines(cli("list"))) == 1
    assert "archived" in lines(cli("archive", session_id))[0]
    assert len(lines(cli("list", "--archived"))) == 1
    refused = command_line.refusal(command_line.on(pooled)("list"), 2)
    assert refused[0] == "Error: aria-db is installed in several schemas: aria, public"
    assert "--schema" in refused[1]
    with api(Database(pooled.url, "aria")) as address:
        for _ in range(8):
            assert httpx.get(f"{address}/api/engine/sessions/archive").json()["total"] == 1
        done = httpx.post(f"{address}/api/engine/sessions/{session_id}/restore")
        assert done.status_code == 200
    assert places(connection, session_id) == (1, 3, 0, 0)
