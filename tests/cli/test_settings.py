"""The clients in databases with other settings: each answer is what it is without them."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
from psycopg import sql
from pytest_postgresql.executors import NoopExecutor
from pytest_postgresql.janitor import DatabaseJanitor

from aria_db import conversations
from aria_db.database import Database
from aria_db.demo.processes import api
from tests.support import command_line, new_session
from tests.support.command_line import Cli, document, lines, refusal

# Several at once: an answer that one of them changes is wrong whatever the others do.
SETTINGS = [
    {
        "DateStyle": "German",
        "IntervalStyle": "iso_8601",
        "TimeZone": "Asia/Kathmandu",
        "client_encoding": "LATIN1",
        "default_transaction_isolation": "serializable",
        "standard_conforming_strings": "off",
    },
    {
        "DateStyle": "SQL, DMY",
        "IntervalStyle": "sql_standard",
        "client_encoding": "SQL_ASCII",
        "default_transaction_isolation": "repeatable read",
        "quote_all_identifiers": "on",
        "search_path": "",
        "plan_cache_mode": "force_generic_plan",
    },
    {
        "DateStyle": "Postgres, MDY",
        "IntervalStyle": "postgres_verbose",
        "TimeZone": "America/St_Johns",
        "bytea_output": "escape",
        "jit": "on",
        "jit_above_cost": "0",
        "row_security": "off",
        "plan_cache_mode": "force_custom_plan",
    },
]
SESSION = UUID("453a4c8a-4a9a-5a16-acd3-a890a0f77b5b")
LATER = r'"[0-9]{4}-[0-9-]+[T ][0-9:.]+(\+00:00|Z)"'


NewDatabase = Callable[[str, dict[str, str]], Database]


def answers(database: Database) -> Any:
    """Return what the clients say while a session goes into the archive and back."""
    cli = command_line.on(database)
    assert lines(cli("import", conversations.SAMPLE))
    with api(database) as address:
        found = _answers(cli, f"{address}/api/engine/sessions")
    # The times of two runs differ, and so do the ids of messages and connections.
    random_id = r'"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"'
    text = re.sub(LATER, '"a time"', json.dumps(found))
    text = re.sub(random_id, '"an id"', text)
    text = re.sub(r'"next_cursor": "[^"]+"', '"next_cursor": "a time"', text)
    return json.loads(re.sub(r'"backend_pid": \d+', '"backend_pid": 0', text))


def _answers(cli: Cli, url: str) -> list[Any]:
    return [
        document(cli("policy", "list", "--json")),
        document(cli("list", "--json", "--limit", 3)),
        document(cli("archive", "--json", SESSION)),
        httpx.get(f"{url}/archive").json(),
        httpx.get(f"{url}/{SESSION}/history").json(),
        document(cli("history", "--json", SESSION)),
        document(cli("show", "--json", SESSION)),
        httpx.post(f"{url}/{SESSION}/restore").json(),
        httpx.put(f"{url}/{SESSION}/hold", json={"reason": "größer 🎉"}).json(),
        document(cli("prune", "--dry-run", "--json")),
        document(cli("prune", "--json", "--older-than", "2 weeks")),
        document(cli("runs", "--json")),
        lines(cli("release", SESSION)),
    ]


@pytest.fixture
def new_database(
    postgresql_tables_noproc: NoopExecutor, database: Database
) -> Iterator[NewDatabase]:
    """Create databases at the newest revision, each with settings of its own."""
    server = postgresql_tables_noproc
    with ExitStack() as stack:

        def create(name: str, settings: dict[str, str]) -> Database:
            janitor = DatabaseJanitor(
                user=server.user,
                host=server.host,
                port=server.port,
                dbname=f"{server.dbname}_{name}",
                template_dbname=server.template_dbname,
                password=None,
            )
            stack.enter_context(janitor)
            with janitor.cursor() as cursor:
                for setting, value in settings.items():
                    cursor.execute(
                        sql.SQL("ALTER DATABASE {} SET {} = {}").format(
                            sql.Identifier(janitor.dbname), sql.SQL(setting), sql.Literal(value)
                        )
                    )
            return replace(database, url=database.url.set(database=janitor.dbname))

        yield create


@pytest.mark.slow
def test_every_answer_is_the_same_whatever_the_settings_of_the_database_are(
    new_database: NewDatabase,
) -> None:
    expected = answers(new_database("plain", {}))

    assert "größer 🎉" in json.dumps(expected, ensure_ascii=False)
    for number, settings in enumerate(SETTINGS):
        found = answers(new_database(f"other_{number}", settings))
        for one, other in zip(found, expected, strict=True):
            assert one == other, settings


@pytest.fixture
def in_encoding(empty_connection: psycopg.Connection, empty_database: Database) -> Iterator[Any]:
    """Create a database with an encoding, and install aria-db there."""
    created: list[str] = []

    def create(encoding: str) -> Database:
        name = f"{empty_database.url.database}_{encoding.lower()}"
        empty_connection.execute(
            f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE_PROVIDER libc LOCALE 'C'"
            " TEMPLATE template0"
        )
        created.append(name)
        found = replace(empty_database, url=empty_database.url.set(database=name))
        assert lines(command_line.on(found)("upgrade"))
        return found

    yield create
    for name in created:
        empty_connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_character_that_the_encoding_does_not_have_is_refused_by_name(in_encoding: Any) -> None:
    database: Database = in_encoding("LATIN1")
    cli = command_line.on(database)
    with psycopg.connect(database.libpq_url(), autocommit=True) as connection:
        connection.execute("SET client_encoding = utf8")
        session_id = new_session(connection, title="größer")

    assert "größer" in lines(cli("list"))[0]
    told, hint = refusal(cli("hold", session_id, "--reason", "🎉"))
    assert "LATIN1" in told
    assert "UTF8" in hint
    assert "größer" in "".join(lines(cli("archive", session_id)) + lines(cli("list", "--archived")))
    with api(database) as address:
        url = f"{address}/api/engine/sessions"
        assert httpx.get(f"{url}/archive").json()["sessions"][0]["title"] == "größer"
        refused = httpx.post(url, json={"title": "🎉"})
        assert refused.status_code == 422
        assert "UTF8" in refused.json()["hint"]


def test_invalid_utf8_in_an_sql_ascii_database_is_shown_with_replacement_characters(
    in_encoding: Any,
) -> None:
    database: Database = in_encoding("SQL_ASCII")
    cli = command_line.on(database)
    with psycopg.connect(database.libpq_url(), autocommit=True) as connection:
        session_id = new_session(connection)
        connection.execute(r"UPDATE engine_chat_sessions SET title = E'gr\366\337er'")

    assert "gr\ufffd\ufffder" in lines(cli("list"))[0]
    assert lines(cli("archive", session_id))
    with api(database) as address:
        listed = httpx.get(f"{address}/api/engine/sessions/archive").json()
    assert listed["sessions"][0]["title"] == "gr\ufffd\ufffder"
    with psycopg.connect(database.libpq_url(), client_encoding="SQL_ASCII") as connection:
        stored = "SELECT convert_to(title, 'SQL_ASCII') FROM engine_chat_session_archive"
        assert connection.execute(stored).fetchone() == (b"gr\xf6\xdfer",)
