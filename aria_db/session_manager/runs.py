"""Runs: the loop around the batches of bulk work, and the log of them.

The SQL functions decide which sessions move, and move them. This module adds a transaction per
batch, a row in the run log, and the rules that end a run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select

from aria_db import functions
from aria_db.errors import AriaError, DatabaseError, InvalidArgument, Retryable
from aria_db.models import EngineArchiveLeft, EngineArchiveRunList
from aria_db.session_manager.transactions import Transactions

# How long to wait before a batch that collided with other work is done again. Nothing of
# it was done, and what it collided with (a migration, a VACUUM FULL) may last a moment.
_PAUSES = (0.1, 0.4, 1.0, 2.0)


@dataclass(frozen=True)
class Limits:
    """How much a run may do, and how fast.

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
    :param left_behind: sessions that it had to leave where they are.
    :param stop_reason: why it has stopped; None while it goes on.
    :param run_id: its row in the run log.
    :param left: of bulk work by filters, why each session was left. None of other runs: a prune
        and an undo write that down, see :meth:`Runs.list_left`.
    :param zombies: of a prune of all types, how many zombies it ended before. None of other runs.
    """

    batches: int = 0
    sessions: int = 0
    messages: int = 0
    left_behind: int = 0
    stop_reason: str | None = None
    run_id: int | None = None
    left: Mapping[UUID, DatabaseError] | None = None
    zombies: int | None = None


class Runs(Transactions):
    """The manager's call that lists runs, and what its calls that are runs have in common."""

    async def list_runs(self, limit: int = 20) -> Sequence[EngineArchiveRunList]:
        """Return the last runs, newest first."""
        run = EngineArchiveRunList
        async with self._transaction() as session:
            return (await session.scalars(select(run).order_by(run.id.desc()).limit(limit))).all()

    async def list_left(self, limit: int = 100) -> Sequence[EngineArchiveLeft]:
        """Return sessions that the last prunes and undos had to leave, with why and what to do.

        :param limit: how many at most; the newest first.
        """
        left = EngineArchiveLeft
        async with self._transaction() as session:
            newest = select(left).order_by(left.at.desc(), left.session_id).limit(limit)
            return (await session.scalars(newest)).all()

    def _function_batches(
        self,
        kind: str,
        arguments: dict[str, Any],
        batch: Callable[[int, int], Select[*tuple[int, ...]]],
        limits: Limits,
    ) -> AsyncGenerator[Progress]:
        """Run batches that are one call of a function each."""
        return self._batches(
            kind, arguments, lambda size, run_id: self._batch(batch(size, run_id)), limits
        )

    async def _batches(
        self,
        kind: str,
        arguments: dict[str, Any],
        batch: Callable[[int, int], Awaitable[Sequence[int]]],
        limits: Limits,
        left: Mapping[UUID, DatabaseError] | None = None,
    ) -> AsyncGenerator[Progress]:
        """Run batches until there is a reason to stop; keep the row of the run log.

        :param batch: takes how many sessions it may move and the run's id; returns how many
            sessions and messages it moved, and how many more it had to leave.
        :param left: why each session was left, if the batches keep that.
        """
        started = time.monotonic()
        asked = {"batch_size": limits.batch_size, "max_runtime": as_text(limits.max_runtime)}
        asked["max_sessions"] = limits.max_sessions
        arguments = {key: value for key, value in (arguments | asked).items() if value is not None}
        ((run_id,),) = await self._call(functions.begin_archive_run(kind, arguments, self._actor))

        progress = Progress(run_id=run_id, left=left)
        stop_reason = error = None
        try:
            while stop_reason is None:
                size = limits.batch_size
                if limits.max_sessions is not None:
                    size = min(size, limits.max_sessions - progress.sessions)
                sessions, messages, *left_behind = await batch(size, run_id)
                progress = replace(
                    progress,
                    batches=progress.batches + bool(sessions),
                    sessions=progress.sessions + sessions,
                    messages=progress.messages + messages,
                    # Each batch counts others: what a run leaves it does not try again.
                    left_behind=progress.left_behind + sum(left_behind),
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
            # Also when the caller leaves: what the batches committed stays, and is logged.
            await self._call(
                functions.finish_archive_run(run_id, stop_reason or "interrupted", error)
            )
        yield replace(progress, stop_reason=stop_reason)

    async def _batch(self, batch: Select[*tuple[int, ...]]) -> Sequence[int]:
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


def _is_over(started: float, max_runtime: timedelta | None) -> bool:
    return max_runtime is not None and time.monotonic() - started >= max_runtime.total_seconds()


def as_text(age: timedelta | None) -> str | None:
    """Return an age as the arguments of a run have it."""
    return None if age is None else str(age)
