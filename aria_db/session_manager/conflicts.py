"""Conflicts: the manager's calls for sessions that are live and in the archive as well.

How a session came to be in both places is not known here, and which copy is right is for a
person to say. The SQL functions merge the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from aria_db import functions
from aria_db.models import EngineSessionConflict
from aria_db.results import Difference, Resolved
from aria_db.session_manager.places import PlaceName
from aria_db.session_manager.transactions import Transactions


class Conflicts(Transactions):
    """The manager's calls for sessions that are live and in the archive as well."""

    async def list_conflicts(self) -> Sequence[EngineSessionConflict]:
        """Return the sessions that are in both places, and how much of each is equal."""
        conflict = EngineSessionConflict
        async with self._transaction() as session:
            return (await session.scalars(select(conflict).order_by(conflict.session_id))).all()

    async def conflict_differences(self, session_id: UUID) -> list[Difference] | None:
        """Return what is not the same in both places of a session.

        :param session_id: the session.
        :return: the differences, of the session's own row first; empty if both places hold
            the same. None if the session is not in both.
        :raises aria_db.errors.ColumnDrift: the tables have not the same columns.
        """
        conflict = EngineSessionConflict.session_id
        async with self._snapshot() as session:
            found = await session.scalars(select(conflict).where(conflict == session_id))
            if found.one_or_none() is None:
                return None
            rows = await session.execute(functions.session_conflict_differences(session_id))
            return [Difference(*row) for row in rows]

    async def resolve_conflict(
        self, session_id: UUID, destination: PlaceName, keep: PlaceName | None = None
    ) -> Resolved | None:
        """Merge a session that is in both places into one. Safe to repeat.

        Messages that are in one place only are kept, and those that are equal in both are
        kept once.

        :param session_id: the session.
        :param destination: where it and all its messages are to be.
        :param keep: which row of the session to keep if the two differ. The other one goes to
            the table ``engine_conflict_resolution``.
        :return: what was done; None if there is no such session.
        :raises aria_db.errors.SessionConflict: a message differs, or the session's row does
            and ``keep`` is None; nothing was changed.
        :raises aria_db.errors.SessionHeld: the session is on hold, and was to be archived.
        :raises aria_db.errors.InvalidArgument: the session is in the other place alone.
        :raises aria_db.errors.ColumnDrift: a column would be lost.
        """
        statement = functions.resolve_session_conflict(session_id, destination, keep, self._actor)
        rows = await self._call(statement)
        return Resolved(*rows[0]) if rows else None
