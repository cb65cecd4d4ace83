"""Imports through the manager: all of them or none, and again to no effect."""

from collections.abc import Iterator, Sequence
from uuid import uuid4

import psycopg
import pytest

from aria_db.session_manager import NativeSessionManager
from aria_db.session_manager.importing import NewConversation
from aria_db.session_manager.messages import NewMessage
from aria_db.session_manager.sessions import NewSession
from tests.support import places

pytestmark = pytest.mark.anyio


def _conversation(messages: int) -> NewConversation:
    said = [NewMessage("user", f"message {number}") for number in range(messages)]
    return NewConversation(uuid4(), NewSession(title="imported"), said)


async def test_an_import_that_is_repeated_leaves_what_is_there_live_or_archived(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    first, second = _conversation(2), _conversation(3)
    done = await manager.import_sessions([[first]])
    assert (done.sessions, done.already_there, done.messages) == (1, 0, 2)
    await manager.archive_session(first.id)

    again = await manager.import_sessions([[first], [second]])

    assert (again.sessions, again.already_there, again.messages) == (1, 1, 3)
    assert places(connection, first.id) == (0, 0, 1, 2)
    assert places(connection, second.id) == (1, 3, 0, 0)
    read = await manager.get_messages(second.id) or ()
    assert [message.content for message in read] == [said.content for said in second.messages]


async def test_an_import_that_fails_half_way_creates_nothing(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    first = _conversation(1)

    def batches() -> Iterator[Sequence[NewConversation]]:
        yield [first]
        raise ValueError("the file ends here")

    with pytest.raises(ValueError, match="ends here"):
        await manager.import_sessions(batches())

    assert places(connection, first.id) == (0, 0, 0, 0)
