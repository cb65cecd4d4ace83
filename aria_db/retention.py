"""Retention: the manager's calls for policies, holds, the prune and the purge.

Which sessions move, and moving them, is the business of the SQL functions. What is here
is the loop around a batch: a transaction each, a row in the run log, and when to stop.
"""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypedDict
from uuid import UUID

from sqlalchemy import Row, Select, delete, select
from sqlalchemy.dialects.postgresql import insert

from aria_db import functions
from aria_db.errors import AriaError, InvalidArgument, Retryable
from aria_db.models import (
    EngineArchiveHealth,
    EngineArchivePolicy,
    EngineArchiveRunList,
)
from aria_db.transactions import Transactions

ALL_TYPES = "*"
"""The session_type of the policy for every type that has none of its own."""

LONGEST_AGE = timedelta(days=365_000)
"""No age in a policy may be longer; the functions say the same."""

# How long to wait before a batch that collided with other work is done again. Nothing of
# it was done, and what it collided with (a migration, a VACUUM FULL) may last a moment.
_PAUSES = (0.1, 0.4, 1.0, 2.0)


class Keep(enum.Enum):
    """What stands for a value of a policy that is to stay as it is."""

    KEEP = enum.auto()


KEEP = Keep.KEEP
"""The value stays as it is."""


@dataclass(frozen=True)
class Limits:
    """How much a prune or a purge may do, and how fast.

    :param batch_size: how many sessions one transaction may move.
    :param max_runtime: after how long no further batch begins; None for no limit.
    :param max_sessions: how many sessions at most; None for no limit.
    :param sleep: how long to rest between two batches.
    :raises InvalidArgument: one of them is out of its range.
    """

    batch_size: int = 500
    max_runtime: timedelta | None = None
    max_sessions: int | None = None
    sleep: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        if not 1 <= self.batch_size < 2**31:
            raise InvalidArgument(
                f"batch_size is {self.batch_size}, and must be from 1 to {2**31 - 1}"
            )
        if self.max_runtime is not None and self.max_runtime <= timedelta(0):
            raise InvalidArgument(f"max_runtime is {self.max_runtime}, and must be more than zero")
        if self.max_sessions is not None and self.max_sessions < 1:
            raise InvalidArgument(f"max_sessions is {self.max_sessions}, and must be at least 1")
        if self.sleep < timedelta(0):
            raise InvalidArgument(f"sleep is {self.sleep}, and must not be negative")


@dataclass(frozen=True)
class Progress:
    """How far a run has come.

    :param batches: batches that were committed.
    :param sessions: sessions that they moved, or deleted.
    :param messages: messages that they moved, or deleted.
    :param left_behind: sessions that a prune had to leave where they are.
    :param stop_reason: why it has stopped; None while it goes on.
    """

    batches: int = 0
    sessions: int = 0
    messages: int = 0
    left_behind: int = 0
    stop_reason: str | None = None


@dataclass(frozen=True)
class Prunable:
    """What a prune would do for one session type.

    :param of_type: the session type.
    :param sessions: sessions that it would archive.
    :param messages: their messages.
    :param held: sessions that are due and on hold.
    :param conflicting: sessions that are due and in the archive as well.
    """

    of_type: str
    sessions: int
    messages: int
    held: int
    conflicting: int


@dataclass(frozen=True)
class Hold:
    """Why a session must stay where it is.

    :param id: the session.
    :param reason: why.
    :param placed_by: who placed the hold first.
    :param placed_at: when.
    """

    id: UUID
    reason: str
    placed_by: str
    placed_at: datetime


class PruneResult(TypedDict):
    """What :meth:`Retention.prune_old_sessions` did, or would do."""

    pruned_count: int
    archived_count: int
    message_count: int
    dry_run: bool


