"""The archive: the manager's calls that move sessions into it and back."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import Text, Uuid, bindparam

from aria_db import functions
from aria_db.results import Archived, Restored
from aria_db.session_manager.transactions import Transactions

# Built once: it takes a tenth of the time of archiving a short chat.
_ARCHIVE_SESSION = functions.archive_session(
    bindparam("session_id", type_=Uuid()), bindparam("actor", type_=Text())
)


class Archive(Transactions):
    """The manager's calls that archive and restore."""

    async def archive_session(self, session_id: UUID) -> Archived | None:
        """Archive a session with all its messages. Safe to repeat.

        :return: what was done, also if it was archived before; None if there is no
            such session.
        :raises aria_db.errors.SessionConflict: it is live and archived, with
            different rows; nothing was moved.
        :raises aria_db.errors.SessionHeld: it is on hold; nothing was moved.
        :raises aria_db.errors.ColumnDrift: a column would be lost; nothing was moved.
        """
        rows = await self._call(_ARCHIVE_SESSION, session_id=session_id, actor=self._actor)
        return Archived(*rows[0]) if rows else None

    async def archive_sessions(self, session_ids: Iterable[UUID]) -> list[Archived]:
        """Archive several sessions: all of them, or none and an exception.

        :return: what was done, for each session that exists.
        :raises aria_db.errors.SessionConflict: as :meth:`archive_session`.
        :raises aria_db.errors.SessionHeld: as :meth:`archive_session`.
        :raises aria_db.errors.ColumnDrift: as :meth:`archive_session`.
        """
        rows = await self._call(functions.archive_sessions(session_ids, actor=self._actor))
        return [Archived(*row) for row in rows]

    async def restore_session(self, session_id: UUID) -> Restored | None:
        """Bring an archived session and all its messages back. Safe to repeat.

        :return: what was done, also if it was live already; None if there is no such
            session.
        :raises aria_db.errors.SessionConflict: its id, or that of one of its
            messages, is live as well; nothing was moved.
        :raises aria_db.errors.ColumnDrift: a column would be lost; nothing was moved.
        """
        rows = await self._call(functions.restore_session(session_id, self._actor))
        return Restored(*rows[0]) if rows else None

    async def restore_sessions(self, session_ids: Iterable[UUID]) -> list[Restored]:
        """Bring several sessions back: all of them, or none and an exception.

        :return: what was done, for each session that exists.
        :raises aria_db.errors.SessionConflict: as :meth:`restore_session`.
        :raises aria_db.errors.ColumnDrift: as :meth:`restore_session`.
        """
        rows = await self._call(functions.restore_sessions(session_ids, actor=self._actor))
        return [Restored(*row) for row in rows]
