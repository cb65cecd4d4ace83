"""NativeSessionManager: the engine's session calls over models and functions.

Thin on purpose: a method is one statement or two in one transaction. What moves
between the live tables and the archive is moved by the SQL functions; no method
copies or deletes rows for that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, TypeVar
from uuid import UUID

from sqlalchemy import (
    Select,
    Uuid,
    bindparam,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from aria_db import functions
from aria_db.conflicts import Conflicts
from aria_db.importing import Importing
from aria_db.lists import Lists
from aria_db.models import (
    Base,
    EngineChatMessage,
    EngineChatMessageArchive,
    EngineChatSession,
    EngineChatSessionArchive,
)
from aria_db.retention import Retention

Access = Literal["reader", "app", "operator"]

# Built once: it takes a tenth of the time of archiving a short chat.
_ARCHIVE_SESSION = functions.archive_session(bindparam("session_id", type_=Uuid()))

SOFT_DELETED = "archived"
"""The status by which the application soft-deletes a session instead of archiving it."""


@dataclass(frozen=True)
class Archived:
    """What archiving a session did.

    :param id: the session.
    :param archived_at: when it was archived, the first time.
    :param message_count: its messages in the archive.
    :param newly_archived: False if it was archived before this call.
    """

    id: UUID
    archived_at: datetime
    message_count: int
    newly_archived: bool


@dataclass(frozen=True)
class Restored:
    """What restoring a session did.

    :param id: the session.
    :param restored_at: when; None if it was live already and no soft delete had to go.
    :param message_count: its live messages.
    :param newly_restored: False if it was live already.
    :param due_from: when the prune may archive it again, by its policy; None for never.
    """

    id: UUID
    restored_at: datetime | None
    message_count: int
    newly_restored: bool
    due_from: datetime | None


@dataclass(frozen=True)
class Deleted:
    """What deleting a session did.

    :param id: the session.
    :param deleted_at: when.
    :param message_count: the messages that went with it.
    """

    id: UUID
    deleted_at: datetime
    message_count: int


@dataclass(frozen=True)
class Transcript:
    """A session, wherever it is, and all its messages, oldest first.

    :param session: the session; an archived one has an ``archived_at``.
    :param messages: its messages.
    """

    session: EngineChatSession | EngineChatSessionArchive
    messages: Sequence[EngineChatMessage] | Sequence[EngineChatMessageArchive]


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


@dataclass(frozen=True)
class Finding:
    """Something that contradicts that everything is in exactly one place.

    :param finding: what it is.
    :param session_id: the session; None if it is about all of them.
    :param messages: how many of its messages it is about; None if about none in particular.
    :param detail: what exactly was found.
    :param remedy: what to do.
    """

    finding: str
    session_id: UUID | None
    messages: int | None
    detail: str
    remedy: str


MessageRow = TypeVar("MessageRow", EngineChatMessage, EngineChatMessageArchive)


class NativeSessionManager(Lists, Importing, Retention, Conflicts):
    """Sessions and messages of the chat engine, live and archived.

    Every method runs in a transaction of its own and raises the exceptions of
    :mod:`aria_db.errors`. One manager serves any number of tasks.

    :param engine: an asynchronous engine whose connections find the tables, for
        example ``Database(url, schema).async_engine()``.
    """

    # Live sessions

    async def create_session(
        self,
        *,
        id: UUID | None = None,  # noqa: A002 (the column's name)
        agent_id: str = "aria",
        session_type: str = "interactive",
        title: str | None = None,
        system_prompt: str | None = None,
        model: str | None = None,
        temperature: float | None = 0.7,
        max_tokens: int | None = 4096,
        context_window: int | None = 50,
        metadata: dict[str, Any] | None = None,
    ) -> EngineChatSession:
        """Create a live session.

        :param id: its id; by default PostgreSQL makes one.
        :param agent_id: the agent it talks with, at most 100 characters.
        :param session_type: for example interactive, chat, roundtable or cron, at
            most 50 characters.
        :param title: at most 500 characters.
        :param system_prompt: the system prompt.
        :param model: the language model's name, at most 200 characters.
        :param temperature: the model's temperature.
        :param max_tokens: the longest answer, in tokens.
        :param context_window: how many messages the model is shown.
        :param metadata: anything else that JSON can hold.
        :return: the session as it was stored.
        """
        values: dict[str, Any] = {
            "agent_id": agent_id,
            "session_type": session_type,
            "title": title,
            "system_prompt": system_prompt,
            "model": model,
            "temperature": temperature,
            "max_tokens": max_tokens,
            "context_window": context_window,
            "metadata_json": metadata or {},
        }
        if id is not None:
            values["id"] = id
        async with self._transaction() as session:
            # Not session.add(), which takes None for "the default of the table".
            created = await session.scalars(
                insert(EngineChatSession).values(values).returning(EngineChatSession)
            )
            return created.one()

    async def get_session(self, session_id: UUID) -> EngineChatSession | None:
        """Return a live session, soft-deleted ones included; None if there is none."""
        async with self._transaction() as session:
            return await session.get(EngineChatSession, session_id)

    async def end_session(self, session_id: UUID) -> EngineChatSession | None:
        """End a live session. Ending it twice keeps the first ``ended_at``.

        :return: the session; None if there is no such one in the main list.
        """
        async with self._transaction() as session:
            found = await session.scalars(
                select(EngineChatSession)
                .where(EngineChatSession.id == session_id, EngineChatSession.status != SOFT_DELETED)
                .with_for_update(key_share=True)
            )
            ended = found.one_or_none()
            if ended is not None:
                now = await session.scalar(select(func.now()))
                ended.status = "ended"
                ended.updated_at = now
                if ended.ended_at is None:
                    ended.ended_at = now
            return ended

    async def delete_session(self, session_id: UUID) -> Deleted | None:
        """Delete a live session and its messages for good. The archive is not touched.

        :return: what was done; None if there is no such live session.
        :raises aria_db.errors.SessionHeld: it is on hold; nothing was deleted.
        """
        rows = await self._call(functions.delete_chat_session(session_id))
        return Deleted(*rows[0]) if rows else None

    # Messages

    async def add_message(
        self,
        session_id: UUID,
        role: str,
        content: str,
        *,
        agent_id: str | None = None,
        thinking: str | None = None,
        tool_calls: Any | None = None,
        tool_results: Any | None = None,
        model: str | None = None,
        tokens_input: int | None = None,
        tokens_output: int | None = None,
        cost: Decimal | None = None,
        latency_ms: int | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> EngineChatMessage | None:
        """Add a message to a live session, and its figures to the session's.

        :param session_id: the session.
        :param role: who speaks, for example user, assistant, system or tool; at most
            20 characters.
        :param content: the text.
        :param agent_id: which agent speaks, at most 100 characters.
        :param thinking: the model's reasoning.
        :param tool_calls: the calls, as JSON.
        :param tool_results: their results, as JSON.
        :param model: the language model's name.
        :param tokens_input: tokens read.
        :param tokens_output: tokens written.
        :param cost: in the currency of ``total_cost``.
        :param latency_ms: how long the answer took, in milliseconds.
        :param metadata: anything else that JSON can hold.
        :return: the message as it was stored; None if there is no such live session.
        """
        message = EngineChatMessage(
            session_id=session_id,
            agent_id=agent_id,
            role=role,
            content=content,
            thinking=thinking,
            tool_calls=tool_calls,
            tool_results=tool_results,
            model=model,
            tokens_input=tokens_input,
            tokens_output=tokens_output,
            cost=cost,
            latency_ms=latency_ms,
            metadata_json=metadata or {},
        )
        totals = EngineChatSession
        async with self._transaction() as session:
            # The session's row first: an archive_session either comes before and
            # leaves nothing to update, or waits for the message. Under this lock the
            # clock also gives the messages of a session the order of their commits.
            locked = await session.scalars(
                update(totals)
                .where(totals.id == session_id)
                .values(
                    message_count=func.coalesce(totals.message_count, 0) + 1,
                    total_tokens=func.coalesce(totals.total_tokens, 0)
                    + (tokens_input or 0)
                    + (tokens_output or 0),
                    total_cost=func.coalesce(totals.total_cost, 0) + (cost or 0),
                    updated_at=func.now(),
                )
                .returning(totals.id)
                .execution_options(synchronize_session=False)
            )
            if locked.one_or_none() is None:
                return None
            message.created_at = func.clock_timestamp()
            session.add(message)
            await session.flush()
            await session.refresh(message)
        return message

    async def get_messages(
        self, session_id: UUID, *, limit: int | None = None, offset: int = 0
    ) -> Sequence[EngineChatMessage] | None:
        """Return the messages of a live session, oldest first.

        :param session_id: the session.
        :param limit: how many to return at most; None for all.
        :param offset: how many to pass over.
        :return: the messages; None if there is no such live session.
        """
        return await self._transcript(
            EngineChatSession, EngineChatMessage, session_id, limit, offset
        )

    # The archive

    async def archive_session(self, session_id: UUID) -> Archived | None:
        """Archive a session with all its messages. Safe to repeat.

        :return: what was done, also if it was archived before; None if there is no
            such session.
        :raises aria_db.errors.SessionConflict: it is live and archived, with
            different rows; nothing was moved.
        :raises aria_db.errors.SessionHeld: it is on hold; nothing was moved.
        :raises aria_db.errors.ColumnDrift: a column would be lost; nothing was moved.
        """
        rows = await self._call(_ARCHIVE_SESSION, session_id=session_id)
        return Archived(*rows[0]) if rows else None

    async def archive_sessions(self, session_ids: Iterable[UUID]) -> list[Archived]:
        """Archive several sessions: all of them, or none and an exception.

        :return: what was done, for each session that exists.
        :raises aria_db.errors.SessionConflict: as :meth:`archive_session`.
        :raises aria_db.errors.ColumnDrift: as :meth:`archive_session`.
        """
        rows = await self._call(functions.archive_sessions(session_ids))
        return [Archived(*row) for row in rows]

    async def restore_session(self, session_id: UUID) -> Restored | None:
        """Bring an archived session and all its messages back. Safe to repeat.

        :return: what was done, also if it was live already; None if there is no such
            session.
        :raises aria_db.errors.SessionConflict: its id, or that of one of its
            messages, is live as well; nothing was moved.
        :raises aria_db.errors.ColumnDrift: a column would be lost; nothing was moved.
        """
        rows = await self._call(functions.restore_session(session_id))
        return Restored(*rows[0]) if rows else None

    async def restore_sessions(self, session_ids: Iterable[UUID]) -> list[Restored]:
        """Bring several sessions back: all of them, or none and an exception.

        :return: what was done, for each session that exists.
        :raises aria_db.errors.SessionConflict: as :meth:`restore_session`.
        :raises aria_db.errors.ColumnDrift: as :meth:`restore_session`.
        """
        rows = await self._call(functions.restore_sessions(session_ids))
        return [Restored(*row) for row in rows]

    async def delete_archived_session(self, session_id: UUID) -> Deleted | None:
        """Delete an archived session and its messages for good.

        :return: what was done; None if there is no such archived session.
        :raises aria_db.errors.SessionHeld: it is on hold; nothing was deleted.
        :raises aria_db.errors.SessionConflict: it is live as well; nothing was deleted.
        """
        rows = await self._call(functions.delete_archived_session(session_id))
        return Deleted(*rows[0]) if rows else None

    async def get_archived_session(self, session_id: UUID) -> EngineChatSessionArchive | None:
        """Return an archived session; None if there is none."""
        async with self._transaction() as session:
            return await session.get(EngineChatSessionArchive, session_id)

    async def get_archived_messages(
        self, session_id: UUID, *, limit: int | None = None, offset: int = 0
    ) -> Sequence[EngineChatMessageArchive] | None:
        """Return the transcript of an archived session, oldest message first.

        :param session_id: the session.
        :param limit: how many to return at most; None for all.
        :param offset: how many to pass over.
        :return: the messages; None if there is no such archived session.
        """
        return await self._transcript(
            EngineChatSessionArchive, EngineChatMessageArchive, session_id, limit, offset
        )

    # Both places

    async def get_transcript(self, session_id: UUID) -> Transcript | None:
        """Return a session and its messages, live or archived.

        :return: the live one if a conflict has left it in both places; None if there
            is no such session.
        """
        async with self._snapshot() as session:
            if live := await session.get(EngineChatSession, session_id):
                return Transcript(live, await _messages(session, EngineChatMessage, session_id))
            if archived := await session.get(EngineChatSessionArchive, session_id):
                return Transcript(
                    archived, await _messages(session, EngineChatMessageArchive, session_id)
                )
        return None

    async def get_stats(self) -> Stats:
        """Count sessions and messages, live and archived."""
        live = EngineChatSession

        def count(entity: type[Base]) -> Select[int]:
            return select(func.count()).select_from(entity)

        async with self._snapshot() as session:
            rows = await session.execute(
                select(live.session_type, live.status, func.count()).group_by(
                    live.session_type, live.status
                )
            )
            archived_sessions = await session.scalar(count(EngineChatSessionArchive))
            live_messages = await session.scalar(count(EngineChatMessage))
            archived_messages = await session.scalar(count(EngineChatMessageArchive))
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

    # For whoever looks after the database

    async def verify_archive(self, since: datetime | None = None) -> list[Finding]:
        """Look for what contradicts that everything is in exactly one place.

        :param since: look only at the sessions that were archived since then; None for all.
        :return: the findings; none when all is well.
        """
        return [Finding(*row) for row in await self._call(functions.verify_archive(since))]

    async def grant_access(
        self, role: str, access: Access, *, revoke: bool = False, dry_run: bool = False
    ) -> Sequence[str]:
        """Give a role what it needs, or take it away. Safe to repeat.

        :param role: the role, which must exist.
        :param access: ``app`` to archive, restore and list; ``operator`` to do all that there
            is; ``reader`` to read the views.
        :param revoke: take it away; what else was granted stays.
        :param dry_run: change nothing.
        :return: the statements that were run, or would be.
        :raises aria_db.errors.InvalidArgument: the access is none of these, or the role that
            is to lose it is the owner.
        :raises aria_db.errors.PermissionDenied: this manager's role may not grant.
        :raises aria_db.errors.DatabaseError: there is no such role.
        """
        statement = functions.grant_archive_access(role, access, revoking=revoke, dry_run=dry_run)
        return [sql for (sql,) in await self._call(statement)]

    # What the transcripts have in common

    async def _transcript(
        self,
        session_class: type[EngineChatSession | EngineChatSessionArchive],
        message_class: type[MessageRow],
        session_id: UUID,
        limit: int | None,
        offset: int,
    ) -> Sequence[MessageRow] | None:
        async with self._snapshot() as session:
            if await session.get(session_class, session_id) is None:
                return None
            return await _messages(session, message_class, session_id, limit, offset)


async def _messages(
    session: AsyncSession,
    message_class: type[MessageRow],
    session_id: UUID,
    limit: int | None = None,
    offset: int = 0,
) -> Sequence[MessageRow]:
    messages = await session.scalars(
        select(message_class)
        .where(message_class.session_id == session_id)
        .order_by(message_class.created_at, message_class.id)
        .limit(limit)
        .offset(offset)
    )
    return messages.all()
