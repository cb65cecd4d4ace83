"""Messages: the manager's calls that add one, delete one, and read transcripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, overload
from uuid import UUID

from sqlalchemy import Select, func, select, update

from aria_db import functions
from aria_db.models import (
    EngineChatMessage,
    EngineChatMessageArchive,
    EngineChatSession,
    EngineChatSessionAll,
    EngineChatSessionArchive,
)
from aria_db.session_manager.places import (
    ARCHIVE,
    LIVE,
    AnyPlace,
    ListedSession,
    MessageRow,
    Place,
    SessionRow,
)
from aria_db.session_manager.transactions import Transactions


@dataclass(frozen=True)
class NewMessage:
    """A message to add.

    :param role: who speaks, for example user, assistant, system or tool; at most 20
        characters.
    :param content: the text.
    :param agent_id: which agent speaks, at most 100 characters.
    :param thinking: the model's reasoning.
    :param tool_calls: the calls, as JSON.
    :param tool_results: their results, as JSON.
    :param model: the language model's name.
    :param tokens_input: tokens read.
    :param tokens_output: tokens written.
    :param cost: in the currency of the session's ``total_cost``.
    :param latency_ms: how long the answer took, in milliseconds.
    :param metadata: anything else that JSON can hold.
    """

    role: str
    content: str
    agent_id: str | None = None
    thinking: str | None = None
    tool_calls: Any | None = None
    tool_results: Any | None = None
    model: str | None = None
    tokens_input: int | None = None
    tokens_output: int | None = None
    cost: Decimal | None = None
    latency_ms: int | None = None
    metadata: Mapping[str, Any] | None = None

    def values(self) -> dict[str, Any]:
        """Return the values of its row, by the attributes of the ORM class."""
        values = dict(vars(self))
        values["metadata_json"] = values.pop("metadata") or {}
        return values


RECENT = 50
"""How many messages a detail of a session has."""


@dataclass(frozen=True)
class Detail(Generic[SessionRow, MessageRow]):
    """A session and its last messages.

    :param session: the session.
    :param recent_messages: its last messages, at most :data:`RECENT`, oldest first.
    """

    session: SessionRow
    recent_messages: Sequence[MessageRow]

    @property
    def last_message_at(self) -> datetime | None:
        """When the last message was written; None without messages."""
        times = [message.created_at for message in self.recent_messages if message.created_at]
        return max(times, default=None)


@dataclass(frozen=True)
class Transcript:
    """A session, wherever it is, and all its messages, oldest first.

    :param session: the session; an archived one has an ``archived_at``.
    :param messages: its messages.
    """

    session: EngineChatSession | EngineChatSessionArchive
    messages: Sequence[EngineChatMessage] | Sequence[EngineChatMessageArchive]


class Messages(Transactions):
    """The manager's calls for the messages of a session."""

    async def add_message(self, session_id: UUID, new: NewMessage) -> EngineChatMessage | None:
        """Add a message to a live session, and its figures to the session's.

        :param session_id: the session.
        :param new: the message.
        :return: the message as it was stored; None if there is no such live session.
        """
        message = EngineChatMessage(session_id=session_id, **new.values())
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
                    + (new.tokens_input or 0)
                    + (new.tokens_output or 0),
                    total_cost=func.coalesce(totals.total_cost, 0) + (new.cost or 0),
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

    @overload
    async def get_messages(
        self,
        session_id: UUID,
        *,
        limit: int | None = None,
        offset: int = 0,
        since: datetime | None = None,
        role: str | None = None,
    ) -> Sequence[EngineChatMessage] | None: ...

    @overload
    async def get_messages(
        self,
        session_id: UUID,
        place: Place[SessionRow, MessageRow, ListedSession],
        *,
        limit: int | None = None,
        offset: int = 0,
        since: datetime | None = None,
        role: str | None = None,
    ) -> Sequence[MessageRow] | None: ...

    async def get_messages(
        self,
        session_id: UUID,
        place: AnyPlace = LIVE,
        *,
        limit: int | None = None,
        offset: int = 0,
        since: datetime | None = None,
        role: str | None = None,
    ) -> Sequence[Any] | None:
        """Return the messages of a session, oldest first.

        :param session_id: the session.
        :param place: where to look: :data:`LIVE` or :data:`ARCHIVE`.
        :param limit: how many to return at most; None for all.
        :param offset: how many to pass over.
        :param since: only those written after this time; so with the time of the last message that
            a client has, it gets what has come since. None for all.
        :param role: only those of this speaker; None for all.
        :return: the messages; None if the session is not there.
        """
        async with self._snapshot() as session:
            if await session.get(place.session, session_id) is None:
                return None
            wanted = _messages(place, session_id, since, role).limit(limit).offset(offset)
            return (await session.scalars(wanted)).all()

    @overload
    async def get_detail(
        self, session_id: UUID
    ) -> Detail[EngineChatSession, EngineChatMessage] | None: ...

    @overload
    async def get_detail(
        self, session_id: UUID, place: Place[SessionRow, MessageRow, ListedSession]
    ) -> Detail[SessionRow, MessageRow] | None: ...

    async def get_detail(self, session_id: UUID, place: AnyPlace = LIVE) -> Any:
        """Return a session and its last messages.

        :param session_id: the session.
        :param place: where to look: :data:`LIVE`, soft-deleted sessions included, or
            :data:`ARCHIVE`.
        :return: the session; None if it is not there.
        """
        message = place.message
        async with self._snapshot() as session:
            found = await session.get(place.session, session_id)
            if found is None:
                return None
            newest = await session.scalars(
                select(message)
                .where(message.session_id == session_id)
                .order_by(message.created_at.desc(), message.id.desc())
                .limit(RECENT)
            )
            return Detail(found, newest.all()[::-1])

    async def delete_message(self, session_id: UUID, message_id: UUID) -> bool:
        """Delete a message of a live session for good.

        :param session_id: the session.
        :param message_id: the message.
        :return: whether that live session had such a message.
        :raises aria_db.errors.SessionHeld: the session is on hold; nothing was deleted.
        :raises aria_db.errors.RowsChanged: a trigger or rule kept the message.
        """
        ((is_deleted,),) = await self._call(
            functions.delete_chat_message(session_id, message_id, self._actor)
        )
        return is_deleted

    async def get_transcript(
        self, session_id: UUID, *, since: datetime | None = None, role: str | None = None
    ) -> Transcript | None:
        """Return a session and its messages, live or archived.

        It reads the live tables only for a live session, so that a role without privileges on
        them can read an archived one.

        :param session_id: the session.
        :param since: as :meth:`get_messages`.
        :param role: as :meth:`get_messages`.
        :return: the live one if a conflict has left it in both places; None if there
            is no such session.
        """
        listed = EngineChatSessionAll
        async with self._snapshot() as session:
            times = await session.scalars(select(listed.archived_at).where(listed.id == session_id))
            archived = [time is not None for time in times]
            place: AnyPlace = ARCHIVE if all(archived) else LIVE
            # Row-level security may hide a row that the list shows.
            found = await session.get(place.session, session_id) if archived else None
            if found is None:
                return None
            messages = await session.scalars(_messages(place, session_id, since, role))
            return Transcript(found, messages.all())


def _messages(
    place: AnyPlace, session_id: UUID, since: datetime | None, role: str | None
) -> Select[Any]:
    """Return the statement of the messages of a session, oldest first."""
    message = place.message
    wanted = select(message).where(message.session_id == session_id)
    if since is not None:
        wanted = wanted.where(message.created_at > since)
    if role is not None:
        wanted = wanted.where(message.role == role)
    return wanted.order_by(message.created_at, message.id)
