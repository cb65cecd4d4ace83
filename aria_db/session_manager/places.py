"""The two places of a session, live and archive, and the classes of what is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from aria_db.models import (
    EngineChatMessage,
    EngineChatMessageArchive,
    EngineChatSession,
    EngineChatSessionArchive,
    EngineChatSessionArchiveList,
    EngineChatSessionList,
)

PlaceName = Literal["live", "archive"]
"""A place as the SQL functions name it."""

SessionRow = TypeVar("SessionRow", EngineChatSession, EngineChatSessionArchive)
MessageRow = TypeVar("MessageRow", EngineChatMessage, EngineChatMessageArchive)
ListedSession = TypeVar("ListedSession", EngineChatSessionList, EngineChatSessionArchiveList)


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


LIVE = Place("live", EngineChatSession, EngineChatMessage, EngineChatSessionList)
"""The live tables, and the main list."""

ARCHIVE = Place(
    "archive", EngineChatSessionArchive, EngineChatMessageArchive, EngineChatSessionArchiveList
)
"""The archive."""

AnyPlace = Place[Any, Any, Any]
