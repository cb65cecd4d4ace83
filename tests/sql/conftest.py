"""Connections that can be made to wait for each other, layouts of the tables, and roles."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from uuid import UUID

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from aria_db.database import Database
from aria_db.install import migrate
from tests.conftest import Connect
from tests.sql import adopted_layout
from tests.support import is_blocked, new_session, temporary_role

Call = Callable[..., object]
Start = Callable[..., Future]

# What hangs fails. Nothing here takes as long.
STATEMENT_TIMEOUT = "20s"


@pytest.fixture
def layout(request: pytest.FixtureRequest) -> str:
    """Which tables the four names are: ``tables``, or ``views`` over an adopted database's."""
    return getattr(request, "param", "tables")


@pytest.fixture
def connect(connect: Connect, database: Database, layout: str) -> Connect:
    """Open connections as the outer fixture does, to the layout that the test runs on."""
    settings = f"-c statement_timeout={STATEMENT_TIMEOUT}"
    if layout == "views":
        adopted_layout.install(connect(), database)
        settings += f" -c search_path={adopted_layout.SCHEMA}"

    def open_connection(**options: object) -> psycopg.Connection:
        return connect(options=settings, **options)

    return open_connection


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Threads for calls on several connections at once."""
    with ThreadPoolExecutor(max_workers=32) as executor:
        yield executor


@pytest.fixture
def start(threads: ThreadPoolExecutor, connection: psycopg.Connection) -> Start:
    """Start ``call(connection, *arguments)`` in a thread; return once it waits or is done."""

    def start_call(call: Call, own: psycopg.Connection, *arguments: object) -> Future:
        future = threads.submit(call, own, *arguments)
        while not future.done() and not is_blocked(connection, own.info.backend_pid):
            time.sleep(0.005)
        return future

    return start_call


@pytest.fixture
def start_blocked(start: Start) -> Start:
    """Start ``call(connection, *arguments)`` in a thread; fail if it does not wait for a lock."""

    def start_call(call: Call, own: psycopg.Connection, *arguments: object) -> Future:
        future = start(call, own, *arguments)
        assert not future.done(), f"did not wait, but: {future.exception() or future.result()}"
        return future

    return start_call


@pytest.fixture
def role(connection: psycopg.Connection) -> Iterator[str]:
    """A role that may log in and nothing else."""
    with temporary_role(connection) as name:
        yield name


@pytest.fixture
def owner(
    database: Database, connect: Connect, connection: psycopg.Connection, role: str
) -> psycopg.Connection:
    """A connection of a plain role that has installed everything in a schema of its own."""
    connection.execute(sql.SQL("CREATE SCHEMA app AUTHORIZATION {}").format(sql.Identifier(role)))
    engine = sa.create_engine(database.url.set(username=role))
    with engine.connect() as installing:
        migrate.upgrade(installing, schema="app")
    engine.dispose()
    owner = connect(user=role)
    owner.execute("SET search_path = app")
    return owner


@pytest.fixture
def a(connect: Connect) -> psycopg.Connection:
    """The connection that archives."""
    return connect()


@pytest.fixture
def b(connect: Connect) -> psycopg.Connection:
    """The connection that does something else."""
    return connect()


@pytest.fixture
def ids(connection: psycopg.Connection) -> dict[str, UUID]:
    """A session, one of its messages, and another session."""
    session_id = new_session(connection, 3)
    row = connection.execute(
        "SELECT id FROM engine_chat_messages ORDER BY created_at OFFSET 1 LIMIT 1"
    ).fetchone()
    assert row is not None
    return {"session": session_id, "message": row[0], "other": new_session(connection, 2)}