class Retention(Transactions):
    """The manager's calls for policies, holds, the prune and the purge."""

    # The prune

    async def count_prunable_sessions(
        self, *, older_than: timedelta | None = None, session_type: str | None = None
    ) -> list[Prunable]:
        """Count what a prune would archive, and what waits; move nothing.

        :param older_than: as :meth:`prune_batches`.
        :param session_type: as :meth:`prune_batches`.
        :raises aria_db.errors.InvalidArgument: as :meth:`prune_batches`.
        """
        rows = await self._call(functions.count_prunable_sessions(older_than, session_type))
        return [Prunable(*row) for row in rows]

    def prune_batches(
        self,
        *,
        older_than: timedelta | None = None,
        session_type: str | None = None,
        limits: Limits = Limits(),
    ) -> AsyncGenerator[Progress]:
        """Archive what is soft-deleted or old, a transaction per batch.

        Yields after each batch; the last one says why it stopped. Leaving the iterator
        early (``break`` within :func:`contextlib.aclosing`) ends the run after the
        current batch. Several runs at once share the work. A batch that collides with
        other work is tried again a few times.

        :param older_than: how long ago the last update, or the last restore, must be; None
            for what the policy of the session's type says.
        :param session_type: only sessions of this type; None for all.
        :param limits: how much, and how fast.
        :raises aria_db.errors.InvalidArgument: ``older_than`` is out of range, the type
            is unknown, or no policy says an age.
        :raises aria_db.errors.ColumnDrift: a column would be lost.
        :raises aria_db.errors.Retryable: a batch collided with other work every time.
        """
        return self._batches(
            "prune",
            {"older_than": _text(older_than), "session_type": session_type},
            lambda size, run_id: functions.prune_sessions(older_than, session_type, size, run_id),
            limits,
        )

    async def prune_old_sessions(self, days: int = 30, dry_run: bool = False) -> PruneResult:
        """Archive all sessions whose last update is older, and the soft-deleted ones.

        :param days: how many days ago the last update must be.
        :param dry_run: count, and move nothing.
        :return: ``pruned_count`` sessions were archived (would be, in a dry run), with
            ``message_count`` messages; ``archived_count`` is the number of sessions that
            are now in the archive because of this call: 0 in a dry run.
        :raises aria_db.errors.InvalidArgument: ``days`` is below 1 or absurd.
        """
        try:
            older_than = timedelta(days=days)
        except OverflowError:
            raise InvalidArgument(f"days is {days}, which is no age of a session") from None
        if dry_run:
            counts = await self.count_prunable_sessions(older_than=older_than)
            sessions = sum(count.sessions for count in counts)
            messages = sum(count.messages for count in counts)
        else:
            async with aclosing(self.prune_batches(older_than=older_than)) as batches:
                async for progress in batches:
                    sessions, messages = progress.sessions, progress.messages
        return PruneResult(
            pruned_count=sessions,
            archived_count=0 if dry_run else sessions,
            message_count=messages,
            dry_run=dry_run,
        )

    # The purge

    def purge_batches(
        self, *, session_type: str | None = None, limits: Limits = Limits()
    ) -> AsyncGenerator[Progress]:
        """Delete for good what the policies no longer keep, a transaction per batch.

        Yields and ends as :meth:`prune_batches` does.

        :param session_type: only sessions of this type; None for all.
        :param limits: how much, and how fast.
        :raises aria_db.errors.InvalidArgument: the type is unknown.
        """
        return self._batches(
            "purge",
            {"session_type": session_type},
            lambda size, run_id: functions.purge_archive(session_type, size, run_id),
            limits,
        )

    async def _batches(
        self,
        kind: str,
        arguments: dict[str, Any],
        batch: Callable[[int, int], Select[*tuple[int, ...]]],
        limits: Limits,
    ) -> AsyncGenerator[Progress]:
        """Run batches until there is a reason to stop; keep the row of the run log."""
        started = time.monotonic()
        asked = {"batch_size": limits.batch_size, "max_runtime": _text(limits.max_runtime)}
        asked["max_sessions"] = limits.max_sessions
        arguments = {key: value for key, value in (arguments | asked).items() if value is not None}
        ((run_id,),) = await self._call(functions.begin_archive_run(kind, arguments))

        progress = Progress()
        stop_reason = error = None
        try:
            while stop_reason is None:
                size = limits.batch_size
                if limits.max_sessions is not None:
                    size = min(size, limits.max_sessions - progress.sessions)
                sessions, messages, *left_behind = await self._batch(batch(size, run_id))
                progress = Progress(
                    progress.batches + bool(sessions),
                    progress.sessions + sessions,
                    progress.messages + messages,
                    # Each batch meets those again that were left by the one before.
                    max(progress.left_behind, *left_behind, 0),
                )
                if sessions == 0:
                    stop_reason = "nothing left"
                    break
                if progress.sessions == limits.max_sessions:
                    stop_reason = "max_sessions"
                    break
                if not _is_over(started, limits.max_runtime):
                    yield progress
                    await asyncio.sleep(limits.sleep.total_seconds())
                # Also when the rest, or what the caller did, took the time that was left.
                if _is_over(started, limits.max_runtime):
                    stop_reason = "max_runtime"
        except AriaError as failure:
            stop_reason, error = "failed", failure.message
            raise
        finally:
            # Also when the caller leaves: what the batches committed stands, and is logged.
            await self._call(
                functions.finish_archive_run(run_id, stop_reason or "interrupted", error)
            )
        yield replace(progress, stop_reason=stop_reason)

    async def _batch(self, batch: Select[*tuple[int, ...]]) -> Row[*tuple[int, ...]]:
        """Do one batch, again where it collides; return its figures."""
        for pause in (*_PAUSES, None):
            try:
                (figures,) = await self._call(batch)
                return figures
            except Retryable:
                if pause is None:
                    raise
                await asyncio.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    # Holds

    async def place_hold(self, session_id: UUID, reason: str) -> Hold | None:
        """Keep a session, live or archived, where it is. Restoring it stays possible.

        :param session_id: the session.
        :param reason: why; replaces the reason of a hold that is there.
        :return: the hold; None if there is no such session.
        :raises aria_db.errors.InvalidArgument: the reason is empty.
        """
        rows = await self._call(functions.place_hold(session_id, reason))
        return Hold(*rows[0]) if rows else None

    async def release_hold(self, session_id: UUID) -> bool:
        """End the hold on a session.

        :return: whether there was one.
        """
        ((was_held,),) = await self._call(functions.release_hold(session_id))
        return was_held

    # Policies

    async def list_policies(self) -> Sequence[EngineArchivePolicy]:
        """Return the policies, that for all other types (``*``) first."""
        async with self._transaction() as session:
            policies = select(EngineArchivePolicy).order_by(EngineArchivePolicy.session_type)
            return (await session.scalars(policies)).all()

    async def set_policy(
        self,
        session_type: str,
        *,
        archive_after: timedelta | Keep | None = KEEP,
        purge_after: timedelta | Keep | None = KEEP,
        enabled: bool | Keep = KEEP,
    ) -> EngineArchivePolicy:
        """Set the policy of a session type, whether it has one or not.

        What is left out stays as it is; a type that has no policy yet begins with what
        held for it until now, the policy of all other types.

        :param session_type: the type, or :data:`ALL_TYPES`.
        :param archive_after: how long ago the last update of a session must be for the
            prune to archive it; None for never.
        :param purge_after: how long ago a session must have been archived for the purge to
            delete it; None for never.
        :param enabled: whether prune and purge follow it.
        :return: the policy.
        :raises aria_db.errors.InvalidArgument: an age is not above zero.
        """
        for name, age in (("archive_after", archive_after), ("purge_after", purge_after)):
            if isinstance(age, timedelta) and not timedelta(0) < age <= LONGEST_AGE:
                raise InvalidArgument(
                    f"{name} is {age}, and must be more than zero"
                    f" and at most {LONGEST_AGE.days} days"
                )
        values = {"archive_after": archive_after, "purge_after": purge_after, "enabled": enabled}
        given = {name: value for name, value in values.items() if value is not KEEP}
        policy = EngineArchivePolicy
        default = select(policy.archive_after, policy.purge_after, policy.enabled).where(
            policy.session_type == ALL_TYPES
        )
        async with self._transaction() as session:
            row = (await session.execute(default)).mappings().one_or_none()
            inherited = {} if row is None else dict(row)
            statement = (
                insert(policy)
                .values(session_type=session_type, **{**inherited, **given})
                .on_conflict_do_update(
                    index_elements=["session_type"],
                    # Something, so that there is a row to return.
                    set_=given or {"session_type": session_type},
                )
                .returning(policy)
            )
            return (await session.scalars(statement)).one()

    async def unset_policy(self, session_type: str) -> bool:
        """Remove the policy of a session type; that of all other types holds for it then.

        :return: whether there was one.
        """
        policy = EngineArchivePolicy
        statement = (
            delete(policy).where(policy.session_type == session_type).returning(policy.session_type)
        )
        async with self._transaction() as session:
            return (await session.scalars(statement)).one_or_none() is not None

    # Looking

    async def list_runs(self, limit: int = 20) -> Sequence[EngineArchiveRunList]:
        """Return the last runs of the prune and the purge, newest first."""
        run = EngineArchiveRunList
        async with self._transaction() as session:
            return (await session.scalars(select(run).order_by(run.id.desc()).limit(limit))).all()

    async def check_health(self) -> Sequence[EngineArchiveHealth]:
        """Return the figures that an operator watches; those that are not ok first."""
        figure = EngineArchiveHealth
        async with self._snapshot() as session:
            figures = select(figure).order_by(figure.is_ok, figure.figure, figure.subject)
            return (await session.scalars(figures)).all()


def _text(age: timedelta | None) -> str | None:
    return None if age is None else str(age)


def _is_over(started: float, max_runtime: timedelta | None) -> bool:
    return max_runtime is not None and time.monotonic() - started >= max_runtime.total_seconds()
