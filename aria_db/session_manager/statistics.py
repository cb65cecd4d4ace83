"""Statistics: the manager's call that counts sessions and messages."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import Select, func, select

from aria_db.models import Base
from aria_db.session_manager.places import ARCHIVE, LIVE
from aria_db.session_manager.sessions import SOFT_DELETED
from aria_db.session_manager.transactions import Transactions


@dataclass(frozen=True)
class Stats:
    """How much there is, counted in one snapshot.

    :param live_sessions: sessions of the main list.
    :param soft_deleted_sessions: live ones that the application soft-deleted.
    :param archived_sessions: sessions in the archive.
    :param live_messages: messages of all live sessions, the soft-deleted included.
    :param archived_messages: messages in the archive.
    :param by_type: sessions of the main list, per session_type.
    :param by_status: all live sessions, per status.
    """

    live_sessions: int
    soft_deleted_sessions: int
    archived_sessions: int
    live_messages: int
    archived_messages: int
    by_type: dict[str, int]
    by_status: dict[str, int]


class Statistics(Transactions):
    """The manager's call for statistics."""

    async def get_stats(self) -> Stats:
        """Count sessions and messages, live and archived."""
        live = LIVE.session

        def count(entity: type[Base]) -> Select[int]:
            return select(func.count()).select_from(entity)

        async with self._snapshot() as session:
            rows = await session.execute(
                select(live.session_type, live.status, func.count()).group_by(
                    live.session_type, live.status
                )
            )
            archived_sessions = await session.scalar(count(ARCHIVE.session))
            live_messages = await session.scalar(count(LIVE.message))
            archived_messages = await session.scalar(count(ARCHIVE.message))
        by_type: Counter[str] = Counter()
        by_status: Counter[str] = Counter()
        for session_type, status, sessions in rows:
            by_status[status] += sessions
            if status != SOFT_DELETED:
                by_type[session_type] += sessions
        return Stats(
            live_sessions=by_type.total(),
            soft_deleted_sessions=by_status[SOFT_DELETED],
            archived_sessions=archived_sessions or 0,
            live_messages=live_messages or 0,
            archived_messages=archived_messages or 0,
            by_type=dict(by_type),
            by_status=dict(by_status),
        )
