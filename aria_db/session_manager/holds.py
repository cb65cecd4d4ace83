"""Holds: the manager's calls that keep a session where it is."""

from __future__ import annotations

from uuid import UUID

from aria_db import functions
from aria_db.results import Hold
from aria_db.session_manager.transactions import Transactions


class Holds(Transactions):
    """The manager's calls for holds."""

    async def place_hold(self, session_id: UUID, reason: str) -> Hold | None:
        """Keep a session, live or archived, where it is. Restoring it stays possible.

        :param session_id: the session.
        :param reason: why; replaces the reason of a hold that is there.
        :return: the hold; None if there is no such session.
        :raises aria_db.errors.InvalidArgument: the reason is empty.
        """
        rows = await self._call(functions.place_hold(session_id, reason, self._actor))
        return Hold(*rows[0]) if rows else None

    async def release_hold(self, session_id: UUID) -> bool:
        """End the hold on a session.

        :return: whether there was one.
        """
        ((was_held,),) = await self._call(functions.release_hold(session_id, self._actor))
        return was_held
