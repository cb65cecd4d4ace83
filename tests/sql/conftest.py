"""Connections that can be made to wait for each other."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from uuid import UUID

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from aria_db.database import Database
from aria_db.install import migrate
from tests.support import Connect, Start, is_blocked, new_session
from tests.support.dependents import CHAT, Chat

Call = Callable[..., object]


@pytest.fixture
def start(threads: ThreadPoolExecutor, connect: Connect) -> Start:
    """Start ``call(connection, ...)`` in a thread; return once it waits or is done."""
    observer = connect()

    def start_call(
        call: Call, own: psycopg.Connection, *arguments: object, **named: object
    ) -> Future:
        future = threads.submit(call, own, *arguments, **named)
        while not future.done() and not is_blocked(observer, own.info.backend_pid):
            time.sleep(0.005)
        return future

    return start_call


@pytest.fixture
def start_blocked(start: Start) -> Start:
    """Start ``call(connection, ...)`` in a thread; fail if it does not wait for a lock."""

    def start_call(
        call: Call, own: psycopg.Connection, *arguments: object, **named: object
    ) -> Future:
        future = start(call, own, *arguments, **named)
        assert not future.done(), f"did not wait, but: {future.exception() or future.result()}"
        return future

    return start_call


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


@pytest.fixture
def chat(layout: str) -> Chat:
    """The tables that hold chat rows, whatever the four names are."""
    return CHAT[layout]
