"""NativeSessionManager: the chat engine's session calls, over models and functions.

A module per topic holds the calls of the topic; the manager is all of them. Thin on purpose: a
call is one statement or two in one transaction. The SQL functions move rows between the live
tables and the archive; no call here copies or deletes rows for that.
"""

from __future__ import annotations

from aria_db.session_manager.archive import Archive
from aria_db.session_manager.bulk import Bulk, Matching
from aria_db.session_manager.conflicts import Conflicts
from aria_db.session_manager.dependents import Dependents, Handling
from aria_db.session_manager.history import History
from aria_db.session_manager.holds import Holds
from aria_db.session_manager.importing import Imported, Importing, NewConversation
from aria_db.session_manager.lists import Lists, SessionFilters, SortKey
from aria_db.session_manager.messages import RECENT, Detail, Messages, NewMessage, Transcript
from aria_db.session_manager.operations import Access, Operations
from aria_db.session_manager.paging import COUNTED, Page
from aria_db.session_manager.places import ARCHIVE, LIVE, AnyPlace, PlaceName
from aria_db.session_manager.policies import ALL_TYPES, KEEP, LONGEST_AGE, Policies
from aria_db.session_manager.retention import PruneResult, Retention
from aria_db.session_manager.runs import Limits, Progress
from aria_db.session_manager.sessions import (
    SOFT_DELETED,
    NewSession,
    SessionChanges,
    Sessions,
)
from aria_db.session_manager.statistics import Statistics, Stats
from aria_db.session_manager.undo import Undo

__all__ = [
    "ALL_TYPES",
    "ARCHIVE",
    "COUNTED",
    "KEEP",
    "LIVE",
    "LONGEST_AGE",
    "RECENT",
    "SOFT_DELETED",
    "Access",
    "AnyPlace",
    "Detail",
    "Handling",
    "Imported",
    "Limits",
    "Matching",
    "NativeSessionManager",
    "NewConversation",
    "NewMessage",
    "NewSession",
    "Page",
    "PlaceName",
    "Progress",
    "PruneResult",
    "SessionChanges",
    "SessionFilters",
    "SortKey",
    "Stats",
    "Transcript",
]


class NativeSessionManager(
    Sessions,
    Messages,
    Archive,
    Lists,
    Importing,
    Retention,
    Undo,
    Bulk,
    Holds,
    History,
    Policies,
    Conflicts,
    Dependents,
    Statistics,
    Operations,
):
    """Sessions and messages of the chat engine, live and archived.

    Every method runs in a transaction of its own and raises the exceptions of
    :mod:`aria_db.errors`. One manager serves any number of tasks.

    :param engine: an asynchronous engine whose connections find the tables, for
        example ``Database(url, schema).async_engine()``.
    """
