"""Importing: the manager's call that creates many sessions with their messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, func, insert, literal, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession

from aria_db.errors import Retryable
from aria_db.models import EngineChatMessage, EngineChatSession, EngineChatSessionArchive
from aria_db.session_manager.messages import NewMessage
from aria_db.session_manager.sessions import NewSession
from aria_db.session_manager.transactions import Transactions


@dataclass(frozen=True)
class NewConversation:
    """A session to import, with its messages.

    :param id: its id, the same whenever it is imported.
    :param session: the session.
    :param messages: its messages, in the order in which they were said.
    """

    id: UUID
    session: NewSession
    messages: Sequence[NewMessage]


@dataclass(frozen=True)
class Imported:
    """What an import did.

    :param sessions: how many were created.
    :param already_there: how many were left as they are, live or archived.
    :param messages: how many messages were created.
    """

    sessions: int
    already_there: int
    messages: int


class Importing(Transactions):
    """The manager's call for imports."""

    async def import_sessions(self, batches: Iterable[Sequence[NewConversation]]) -> Imported:
        """Create sessions with their messages: all of them, or none and an exception.

        A session whose id exists already, live or archived, is left as it is, so that
        an import can be repeated. Times count up from the start of the transaction by
        a microsecond for each session and message, in the order given.

        :param batches: the sessions, no id twice. One batch at a time is in memory.
        :return: what was done.
        :raises aria_db.errors.Retryable: a session was archived meanwhile.
        """
        sessions = already_there = messages = 0
        # Under a stricter level, the second look at the archive would see nothing new.
        async with self._transaction(isolation_level="READ COMMITTED") as session:
            start = (await session.scalars(select(func.now()))).one()
            moments = (start + timedelta(microseconds=number) for number in count())
            for batch in batches:
                created = await _create(session, batch, moments)
                sessions += len(created)
                already_there += len(batch) - len(created)
                messages += sum(len(new.messages) for new in created)
        return Imported(sessions, already_there, messages)


async def _create(
    session: AsyncSession, batch: Sequence[NewConversation], moments: Iterator[datetime]
) -> list[NewConversation]:
    """Create the sessions of a batch that are in neither place; return them."""
    archived = await _archived(session, (new.id for new in batch))
    session_rows = []
    message_rows = {}
    for new in batch:
        if new.id not in archived:
            created_at = updated_at = next(moments)
            message_rows[new.id] = [
                {**message.values(), "session_id": new.id, "created_at": (updated_at := moment)}
                for message, moment in zip(new.messages, moments, strict=False)
            ]
            session_rows.append(
                {
                    **new.session.values(),
                    "id": new.id,
                    "message_count": len(new.messages),
                    "created_at": created_at,
                    "updated_at": updated_at,
                }
            )
    if not session_rows:
        return []
    inserted = await session.scalars(
        postgresql.insert(EngineChatSession)
        .on_conflict_do_nothing()
        .returning(EngineChatSession.id),
        session_rows,
    )
    created = set(inserted)
    # The insert may have waited for a transaction that archived the same session: its
    # live row is gone then, and this one is a second copy.
    if moved := await _archived(session, created):
        raise Retryable(
            f"session {min(moved)} was archived while it was being imported",
            hint="Nothing was imported. Try again.",
        )
    if rows := [row for session_id in created for row in message_rows[session_id]]:
        await session.execute(insert(EngineChatMessage), rows)
    return [new for new in batch if new.id in created]


async def _archived(session: AsyncSession, session_ids: Iterable[UUID]) -> set[UUID]:
    ids = literal(list(session_ids), ARRAY(Uuid()))
    archive = EngineChatSessionArchive
    return set(await session.scalars(select(archive.id).where(archive.id == any_(ids))))
