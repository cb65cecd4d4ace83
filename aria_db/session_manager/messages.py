"""Messages: the manager's calls that add one, and that read transcripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, overload
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

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
        self, session_id: UUID, *, limit: int | None = None, offset: int = 0
    ) -> Sequence[EngineChatMessage] | None: ...

    @overload
    async def get_messages(
        self,
        session_id: UUID,
        place: Place[SessionRow, MessageRow, ListedSession],
        *,
        limit: int | None = None,
        offset: int = 0,
    ) -> Sequence[MessageRow] | None: ...

    async def get_messages(
        self,
        session_id: UUID,
        place: AnyPlace = LIVE,
        *,
        limit: int | None = None,
        offset: int = 0,
    ) -> Sequence[Any] | None:
        """Return the messages of a session, oldest first.

        :param session_id: the session.
        :param place: where to look: :data:`LIVE` or :data:`ARCHIVE`.
        :param limit: how many to return at most; None for all.
        :param offset: how many to pass over.
        :return: the messages; None if the session is not there.
        """
        async with self._snapshot() as session:
            if await session.get(place.session, session_id) is None:
                return None
            return await _messages(session, place, session_id, limit, offset)

    async def get_transcript(self, session_id: UUID) -> Transcript | None:
        """Return a session and its messages, live or archived.

        It reads the live tables only for a live session, so that a role without privileges on
        them can read an archived one.

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
            return Transcript(found, await _messages(session, place, session_id))


async def _messages(
    session: AsyncSession,
    place: AnyPlace,
    session_id: UUID,
    limit: int | None = None,
    offset: int = 0,
) -> Sequence[Any]:
    message = place.message
    messages = await session.scalars(
        select(message)
        .where(message.session_id == session_id)
        .order_by(message.created_at, message.id)
        .limit(limit)
        .offset(offset)
    )
    return messages.all()
