"""Through a real pooler, which gives each transaction another connection to the server."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from uuid import UUID

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from aria_db.database import Database
from aria_db.errors import InvalidConfiguration
from aria_db.session_manager import NativeSessionManager
from tests.support import new_session, places
from tests.support.pooler import pgbouncer
from tests.support.server import new_place

pytestmark = pytest.mark.anyio

SECONDS = 5
CLIENTS = 12


@pytest.fixture(params=["transaction", "session"])
def mode(request: pytest.FixtureRequest) -> str:
    """What the pooler shares between clients."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def pooled(database: Database, mode: str) -> Iterator[Database]:
    """The database, behind a pooler."""
    with new_place() as place, pgbouncer(database, mode, place) as behind:
        yield behind


@asynccontextmanager
async def managing(database: Database) -> AsyncIterator[NativeSessionManager]:
    engine = database.async_engine(pool_size=1)
    try:
        yield NativeSessionManager(engine)
    finally:
        await engine.dispose()


@pytest.mark.slow
async def test_each_of_many_clients_gets_the_answer_to_its_own_call(
    pooled: Database, connection: psycopg.Connection
) -> None:
    sessions = [new_session(connection) for _ in range(CLIENTS)]

    async def work(session_id: UUID) -> int:
        rounds = 0
        async with managing(pooled) as manager:
            deadline = asyncio.get_running_loop().time() + SECONDS
            while asyncio.get_running_loop().time() < deadline:
                archived = await manager.archive_session(session_id)
                assert archived is not None
                assert (archived.id, archived.newly_archived) == (session_id, True)
                assert await manager.get_session(session_id) is None
                restored = await manager.restore_session(session_id)
                assert restored is not None
                assert (restored.id, restored.newly_restored) == (session_id, True)
                rounds += 1
        return rounds

    rounds = await asyncio.gather(*map(work, sessions))

    assert min(rounds) > 5
    for session_id, done in zip(sessions, rounds, strict=True):
        assert places(connection, session_id) == (1, 3, 0, 0)
        recorded = connection.execute(
            "SELECT count(*) FROM engine_archive_event WHERE session_id = %s", [session_id]
        ).fetchone()
        assert recorded == (2 * done,)


async def test_no_statement_is_prepared_behind_a_pooler_and_without_one_they_are(
    pooled: Database, database: Database, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection)
    prepared = sa.select(sa.func.count()).select_from(sa.table("pg_prepared_statements"))

    for place, is_pooled in ((pooled, True), (database, False)):
        engine = place.async_engine(pool_size=1)
        manager = NativeSessionManager(engine)
        for _ in range(8):
            await manager.archive_session(session_id)
        async with engine.connect() as other:
            assert (await other.scalar(prepared) == 0) is is_pooled
        await engine.dispose()


async def test_an_engine_of_the_callers_that_would_prepare_is_refused_at_the_first_call(
    pooled: Database, database: Database, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection)
    unsafe = create_async_engine(pooled.url)
    safe = create_async_engine(pooled.url, connect_args={"prepare_threshold": None})
    direct = create_async_engine(database.url)

    with pytest.raises(InvalidConfiguration, match="pooler") as refused:
        await NativeSessionManager(unsafe).acting_as("ada").archive_session(session_id)
    assert "prepare_threshold" in (refused.value.hint or "")
    with pytest.raises(InvalidConfiguration, match="pooler"):
        await NativeSessionManager(unsafe).list_sessions()
    assert places(connection, session_id) == (1, 3, 0, 0)
    for engine in (safe, direct):
        assert await NativeSessionManager(engine).archive_session(session_id)
    for engine in (unsafe, safe, direct):
        await engine.dispose()
