"""The drop-in for Aria's session manager: what its callers call, and what they get.

A test per method, with the arguments in the order in which the callers pass them, on an engine as
the application makes it: it knows no schema.
"""

import inspect
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from aria_db.contrib import aria
from aria_db.contrib.aria import EngineError, NativeSessionManager
from aria_db.database import Database
from aria_db.errors import InvalidArgument, SessionHeld
from tests.support import call, new_session, places
from tests.support.layouts import BOTH_LAYOUTS
from tests.support.retention import session_of_age

pytestmark = [pytest.mark.anyio, BOTH_LAYOUTS]

# The deployed application uses asyncpg.
DRIVERS = {"tables": "psycopg", "views": "asyncpg"}

SESSION = {
    *("session_id", "title", "agent_id", "session_type", "model", "status", "metadata"),
    *("message_count", "created_at", "updated_at", "last_message_at"),
}
NO_ID = "not-a-uuid"


@pytest.fixture
async def engine(database: Database, layout: str) -> AsyncIterator[AsyncEngine]:
    """The engine that the application has."""
    made = create_async_engine(database.url.set(drivername=f"postgresql+{DRIVERS[layout]}"))
    yield made
    await made.dispose()


@pytest.fixture
def sessions(engine: AsyncEngine) -> NativeSessionManager:
    """The drop-in, created as the application creates its own."""
    return NativeSessionManager(engine)


async def test_its_engine_is_where_callers_look_for_it(
    sessions: NativeSessionManager, engine: AsyncEngine
) -> None:
    assert sessions._db is engine
    assert list(inspect.signature(NativeSessionManager).parameters) == ["db_engine"]


async def test_create_session(sessions: NativeSessionManager) -> None:
    plain = await sessions.create_session()
    named = await sessions.create_session("scout", "a title", "cron", {"source": "web"})

    assert list(plain) == [
        *("session_id", "title", "agent_id", "session_type", "created_at", "message_count")
    ]
    assert (plain["agent_id"], plain["title"], plain["session_type"]) == ("main", None, "chat")
    assert plain["message_count"] == 0
    assert datetime.fromisoformat(plain["created_at"]).tzinfo
    stored = await sessions.get_session(named["session_id"])
    assert stored is not None
    assert (stored["agent_id"], stored["title"], stored["session_type"]) == (
        *("scout", "a title"),
        "cron",
    )
    assert stored["metadata"] == {"source": "web"}


async def test_get_session(sessions: NativeSessionManager, connection: psycopg.Connection) -> None:
    session_id = str(new_session(connection, 2, model="a-model"))

    found = await sessions.get_session(session_id)

    assert found is not None
    assert set(found) == SESSION
    assert (found["session_id"], found["model"]) == (session_id, "a-model")
    messages = await sessions.get_messages(session_id)
    assert found["last_message_at"] == messages[-1]["created_at"]
    for unknown in (str(uuid4()), NO_ID):
        assert await sessions.get_session(unknown) is None


async def test_list_sessions(
    sessions: NativeSessionManager, connection: psycopg.Connection
) -> None:
    cron = str(new_session(connection, 0, session_type="cron", title="one"))
    chat = str(new_session(connection, 1, session_type="chat", title="two", agent_id="scout"))

    async def ids(*arguments: object, **named: object) -> list[str]:
        found = await sessions.list_sessions(*arguments, **named)  # type: ignore[arg-type]
        return [session["id"] for session in found["sessions"]]

    whole = await sessions.list_sessions()
    assert list(whole) == ["sessions", "total", "limit", "offset", "has_more"]
    assert (whole["total"], whole["limit"], whole["offset"], whole["has_more"]) == (2, 50, 0, False)
    assert all(set(session) == SESSION | {"id"} for session in whole["sessions"])
    assert [session["session_id"] for session in whole["sessions"]] == [chat, cron]
    assert await ids("scout") == [chat]
    assert await ids(None, "cron") == [cron]
    assert await ids(None, None, ["cron", "swarm"]) == [chat]
    assert await ids(None, None, None, "ONE") == [cron]
    assert await ids(None, None, None, None, 1, 1) == [cron]
    assert await ids(sort="title", order="asc") == [cron, chat]
    # an empty text is no condition, and an unknown order the default one
    assert await ids("", "", [], "", sort="nonsense", order="nonsense") == [chat, cron]


