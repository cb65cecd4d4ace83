"""Retention: the manager's calls that prune and purge."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
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
    dry_run: bool


class Retention(Runs):
    """The manager's calls that archive what is due, and delete what no policy keeps."""

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
        return self._function_batches(
            "prune",
            {"older_than": as_text(older_than), "session_type": session_type},
            lambda size, run_id: functions.prune_sessions(
                older_than, session_type, size, run_id, self._actor
            ),
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
