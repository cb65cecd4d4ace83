"""The SQL functions as SQLAlchemy statements.

Each function returns a statement that works in a ``Session`` and in an
``AsyncSession`` alike; what it did stands when the transaction commits::

    with Session(engine) as session, session.begin():
        archived = session.execute(functions.archive_session(session_id)).one_or_none()
    if archived is None:
        print("no such session")

What the functions promise and which errors they raise stands at the top of their
files in ``sql/functions/``; :mod:`aria_db.errors` has an exception for each error.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    ColumnClause,
    DateTime,
    Function,
    Select,
    String,
    Uuid,
    column,
    func,
    literal,
    select,
)

_TIMESTAMP = DateTime(timezone=True)
_ARCHIVED: tuple[ColumnClause[Any], ...] = (
    column("id", Uuid()),
    column("archived_at", _TIMESTAMP),
    column("message_count", BigInteger()),
    column("newly_archived", Boolean()),
)
_RESTORED: tuple[ColumnClause[Any], ...] = (
    column("id", Uuid()),
    column("restored_at", _TIMESTAMP),
    column("message_count", BigInteger()),
    column("newly_restored", Boolean()),
)
_DRIFT: tuple[ColumnClause[Any], ...] = (
    column("live_table", String()),
    column("column_name", String()),
    column("problem", String()),
)


def _rows(call: Function[Any], columns: tuple[ColumnClause[Any], ...]) -> Select[Any]:
    """Return ``SELECT <columns> FROM <call>``."""
    return select(*call.table_valued(*columns).c)


def archive_session(session_id: UUID) -> Select[UUID, datetime, int, bool]:
    """Archive one session with all its messages.

    :param session_id: the session.
    :return: a statement that gives 0 or 1 row ``(id, archived_at, message_count,
        newly_archived)``: none if there is no such session; with ``newly_archived``
        false and the first ``archived_at`` if it was archived before.
        ``message_count`` counts its messages in the archive.
    :raises aria_db.errors.SessionConflict: when executed: it is live and archived,
        with different rows.
    :raises aria_db.errors.ColumnDrift: when executed: a column would be lost.
    """
    return _rows(func.archive_session(literal(session_id, Uuid())), _ARCHIVED)


def archive_sessions(session_ids: Iterable[UUID]) -> Select[UUID, datetime, int, bool]:
    """Archive several sessions with all their messages: all of them, or none.

    :param session_ids: the sessions.
    :return: a statement that gives a row as :func:`archive_session` does for each
        session that exists, in no particular order.
    :raises aria_db.errors.SessionConflict: when executed, as :func:`archive_session`.
    :raises aria_db.errors.ColumnDrift: when executed, as :func:`archive_session`.
    """
    ids = literal(list(session_ids), ARRAY(Uuid()))
    return _rows(func.archive_sessions(ids), _ARCHIVED)


def restore_session(session_id: UUID) -> Select[UUID, datetime | None, int, bool]:
    """Bring an archived session and all its messages back.

    :param session_id: the session.
    :return: a statement that gives 0 or 1 row ``(id, restored_at, message_count,
        newly_restored)``: none if there is no such session; with ``newly_restored``
        false and ``restored_at`` None if it was live already.
    :raises aria_db.errors.SessionConflict: when executed: its id, or the id of one
        of its messages, is live.
    :raises aria_db.errors.ColumnDrift: when executed: a column would be lost.
    """
    return _rows(func.restore_session(literal(session_id, Uuid())), _RESTORED)


def archive_column_drift() -> Select[str, str, str]:
    """List the columns that would not be archived faithfully.

    :return: a statement that gives a row ``(live_table, column_name, problem)`` for
        each; none when all is well.
    """
    return _rows(func.archive_column_drift(), _DRIFT)
