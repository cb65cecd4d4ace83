"""Transactions of the manager: begin, commit, and this package's exceptions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from copy import copy
from typing import Self, TypeVarTuple

from sqlalchemy import Row, Select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker

from aria_db.errors import InvalidArgument, translated
from aria_db.poolers import refuse_prepared_statements

Columns = TypeVarTuple("Columns")


class Transactions:
    """What the methods of the manager run in.

    :param engine: an asynchronous engine whose connections find the tables, for
        example ``Database(url, schema).async_engine()``.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)
        self._autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._actor: str | None = None
        self._first_call = _FirstCall()

    def acting_as(self, actor: str | None) -> Self:
        """Return a manager on the same engine whose changes are on record as somebody's.

        The database role is recorded beside the actor. What the journal says is as true as
        what the caller says here.

        :param actor: who is on record; None for the setting ``aria_db.actor``, or else the
            database role, as in psql.
        :raises aria_db.errors.InvalidArgument: the name is empty or not printable.
        """
        if actor is not None and not (actor.strip() and actor.isprintable()):
            raise InvalidArgument(
                f"{actor!r} is not the name of an actor",
                sqlstate="22023",
                hint="Pass the name of the person or program on whose behalf this is done.",
            )
        manager = copy(self)
        manager._actor = actor
        return manager

    async def _call(
        self, statement: Select[*Columns], **parameters: object
    ) -> Sequence[Row[*Columns]]:
        """Call a function, in a transaction of its own; return its rows.

        PostgreSQL makes one of every statement: a BEGIN and a COMMIT would each cost another
        round trip, and a session of the ORM more than the archive of a short chat does.
        """
        with translated():
            async with self._autocommit.connect() as connection:
                await self._first_call.check(connection)
                return (await connection.execute(statement, parameters)).all()

    @asynccontextmanager
    async def _transaction(self, **options: object) -> AsyncIterator[AsyncSession]:
        with translated():
            async with self._sessions.begin() as session:
                await self._first_call.check(
                    await session.connection(execution_options=options or None)
                )
                yield session

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[AsyncSession]:
        """Begin a transaction whose statements all see the same moment."""
        async with self._transaction(isolation_level="REPEATABLE READ") as session:
            yield session


class _FirstCall:
    """Checks the engine once, for a manager and its copies that act as somebody else."""

    def __init__(self) -> None:
        self._is_checked = False

    async def check(self, connection: AsyncConnection) -> None:
        if not self._is_checked:
            await refuse_prepared_statements(connection)
            self._is_checked = True
