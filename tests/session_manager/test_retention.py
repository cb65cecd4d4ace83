"""The Python side of retention: the loop around a batch."""

import asyncio
from collections.abc import Iterable
from contextlib import aclosing
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from aria_db import functions
from aria_db.database import Database
from aria_db.errors import (
    ColumnDrift,
    InvalidArgument,
)
from aria_db.session_manager import ALL_TYPES, Limits, NativeSessionManager, Progress
from tests.support import Connect, new_session, places

pytestmark = pytest.mark.anyio

MONTH = timedelta(days=30)


def _age(connection: psycopg.Connection, ids: Iterable[UUID], days: int = 40) -> list[UUID]:
    ids = list(ids)
    connection.execute(
        "UPDATE engine_chat_sessions SET updated_at = now() - make_interval(days => %s)"
        " WHERE id = ANY(%s)",
        (days, ids),
    )
    return ids


def _old_sessions(connection: psycopg.Connection, number: int, messages: int = 1) -> list[UUID]:
    return _age(connection, [new_session(connection, messages) for _ in range(number)])


def _live(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM engine_chat_sessions").fetchone()
    assert row is not None
    number: int = row[0]
    return number


BLOCKS_SOMEBODY = "EXISTS (SELECT FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid)))"


async def _until(connection: psycopg.Connection, condition: str, *parameters: object) -> None:
    """Return when an SQL condition is true; fail if it is not within 10 s."""
    for _ in range(1000):
        if connection.execute(f"SELECT {condition}", parameters).fetchone() == (True,):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"not within 10 s: {condition}")


async def _last(manager: NativeSessionManager, limits: Limits) -> Progress:
    progress = [progress async for progress in manager.prune_batches(limits=limits)]
    assert all(each.stop_reason is None for each in progress[:-1])
    return progress[-1]


# prune_old_sessions