async def test_update_session(
    sessions: NativeSessionManager, connection: psycopg.Connection
) -> None:
    session_id = str(new_session(connection, title="a title"))

    titled = await sessions.update_session(session_id, "another")
    described = await sessions.update_session(session_id, None, {"a": 1})

    assert titled is not None
    assert described is not None
    assert set(titled) == SESSION
    assert (titled["title"], described["title"]) == ("another", "another")
    assert described["metadata"] == {"a": 1}
    assert await sessions.update_session(session_id) == described
    for unknown in (str(uuid4()), NO_ID):
        assert await sessions.update_session(unknown, "another") is None


@pytest.mark.parametrize(
    ("method", "place"),
    [
        ("delete_session", (0, 0, 0, 0)),
        ("end_session", (1, 3, 0, 0)),
        ("archive_session", (0, 0, 1, 3)),
    ],
)
async def test_deleting_ending_and_archiving_return_whether_there_is_such_a_session(
    sessions: NativeSessionManager,
    connection: psycopg.Connection,
    method: str,
    place: tuple[int, int, int, int],
) -> None:
    session_id = new_session(connection)

    assert await getattr(sessions, method)(str(session_id)) is True

    assert places(connection, session_id) == place
    for unknown in (str(uuid4()), NO_ID):
        assert await getattr(sessions, method)(unknown) is False


async def test_a_session_on_hold_is_not_archived(
    sessions: NativeSessionManager, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection)
    call(connection, "place_hold", session_id=session_id, reason="an audit")

    with pytest.raises(SessionHeld, match="an audit"):
        await sessions.archive_session(str(session_id))


async def test_delete_message(
    sessions: NativeSessionManager, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection, 2)
    first, second = await sessions.get_messages(str(session_id))

    assert await sessions.delete_message(first["id"], str(session_id)) is True

    assert await sessions.get_messages(str(session_id)) == [second]
    assert await sessions.delete_message(first["id"], str(session_id)) is False
    assert await sessions.delete_message(NO_ID, str(session_id)) is False
    assert await sessions.delete_message(second["id"], NO_ID) is False


async def test_add_message(sessions: NativeSessionManager, connection: psycopg.Connection) -> None:
    session_id = str(new_session(connection, 0))

    added = await sessions.add_message(session_id, "user", "hello", "scout", {"a": 1})

    assert list(added) == ["id", "session_id", "role", "content", "agent_id", "created_at"]
    assert (added["session_id"], added["role"], added["content"]) == (session_id, "user", "hello")
    assert added["agent_id"] == "scout"
    (message,) = await sessions.get_messages(session_id)
    assert message["id"] == added["id"]
    # where the application's own code looks for it
    assert message["metadata"] == {"a": 1, "agent_id": "scout"}
    for unknown in (str(uuid4()), NO_ID):
        with pytest.raises(EngineError, match=f"^Session {unknown} not found$"):
            await sessions.add_message(unknown, "user", "hello")


async def test_the_application_can_have_its_own_error_raised(engine: AsyncEngine) -> None:
    class TheirError(Exception):
        pass

    class Sessions(aria.NativeSessionManager):
        engine_error = TheirError

    with pytest.raises(TheirError, match="not found"):
        await Sessions(engine).add_message(str(uuid4()), "user", "hello")


async def test_get_messages(sessions: NativeSessionManager, connection: psycopg.Connection) -> None:
    session_id = str(new_session(connection, 4))
    connection.execute(
        """
        UPDATE engine_chat_messages SET agent_id = NULL, metadata = '{"agent_id": "scout"}'
        WHERE content = 'message 4'
        """
    )

    messages = await sessions.get_messages(session_id)

    assert [message["content"] for message in messages] == [f"message {n}" for n in (1, 2, 3, 4)]
    assert {"role", "content", "thinking", "tool_calls", "model", "agent_id"} < set(messages[0])
    assert messages[3]["agent_id"] == "scout"
    assert await sessions.get_messages(session_id, 2, 1) == messages[1:3]
    since = messages[1]["created_at"]
    for after in (since, datetime.fromisoformat(since)):
        assert await sessions.get_messages(session_id, 100, 0, after) == messages[2:]
    assert await sessions.get_messages(session_id, since="") == messages
    for unknown in (str(uuid4()), NO_ID):
        assert await sessions.get_messages(unknown) == []
    with pytest.raises(InvalidArgument, match="'yesterday', which is no time"):
        await sessions.get_messages(session_id, since="yesterday")


