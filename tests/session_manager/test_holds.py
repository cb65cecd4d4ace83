"""Holds through the manager, and what they keep."""

import asyncio
from uuid import uuid4

import psycopg
import pytest

from aria_db.errors import InvalidArgument, SessionHeld
from aria_db.session_manager import NativeSessionManager
from tests.support import Connect, new_session, places, wait_until_something_is_blocked

pytestmark = pytest.mark.anyio


async def test_a_held_session_is_not_deleted(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection)
    await manager.place_hold(session_id, "an audit")

    with pytest.raises(SessionHeld, match="an audit") as refusal:
        await manager.delete_session(session_id)

    assert refusal.value.sqlstate == "AR003"
    assert refusal.value.hint
    assert places(connection, session_id) == (1, 3, 0, 0)
    assert await manager.release_hold(session_id)
    deleted = await manager.delete_session(session_id)
    assert deleted is not None
    assert (deleted.id, deleted.message_count) == (session_id, 3)
    assert places(connection, session_id) == (0, 0, 0, 0)


async def test_a_delete_waits_for_a_hold_that_is_being_placed_and_is_refused(
    manager: NativeSessionManager, connection: psycopg.Connection, connect: Connect
) -> None:
    session_id = new_session(connection)
    holder = connect(autocommit=False)
    holder.execute("SELECT FROM place_hold(%s, 'an audit')", (session_id,))

    deleting = asyncio.create_task(manager.delete_session(session_id))
    await asyncio.to_thread(wait_until_something_is_blocked, connection)
    holder.commit()

    with pytest.raises(SessionHeld):
        await deleting
    assert places(connection, session_id) == (1, 3, 0, 0)


async def test_a_delete_goes_on_when_the_hold_is_not_placed_after_all(
    manager: NativeSessionManager, connection: psycopg.Connection, connect: Connect
) -> None:
    session_id = new_session(connection)
    holder = connect(autocommit=False)
    holder.execute("SELECT FROM place_hold(%s, 'an audit')", (session_id,))

    deleting = asyncio.create_task(manager.delete_session(session_id))
    await asyncio.to_thread(wait_until_something_is_blocked, connection)
    holder.rollback()

    deleted = await deleting
    assert deleted is not None
    assert (deleted.id, deleted.message_count) == (session_id, 3)
    assert places(connection, session_id) == (0, 0, 0, 0)


async def test_a_hold_keeps_who_and_when_and_takes_a_new_reason(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection)

    first = await manager.place_hold(session_id, "an audit")
    second = await manager.place_hold(session_id, "another one")

    assert first is not None
    assert second is not None
    assert (first.id, first.placed_by) == (session_id, connection.info.user)
    assert (first.hold_reason, second.hold_reason) == ("an audit", "another one")
    assert (second.placed_by, second.placed_at) == (first.placed_by, first.placed_at)


async def test_a_hold_on_nothing_is_none_and_releasing_nothing_is_false(
    manager: NativeSessionManager,
) -> None:
    assert await manager.place_hold(uuid4(), "an audit") is None
    assert not await manager.release_hold(uuid4())


async def test_a_hold_needs_a_reason(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    with pytest.raises(InvalidArgument, match="reason"):
        await manager.place_hold(new_session(connection), " ")