async def test_a_dry_run_counts_what_the_prune_then_archives(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    _old_sessions(connection, 3, messages=2)
    new_session(connection)

    counted = await manager.prune_old_sessions(days=30, dry_run=True)
    assert counted == {
        "pruned_count": 3,
        "archived_count": 0,
        "message_count": 6,
        "zombies_closed": 0,
        "dry_run": True,
    }
    assert _live(connection) == 4

    done = await manager.prune_old_sessions()
    assert done == counted | {"archived_count": 3, "dry_run": False}
    assert _live(connection) == 1


async def test_a_session_without_a_last_update_is_pruned_if_and_only_if_a_dry_run_counts_it(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    new_session(connection, created_at="2020-01-01", updated_at=None)
    counted = await manager.prune_old_sessions(dry_run=True)
    backlog = {f.subject: f.value for f in await manager.check_health() if f.figure == "backlog"}

    done = await manager.prune_old_sessions()

    assert (done["pruned_count"], done["message_count"]) == (
        counted["pruned_count"],
        counted["message_count"],
    )
    assert backlog[ALL_TYPES] == done["pruned_count"]


async def test_a_dry_run_leaves_no_row_in_the_run_log_and_a_prune_one(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    _old_sessions(connection, 2)

    await manager.prune_old_sessions(dry_run=True)
    assert await manager.list_runs() == []

    await manager.prune_old_sessions(days=7)
    [run] = await manager.list_runs()
    assert (run.kind, run.sessions, run.messages, run.state) == ("prune", 2, 2, "finished")
    assert run.stop_reason == "nothing left"
    assert run.started_by == run.role == connection.info.user
    assert run.arguments["older_than"] == "7 days, 0:00:00"


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("days", [0, -1, 365_001, 10**12])
async def test_days_that_are_no_age_are_refused(
    manager: NativeSessionManager, connection: psycopg.Connection, days: int, dry_run: bool
) -> None:
    _old_sessions(connection, 1)

    with pytest.raises(InvalidArgument):
        await manager.prune_old_sessions(days=days, dry_run=dry_run)

    assert _live(connection) == 1


@pytest.mark.parametrize("days", [1, 365_000])
async def test_days_may_be_one_and_a_thousand_years(
    manager: NativeSessionManager, days: int
) -> None:
    for dry_run in (True, False):
        assert (await manager.prune_old_sessions(days, dry_run))["pruned_count"] == 0


async def test_without_a_policy_and_without_an_age_the_prune_is_refused(
    manager: NativeSessionManager,
) -> None:
    for policy in await manager.list_policies():
        await manager.unset_policy(policy.session_type)

    with pytest.raises(InvalidArgument, match="no policy"):
        await manager.count_prunable_sessions()
    with pytest.raises(InvalidArgument, match="no policy"):
        await _last(manager, Limits())
    assert (await manager.prune_old_sessions())["pruned_count"] == 0


async def test_an_unknown_type_is_refused(manager: NativeSessionManager) -> None:
    with pytest.raises(InvalidArgument, match="corn"):
        await manager.count_prunable_sessions(session_type="corn")


# prune_batches


async def test_progress_adds_up_and_the_last_one_says_why_it_stopped(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    _old_sessions(connection, 5, messages=2)

    seen = [p async for p in manager.prune_batches(limits=Limits(batch_size=2))]

    [run_id] = [run.id for run in await manager.list_runs()]
    assert seen == [
        Progress(1, 2, 4, run_id=run_id, zombies=0),
        Progress(2, 4, 8, run_id=run_id, zombies=0),
        Progress(3, 5, 10, run_id=run_id, zombies=0),
        Progress(3, 5, 10, stop_reason="nothing left", run_id=run_id, zombies=0),
    ]
    [run] = await manager.list_runs()
    assert (run.batches, run.sessions, run.messages) == (3, 5, 10)


async def test_progress_counts_once_a_session_that_every_batch_has_to_leave_behind(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    left, *_ = _old_sessions(connection, 3)
    connection.execute(
        "UPDATE engine_chat_sessions SET title = 'no', updated_at = updated_at - interval '1 day'"
        " WHERE id = %s",
        (left,),
    )
    connection.execute(
        "ALTER TABLE engine_chat_session_archive ADD CONSTRAINT polite CHECK (title <> 'no')"
    )

    seen = [p async for p in manager.prune_batches(limits=Limits(batch_size=1))]

    [run_id] = [run.id for run in await manager.list_runs()]
    assert seen == [
        Progress(1, 1, 1, 1, run_id=run_id, zombies=0),
        Progress(2, 2, 2, 1, run_id=run_id, zombies=0),
        Progress(2, 2, 2, 1, "nothing left", run_id, zombies=0),
    ]
    assert places(connection, left) == (1, 1, 0, 0)
    [run] = await manager.list_runs()
    assert (run.batches, run.sessions, run.messages) == (2, 2, 2)
    assert connection.execute(
        "SELECT session_id, run_id, sqlstate FROM engine_archive_left"
    ).fetchall() == [(left, run.id, "AR007")]


async def test_the_journal_names_the_run_of_each_session_that_a_prune_or_a_purge_moves(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    ids = _old_sessions(connection, 3, messages=2)
    await _last(manager, Limits(batch_size=2))
    await manager.set_policy(ALL_TYPES, purge_after=timedelta(microseconds=1))
    *_, _ = [p async for p in manager.purge_batches(limits=Limits(batch_size=2))]

    runs = {run.kind: run.id for run in await manager.list_runs()}
    written = connection.execute(
        "SELECT session_id, event, run_id, message_count FROM engine_archive_event"
    ).fetchall()
    events = (("archived", runs["prune"]), ("purged", runs["purge"]))
    expected = [(each, event, run_id, 2) for each in ids for event, run_id in events]
    assert sorted(written) == sorted(expected)


async def test_each_batch_is_committed_before_it_is_told(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    _old_sessions(connection, 3)

    async with aclosing(manager.prune_batches(limits=Limits(batch_size=1))) as batches:
        async for progress in batches:
            assert _live(connection) == 3 - progress.sessions


async def test_leaving_early_keeps_what_is_done_and_logs_the_run_as_interrupted(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    _old_sessions(connection, 5)

    async with aclosing(manager.prune_batches(limits=Limits(batch_size=2))) as batches:
        async for _ in batches:
            break

    assert _live(connection) == 3
    [run] = await manager.list_runs()
    assert (run.state, run.stop_reason, run.error) == ("finished", "interrupted", None)
    assert (run.batches, run.sessions) == (1, 2)


async def test_a_cancelled_prune_loses_only_its_current_batch_and_is_logged_as_interrupted(
    manager: NativeSessionManager, connection: psycopg.Connection, connect: Connect
) -> None:
    first, second = _old_sessions(connection, 2)
    _age(connection, [first], days=50)
    told = asyncio.Event()

    async def prune() -> None:
        # After the first batch the row in the log is locked: the second waits for it.
        async with aclosing(manager.prune_batches(limits=Limits(batch_size=1))) as batches:
            async for _ in batches:
                locker.execute("SELECT FROM engine_archive_run FOR UPDATE")
                told.set()

    locker = connect(autocommit=False)
    task = asyncio.create_task(prune())
    await told.wait()
    await _until(connection, BLOCKS_SOMEBODY, locker.info.backend_pid)
    task.cancel()
    await _until(
        connection,
        "count(*) = 1 FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))"
        " AND query LIKE %s",
        locker.info.backend_pid,
        "%finish_archive_run%",
    )
    locker.rollback()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert places(connection, first) == (0, 0, 1, 1)
    assert places(connection, second) == (1, 1, 0, 0)
    [run] = await manager.list_runs()
    assert (run.stop_reason, run.batches, run.sessions) == ("interrupted", 1, 1)


async def test_a_run_that_fails_raises_and_is_logged_with_its_error(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    _old_sessions(connection, 2)
    connection.execute("ALTER TABLE engine_chat_messages ADD COLUMN mood text")

    with pytest.raises(ColumnDrift) as failure:
        await _last(manager, Limits())

    assert _live(connection) == 2
    [run] = await manager.list_runs()
    assert (run.state, run.stop_reason) == ("failed", "failed")
    assert run.error == failure.value.message


async def test_two_prunes_at_once_share_the_work(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    _old_sessions(connection, 20)

    first, second = await asyncio.gather(
        _last(manager, Limits(batch_size=2)), _last(manager, Limits(batch_size=2))
    )

    assert first.sessions + second.sessions == 20
    assert _live(connection) == 0


# Limits


@pytest.mark.parametrize("most", [1, 2, 3, 4])
async def test_max_sessions_is_exact(
    manager: NativeSessionManager, connection: psycopg.Connection, most: int
) -> None:
    _old_sessions(connection, 5)

    last = await _last(manager, Limits(batch_size=2, max_sessions=most))

    assert (last.sessions, last.stop_reason) == (most, "max_sessions")
    assert _live(connection) == 5 - most


async def test_more_max_sessions_than_there_are_change_nothing(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    _old_sessions(connection, 3)

    last = await _last(manager, Limits(max_sessions=4))

    assert (last.sessions, last.stop_reason) == (3, "nothing left")


async def test_max_runtime_ends_the_run_after_the_current_batch(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    _old_sessions(connection, 3)
    limits = Limits(batch_size=1, max_runtime=timedelta(microseconds=1))

    last = await _last(manager, limits)

    [run] = await manager.list_runs()
    assert last == Progress(1, 1, 1, stop_reason="max_runtime", run_id=run.id, zombies=0)
    assert _live(connection) == 2


async def test_sleep_rests_after_a_batch_without_a_transaction(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    _old_sessions(connection, 2)
    task = asyncio.create_task(_last(manager, Limits(batch_size=1, sleep=timedelta(hours=1))))

    await _until(connection, "count(*) = 1 FROM engine_chat_sessions")
    await _until(
        connection,
        "count(*) = 0 FROM pg_stat_activity WHERE xact_start IS NOT NULL"
        " AND datname = current_database() AND pid <> pg_backend_pid()",
    )
    done, _ = await asyncio.wait({task}, timeout=0.3)

    assert not done
    assert _live(connection) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    [run] = await manager.list_runs()
    assert run.stop_reason == "interrupted"


@pytest.mark.parametrize(
    "bad",
    [
        {"batch_size": 0},
        {"batch_size": -1},
        {"batch_size": 2**31},
        {"max_runtime": timedelta(0)},
        {"max_runtime": timedelta(seconds=-1)},
        {"max_sessions": 0},
        {"sleep": timedelta(seconds=-1)},
    ],
    ids=str,
)
def test_limits_out_of_range_are_refused_by_name(bad: dict[str, object]) -> None:
    [name] = bad
    with pytest.raises(InvalidArgument, match=name):
        Limits(**bad)


async def test_the_prune_follows_the_policy_of_each_type(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    ids = {kind: new_session(connection, session_type=kind) for kind in ("cron", "chat", "kept")}
    _age(connection, ids.values(), days=2)
    await manager.set_policy("kept", archive_after=None, purge_after=None)

    assert (await _last(manager, Limits())).sessions == 1
    assert places(connection, ids["cron"]) == (0, 0, 1, 3)

    _age(connection, [ids["chat"], ids["kept"]])
    assert (await _last(manager, Limits())).sessions == 1
    assert places(connection, ids["kept"]) == (1, 3, 0, 0)


async def test_the_age_of_a_restored_session_counts_from_its_restore(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    restored, other = _old_sessions(connection, 2)
    await manager.archive_session(restored)
    done = await manager.restore_session(restored)
    assert done is not None
    assert done.restored_at is not None
    assert done.due_from == done.restored_at + MONTH

    assert (await _last(manager, Limits())).sessions == 1
    assert (await manager.prune_old_sessions(days=30))["pruned_count"] == 0
    assert places(connection, restored) == (1, 1, 0, 0)
    assert places(connection, other) == (0, 0, 1, 1)

    connection.execute("UPDATE engine_archive_event SET at = at - %s", (MONTH,))
    assert (await _last(manager, Limits())).sessions == 1
    assert places(connection, restored) == (0, 0, 1, 1)


async def test_an_update_after_the_restore_makes_a_session_due_later(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    [session_id] = _old_sessions(connection, 1)
    await manager.archive_session(session_id)
    await manager.restore_session(session_id)
    connection.execute("UPDATE engine_archive_event SET at = at - 2 * %s", (MONTH,))
    _age(connection, [session_id], days=10)

    done = await manager.restore_session(session_id)

    live = await manager.get_session(session_id)
    assert done is not None
    assert live is not None
    assert live.updated_at is not None
    assert done.due_from == live.updated_at + MONTH
    assert (await _last(manager, Limits())).sessions == 0


# Purge and health


async def test_the_purge_deletes_what_its_policy_does_not_keep(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    gone, held = new_session(connection), new_session(connection)
    await manager.archive_sessions([gone, held])
    await manager.place_hold(held, "an audit")
    limits = Limits(batch_size=1)
    [nothing] = [p async for p in manager.purge_batches(limits=limits)]
    assert (nothing.sessions, nothing.stop_reason) == (0, "nothing left")

    await manager.set_policy(ALL_TYPES, archive_after=MONTH, purge_after=timedelta(microseconds=1))
    [counted] = await manager.count_purgeable_sessions(session_type="interactive")
    *_, last = [p async for p in manager.purge_batches(limits=limits)]

    assert (counted.of_type, counted.sessions, counted.messages) == ("interactive", 1, 3)
    assert counted.oldest_archived_at == counted.newest_archived_at
    assert counted.held == 1
    assert (last.sessions, last.messages, last.stop_reason) == (1, 3, "nothing left")
    assert places(connection, gone) == (0, 0, 0, 0)
    assert places(connection, held) == (0, 0, 1, 3)
    assert [run.kind for run in await manager.list_runs()] == ["purge", "purge"]


# The statements in a synchronous session


def test_the_statements_work_in_a_synchronous_session(
    database: Database, connection: psycopg.Connection
) -> None:
    held, old = _old_sessions(connection, 2)
    engine = database.engine(poolclass=sa.NullPool)
    with Session(engine) as session:
        with session.begin():
            hold = session.execute(functions.place_hold(held, "an audit")).one()
            assert (hold.id, hold.hold_reason) == (held, "an audit")
            [count] = session.execute(functions.count_prunable_sessions()).all()
            assert count == ("interactive", 1, 1, 1, 0, 0)
            run_id = session.scalars(functions.begin_archive_run("prune", {"by": "hand"})).one()
        with session.begin():
            prune = functions.prune_sessions(MONTH, "interactive", 10, run_id)
            assert session.execute(prune).one() == (1, 1, 0)
            assert session.execute(prune).one() == (0, 0, 0)
            session.execute(functions.finish_archive_run(run_id, "nothing left"))
        with session.begin():
            assert session.execute(functions.count_purgeable_sessions()).all() == []
            assert session.execute(functions.purge_archive()).one() == (0, 0)
            assert session.scalars(functions.release_hold(held)).one() is True
            assert session.scalars(functions.release_hold(held)).one() is False

    assert places(connection, old) == (0, 0, 1, 1)
    assert connection.execute(
        "SELECT batches, sessions, messages, state, arguments FROM engine_archive_run_list"
    ).fetchall() == [(1, 1, 1, "finished", {"by": "hand"})]
