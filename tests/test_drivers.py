"""Statements and errors are the same with psycopg, psycopg2 and asyncpg."""

import socket
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from aria_db import functions
from aria_db.database import Database
from aria_db.errors import (
    DatabaseUnavailable,
    InvalidArgument,
    NotUpgraded,
    Retryable,
    SessionConflict,
    SessionHeld,
    translated,
)
from tests.support import Connect, new_session, places, set_for_database

pytestmark = pytest.mark.anyio

SYNC = ("psycopg", "psycopg2")
ASYNC = ("psycopg_async", "asyncpg")
every_driver = pytest.mark.parametrize("driver", SYNC + ASYNC)

Run = Callable[[sa.Executable], Awaitable[Sequence[sa.Row[Any]]]]


def _runner(url: sa.URL, driver: str) -> Run:
    url = url.set(drivername=f"postgresql+{driver}")

    async def run(statement: sa.Executable) -> Sequence[sa.Row[Any]]:
        if driver in SYNC:
            engine = sa.create_engine(url, poolclass=sa.NullPool)
            with translated(), Session(engine) as session, session.begin():
                return session.execute(statement).all()
        async_engine = create_async_engine(url, poolclass=sa.NullPool)
        with translated():
            async with AsyncSession(async_engine) as session_async, session_async.begin():
                return (await session_async.execute(statement)).all()

    return run


@pytest.fixture
def run(database: Database, driver: str) -> Run:
    """Execute a statement of this package in a transaction of its own."""
    return _runner(database.url, driver)


@every_driver
async def test_every_kind_of_argument_arrives(run: Run, connection: psycopg.Connection) -> None:
    first, second, third = (new_session(connection, 3) for _ in range(3))

    [archived] = await run(functions.archive_session(first, "Zoë"))
    assert (archived.id, archived.message_count, archived.newly_archived) == (first, 3, True)
    [(run_id,)] = await run(functions.begin_archive_run("archive", {"ids": [1, "ä"]}, "Zoë"))
    rows = await run(functions.archive_sessions([second, third], run_id))
    assert {row.id for row in rows} == {second, third}
    await run(functions.finish_archive_run(run_id, "nothing left"))

    assert connection.execute(
        "SELECT actor FROM engine_archive_event WHERE session_id = %s", (first,)
    ).fetchall() == [("Zoë",)]
    assert connection.execute(
        "SELECT started_by, arguments -> 'ids' FROM engine_archive_run WHERE id = %s", (run_id,)
    ).fetchall() == [("Zoë", [1, "ä"])]
    [restorable] = await run(functions.count_restorable_sessions(run_id))
    assert (restorable.sessions, restorable.messages) == (2, 6)
    assert await run(functions.prune_sessions(timedelta(days=30), "interactive", 5)) == [(0, 0, 0)]
    assert await run(functions.verify_archive(archived.archived_at)) == []
    assert {row.id for row in await run(functions.restore_sessions([first, second]))} == {
        first,
        second,
    }
    [hold] = await run(functions.place_hold(first, "100 % sure: 'it''s' :named"))
    assert hold.hold_reason == "100 % sure: 'it''s' :named"
    assert places(connection, first) == (1, 3, 0, 0)


@every_driver
async def test_an_error_has_its_class_sqlstate_message_and_hint(
    run: Run, connection: psycopg.Connection, connect: Connect
) -> None:
    held, both, locked = (new_session(connection) for _ in range(3))
    connection.execute("SELECT place_hold(%s, 'an audit')", (held,))
    connection.execute("SELECT archive_session(%s)", (both,))
    new_session(connection, id=both, title="live again")
    locking = connect(autocommit=False)
    locking.execute("SELECT FROM engine_chat_sessions WHERE id = %s FOR UPDATE", (locked,))
    set_for_database(connection, "lock_timeout = '50ms'")

    for kind, sqlstate, statement, words in (
        (SessionHeld, "AR003", functions.archive_session(held), "an audit"),
        (SessionConflict, "AR001", functions.archive_session(both), "live and archived"),
        (InvalidArgument, "22023", functions.purge_archive(batch_size=0), "at least 1"),
        (Retryable, "55P03", functions.archive_session(locked), "lock timeout"),
        (NotUpgraded, "42883", sa.select(sa.func.no_such_function(1)), "no_such_function"),
    ):
        with pytest.raises(kind, match=words) as refusal:
            await run(statement)
        assert refusal.value.sqlstate == sqlstate
        assert refusal.value.hint


@every_driver
async def test_a_database_that_refuses_the_connection_is_unavailable(driver: str) -> None:
    with socket.socket() as refusing:
        refusing.bind(("127.0.0.1", 0))
        port = refusing.getsockname()[1]
        run = _runner(sa.make_url(f"postgresql://u:p@127.0.0.1:{port}/d"), driver)
        with pytest.raises(DatabaseUnavailable) as failure:
            await run(functions.archive_session(uuid4()))
    assert "PostgreSQL" in (failure.value.hint or "")


@every_driver
async def test_a_login_that_is_refused_is_unavailable(driver: str, database: Database) -> None:
    for refused in (database.url.set(database="nowhere"), database.url.set(username="nobody")):
        run = _runner(refused, driver)
        with pytest.raises(DatabaseUnavailable, match="does not exist") as failure:
            await run(functions.archive_session(uuid4()))
        assert "PostgreSQL" in (failure.value.hint or "")


@every_driver
async def test_a_connection_that_is_cut_is_unavailable(
    run: Run, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection)
    with pytest.raises(DatabaseUnavailable):
        await run(sa.text("SELECT pg_terminate_backend(pg_backend_pid())"))
    assert len(await run(functions.archive_session(session_id))) == 1
