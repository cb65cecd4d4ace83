"""Pages of the lists of sessions: in which order, after which cursor, of how many."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic
from uuid import UUID

from sqlalchemy import ColumnElement, Label, Text, UnaryExpression, Uuid, cast, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from aria_db.errors import InvalidArgument
from aria_db.session_manager.places import ListedSession

COUNTED = 10_000
"""Up to which number the sessions of a list are counted; beyond, the total is an estimate.

Counting takes as long as there are sessions, and nobody reads to the end of such a list.
"""


@dataclass(frozen=True)
class Page(Generic[ListedSession]):
    """A part of a list.

    :param sessions: the sessions of this page, in the order that was asked for.
    :param total: how many sessions the whole list has; exact up to :data:`COUNTED`.
    :param total_is_estimate: whether it is the planner's estimate: there are more than that.
    :param limit: how many this page may hold.
    :param offset: how many were passed over.
    :param next_cursor: where the next page begins; None if nothing follows.
    """

    sessions: Sequence[ListedSession]
    total: int
    total_is_estimate: bool
    limit: int
    offset: int
    next_cursor: str | None

    @property
    def has_more(self) -> bool:
        """Whether another page follows."""
        return self.next_cursor is not None


@dataclass(frozen=True)
class Order:
    """An order of a list, in which no two sessions have the same place.

    As PostgreSQL's ``ORDER BY key, id``: sessions without a key are last, and first where the
    greatest comes first.

    :param key: the column to sort by.
    :param id: the sessions' ids, for those whose keys are equal.
    :param descending: whether the greatest comes first.
    """

    key: InstrumentedAttribute[Any]
    id: InstrumentedAttribute[UUID]
    descending: bool

    @property
    def columns(self) -> list[UnaryExpression[Any]]:
        """What to sort by."""
        return [one.desc() if self.descending else one.asc() for one in (self.key, self.id)]

    @property
    def key_as_text(self) -> Label[str]:
        """The key as a cursor has it: PostgreSQL's text, which says what Python's types cannot."""
        return cast(self.key, Text).label("key_as_text")

    def cursor(self, key: str | None, session_id: UUID) -> str:
        """Return the cursor of what follows a session.

        :param key: its key as text.
        :param session_id: its id.
        """
        text = json.dumps([self._name, key, str(session_id)], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def parts(self, cursor: str | None) -> Iterator[list[ColumnElement[bool]]]:
        """Return the conditions of what follows a cursor, in parts that follow each other.

        In parts, because an index finds where to go on among the keys, or among the sessions
        without one, and not with an OR between the two.

        :param cursor: what :meth:`cursor` returned; None for the whole list.
        :raises InvalidArgument: it is no cursor of this order.
        """
        if cursor is None:
            yield []
            return
        key, session_id = self._read(cursor)
        has_key = self.key.is_not(None)
        if key is None:
            after = self.id < session_id if self.descending else self.id > session_id
            yield [self.key.is_(None), after]
            if self.descending:
                yield [has_key]
            return
        here = tuple_(cast(key, self.key.type), cast(session_id, Uuid()))
        place = tuple_(self.key, self.id)
        yield [place < here if self.descending else place > here]
        if not self.descending:
            yield [self.key.is_(None)]

    @property
    def _name(self) -> str:
        return f"{self.key.key} {'desc' if self.descending else 'asc'}"

    def _read(self, cursor: str) -> tuple[str | None, UUID]:
        try:
            padded = cursor + "=" * (-len(cursor) % 4)
            name, key, session_id = json.loads(base64.b64decode(padded, b"-_", validate=True))
            if not (isinstance(key, str | None) and "\0" not in (key or "")):
                raise ValueError
            found = UUID(session_id)
        except (ValueError, TypeError, AttributeError, binascii.Error, RecursionError) as error:
            raise _unusable("the cursor cannot be read") from error
        if name != self._name:
            raise _unusable("the cursor is one of another order")
        return key, found


def _unusable(what: str) -> InvalidArgument:
    return InvalidArgument(
        what,
        sqlstate="22023",
        hint="Pass next_cursor of the page before as it is, and ask for the same order.",
    )
