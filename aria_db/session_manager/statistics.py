"""Statistics: the manager's call that counts sessions and messages."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, exists, func, select

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
    :param active_agents: agents that have an active session.
    :param ghost_sessions: sessions of the main list without a message.
    :param oldest_session: when the oldest session of the main list was created; None without any.
    :param newest_activity: when one of them was last updated; None without any.
    """

    live_sessions: int
    soft_deleted_sessions: int
    archived_sessions: int
    live_messages: int
    archived_messages: int
    by_type: dict[str, int]
    by_status: dict[str, int]
    active_agents: int
    ghost_sessions: int
    oldest_session: datetime | None
    newest_activity: datetime | None

    @property
    def total_sessions(self) -> int:
        """``live_sessions``, as the application calls it."""
        return self.live_sessions

    @property
    def total_messages(self) -> int:
        """``live_messages``, as the application calls it."""
        return self.live_messages

    @property
    def active_sessions(self) -> int:
        """The sessions of the main list whose status is active."""
        return self.by_status.get("active", 0)


class Statistics(Transactions):
    """The manager's call for statistics."""

    async def get_stats(self) -> Stats:
        """Count sessions and messages, live and archived."""
        live = LIVE.session
        listed, message = LIVE.listed, LIVE.message

        def count(entity: type[Base]) -> Select[int]:
            return select(func.count()).select_from(entity)

        async with self._snapshot() as session:
            rows = await session.execute(
                select(live.session_type, live.status, func.count()).group_by(
                    live.session_type, live.status
                )
            )
            figures = await session.execute(
                select(
                    func.count(listed.agent_id.distinct()).filter(listed.status == "active"),
                    func.count().filter(~exists().where(message.session_id == listed.id)),
                    func.min(listed.created_at),
                    func.max(listed.updated_at),
                )
            )
            active_agents, ghost_sessions, oldest_session, newest_activity = figures.one()
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
            active_agents=active_agents,
            ghost_sessions=ghost_sessions,
            oldest_session=oldest_session,
            newest_activity=newest_activity,
        )
