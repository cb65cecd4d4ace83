"""The two places of a session, live and archive, and the classes of what is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from aria_db.models import (
    EngineChatMessage,
    EngineChatMessageArchive,
    EngineChatSession,
    EngineChatSessionAll,
    EngineChatSessionArchive,
    EngineChatSessionArchiveList,
    EngineChatSessionList,
)

PlaceName = Literal["live", "archive"]
"""A place as the SQL functions name it."""

SessionRow = TypeVar("SessionRow", EngineChatSession, EngineChatSessionArchive)
MessageRow = TypeVar("MessageRow", EngineChatMessage, EngineChatMessageArchive)
ListedSession = TypeVar(
    "ListedSession", EngineChatSessionList, EngineChatSessionArchiveList, EngineChatSessionAll
)


@dataclass(frozen=True)
class Listing(Generic[ListedSession]):
    """What a list of sessions is read from.

    :param places: the places that it shows, as the SQL functions name them.
    :param listed: the class of its sessions.
    :param messages: the classes of the messages that a search reads.
    """

    places: tuple[PlaceName, ...]
    listed: type[ListedSession]
    messages: tuple[type[EngineChatMessage] | type[EngineChatMessageArchive], ...]


@dataclass(frozen=True)
class Place(Generic[SessionRow, MessageRow, ListedSession]):
    """Where a session is: :data:`LIVE` or :data:`ARCHIVE`.

    :param name: as the SQL functions name it.
    :param session: the class of its sessions.
    :param message: the class of its messages.
    :param listed: the class of the sessions that its list shows.
    """

    name: PlaceName
    session: type[SessionRow]
    message: type[MessageRow]
    listed: type[ListedSession]

    @property
    def listing(self) -> Listing[ListedSession]:
        """What the list of this place is read from."""
        return Listing((self.name,), self.listed, (self.message,))


LIVE = Place("live", EngineChatSession, EngineChatMessage, EngineChatSessionList)
"""The live tables, and the main list."""

ARCHIVE = Place(
    "archive", EngineChatSessionArchive, EngineChatMessageArchive, EngineChatSessionArchiveList
)
"""The archive."""

EVERYWHERE = Listing(
    ("live", "archive"), EngineChatSessionAll, (EngineChatMessage, EngineChatMessageArchive)
)
"""The list of both places. Soft-deleted sessions are in it."""

AnyPlace = Place[Any, Any, Any]
