"""What PostgreSQL says arrives as an exception of this package that tells what to do."""

import asyncio
from uuid import uuid4

import psycopg
import pytest

from aria_db import errors
from aria_db.session_manager import NativeSessionManager
from tests.support import (
    Connect,
    new_session,
    places,
    set_for_database,
    wait_until_something_is_blocked,
)

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("setting", "sqlstate"), [("statement_timeout", "57014"), ("transaction_timeout", "25P04")]
)
async def test_a_timeout_of_the_server_is_no_reason_to_try_again_by_itself(
    manager: NativeSessionManager,
    connection: psycopg.Connection,
    connect: Connect,
    setting: str,
    sqlstate: str,
) -> None:
    if setting == "transaction_timeout" and connection.info.server_version < 170000:
        pytest.skip("transaction_timeout came with PostgreSQL 17")
    session_id = new_session(connection)
    locking = connect(autocommit=False)
    locking.execute("SELECT FROM engine_chat_sessions FOR UPDATE")
    set_for_database(connection, f"{setting} = '100ms'")

    with pytest.raises(errors.Canceled, match=setting.replace("_", " ")) as stopped:
        await manager.archive_session(session_id)

    assert stopped.value.sqlstate == sqlstate
    assert stopped.value.hint is not None
    assert setting in stopped.value.hint
    assert places(connection, session_id) == (1, 3, 0, 0)


async def test_work_that_somebody_cancels_is_told_so_and_moves_nothing(
    manager: NativeSessionManager, connection: psycopg.Connection, connect: Connect
) -> None:
    session_id = new_session(connection)
    locking = connect(autocommit=False)
    locking.execute("SELECT FROM engine_chat_sessions FOR UPDATE")

    def cancel() -> None:
        wait_until_something_is_blocked(connection)
        connection.execute(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
            " WHERE %s = ANY (pg_blocking_pids(pid))",
            (locking.info.backend_pid,),
        )

    with pytest.raises(errors.Canceled, match="due to user request"):
        await asyncio.gather(manager.archive_session(session_id), asyncio.to_thread(cancel))

    assert places(connection, session_id) == (1, 3, 0, 0)


async def test_a_server_that_is_short_of_something_is_told_from_one_that_is_gone(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection, messages=5000)
    for setting in ("temp_file_limit = 0", "work_mem = '64kB'"):
        set_for_database(connection, setting)

    with pytest.raises(errors.OutOfResources, match="temp_file_limit") as refused:
        await manager.get_messages(session_id)

    assert refused.value.sqlstate == "53400"


async def test_a_server_that_is_gone_is_unavailable(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    await manager.get_stats()
    connection.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    with pytest.raises(errors.DatabaseUnavailable):
        await manager.archive_session(uuid4())
