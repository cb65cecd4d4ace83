"""Sessions: the manager's calls that create, show, edit, end and delete one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack, overload
from uuid import UUID

from sqlalchemy import case, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import JSONB

from aria_db import functions
from aria_db.models import EngineChatSession
from aria_db.results import Deleted
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

SOFT_DELETED = "archived"
"""The status by which the application soft-deletes a session instead of archiving it."""


@dataclass(frozen=True, kw_only=True)
class NewSession:
    """A session to create.

    :param id: its id; None for one that PostgreSQL makes.
    :param agent_id: the agent it talks with, at most 100 characters.
    :param session_type: for example interactive, chat, roundtable or cron, at most 50
        characters.
    :param title: at most 500 characters.
    :param system_prompt: the system prompt.
    :param model: the language model's name, at most 200 characters.
    :param temperature: the model's temperature.
    :param max_tokens: the longest answer, in tokens.
    :param context_window: how many messages the model is shown.
    :param metadata: anything else that JSON can hold.
    """

    id: UUID | None = None
    agent_id: str = "aria"
    session_type: str = "interactive"
    title: str | None = None
    system_prompt: str | None = None
    model: str | None = None
    temperature: float | None = 0.7
    max_tokens: int | None = 4096
    context_window: int | None = 50
    metadata: Mapping[str, Any] | None = None

    def values(self) -> dict[str, Any]:
        """Return the values of its row, by the attributes of the ORM class."""
        values = dict(vars(self))
        values["metadata_json"] = values.pop("metadata") or {}
        if self.id is None:
            del values["id"]
        return values


class SessionChanges(TypedDict, total=False):
    """What to change of a session; what is not given stays.

    ``title`` has at most 500 characters, ``model`` at most 200. ``metadata`` replaces what is
    there.
    """

    title: str | None
    model: str | None
    metadata: Mapping[str, Any]


class Sessions(Transactions):
    """The manager's calls for one session."""

    async def create_session(self, new: NewSession = NewSession()) -> EngineChatSession:
        """Create a live session.

        :param new: what to create.
        :return: the session as it was stored.
        """
        async with self._transaction() as session:
            # Not session.add(), which takes None for "the default of the table".
            created = await session.scalars(
                insert(EngineChatSession).values(new.values()).returning(EngineChatSession)
            )
            return created.one()

    @overload
    async def get_session(self, session_id: UUID) -> EngineChatSession | None: ...

    @overload
    async def get_session(
        self, session_id: UUID, place: Place[SessionRow, MessageRow, ListedSession]
    ) -> SessionRow | None: ...

    async def get_session(self, session_id: UUID, place: AnyPlace = LIVE) -> Any:
        """Return a session.

        :param session_id: the session.
        :param place: where to look: :data:`LIVE`, soft-deleted sessions included, or
            :data:`ARCHIVE`.
        :return: the session; None if it is not there.
        """
        async with self._transaction() as session:
            return await session.get(place.session, session_id)

    async def update_session(
        self, session_id: UUID, **changes: Unpack[SessionChanges]
    ) -> EngineChatSession | None:
        """Change the title, the model or the metadata of a live session. It counts as updated now.

        :param session_id: the session.
        :param changes: ``title``, ``model``, ``metadata``; see :class:`SessionChanges`. Without
            any, the session stays as it is.
        :return: the session; None if the main list has no such session.
        """
        live = EngineChatSession
        values: dict[str, Any] = dict(changes)
        if "metadata" in values:
            values["metadata_json"] = values.pop("metadata")
        wanted = (live.id == session_id, live.status != SOFT_DELETED)
        async with self._transaction() as session:
            found = await session.scalars(
                update(live)
                .where(*wanted)
                .values({**values, "updated_at": func.now()})
                .returning(live)
                if values
                else select(live).where(*wanted)
            )
            return found.one_or_none()

    async def end_session(self, session_id: UUID) -> EngineChatSession | None:
        """End a live session. Ending it twice keeps the first ``ended_at``.

        ``metadata.ended`` becomes true as well, where the application reads it.

        :return: the session; None if the main list has no such session.
        """
        live = EngineChatSession
        metadata = func.coalesce(live.metadata_json, literal({}, JSONB()))
        async with self._transaction() as session:
            # As a value: a distributed table takes no condition on what is only known to be stable.
            now = literal(await session.scalar(select(func.now())))
            ended = await session.scalars(
                update(live)
                .where(live.id == session_id, live.status != SOFT_DELETED)
                .values(
                    status="ended",
                    updated_at=now,
                    ended_at=func.coalesce(live.ended_at, now),
                    # metadata that is no object has no place for it
                    metadata_json=case(
                        (
                            func.jsonb_typeof(metadata) == "object",
                            metadata.concat(literal({"ended": True}, JSONB())),
                        ),
                        else_=live.metadata_json,
                    ),
                )
                .returning(live)
            )
            return ended.one_or_none()

    async def delete_session(self, session_id: UUID, place: AnyPlace = LIVE) -> Deleted | None:
        """Delete a session and its messages for good. The other place is not touched.

        :param session_id: the session.
        :param place: where it is to be deleted: :data:`LIVE` or :data:`ARCHIVE`.
        :return: what was done; None if it is not there.
        :raises aria_db.errors.SessionHeld: it is on hold; nothing was deleted.
        :raises aria_db.errors.SessionConflict: it was to be deleted from the archive and is
            live as well; nothing was deleted.
        """
        delete = (
            functions.delete_archived_session if place is ARCHIVE else functions.delete_chat_session
        )
        rows = await self._call(delete(session_id, self._actor))
        return Deleted(*rows[0]) if rows else None
