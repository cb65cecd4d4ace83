"""Undo: the manager's calls that bring back what a run has archived."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from aria_db import functions
from aria_db.results import Restorable
from aria_db.session_manager.runs import Limits, Progress, Runs


class Undo(Runs):
    """The manager's calls that undo a run."""

    async def count_restorable_sessions(self, run_id: int) -> Restorable:
        """Count what undoing a run would restore, and what it would leave; move nothing.

        :param run_id: a run of the kind ``prune`` or ``archive`` that has ended.
        :raises aria_db.errors.InvalidArgument: there is no such run, or it is of another kind.
        :raises aria_db.errors.WrongState: it is still running.
        """
        (row,) = await self._call(functions.count_restorable_sessions(run_id))
        return Restorable(*row)

    def undo_batches(self, run_id: int, *, limits: Limits = Limits()) -> AsyncGenerator[Progress]:
        """Restore what a run archived and nobody has touched since, a transaction per batch.

        Yields and ends as :meth:`~aria_db.session_manager.NativeSessionManager.prune_batches`
        does. It is a run of its own; where it was stopped, another one goes on.

        :param run_id: as :meth:`count_restorable_sessions`.
        :param limits: how much, and how fast. A session comes back together with the sessions of
            the run that it refers to, so that a batch may be larger.
        :raises aria_db.errors.InvalidArgument: as :meth:`count_restorable_sessions`.
        :raises aria_db.errors.WrongState: as :meth:`count_restorable_sessions`.
        :raises aria_db.errors.ColumnDrift: a column would be lost.
        :raises aria_db.errors.Retryable: a batch collided with other work every time.
        """
        return self._function_batches(
            "undo",
            {"run_id": run_id},
            lambda size, undo_run_id: functions.restore_run(run_id, size, undo_run_id, self._actor),
            limits,
        )
