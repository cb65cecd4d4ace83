"""Transactions of the manager: begin, commit, and this package's exceptions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from aria_db.errors import translated


class Transactions:
    """What the methods of the manager run in.

    :param engine: an asynchronous engine whose connections find the tables, for
        example ``Database(url, schema).async_engine()``.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncSession]:
        with translated():
            async with self._sessions.begin() as session:
                yield session

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[AsyncSession]:
        """Begin a transaction whose statements all see the same moment."""
        async with self._transaction() as session:
            await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            yield session
