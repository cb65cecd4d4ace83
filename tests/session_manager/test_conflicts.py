"""Conflicts from Python: the statements, and the manager's calls."""

from uuid import uuid4

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from aria_db import functions
from aria_db.database import Database
from aria_db.errors import ColumnDrift, InvalidArgument, SessionConflict, SessionHeld
from aria_db.models import EngineConflictResolution
from aria_db.results import Difference, Resolved
from aria_db.session_manager import NativeSessionManager
from tests.support import new_session, places
from tests.support.conflicts import change, conflict
from tests.support.rows import ARCHIVE, LIVE

pytestmark = pytest.mark.anyio


async def test_conflicts_are_listed_and_gone_when_they_are_resolved(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    ids = sorted(conflict(connection) for _ in range(2))

    assert [found.session_id for found in await manager.list_conflicts()] == ids
    resolved = await manager.resolve_conflict(ids[0], "archive")

    assert resolved == Resolved(ids[0], "archive", 6, newly_resolved=True)
    (left,) = await manager.list_conflicts()
    assert (left.session_id, left.session_rows) == (ids[1], "equal")
    figures = left.messages_live, left.messages_archive, left.messages_equal
    assert (*figures, left.messages_different) == (4, 4, 2, 0)


async def test_differences_are_none_without_a_conflict_and_empty_without_a_difference(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    session_id = conflict(connection, only_live=0, only_archive=0)

    assert await manager.conflict_differences(session_id) == []
    change(connection, LIVE[0], "title = NULL", session_id)
    assert await manager.conflict_differences(session_id) == [
        Difference(None, "different", "title", None, "a session")
    ]
    assert await manager.conflict_differences(new_session(connection)) is None
    assert await manager.conflict_differences(uuid4()) is None


async def test_the_row_that_is_not_kept_is_in_the_log(
    manager: NativeSessionManager, connection: psycopg.Connection, database: Database
) -> None:
    session_id = conflict(connection)
    change(connection, LIVE[0], "title = 'new'", session_id)

    await manager.resolve_conflict(session_id, "live", "archive")

    engine = database.engine()
    with Session(engine) as session:
        resolution = session.scalars(sa.select(EngineConflictResolution)).one()
        assert resolution.dropped_row is not None
        assert resolution.dropped_row["title"] == "new"
        assert (resolution.session_id, resolution.kept) == (session_id, "archive")
    engine.dispose()


async def test_every_refusal_has_its_exception_and_changes_nothing(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    session_id = conflict(connection)
    change(connection, LIVE[0], "title = 'new'", session_id)
    with pytest.raises(SessionConflict, match="its row") as refused:
        await manager.resolve_conflict(session_id, "live")
    assert refused.value.hint is not None
    connection.execute("SELECT place_hold(%s, 'a case')", [session_id])
    with pytest.raises(SessionHeld):
        await manager.resolve_conflict(session_id, "archive", "live")
    with pytest.raises(InvalidArgument):
        await manager.resolve_conflict(new_session(connection), "archive")
    connection.execute(f"ALTER TABLE {ARCHIVE[1]} ADD COLUMN mood text")
    with pytest.raises(ColumnDrift):
        await manager.resolve_conflict(session_id, "live", "live")
    with pytest.raises(ColumnDrift):
        await manager.conflict_differences(session_id)

    assert places(connection, session_id) == (1, 4, 1, 4)


async def test_an_unknown_session_is_none_and_a_retry_is_safe(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    session_id = conflict(connection)

    assert await manager.resolve_conflict(uuid4(), "live") is None
    await manager.resolve_conflict(session_id, "live")
    retried = await manager.resolve_conflict(session_id, "live")

    assert retried == Resolved(session_id, "live", 6, newly_resolved=False)


def test_the_statements_work_in_a_synchronous_session(
    connection: psycopg.Connection, database: Database
) -> None:
    session_id = conflict(connection, only_archive=0)

    engine = database.engine()
    with Session(engine) as session, session.begin():
        found = session.execute(functions.session_conflict_differences(session_id)).all()
        row = session.execute(functions.resolve_session_conflict(session_id, "live")).one()
    engine.dispose()

    assert {(difference.difference, difference.column_name) for difference in found} == {
        ("only live", None)
    }
    assert tuple(row) == (session_id, "live", 4, True)
    assert places(connection, session_id) == (1, 4, 0, 0)
