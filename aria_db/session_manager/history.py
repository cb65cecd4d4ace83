"""History: the manager's call that tells what has happened to a session."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from aria_db import functions
from aria_db.models import EngineChatSessionAll
from aria_db.results import HistoryEvent
from aria_db.session_manager.transactions import Transactions


class History(Transactions):
    """The manager's call that reads the journal."""

    async def get_history(self, session_id: UUID) -> list[HistoryEvent] | None:
        """Return what has happened to a session, oldest first; also to one that is gone.

        :param session_id: the session.
        :return: its events; an empty list for a session of which nothing is on record; None if
            there is no such session and none is on record.
        """
        events = [
            HistoryEvent(*row) for row in await self._call(functions.archive_history(session_id))
        ]
        if events:
            return events
        session = EngineChatSessionAll
        found = await self._call(select(session.id).where(session.id == session_id))
        return [] if found else None
