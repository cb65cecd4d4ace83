"""The API and the command line through a real pooler, which refuses startup options."""

import httpx
import psycopg

from aria_db.database import Database
from aria_db.demo.processes import api
from tests.support import command_line, new_session, places
from tests.support.command_line import lines
from tests.support.pooler import pgbouncer
from tests.support.server import new_place


def test_the_command_line_and_the_api_work_through_a_pooler_in_a_schema_of_its_own(
    database: Database, connection: psycopg.Connection
) -> None:
    with new_place() as place, pgbouncer(database, "transaction", place) as pooled:
        work_through(pooled, connection)


def work_through(pooled: Database, connection: psycopg.Connection) -> None:
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