async def test_get_stats(sessions: NativeSessionManager, connection: psycopg.Connection) -> None:
    assert await sessions.get_stats() == {
        **dict.fromkeys(("total_sessions", "total_messages", "active_agents", "ghost_sessions"), 0),
        **dict.fromkeys(("oldest_session", "newest_activity")),
    }
    new_session(connection, 3)
    new_session(connection, 0, agent_id="scout")

    stats = await sessions.get_stats()

    assert (stats["total_sessions"], stats["total_messages"]) == (2, 3)
    assert (stats["active_agents"], stats["ghost_sessions"]) == (2, 1)
    assert stats["oldest_session"] <= stats["newest_activity"]


async def test_list_archived_sessions(
    sessions: NativeSessionManager, connection: psycopg.Connection
) -> None:
    ids = [str(new_session(connection, agent_id=agent)) for agent in ("aria", "scout")]
    for session_id in ids:
        await sessions.archive_session(session_id)

    archived = await sessions.list_archived_sessions()

    assert list(archived) == ["sessions", "total", "limit", "offset"]
    assert (archived["total"], archived["limit"], archived["offset"]) == (2, 200, 0)
    assert [session["session_id"] for session in archived["sessions"]] == ids[::-1]
    assert all(set(found) == SESSION | {"id", "archived_at"} for found in archived["sessions"])
    assert (await sessions.list_archived_sessions(1, 1))["sessions"] == archived["sessions"][1:]
    scouts = await sessions.list_archived_sessions(200, 0, "scout")
    assert [session["agent_id"] for session in scouts["sessions"]] == ["scout"]


async def test_prune_old_sessions(
    sessions: NativeSessionManager, connection: psycopg.Connection
) -> None:
    old = session_of_age(connection, "31 days")
    zombie = session_of_age(connection, "3 hours", session_type="cron")
    would = {
        **{"pruned_count": 1, "archived_count": 0, "message_count": 3},
        **{"zombies_closed": 1, "dry_run": True},
    }

    assert await sessions.prune_old_sessions(30, True) == would
    done = await sessions.prune_old_sessions()

    assert done == {**would, "archived_count": 1, "dry_run": False}
    assert places(connection, old) == (0, 0, 1, 3)
    ended = await sessions.get_session(str(zombie))
    assert ended is not None
    assert (ended["status"], ended["metadata"]["ended"]) == ("ended", True)
    another = session_of_age(connection, "3 hours", session_type="cron")
    with pytest.raises(InvalidArgument):
        await sessions.prune_old_sessions(0)
    untouched = await sessions.get_session(str(another))
    assert untouched is not None
    assert untouched["status"] == "active"


async def test_prune_sessions_by_type(
    sessions: NativeSessionManager, connection: psycopg.Connection
) -> None:
    swarm = session_of_age(connection, "25 hours", session_type="swarm")
    chat = session_of_age(connection, "25 hours", session_type="chat")
    would = {"pruned_count": 1, "archived_count": 0, "message_count": 3, "dry_run": True}

    assert await sessions.prune_sessions_by_type("swarm", 1, True) == would
    assert await sessions.prune_sessions_by_type("swarm") == {
        **would,
        **{"archived_count": 1, "dry_run": False},
    }

    assert places(connection, swarm) == (0, 0, 1, 3)
    assert places(connection, chat) == (1, 3, 0, 0)
    nothing = {**would, **dict.fromkeys(("pruned_count", "message_count"), 0), "dry_run": False}
    assert await sessions.prune_sessions_by_type("a type to come") == nothing
    with pytest.raises(InvalidArgument):
        await sessions.prune_sessions_by_type("swarm", 0)


async def test_delete_ghost_sessions(
    sessions: NativeSessionManager, connection: psycopg.Connection
) -> None:
    ghost, young, chat = (
        session_of_age(connection, age, messages)
        for age, messages in (("16 minutes", 0), ("14 minutes", 0), ("16 minutes", 1))
    )

    assert await sessions.delete_ghost_sessions() == 1

    assert places(connection, ghost) == (0, 0, 0, 0)
    assert places(connection, young) == (1, 0, 0, 0)
    assert places(connection, chat) == (1, 1, 0, 0)
    assert await sessions.delete_ghost_sessions(13) == 1
    for minutes in (0, int(timedelta.max.total_seconds())):
        with pytest.raises(InvalidArgument):
            await sessions.delete_ghost_sessions(minutes)
