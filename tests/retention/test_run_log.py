"""The run log: did the cron run, and what did it do."""

from collections.abc import Callable

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.conftest import Connect
from tests.retention.support import (
    Moved,
    archived_for,
    call,
    old_sessions,
    one,
    prune,
    purge,
    runs,
    set_policy,
    wait_until_gone,
)


def begin_run(connection: psycopg.Connection, kind: str = "prune", **arguments: object) -> int:
    row = call(connection, "begin_archive_run", kind=kind, arguments=Jsonb(arguments))[0]
    return row.begin_archive_run


def record(connection: psycopg.Connection, run_id: int, moved: Moved) -> None:
    call(connection, "record_archive_batch", run_id=run_id, **moved._asdict())


def finish(
    connection: psycopg.Connection, run_id: int, stop_reason: str, error: str | None = None
) -> None:
    call(connection, "finish_archive_run", run_id=run_id, stop_reason=stop_reason, error=error)


def close(own: psycopg.Connection, observer: psycopg.Connection) -> None:
    """Close a connection, and wait for its backend to end."""
    pid = own.info.backend_pid
    own.close()
    wait_until_gone(observer, pid)


@pytest.mark.parametrize(("kind", "batch"), [("prune", prune), ("purge", purge)])
def test_a_run_tells_what_it_was_asked_for_who_asked_and_what_its_batches_moved(
    connection: psycopg.Connection, kind: str, batch: Callable
) -> None:
    set_policy(connection, "*", archive_after="30 days", purge_after="1 year")
    old_sessions(connection, 3)
    for _ in range(3):
        archived_for(connection, "400 days")

    run_id = begin_run(connection, kind, batch_size=2)
    for _ in range(2):
        record(connection, run_id, batch(connection, batch_size=2))
    finish(connection, run_id, "nothing left")

    (run,) = runs(connection)
    assert (run.id, run.kind, run.state, run.started_by) == (run_id, kind, "finished", "postgres")
    assert (run.batches, run.sessions, run.messages) == (2, 3, 9)
    assert (run.arguments, run.stop_reason, run.error) == ({"batch_size": 2}, "nothing left", None)
    assert run.started_at < run.last_batch_at < run.finished_at


def test_a_batch_that_was_rolled_back_is_not_in_the_log(connection: psycopg.Connection) -> None:
    old_sessions(connection, 2)
    run_id = begin_run(connection)
    with connection.transaction(force_rollback=True):
        record(connection, run_id, prune(connection, batch_size=1))

    (run,) = runs(connection)
    assert (run.batches, run.sessions, run.last_batch_at) == (0, 0, None)


@pytest.mark.parametrize(
    ("stop_reason", "error", "state"),
    [
        ("nothing left", None, "finished"),
        ("max_runtime", None, "finished"),
        ("max_sessions", None, "finished"),
        ("interrupted", None, "finished"),
        ("interrupted", "canceling statement due to user request", "finished"),
        ("failed", "it broke", "failed"),
    ],
)
def test_a_run_that_ended_has_a_state_and_stays_as_it_ended(
    connection: psycopg.Connection, stop_reason: str, error: str | None, state: str
) -> None:
    run_id = begin_run(connection)
    finish(connection, run_id, stop_reason, error)
    ended = runs(connection)

    assert [(run.state, run.stop_reason, run.error) for run in ended] == [
        (state, stop_reason, error)
    ]
    record(connection, run_id, Moved(1, 1))
    finish(connection, run_id, "failed", "another")
    assert runs(connection) == ended


def test_a_run_is_running_while_its_connection_is_there_and_killed_when_it_is_gone(
    connection: psycopg.Connection, connect: Connect
) -> None:
    own = connect()
    run_id = begin_run(own)
    assert [run.state for run in runs(connection)] == ["running"]

    # A pool gives the next batch another connection, and closes the first.
    another = connect()
    record(another, run_id, Moved(1, 3))
    close(own, connection)
    assert [run.state for run in runs(connection)] == ["running"]

    close(another, connection)
    assert [(run.state, run.sessions) for run in runs(connection)] == [("killed", 1)]


def test_a_later_connection_with_the_same_pid_does_not_make_a_killed_run_look_alive(
    connection: psycopg.Connection,
) -> None:
    begin_run(connection)
    connection.execute("UPDATE engine_archive_run SET started_at = now() - interval '1 day'")

    assert [run.state for run in runs(connection)] == ["killed"]


def test_who_may_not_see_other_peoples_connections_sees_the_states_too(
    connection: psycopg.Connection, connect: Connect, role: str
) -> None:
    connection.execute(f'GRANT SELECT ON engine_archive_run_list TO "{role}"')
    reader = connect(user=role)
    running = connect()
    begin_run(running)
    assert [run.state for run in runs(reader)] == ["running"]

    close(running, connection)
    assert [run.state for run in runs(reader)] == ["killed"]


@pytest.mark.parametrize(
    ("kind", "stop_reason"), [("vacuum", "nothing left"), ("prune", "felt like it")]
)
def test_the_log_takes_no_kind_and_no_reason_that_it_does_not_know(
    connection: psycopg.Connection, kind: str, stop_reason: str
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        finish(connection, begin_run(connection, kind), stop_reason)


def test_two_runs_at_once_have_a_row_each(connection: psycopg.Connection, connect: Connect) -> None:
    old_sessions(connection, 4)
    own = [connect(), connect()]
    ids = [begin_run(each) for each in own]
    for each, run_id in zip(own, ids, strict=True):
        record(each, run_id, prune(each, batch_size=2))

    assert [(run.id, run.sessions) for run in runs(connection)] == [(n, 2) for n in ids]
    assert one(connection, "SELECT count(*) FROM engine_chat_session_archive") == 4
