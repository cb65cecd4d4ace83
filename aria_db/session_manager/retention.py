"""Retention: the manager's calls that prune, purge, and clear away what nobody uses."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from typing import TypedDict

from aria_db import functions
from aria_db.errors import InvalidArgument
from aria_db.results import Prunable, Purgeable
from aria_db.session_manager.runs import Limits, Progress, Runs, as_text


class PruneResult(TypedDict):
    """What :meth:`Retention.prune_old_sessions` did, or would do."""

    pruned_count: int
    archived_count: int
    message_count: int
    zombies_closed: int
    dry_run: bool


class Retention(Runs):
    """The manager's calls that archive what is due, and delete what is empty or no policy keeps."""

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

    async def prune_batches(
        self,
        *,
        older_than: timedelta | None = None,
        session_type: str | None = None,
        limits: Limits = Limits(),
    ) -> AsyncGenerator[Progress]:
        """Archive what is soft-deleted or old, a transaction per batch.

        Unless it is for one type, it first ends the zombies, see :meth:`end_zombie_sessions`.
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
        zombies: int | None = None

        async def batch(size: int, run_id: int) -> Sequence[int]:
            nonlocal zombies
            if session_type is None and zombies is None:
                zombies = await self.end_zombie_sessions()
            return await self._batch(
                functions.prune_sessions(older_than, session_type, size, run_id, self._actor)
            )

        arguments = {"older_than": as_text(older_than), "session_type": session_type}
        async with aclosing(self._batches("prune", arguments, batch, limits)) as batches:
            async for progress in batches:
                yield replace(progress, zombies=zombies)

    async def prune_old_sessions(
        self, days: int = 30, dry_run: bool = False, session_type: str | None = None
    ) -> PruneResult:
        """Archive all sessions whose last update is older, and the soft-deleted ones.

        Before that, it ends the zombies, unless it is for one type.

        :param days: how many days ago the last update must be.
        :param dry_run: count, and move nothing.
        :param session_type: only sessions of this type; None for all.
        :return: ``pruned_count`` sessions were archived (would be, in a dry run), with
            ``message_count`` messages; ``archived_count`` is the number of sessions that
            are now in the archive because of this call: 0 in a dry run.
        :raises aria_db.errors.InvalidArgument: ``days`` is below 1 or absurd, or the type is
            unknown.
        """
        try:
            older_than = timedelta(days=days)
        except OverflowError:
            raise InvalidArgument(f"days is {days}, which is no age of a session") from None
        zombies: int | None = None
        if dry_run:
            counts = await self.count_prunable_sessions(
                older_than=older_than, session_type=session_type
            )
            sessions = sum(count.sessions for count in counts)
            messages = sum(count.messages for count in counts)
            if session_type is None:
                zombies = await self.count_zombie_sessions()
        else:
            pruned = self.prune_batches(older_than=older_than, session_type=session_type)
            async with aclosing(pruned) as batches:
                async for progress in batches:
                    sessions, messages = progress.sessions, progress.messages
                    zombies = progress.zombies
        return PruneResult(
            pruned_count=sessions,
            archived_count=0 if dry_run else sessions,
            message_count=messages,
            zombies_closed=zombies or 0,
            dry_run=dry_run,
        )

    async def count_zombie_sessions(self) -> int:
        """Count what :meth:`end_zombie_sessions` would end; end nothing."""
        ((zombies,),) = await self._call(functions.count_zombie_sessions())
        return zombies

    async def end_zombie_sessions(self) -> int:
        """End the zombies: active sessions of the types scoped and cron whose job is gone.

        They are last updated two hours ago or earlier, and stay last updated then.

        :return: how many it ended. Sessions in use are left for a later call.
        """
        zombies = 0
        while True:
            (ended,) = await self._batch(functions.end_zombie_sessions())
            if ended == 0:
                return zombies
            zombies += ended

    async def count_empty_sessions(self, older_than: timedelta) -> int:
        """Count what :meth:`delete_empty_batches` would delete; delete nothing.

        :param older_than: as :meth:`delete_empty_batches`.
        :raises aria_db.errors.InvalidArgument: as :meth:`delete_empty_batches`.
        """
        ((sessions,),) = await self._call(functions.count_empty_sessions(older_than))
        return sessions

    def delete_empty_batches(
        self, older_than: timedelta, *, limits: Limits = Limits()
    ) -> AsyncGenerator[Progress]:
        """Delete for good the live sessions without a message, a transaction per batch.

        Yields and ends as :meth:`prune_batches` does. Sessions in use, held, soft-deleted, in the
        archive as well, or that rows of other tables refer to, stay.

        :param older_than: how long ago the last update, or the last restore, must be.
        :param limits: how much, and how fast.
        :raises aria_db.errors.InvalidArgument: ``older_than`` is out of range.
        """

        async def batch(size: int, run_id: int) -> tuple[int, int, int]:
            statement = functions.delete_empty_sessions(older_than, size, run_id, self._actor)
            sessions, left_behind = await self._batch(statement)
            return sessions, 0, left_behind

        return self._batches("empty", {"older_than": as_text(older_than)}, batch, limits)

    async def delete_empty_sessions(self, older_than: timedelta) -> int:
        """Delete all of them; else as :meth:`delete_empty_batches`.

        :param older_than: as :meth:`delete_empty_batches`.
        :return: how many.
        :raises aria_db.errors.InvalidArgument: as :meth:`delete_empty_batches`.
        """
        async with aclosing(self.delete_empty_batches(older_than)) as batches:
            async for progress in batches:
                sessions = progress.sessions
        return sessions

    async def count_purgeable_sessions(self, *, session_type: str | None = None) -> list[Purgeable]:
        """Count what a purge would delete, and what waits behind a hold; delete nothing.

        :param session_type: as :meth:`purge_batches`.
        :raises aria_db.errors.InvalidArgument: as :meth:`purge_batches`.
        """
        rows = await self._call(functions.count_purgeable_sessions(session_type))
        return [Purgeable(*row) for row in rows]

    def purge_batches(
        self, *, session_type: str | None = None, limits: Limits = Limits()
    ) -> AsyncGenerator[Progress]:
        """Delete for good what the policies no longer keep, a transaction per batch.

        Yields and ends as :meth:`prune_batches` does.

        :param session_type: only sessions of this type; None for all.
        :param limits: how much, and how fast.
        :raises aria_db.errors.InvalidArgument: the type is unknown.
        """
        return self._function_batches(
            "purge",
            {"session_type": session_type},
            lambda size, run_id: functions.purge_archive(session_type, size, run_id, self._actor),
            limits,
        )
