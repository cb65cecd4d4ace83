"""The manager on either asynchronous driver: each test runs on both."""

from collections.abc import AsyncIterator
from importlib.util import find_spec

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from aria_db.database import Database, for_schema

DRIVERS = [
    "psycopg",
    pytest.param(
        "asyncpg",
        marks=pytest.mark.skipif(find_spec("asyncpg") is None, reason="asyncpg is not installed"),
    ),
]


@pytest.fixture(params=DRIVERS)
async def async_engine(
    request: pytest.FixtureRequest, database: Database
) -> AsyncIterator[AsyncEngine]:
    """An engine of ours, or one with asyncpg as an application makes it."""
    if request.param == "psycopg":
        engine = database.async_engine()
    else:
        engine = create_async_engine(database.url.set(drivername="postgresql+asyncpg"))
        if database.schema is not None:
            engine = for_schema(engine, database.schema)
    yield engine
    await engine.dispose()
