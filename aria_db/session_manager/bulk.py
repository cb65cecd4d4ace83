"""Bulk: the manager's calls that archive or restore every session that filters find."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from aria_db import functions
from aria_db.errors import (
    DatabaseError,
    DependentRows,
    Retryable,
    RowRefused,
    RowsChanged,
    SessionConflict,
    SessionHeld,
)
from aria_db.session_manager.lists import SessionFilters, conditions
from aria_db.session_manager.places import ARCHIVE, LIVE, AnyPlace
from aria_db.session_manager.runs import Limits, Progress, Runs

# A session in use is left rather than waited for, as by a prune.
_LOCK_TIMEOUT = select(func.set_config("lock_timeout", "100ms", True))

# What keeps a session where it is, and stops no other.
_REASONS = (DependentRows, Retryable, RowRefused, RowsChanged, SessionConflict, SessionHeld)

# How many messages end a batch, as in a prune.
_ENOUGH_MESSAGES = 5000

# archive_sessions() or restore_sessions() of aria_db.functions
Move = Callable[[Iterable[UUID], int, str | None], Any]


class _Changed(Exception):
    """A session has changed since it was picked: undo the batch."""


@dataclass(frozen=True)
class Matching:
    """How much a list holds.

    :param sessions: its sessions.
    :param messages: their messages.
    """

    sessions: int
    messages: int


class Bulk(Runs):
    """The manager's calls that move all sessions of a list."""

    async def count_sessions(self, filters: SessionFilters) -> Matching:
        """Count what :meth:`archive_batches` would archive, as far as nothing forbids it.

        :param filters: which live sessions.
        """
        return await self._count(LIVE, filters)

    async def count_archived_sessions(self, filters: SessionFilters) -> Matching:
        """Count what :meth:`restore_batches` would restore, as far as nothing forbids it.

        :param filters: which archived sessions.
        """
        return await self._count(ARCHIVE, filters)

    def archive_batches(
        self, filters: SessionFilters, *, limits: Limits = Limits()
    ) -> AsyncGenerator[Progress]:
        """Archive every session of the main list that filters find, a transaction per batch.

        Yields and ends as :meth:`~aria_db.session_manager.NativeSessionManager.prune_batches`
        does. Sessions that cannot be archived, and sessions in use, stay where they are;
        ``left`` of the progress says why.

        :param filters: which ones. A session that no longer matches when it is locked stays.
        :param limits: how much, and how fast.
        :raises aria_db.errors.ColumnDrift: a column would be lost.
        """
        return self._moved(LIVE, filters, "archive", functions.archive_sessions, limits)

    def restore_batches(
        self, filters: SessionFilters, *, limits: Limits = Limits()
    ) -> AsyncGenerator[Progress]:
        """Restore every archived session that filters find, a transaction per batch.

        Yields and ends as :meth:`archive_batches` does.

        :param filters: which ones.
        :param limits: how much, and how fast.
        :raises aria_db.errors.ColumnDrift: a column would be lost.
        """
        return self._moved(ARCHIVE, filters, "restore", functions.restore_sessions, limits)

    async def _count(self, place: AnyPlace, filters: SessionFilters) -> Matching:
        listed, message = place.listed, place.message
        async with self._snapshot() as session:
            found = select(listed.id).where(*conditions(place.listing, filters)).cte()
            counted = await session.execute(
                select(
                    select(func.count()).select_from(found).scalar_subquery(),
                    select(func.count())
                    .where(message.session_id.in_(select(found.c.id)))
                    .scalar_subquery(),
                )
            )
            return Matching(*counted.one())

    def _moved(
        self, place: AnyPlace, filters: SessionFilters, kind: str, move: Move, limits: Limits
    ) -> AsyncGenerator[Progress]:
        sweep = _Sweep(self, place, filters, move)
        arguments = {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in asdict(filters).items()
            if value not in (None, "", ())
        }
        return self._batches(kind, arguments, sweep.batch, limits, sweep.left)


@dataclass
class _Sweep:
    """One way through the sessions of a list, in the order of their ids."""

    manager: Bulk
    place: AnyPlace
    filters: SessionFilters
    move: Move
    after: UUID | None = None
    # what stays where it is, and why
    left: dict[UUID, DatabaseError] = field(default_factory=dict)

    async def batch(self, size: int, run_id: int) -> tuple[int, int, int]:
        """Move the next sessions; return how many, their messages, and how many more are left."""
        left_before = len(self.left)
        while picked := await self._next(size):
            try:
                moved = await self._move(picked, run_id)
            except (_Changed, *_REASONS):
                moved = await self._one_by_one(picked, run_id)
            if moved:
                break
        else:
            # A session moves after those that refer to it, or that it refers to.
            moved = await self._one_by_one(list(self.left), run_id, most=size)
        messages = sum(row.message_count for row in moved)
        return len(moved), messages, len(self.left) - left_before

    async def _next(self, size: int) -> list[UUID]:
        listed = self.place.listed
        query = select(listed.id, func.coalesce(listed.message_count, 0)).where(
            *conditions(self.place.listing, self.filters)
        )
        if self.after is not None:
            query = query.where(listed.id > self.after)
        picked: list[UUID] = []
        messages = 0
        for session_id, count in await self.manager._call(query.order_by(listed.id).limit(size)):
            picked.append(session_id)
            messages += count
            if messages >= _ENOUGH_MESSAGES:
                break
        if picked:
            self.after = picked[-1]
        return picked

    async def _move(self, ids: Sequence[UUID], run_id: int) -> list[Row[Any]]:
        async with self.manager._transaction() as session:
            await session.execute(_LOCK_TIMEOUT)
            statement = self.move(ids, run_id, self.manager._actor)
            rows: Sequence[Row[Any]] = (await session.execute(statement)).all()
            # newly_archived or newly_restored: others may have moved some meanwhile.
            moved = [row for row in rows if tuple(row)[3]]
            if self.place is LIVE and await self._has_changed(session, moved):
                raise _Changed
        return moved

    async def _has_changed(self, session: AsyncSession, moved: Sequence[Row[Any]]) -> bool:
        """Return whether a session no longer matched when the move had locked it.

        Its row in the archive is what the move deleted.
        """
        archived = ARCHIVE.listed
        matching = select(func.count()).where(
            archived.id.in_([row.id for row in moved]), *conditions(ARCHIVE.listing, self.filters)
        )
        return await session.scalar(matching) != len(moved)

    async def _one_by_one(
        self, ids: Sequence[UUID], run_id: int, most: int | None = None
    ) -> list[Row[Any]]:
        moved: list[Row[Any]] = []
        for session_id in ids:
            if len(moved) == most:
                break
            try:
                moved += await self._move([session_id], run_id)
                self.left.pop(session_id, None)
            except _Changed:
                # The filters do not find it any more.
                self.left.pop(session_id, None)
            except _REASONS as reason:
                self.left[session_id] = reason
        return moved
