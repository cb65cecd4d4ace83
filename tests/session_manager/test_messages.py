"""Messages through the manager, live and archived."""

from uuid import uuid4

import psycopg
import pytest

from aria_db.errors import SessionHeld
from aria_db.session_manager import ARCHIVE, RECENT, NativeSessionManager, NewMessage
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


async def test_messages_can_be_asked_for_by_speaker_and_by_what_has_come_since(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection, 4)
    seen = (await manager.get_messages(session_id) or ())[1]

    since = await manager.get_messages(session_id, since=seen.created_at) or ()
    assert [message.content for message in since] == ["message 3", "message 4"]
    said = await manager.get_messages(session_id, role="user", since=seen.created_at) or ()
    assert [message.content for message in said] == ["message 3"]
    assert await manager.get_messages(session_id, role="tool") == []

    await manager.archive_session(session_id)
    archived = await manager.get_messages(session_id, ARCHIVE, since=seen.created_at, role="user")
    assert [message.id for message in archived or ()] == [said[0].id]


async def test_a_detail_has_the_last_messages_oldest_first(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    session_id, empty = new_session(connection, RECENT + 2), new_session(connection, 0)

    detail = await manager.get_detail(session_id)

    assert detail is not None
    contents = [message.content for message in detail.recent_messages]
    assert contents == [f"message {n}" for n in range(3, RECENT + 3)]
    assert detail.last_message_at == detail.recent_messages[-1].created_at
    without = await manager.get_detail(empty)
    assert without is not None
    assert (without.recent_messages, without.last_message_at) == ([], None)
    assert await manager.get_detail(session_id, ARCHIVE) is None
    await manager.archive_session(session_id)
    archived = await manager.get_detail(session_id, ARCHIVE)
    assert archived is not None
    assert [message.content for message in archived.recent_messages] == contents


async def test_a_message_is_deleted_from_its_live_session_and_the_journal_says_by_whom(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    session_id, other = new_session(connection, 0), new_session(connection)
    first = await manager.add_message(session_id, NewMessage("user", "a secret"))
    second = await manager.add_message(session_id, NewMessage("user", "hello"))
    assert first is not None
    assert second is not None

    assert not await manager.delete_message(other, first.id)
    assert await manager.acting_as("ada").delete_message(session_id, first.id)
    assert not await manager.delete_message(session_id, first.id)

    session = await manager.get_session(session_id)
    assert session is not None
    assert session.message_count == 1
    left = await manager.get_messages(session_id) or ()
    assert [message.id for message in left] == [second.id]
    (event,) = await manager.get_history(session_id) or ()
    assert (event.event, event.actor) == ("message_deleted", "ada")
    assert event.detail == {"message_id": str(first.id)}


async def test_a_message_of_a_session_on_hold_is_not_deleted(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection)
    (message, *_) = await manager.get_messages(session_id) or ()
    await manager.place_hold(session_id, "an audit")

    with pytest.raises(SessionHeld, match="an audit"):
        await manager.delete_message(session_id, message.id)

    assert places(connection, session_id) == (1, 3, 0, 0)
