"""Lists: the manager's calls that list sessions, live or archived, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import ColumnElement, Row, func, select, union
from sqlalchemy.ext.asyncio import AsyncSession

from aria_db import functions
from aria_db.errors import InvalidArgument
from aria_db.models import EngineChatSessionArchiveList, EngineChatSessionList
from aria_db.session_manager.paging import COUNTED, Order, Page
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

SortKey = Literal["created_at", "updated_at", "title"]


@dataclass(frozen=True)
class SessionFilters:
    """Which sessions a list shows; None and an empty search leave it open.

    :param agent_id: only this agent's.
    :param session_type: only of this type.
    :param search: only those whose title or messages contain this text, in upper
        or lower case.
    :param date_from: only those created at this time or later.
    :param date_to: only those created before this time.
    """

    agent_id: str | None = None
    session_type: str | None = None
    search: str | None = None
    date_from: datetime | None = None
    date_to: datetime | None = None


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

        :param limit: how many to return at most, at least 1.
        :param offset: how many to pass over.
        :param cursor: ``next_cursor`` of the page before; with the same order and filters.
        :param filters: which ones; by default all.
        :param sort: the column to sort by; equal ones are in the order of their ids.
        :param descending: whether the greatest comes first.
        :raises aria_db.errors.InvalidArgument: it is no cursor of this order, or the limit is
            below 1.
        """
        listed = LIVE.listed
        order = Order(getattr(listed, sort), listed.id, descending)
        return await self._page(LIVE, filters, order, limit, offset, cursor)

    async def list_archived_sessions(
        self,
        limit: int = 50,
        offset: int = 0,
        *,
        cursor: str | None = None,
        filters: SessionFilters = SessionFilters(),
    ) -> Page[EngineChatSessionArchiveList]:
        """List archived sessions, newest archived first.

        :param limit: how many to return at most, at least 1.
        :param offset: how many to pass over.
        :param cursor: as :meth:`list_sessions`.
        :param filters: which ones; by default all.
        :raises aria_db.errors.InvalidArgument: as :meth:`list_sessions`.
        """
        listed = ARCHIVE.listed
        order = Order(listed.archived_at, listed.id, descending=True)
        return await self._page(ARCHIVE, filters, order, limit, offset, cursor)

    async def _page(
        self,
        place: Place[SessionRow, MessageRow, ListedSession],
        filters: SessionFilters,
        order: Order,
        limit: int,
        offset: int,
        cursor: str | None,
    ) -> Page[ListedSession]:
        if limit < 1:
            raise InvalidArgument(
                f"limit is {limit}, and must be at least 1",
                sqlstate="22023",
                hint="Pass how many sessions a page may hold.",
            )
        if cursor is not None and offset:
            raise InvalidArgument(
                "a page begins after a cursor or after an offset, and not after both",
                sqlstate="22023",
                hint="Leave the offset out.",
            )
        conditions = _conditions(place, filters)
        rows: list[Row[ListedSession, str]] = []
        async with self._snapshot() as session:
            total, is_estimate = await _total(session, place, conditions, filters)
            for part in order.parts(cursor):
                if len(rows) > limit:
                    break
                found = await session.execute(
                    select(place.listed, order.key_as_text)
                    .where(*conditions, *part)
                    .order_by(*order.columns)
                    # One more, to see whether something follows.
                    .limit(limit + 1 - len(rows))
                    .offset(offset)
                )
                rows += found
        sessions = [session for session, _ in rows[:limit]]
        next_cursor = None
        if len(rows) > limit:
            last, key = rows[limit - 1]
            next_cursor = order.cursor(key, last.id)
        return Page(sessions, total, is_estimate, limit, offset, next_cursor)


async def _total(
    session: AsyncSession,
    place: AnyPlace,
    conditions: list[ColumnElement[bool]],
    filters: SessionFilters,
) -> tuple[int, bool]:
    """Return how many sessions a list has, and whether that is an estimate."""
    counted = select(place.listed.id).where(*conditions).limit(COUNTED + 1).subquery()
    total = await session.scalar(select(func.count()).select_from(counted)) or 0
    if total <= COUNTED:
        return total, False
    estimate = await session.scalar(
        functions.estimate_sessions(
            place.name,
            filters.agent_id,
            filters.session_type,
            filters.date_from,
            filters.date_to,
        )
    )
    # What a search finds, the planner cannot tell.
    return max(total, 0 if filters.search else estimate or 0), True


def _conditions(place: AnyPlace, filters: SessionFilters) -> list[ColumnElement[bool]]:
    """Return the conditions of a list: all of them must hold."""
    listed, message = place.listed, place.message
    conditions: list[ColumnElement[bool]] = []
    if filters.agent_id is not None:
        conditions.append(listed.agent_id == filters.agent_id)
    if filters.session_type is not None:
        conditions.append(listed.session_type == filters.session_type)
    if filters.date_from is not None:
        conditions.append(listed.created_at >= filters.date_from)
    if filters.date_to is not None:
        conditions.append(listed.created_at < filters.date_to)
    if filters.search:
        # Not an OR of the two: then neither could come from an index.
        found = union(
            select(listed.id).where(listed.title.icontains(filters.search, autoescape=True)),
            select(message.session_id).where(
                message.content.icontains(filters.search, autoescape=True)
            ),
        )
        conditions.append(listed.id.in_(found))
    return conditions
