"""Messages through the manager, live and archived."""

from uuid import uuid4

import psycopg
import pytest

from aria_db.session_manager import NativeSessionManager
from aria_db.session_manager.messages import NewMessage
from aria_db.session_manager.places import ARCHIVE
from tests.support import new_session, places

pytestmark = pytest.mark.anyio


async def test_a_message_is_added_to_a_live_session_and_to_no_other(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection, 0)
    said = NewMessage("user", "hello")

    stored = await manager.add_message(session_id, said)

    assert stored is not None
    assert (stored.session_id, stored.role, stored.content) == (session_id, "user", "hello")
    await manager.archive_session(session_id)
    assert await manager.add_message(session_id, said) is None
    assert await manager.add_message(uuid4(), said) is None
    assert places(connection, session_id) == (0, 0, 1, 1)


async def test_messages_are_read_a_page_at_a_time_from_the_place_that_is_named(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection, 3)
    live = await manager.get_messages(session_id) or ()
    assert [message.content for message in live] == [f"message {n}" for n in (1, 2, 3)]

    await manager.archive_session(session_id)

    assert await manager.get_messages(session_id) is None
    page = await manager.get_messages(session_id, ARCHIVE, limit=1, offset=1) or ()
    assert [message.id for message in page] == [live[1].id]


async def test_a_transcript_is_found_wherever_the_session_is(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection, 2, title="a title")
    live = await manager.get_transcript(session_id)
    await manager.archive_session(session_id)
    archived = await manager.get_transcript(session_id)

    assert live is not None
    assert archived is not None
    assert live.session.title == archived.session.title == "a title"
    assert [each.id for each in live.messages] == [each.id for each in archived.messages]
    assert await manager.get_transcript(uuid4()) is None
