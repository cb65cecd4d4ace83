"""Lists through the manager: what their filters find, and when the last messages were written."""

from datetime import datetime
from uuid import UUID

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from aria_db.session_manager import NativeSessionManager, SessionFilters
from tests.support import new_session
from tests.support.retention import wait_until_gone

pytestmark = pytest.mark.anyio

WITH_MESSAGES = "UPDATE engine_chat_sessions SET message_count = %s WHERE id = %s"


@pytest.fixture
def sessions(connection: psycopg.Connection) -> dict[str, UUID]:
    """Four live sessions, by what tells them apart."""
    found = {
        "chat": new_session(connection, 2, session_type="chat"),
        "cron": new_session(connection, 0, session_type="cron"),
        "swarm": new_session(connection, 0, session_type="swarm"),
        "ended": new_session(connection, 1, session_type="chat", status="ended"),
    }
    connection.execute(WITH_MESSAGES, (2, found["chat"]))
    connection.execute(WITH_MESSAGES, (1, found["ended"]))
    connection.execute(WITH_MESSAGES, (None, found["swarm"]))
    return found


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (SessionFilters(), {"chat", "cron", "swarm", "ended"}),
        (SessionFilters(exclude_types=("cron", "swarm")), {"chat", "ended"}),
        (SessionFilters(session_type="chat", exclude_types=("chat",)), set()),
        (SessionFilters(status="ended"), {"ended"}),
        (SessionFilters(message_count_max=0), {"cron", "swarm"}),
        (SessionFilters(message_count_min=1), {"chat", "ended"}),
        (SessionFilters(message_count_min=1, message_count_max=1), {"ended"}),
    ],
)
@pytest.mark.parametrize("place", ["live", "archive", "both"])
async def test_a_list_has_the_sessions_that_all_filters_find_and_their_number(
    manager: NativeSessionManager,
    sessions: dict[str, UUID],
    place: str,
    filters: SessionFilters,
    found: set[str],
) -> None:
    listed = {
        "live": manager.list_sessions,
        "archive": manager.list_archived_sessions,
        "both": manager.list_all_sessions,
    }[place]
    if place == "archive":
        await manager.archive_sessions(sessions.values())

    page = await listed(filters=filters)

    assert {row.id for row in page.sessions} == {sessions[name] for name in found}
    assert (page.total, page.total_is_estimate) == (len(found), False)


async def test_bulk_work_takes_the_same_filters_and_its_run_says_which(
    manager: NativeSessionManager, sessions: dict[str, UUID]
) -> None:
    filters = SessionFilters(exclude_types=("chat",), message_count_max=0)

    async for _ in manager.archive_batches(filters):
        pass

    archived = (await manager.list_archived_sessions()).sessions
    assert {row.id for row in archived} == {sessions["cron"], sessions["swarm"]}
    (run,) = await manager.list_runs()
    assert run.arguments["exclude_types"] == ["chat"]
    assert run.arguments["message_count_max"] == 0


async def test_lists_say_when_the_last_message_of_each_session_was_written(
    manager: NativeSessionManager, connection: psycopg.Connection, sessions: dict[str, UUID]
) -> None:
    times: dict[UUID, datetime | None] = dict.fromkeys(sessions.values())
    times |= dict(
        connection.execute(
            "SELECT session_id, max(created_at) FROM engine_chat_messages GROUP BY session_id"
        )
    )

    live = (await manager.list_sessions()).sessions
    await manager.archive_session(sessions["chat"])
    archived = (await manager.list_archived_sessions()).sessions
    everywhere = (await manager.list_all_sessions()).sessions

    assert {row.id: row.last_message_at for row in live} == times
    assert [row.last_message_at for row in archived] == [times[sessions["chat"]]]
    assert {row.id: row.last_message_at for row in everywhere} == times


async def test_a_page_reads_the_messages_of_its_sessions_and_of_no_other(
    manager: NativeSessionManager, async_engine: AsyncEngine, connection: psycopg.Connection
) -> None:
    for _ in range(20):
        new_session(connection, 50)
    connection.execute("VACUUM ANALYZE engine_chat_messages")
    connection.execute("SELECT pg_stat_reset()")

    page = await manager.list_sessions(limit=2, offset=10)

    # A connection reports what it has read when its backend ends.
    async with async_engine.connect() as reading:
        pid = await reading.scalar(sa.select(sa.func.pg_backend_pid()))
    await async_engine.dispose()
    wait_until_gone(connection, pid)
    read = connection.execute(
        """
        SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables
        WHERE relname = 'engine_chat_messages'
        """
    ).fetchone()
    assert len(page.sessions) == 2
    assert read == (100,)


async def test_the_statistics_have_the_names_of_the_application(
    manager: NativeSessionManager, sessions: dict[str, UUID], connection: psycopg.Connection
) -> None:
    new_session(connection, 1, status="archived", agent_id="another")
    times = connection.execute(
        "SELECT min(created_at), max(updated_at) FROM engine_chat_session_list"
    ).fetchone()

    stats = await manager.get_stats()

    assert (stats.total_sessions, stats.total_messages) == (4, 4)
    assert (stats.active_sessions, stats.active_agents, stats.ghost_sessions) == (3, 1, 2)
    assert (stats.oldest_session, stats.newest_activity) == times
    assert stats.by_type == {"chat": 2, "cron": 1, "swarm": 1}
    assert stats.by_status == {"active": 3, "ended": 1, "archived": 1}
