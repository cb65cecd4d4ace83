"""A drop-in for Aria's own session manager, over :class:`aria_db.session_manager`.

The methods have the names, arguments, results and errors that Aria's callers know: ids are text,
results are dicts, and times in them are ISO 8601 text. So one import changes in Aria, and every
caller archives through the functions in the database::

    from aria_db.contrib.aria import NativeSessionManager

    sessions = NativeSessionManager(db_engine)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from aria_db import session_manager
from aria_db.errors import AriaError, InvalidArgument
from aria_db.install.schemas import for_installed_schema
from aria_db.models import (
    EngineChatMessage,
    EngineChatSession,
    EngineChatSessionArchiveList,
    EngineChatSessionList,
)
from aria_db.session_manager import (
    LONGEST_AGE,
    NewMessage,
    NewSession,
    SessionChanges,
    SessionFilters,
)

Found = TypeVar("Found")

_SORT_KEYS = ("created_at", "updated_at", "title")


class EngineError(AriaError):
    """The engine cannot do it: there is no such session."""


class NativeSessionManager:
    """Aria's session manager.

    It uses the schema that ``ARIA_DB_SCHEMA`` names, or else the only one in which aria-db is
    installed; it looks for that one at the first call. An id that is no UUID is one that does not
    exist. What PostgreSQL refuses raises the exceptions of :mod:`aria_db.errors`: a session on hold
    is :class:`~aria_db.errors.SessionHeld`, for example.

    :param db_engine: Aria's asynchronous engine; it stays Aria's to dispose of.
    """

    engine_error: type[Exception] = EngineError
    """What :meth:`add_message` raises; a subclass may name Aria's own class."""

    def __init__(self, db_engine: AsyncEngine) -> None:
        self._db = db_engine
        self._found: session_manager.NativeSessionManager | None = None

    async def create_session(
        self,
        agent_id: str = "main",
        title: str | None = None,
        session_type: str = "chat",
        metadata: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Create a live session.

        :param agent_id: the agent it talks with, at most 100 characters.
        :param title: at most 500 characters.
        :param session_type: at most 50 characters.
        :param metadata: anything else that JSON can hold.
        :return: ``session_id, title, agent_id, session_type, created_at, message_count``.
        """
        manager = await self._manager()
        session = await manager.create_session(
            NewSession(agent_id=agent_id, title=title, session_type=session_type, metadata=metadata)
        )
        names = ("session_id", "title", "agent_id", "session_type", "created_at", "message_count")
        found = _session(session)
        return {name: found[name] for name in names}

    async def get_session(self, session_id: str) -> dict[str, Any] | None:
        """Return a live session.

        :param session_id: its id.
        :return: ``session_id, title, agent_id, session_type, model, status, metadata,
            message_count, created_at, updated_at, last_message_at``; None if there is none.
        """
        manager = await self._manager()
        detail = await _of(session_id, manager.get_detail)
        return None if detail is None else _session(detail.session, detail.last_message_at)

    async def list_sessions(
        self,
        agent_id: str | None = None,
        session_type: str | None = None,
        exclude_types: Iterable[str] | None = None,
        search: str | None = None,
        limit: int = 50,
        offset: int = 0,
        sort: str = "updated_at",
        order: str = "desc",
    ) -> dict[str, Any]:
        """List live sessions; those that were soft-deleted are not shown.

        None and an empty text are no condition.

        :param agent_id: only this agent's.
        :param session_type: only of this type.
        :param exclude_types: none of these types.
        :param search: only with this text in the title or in a message, in any case.
        :param limit: how many at most.
        :param offset: how many to pass over.
        :param sort: ``created_at``, ``updated_at`` or ``title``; anything else is ``updated_at``.
        :param order: ``asc``, or else the greatest first.
        :return: ``sessions`` as :meth:`get_session` returns them, each with its ``id`` as well;
            ``total, limit, offset, has_more``.
        """
        manager = await self._manager()
        page = await manager.list_sessions(
            limit=limit,
            offset=offset,
            filters=SessionFilters(
                agent_id=agent_id or None,
                session_type=session_type or None,
                exclude_types=tuple(exclude_types or ()),
                search=search,
            ),
            sort=sort if sort in _SORT_KEYS else "updated_at",  # type: ignore[arg-type]
            descending=order.lower() != "asc",
        )
        return {
            "sessions": [_listed(session) for session in page.sessions],
            "total": page.total,
            "limit": limit,
            "offset": offset,
            "has_more": page.has_more,
        }

    async def update_session(
        self,
        session_id: str,
        title: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> dict[str, Any] | None:
        """Change the title or the metadata of a live session; None leaves it as it is.

        :param session_id: its id.
        :param title: the new title.
        :param metadata: the new metadata, as a whole.
        :return: the session, as :meth:`get_session`; None if there is none.
        """
        manager = await self._manager()
        changes = SessionChanges()
        if title is not None:
            changes["title"] = title
        if metadata is not None:
            changes["metadata"] = metadata
        changed = await _of(session_id, lambda found: manager.update_session(found, **changes))
        return None if changed is None else await self.get_session(session_id)

    async def delete_session(self, session_id: str) -> bool:
        """Delete a live session and its messages for good.

        :param session_id: its id.
        :return: whether there was one.
        :raises aria_db.errors.SessionHeld: it is on hold; nothing was deleted.
        """
        manager = await self._manager()
        return await _of(session_id, manager.delete_session) is not None

    async def end_session(self, session_id: str) -> bool:
        """End a live session.

        :param session_id: its id.
        :return: whether there is one.
        """
        manager = await self._manager()
        return await _of(session_id, manager.end_session) is not None

    async def archive_session(self, session_id: str) -> bool:
        """Move a session and all its messages into the archive. Safe to repeat.

        :param session_id: its id.
        :return: whether there is such a session, live or archived before.
        :raises aria_db.errors.SessionHeld: it is on hold; nothing was moved.
        :raises aria_db.errors.SessionConflict: it is live and archived, with different rows.
        """
        manager = await self._manager()
        return await _of(session_id, manager.archive_session) is not None

    async def delete_message(self, message_id: str, session_id: str) -> bool:
        """Delete a message of a live session for good.

        :param message_id: its id.
        :param session_id: the session's id.
        :return: whether that session had such a message.
        :raises aria_db.errors.SessionHeld: the session is on hold; nothing was deleted.
        """
        manager = await self._manager()
        message = _id(message_id)
        if message is None:
            return False
        return bool(await _of(session_id, lambda found: manager.delete_message(found, message)))

    async def add_message(
        self,
        session_id: str,
        role: str,
        content: str,
        agent_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Add a message to a live session.

        The agent is in ``metadata.agent_id`` as well, where Aria's own code reads it.

        :param session_id: the session's id.
        :param role: who speaks, at most 20 characters.
        :param content: the text.
        :param agent_id: which agent speaks, at most 100 characters.
        :param metadata: anything else that JSON can hold.
        :return: ``id, session_id, role, content, agent_id, created_at``.
        :raises EngineError: there is no such live session; see :attr:`engine_error`.
        """
        manager = await self._manager()
        said = dict(metadata or {})
        if agent_id is not None:
            said["agent_id"] = agent_id
        new = NewMessage(role, content, agent_id=agent_id, metadata=said)
        message = await _of(session_id, lambda found: manager.add_message(found, new))
        if message is None:
            raise self.engine_error(f"Session {session_id} not found")
        names = ("id", "session_id", "role", "content", "agent_id", "created_at")
        added = _message(message)
        return {name: added[name] for name in names}

    async def get_messages(
        self,
        session_id: str,
        limit: int = 100,
        offset: int = 0,
        since: datetime | str | None = None,
    ) -> list[dict[str, Any]]:
        """Return the messages of a live session, oldest first.

        :param session_id: the session's id.
        :param limit: how many at most.
        :param offset: how many to pass over.
        :param since: only those written after this time; text is ISO 8601; UTC without an offset.
        :return: the columns of the messages; an empty list for an unknown session.
        :raises aria_db.errors.InvalidArgument: ``since`` is no time.
        """
        manager = await self._manager()
        after = _time(since)
        messages = await _of(
            session_id,
            lambda found: manager.get_messages(found, limit=limit, offset=offset, since=after),
        )
        return [_message(message) for message in messages or ()]

    async def get_stats(self) -> dict[str, Any]:
        """Count the live sessions and their messages.

        :return: ``total_sessions, total_messages, active_agents, ghost_sessions, oldest_session,
            newest_activity``; the last two are times.
        """
        stats = await (await self._manager()).get_stats()
        return {
            "total_sessions": stats.total_sessions,
            "total_messages": stats.total_messages,
            "active_agents": stats.active_agents,
            "ghost_sessions": stats.ghost_sessions,
            "oldest_session": _text(stats.oldest_session),
            "newest_activity": _text(stats.newest_activity),
        }

    async def list_archived_sessions(
        self, limit: int = 200, offset: int = 0, agent_id: str | None = None
    ) -> dict[str, Any]:
        """List archived sessions, newest archived first.

        :param limit: how many at most.
        :param offset: how many to pass over.
        :param agent_id: only this agent's; None and an empty text for all.
        :return: ``sessions`` as :meth:`list_sessions` returns them, each with its ``archived_at``;
            ``total, limit, offset``.
        """
        manager = await self._manager()
        page = await manager.list_archived_sessions(
            limit, offset, filters=SessionFilters(agent_id=agent_id or None)
        )
        sessions = [
            {**_listed(session), "archived_at": _text(session.archived_at)}
            for session in page.sessions
        ]
        return {"sessions": sessions, "total": page.total, "limit": limit, "offset": offset}

    async def prune_old_sessions(self, days: int = 30, dry_run: bool = False) -> dict[str, Any]:
        """End the zombies, and archive what is old or soft-deleted.

        :param days: how many days ago the last update must be.
        :param dry_run: count, and change nothing.
        :return: ``pruned_count, archived_count, message_count, zombies_closed, dry_run``.
        :raises aria_db.errors.InvalidArgument: ``days`` is below 1 or absurd.
        """
        return {**await (await self._manager()).prune_old_sessions(days, dry_run)}

    async def prune_sessions_by_type(
        self, session_type: str, days: int = 1, dry_run: bool = False
    ) -> dict[str, Any]:
        """Archive what is old or soft-deleted, of one type.

        :param session_type: the type; one that no session has is nothing to archive.
        :param days: as :meth:`prune_old_sessions`.
        :param dry_run: as :meth:`prune_old_sessions`.
        :return: ``pruned_count, archived_count, message_count, dry_run``.
        :raises aria_db.errors.InvalidArgument: as :meth:`prune_old_sessions`.
        """
        manager = await self._manager()
        try:
            found: dict[str, Any] = {
                **await manager.prune_old_sessions(days, dry_run, session_type)
            }
        except InvalidArgument:
            if not 1 <= days <= LONGEST_AGE.days:
                raise
            # A schedule may name a type that no session has yet.
            found = dict.fromkeys(("pruned_count", "archived_count", "message_count"), 0)
            return {**found, "dry_run": dry_run}
        del found["zombies_closed"]
        return found

    async def delete_ghost_sessions(self, older_than_minutes: int = 15) -> int:
        """Delete the live sessions without a message for good.

        :param older_than_minutes: how many minutes ago the last update must be.
        :return: how many.
        :raises aria_db.errors.InvalidArgument: ``older_than_minutes`` is below 1 or absurd.
        """
        try:
            older_than = timedelta(minutes=older_than_minutes)
        except OverflowError:
            raise InvalidArgument(
                f"older_than_minutes is {older_than_minutes}, which is no age of a session",
                sqlstate="22023",
            ) from None
        return await (await self._manager()).delete_empty_sessions(older_than)

    async def _manager(self) -> session_manager.NativeSessionManager:
        if self._found is None:
            engine = await for_installed_schema(self._db)
            self._found = session_manager.NativeSessionManager(engine)
        return self._found


def _id(text: str) -> UUID | None:
    try:
        return UUID(str(text))
    except ValueError:
        return None


async def _of(session_id: str, call: Callable[[UUID], Awaitable[Found]]) -> Found | None:
    """Call with an id that callers have as text; none is found by what is no UUID."""
    found = _id(session_id)
    return None if found is None else await call(found)


def _time(given: datetime | str | None) -> datetime | None:
    if not given:
        return None
    try:
        time = datetime.fromisoformat(given) if isinstance(given, str) else given
    except ValueError:
        raise InvalidArgument(
            f"since is {given!r}, which is no time",
            sqlstate="22023",
            hint="Pass a datetime, or its text in ISO 8601.",
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _session(
    row: EngineChatSession | EngineChatSessionList | EngineChatSessionArchiveList,
    last_message_at: datetime | None = None,
) -> dict[str, Any]:
    return {
        "session_id": str(row.id),
        "title": row.title,
        "agent_id": row.agent_id,
        "session_type": row.session_type,
        "model": row.model,
        "status": row.status,
        "metadata": row.metadata_json,
        "message_count": row.message_count or 0,
        "created_at": _text(row.created_at),
        "updated_at": _text(row.updated_at),
        "last_message_at": _text(last_message_at),
    }


def _listed(row: EngineChatSessionList | EngineChatSessionArchiveList) -> dict[str, Any]:
    return {"id": str(row.id), **_session(row, row.last_message_at)}


def _message(row: EngineChatMessage) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "session_id": str(row.session_id),
        "role": row.role,
        "content": row.content,
        "agent_id": row.speaker,
        "thinking": row.thinking,
        "tool_calls": row.tool_calls,
        "tool_results": row.tool_results,
        "model": row.model,
        "tokens_input": row.tokens_input,
        "tokens_output": row.tokens_output,
        "cost": None if row.cost is None else float(row.cost),
        "latency_ms": row.latency_ms,
        "metadata": row.metadata_json,
        "created_at": _text(row.created_at),
    }
