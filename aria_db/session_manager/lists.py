"""Lists: the manager's calls that list sessions, live or archived, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, func, or_, select, union
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.attributes import set_committed_value

from aria_db import functions
from aria_db.errors import InvalidArgument
from aria_db.models import (
    EngineChatSessionAll,
    EngineChatSessionArchiveList,
    EngineChatSessionList,
)
from aria_db.session_manager.paging import COUNTED, Order, Page
from aria_db.session_manager.places import ARCHIVE, EVERYWHERE, LIVE, ListedSession, Listing
from aria_db.session_manager.transactions import Transactions

SortKey = Literal["created_at", "updated_at", "title"]
ArchiveSortKey = Literal["archived_at", "created_at", "updated_at", "title"]


@dataclass(frozen=True)
class SessionFilters:
    """Which sessions a list shows; None and an empty search leave it open.

    :param agent_id: only this agent's.
    :param session_type: only of this type.
    :param search: only those whose title or messages contain this text, in upper
        or lower case.
    :param date_from: only those created at this time or later.
    :param date_to: only those created before this time.
    :param updated_before: only those last updated before this time; those that were never
        updated, by when they were created.
    :param archived_after: only those archived at this time or later; not for live sessions.
    :param archived_before: only those archived before this time; not for live sessions.
    :param exclude_types: none of these types.
    :param status: only with this status.
    :param message_count_min: only with as many messages or more, by the session's message_count.
    :param message_count_max: only with as many messages or fewer.
    """

    agent_id: str | None = None
    session_type: str | None = None
    search: str | None = None
    date_from: datetime | None = None
    date_to: datetime | None = None
    updated_before: datetime | None = None
    archived_after: datetime | None = None
    archived_before: datetime | None = None
    exclude_types: tuple[str, ...] = ()
    status: str | None = None
    message_count_min: int | None = None
    message_count_max: int | None = None


class Lists(Transactions):
    """The manager's calls that list sessions."""

    async def list_sessions(
        self,
        *,
        limit: int = 50,
        offset: int = 0,
        cursor: str | None = None,
        filters: SessionFilters = SessionFilters(),
        sort: SortKey = "updated_at",
        descending: bool = True,
    ) -> Page[EngineChatSessionList]:
        """List live sessions; those that the application soft-deleted are not shown.

        PostgreSQL reads what an ``offset`` passes over, and nothing before a ``cursor``.
        And what comes or goes meanwhile does not move the pages after a cursor.

        :param limit: how many to return at most; 0 for the total alone.
        :param offset: how many to pass over.
        :param cursor: ``next_cursor`` of the page before; with the same order and filters.
        :param filters: which ones; by default all.
        :param sort: the column to sort by; equal ones are in the order of their ids.
        :param descending: whether the greatest comes first.
        :raises aria_db.errors.InvalidArgument: the cursor belongs to another order, the limit
            is negative, or a filter applies to archived sessions only.
        """
        return await self._page(LIVE.listing, filters, sort, descending, limit, offset, cursor)

    async def list_archived_sessions(
        self,
        limit: int = 50,
        offset: int = 0,
        *,
        cursor: str | None = None,
        filters: SessionFilters = SessionFilters(),
        sort: ArchiveSortKey = "archived_at",
        descending: bool = True,
    ) -> Page[EngineChatSessionArchiveList]:
        """List archived sessions, newest archived first.

        :param limit: how many to return at most; 0 for the total alone.
        :param offset: how many to pass over.
        :param cursor: as :meth:`list_sessions`.
        :param filters: which ones; by default all.
        :param sort: as :meth:`list_sessions`.
        :param descending: as :meth:`list_sessions`.
        :raises aria_db.errors.InvalidArgument: as :meth:`list_sessions`.
        """
        return await self._page(ARCHIVE.listing, filters, sort, descending, limit, offset, cursor)

    async def list_all_sessions(
        self,
        *,
        limit: int = 50,
        offset: int = 0,
        cursor: str | None = None,
        filters: SessionFilters = SessionFilters(),
        sort: SortKey = "updated_at",
        descending: bool = True,
    ) -> Page[EngineChatSessionAll]:
        """List the sessions of both places, the soft-deleted ones too.

        ``archived_at`` is None for those that are live.

        The parameters are those of :meth:`list_sessions`.

        :raises aria_db.errors.InvalidArgument: as :meth:`list_sessions`.
        """
        return await self._page(EVERYWHERE, filters, sort, descending, limit, offset, cursor)

    async def find_session_ids(self, prefix: str, limit: int = 10) -> list[UUID]:
        """Return the ids, live or archived, that begin with some digits.

        :param prefix: the first hexadecimal digits of an id, with hyphens or without.
        :param limit: how many to return at most.
        :raises aria_db.errors.InvalidArgument: it is not the beginning of a UUID.
        """
        digits = prefix.replace("-", "").lower()
        if not 1 <= len(digits) <= 32 or set(digits) - set("0123456789abcdef"):
            raise InvalidArgument(
                f"{prefix!r} is not the beginning of a UUID",
                sqlstate="22023",
                hint="Pass hexadecimal digits.",
            )
        session = EngineChatSessionAll
        found = await self._call(
            select(session.id)
            .where(session.id.between(UUID(f"{digits:0<32}"), UUID(f"{digits:f<32}")))
            .distinct()
            .order_by(session.id)
            .limit(limit)
        )
        return [session_id for (session_id,) in found]

    async def _page(
        self,
        listing: Listing[ListedSession],
        filters: SessionFilters,
        sort: str,
        descending: bool,
        limit: int,
        offset: int,
        cursor: str | None,
    ) -> Page[ListedSession]:
        if limit < 0:
            raise InvalidArgument(
                f"limit is {limit}, and must not be negative",
                sqlstate="22023",
                hint="Pass how many sessions a page may hold.",
            )
        if cursor is not None and offset:
            raise InvalidArgument(
                "a page begins after a cursor or after an offset, and not after both",
                sqlstate="22023",
                hint="Leave the offset out.",
            )
        wanted = conditions(listing, filters)
        order = Order(getattr(listing.listed, sort), listing.listed.id, descending)
        rows: list[Row[ListedSession, str]] = []
        async with self._snapshot() as session:
            total, is_estimate = await _total(session, listing, wanted, filters)
            for part in order.parts(cursor):
                if limit == 0 or len(rows) > limit:
                    break
                found = await session.execute(
                    select(listing.listed, order.key_as_text)
                    .where(*wanted, *part)
                    .order_by(*order.columns)
                    # One more, to see whether something follows.
                    .limit(limit + 1 - len(rows))
                    .offset(offset)
                )
                rows += found
            sessions = [session for session, _ in rows[:limit]]
            await _add_last_message_at(session, listing, sessions)
        next_cursor = None
        if len(rows) > limit:
            last, key = rows[limit - 1]
            next_cursor = order.cursor(key, last.id)
        return Page(sessions, total, is_estimate, limit, offset, next_cursor)


async def _add_last_message_at(
    session: AsyncSession, listing: Listing[ListedSession], listed: Sequence[ListedSession]
) -> None:
    """Set when the last message of each session of a page was written.

    In a statement of its own, which reads the messages of the page alone. In that of the page,
    PostgreSQL would read those of the sessions that an offset passes over, too.
    """
    ids = [one.id for one in listed]
    for place in listing.places if ids else ():
        times = dict((await session.execute(functions.last_message_times(place, ids))).all())
        for one in listed:
            if (time := times.get(one.id)) is not None:
                set_committed_value(one, "last_message_at", time)


async def _total(
    session: AsyncSession,
    listing: Listing[Any],
    wanted: list[ColumnElement[bool]],
    filters: SessionFilters,
) -> tuple[int, bool]:
    """Return how many sessions a list has, and whether that is an estimate."""
    counted = select(listing.listed.id).where(*wanted).limit(COUNTED + 1).subquery()
    total = await session.scalar(select(func.count()).select_from(counted)) or 0
    if total <= COUNTED:
        return total, False
    known = (filters.agent_id, filters.session_type, filters.date_from, filters.date_to)
    # estimate_sessions takes no other filters.
    if replace(filters, search=filters.search or None) != SessionFilters(
        known[0], known[1], None, known[2], known[3]
    ):
        return total, True
    estimates = [
        await session.scalar(functions.estimate_sessions(place, *known)) or 0
        for place in listing.places
    ]
    return max(total, sum(estimates)), True


def conditions(listing: Listing[Any], filters: SessionFilters) -> list[ColumnElement[bool]]:
    """Return the conditions of a list: all of them must hold.

    :param listing: the list.
    :param filters: which of its sessions are wanted.
    :raises aria_db.errors.InvalidArgument: a filter applies to archived sessions only.
    """
    listed = listing.listed
    found: list[ColumnElement[bool]] = []
    if filters.agent_id is not None:
        found.append(listed.agent_id == filters.agent_id)
    if filters.session_type is not None:
        found.append(listed.session_type == filters.session_type)
    if filters.exclude_types:
        found.append(listed.session_type.not_in(filters.exclude_types))
    if filters.status is not None:
        found.append(listed.status == filters.status)
    message_count = func.coalesce(listed.message_count, 0)
    if filters.message_count_min is not None:
        found.append(message_count >= filters.message_count_min)
    if filters.message_count_max is not None:
        found.append(message_count <= filters.message_count_max)
    if filters.date_from is not None:
        found.append(listed.created_at >= filters.date_from)
    if filters.date_to is not None:
        found.append(listed.created_at < filters.date_to)
    if filters.updated_before is not None:
        # Not coalesce(), which no index knows.
        found.append(
            or_(
                listed.updated_at < filters.updated_before,
                and_(listed.updated_at.is_(None), listed.created_at < filters.updated_before),
            )
        )
    if filters.archived_after is not None or filters.archived_before is not None:
        if "archive" not in listing.places:
            raise InvalidArgument(
                "a live session has no archived_at",
                sqlstate="22023",
                hint="Filter the list of the archive by it.",
            )
        if filters.archived_after is not None:
            found.append(listed.archived_at >= filters.archived_after)
        if filters.archived_before is not None:
            found.append(listed.archived_at < filters.archived_before)
    if filters.search:
        # Not an OR of these: then none could come from an index.
        titles = select(listed.id).where(listed.title.icontains(filters.search, autoescape=True))
        contents = [
            select(message.session_id).where(
                message.content.icontains(filters.search, autoescape=True)
            )
            for message in listing.messages
        ]
        found.append(listed.id.in_(union(titles, *contents)))
    return found
