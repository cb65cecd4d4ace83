"""The run log: did the cron run, what did it do, and which batches were its."""

from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support import Connect, Start, call, events, new_session, places
from tests.support.retention import (
    archive,
    archived_for,
    begin_run,
    copy_to_archive,
    finish_run,
    old_sessions,
    one,
    prune,
    purge,
    restore,
    runs,
    set_policy,
    stop_at_the_journal,
    wait_until_gone,
    where,
)


class Batch(NamedTuple):
    """A batch of bulk work that names its run, and the kinds of run that it may name.

    ``prepare`` gives the sessions that the batch then moves or deletes.
    """

    kinds: tuple[str, ...]
    prepare: Callable[[psycopg.Connection, int], list[UUID]]
    move: Callable[[psycopg.Connection, list[UUID], int | None], object]


def live_sessions(connection: psycopg.Connection, count: int) -> list[UUID]:
    return [new_session(connection) for _ in range(count)]


def archived_sessions(connection: psycopg.Connection, count: int) -> list[UUID]:
    return [archived_for(connection, "1 day") for _ in range(count)]


def sessions_to_purge(connection: psycopg.Connection, count: int) -> list[UUID]:
    set_policy(connection, "*", archive_after="30 days", purge_after="1 year")
    return [archived_for(connection, "400 days") for _ in range(count)]


BATCHES = {
    "archive_sessions": Batch(
        ("archive", "prune"),
        live_sessions,
        lambda connection, ids, run_id: archive(connection, *ids, run_id=run_id),
    ),
    "restore_sessions": Batch(
        ("restore",),
        archived_sessions,
        lambda connection, ids, run_id: restore(connection, *ids, run_id=run_id),
    ),
    "prune_sessions": Batch(
        ("prune",),
        old_sessions,
        lambda connection, ids, run_id: prune(connection, batch_size=len(ids), run_id=run_id),
    ),
    "purge_archive": Batch(
        ("purge",),
        sessions_to_purge,
        lambda connection, ids, run_id: purge(connection, batch_size=len(ids), run_id=run_id),
    ),
}
EVERY_BATCH = pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
# but undo, which names the run that it undoes
KINDS = ("prune", "purge", "archive", "restore", "empty")


def close(own: psycopg.Connection, observer: psycopg.Connection) -> None:
    """Close a connection, and wait for its backend to end."""
    pid = own.info.backend_pid
    own.close()
    wait_until_gone(observer, pid)


# What a run tells


@EVERY_BATCH
def test_a_run_tells_what_it_was_asked_for_who_asked_and_what_its_batches_moved(
    connection: psycopg.Connection, batch: Batch
) -> None:
    for kind in batch.kinds:
        if batch.move is BATCHES["archive_sessions"].move and kind == "prune":
            continue  # the prune adds up what it moved
        ids = batch.prepare(connection, 3)

        run_id = begin_run(connection, kind, arguments=Jsonb({"batch_size": 2}))
        batch.move(connection, ids[:2], run_id)
        batch.move(connection, ids[2:], run_id)
        finish_run(connection, run_id)

        run = runs(connection)[-1]
        assert (run.id, run.kind, run.state) == (run_id, kind, "finished")
        assert (run.started_by, run.arguments) == ("postgres", {"batch_size": 2})
        assert (run.batches, run.sessions, run.messages) == (2, 3, 9)
        assert (run.stop_reason, run.error) == ("nothing left", None)
        assert run.started_at < run.last_batch_at < run.finished_at


def test_a_run_tells_which_actor_began_it_and_which_role_connected(
    connection: psycopg.Connection, connect: Connect, role: str
) -> None:
    connection.execute(
        f'GRANT EXECUTE ON FUNCTION begin_archive_run(text, jsonb, text) TO "{role}"'
    )
    caller = connect(user=role)

    for arguments in ({"actor": "ada"}, {}):
        begin_run(caller, "prune", **arguments)

    told = connection.execute("SELECT started_by, role FROM engine_archive_run ORDER BY id")
    assert told.fetchall() == [("ada", role), (role, role)]


def test_every_kind_of_run_can_be_begun_with_arguments_or_without(
    connection: psycopg.Connection,
) -> None:
    ids = [begin_run(connection, kind) for kind in KINDS]
    with_arguments = begin_run(connection, "empty", arguments=Jsonb({"place": "archive"}))

    found = {run.id: (run.kind, run.arguments) for run in runs(connection)}
    assert found == dict(zip(ids, ((kind, {}) for kind in KINDS), strict=True)) | {
        with_arguments: ("empty", {"place": "archive"})
    }


@EVERY_BATCH
def test_a_batch_that_was_rolled_back_is_not_in_the_log(
    connection: psycopg.Connection, batch: Batch
) -> None:
    ids = batch.prepare(connection, 2)
    before = where(connection, ids)
    run_id = begin_run(connection, batch.kinds[0])
    with connection.transaction(force_rollback=True):
        batch.move(connection, ids, run_id)
        assert runs(connection)[0].sessions == 2

    (run,) = runs(connection)
    assert (run.batches, run.sessions, run.last_batch_at) == (0, 0, None)
    assert where(connection, ids) == before


@pytest.mark.parametrize(
    ("there", "back"),
    [("archive_sessions", "restore_sessions"), ("restore_sessions", "archive_sessions")],
)
def test_a_session_that_one_run_moves_twice_counts_twice(
    connection: psycopg.Connection, there: str, back: str
) -> None:
    """Each batch counts what it moved itself, and not what the run did before."""
    batch = BATCHES[there]
    ids = batch.prepare(connection, 2)
    run_id = begin_run(connection, batch.kinds[0])

    batch.move(connection, ids, run_id)
    BATCHES[back].move(connection, ids, None)
    batch.move(connection, ids, run_id)

    (run,) = runs(connection)
    assert (run.batches, run.sessions, run.messages) == (2, 4, 12)


@EVERY_BATCH
def test_a_call_that_moves_nothing_is_no_batch(
    connection: psycopg.Connection, batch: Batch
) -> None:
    ids = batch.prepare(connection, 2)
    run_id = begin_run(connection, batch.kinds[0])

    for _ in range(3):
        batch.move(connection, ids, run_id)

    (run,) = runs(connection)
    assert (run.batches, run.sessions, run.messages) == (1, 2, 6)


def test_sessions_that_an_archive_finds_moved_already_are_not_among_those_of_its_run(
    connection: psycopg.Connection,
) -> None:
    new, old, copied = live_sessions(connection, 3)
    archive(connection, old)
    copy_to_archive(connection, copied)
    run_id = begin_run(connection, "archive")

    assert len(archive(connection, new, old, copied, run_id=run_id)) == 3

    (run,) = runs(connection)
    assert (run.sessions, run.messages) == (1, 3)


# Which run a batch may name


def assert_refused(
    connection: psycopg.Connection, batch: Batch, ids: list[UUID], run_id: int
) -> None:
    before = where(connection, ids), events(connection), runs(connection)
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=str(run_id)) as refusal:
        batch.move(connection, ids, run_id)
    assert refusal.value.diag.message_hint
    assert (where(connection, ids), events(connection), runs(connection)) == before


@EVERY_BATCH
def test_a_run_that_nobody_began_is_refused_and_nothing_moves(
    connection: psycopg.Connection, batch: Batch
) -> None:
    ids = batch.prepare(connection, 2)

    assert_refused(connection, batch, ids, 12345)


@EVERY_BATCH
def test_a_run_of_another_kind_is_refused_and_nothing_moves(
    connection: psycopg.Connection, batch: Batch
) -> None:
    ids = batch.prepare(connection, 2)

    for kind in KINDS:
        if kind not in batch.kinds:
            assert_refused(connection, batch, ids, begin_run(connection, kind))


@EVERY_BATCH
def test_a_run_that_has_finished_is_refused_and_nothing_moves(
    connection: psycopg.Connection, batch: Batch
) -> None:
    ids = batch.prepare(connection, 2)
    for kind in batch.kinds:
        run_id = begin_run(connection, kind)
        finish_run(connection, run_id)

        assert_refused(connection, batch, ids, run_id)


@pytest.mark.parametrize(
    "name", ["archive_sessions", "restore_sessions", "prune_sessions", "purge_archive"]
)
def test_a_run_that_finishes_while_its_batch_works_takes_the_batch_back(
    connection: psycopg.Connection,
    other: psycopg.Connection,
    start_blocked: Start,
    name: str,
) -> None:
    """The batch found the run open, waits in the middle of its move, and then finds it closed."""
    batch = BATCHES[name]
    ids = batch.prepare(connection, 2)
    run_id = begin_run(connection, batch.kinds[0])
    before = where(connection, ids), events(connection)
    stop_at_the_journal(connection)
    other.execute("SELECT pg_advisory_lock(1)")

    working = start_blocked(batch.move, connection, ids, run_id)
    finish_run(other, run_id, "interrupted")
    ended = runs(other)
    other.execute("SELECT pg_advisory_unlock(1)")

    with pytest.raises(psycopg.errors.InvalidParameterValue, match=str(run_id)) as refusal:
        working.result()
    assert refusal.value.diag.message_hint
    assert (where(connection, ids), events(connection)) == before
    assert runs(other) == ended
    assert [(run.batches, run.sessions) for run in ended] == [(0, 0)]


@EVERY_BATCH
def test_who_finishes_a_run_waits_for_the_batch_that_is_in_its_figures(
    connection: psycopg.Connection,
    other: psycopg.Connection,
    start_blocked: Start,
    batch: Batch,
) -> None:
    ids = batch.prepare(connection, 2)
    run_id = begin_run(connection, batch.kinds[0])
    connection.execute("BEGIN")
    batch.move(connection, ids, run_id)

    finishing = start_blocked(finish_run, other, run_id)
    connection.execute("COMMIT")
    finishing.result()

    (run,) = runs(connection)
    assert (run.state, run.batches, run.sessions) == ("finished", 1, 2)


# How a run ends


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
    (session_id,) = old_sessions(connection, 1)
    run_id = begin_run(connection, "prune")
    finish_run(connection, run_id, stop_reason, error)
    ended = runs(connection)

    assert [(run.state, run.stop_reason, run.error) for run in ended] == [
        (state, stop_reason, error)
    ]
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        prune(connection, run_id=run_id)
    finish_run(connection, run_id, "failed", "another")
    assert runs(connection) == ended
    assert places(connection, session_id) == (1, 3, 0, 0)


def test_a_run_is_running_while_its_connection_is_there_and_killed_when_it_is_gone(
    connection: psycopg.Connection, connect: Connect
) -> None:
    old_sessions(connection, 1)
    own = connect()
    run_id = begin_run(own, "prune")
    assert [run.state for run in runs(connection)] == ["running"]

    # A pool gives the next batch another connection, and closes the first.
    another = connect()
    prune(another, run_id=run_id)
    close(own, connection)
    assert [run.state for run in runs(connection)] == ["running"]

    close(another, connection)
    assert [(run.state, run.sessions) for run in runs(connection)] == [("killed", 1)]


def test_a_later_connection_with_the_same_pid_does_not_make_a_killed_run_look_alive(
    connection: psycopg.Connection,
) -> None:
    begin_run(connection, "prune")
    connection.execute("UPDATE engine_archive_run SET started_at = now() - interval '50 minutes'")

    assert [run.state for run in runs(connection)] == ["killed"]


def test_a_run_without_a_batch_for_an_hour_was_killed_though_a_pooler_keeps_its_connection(
    connection: psycopg.Connection, connect: Connect
) -> None:
    old_sessions(connection, 1)
    pooled = connect()
    run_id = begin_run(pooled, "prune")
    prune(pooled, run_id=run_id)
    moved = (
        "UPDATE engine_archive_run SET last_batch_at = now() - interval '{} minutes',"
        " started_at = now() - interval '1 day'"
    )
    # The connection is older than the run, as far as the log can say.
    connection.execute(moved.format(0))
    assert [run.state for run in runs(connection)] == ["running"]

    connection.execute(moved.format(61))
    assert [run.state for run in runs(connection)] == ["killed"]


def test_who_may_not_see_other_peoples_connections_sees_the_states_too(
    connection: psycopg.Connection, connect: Connect, role: str
) -> None:
    connection.execute(f'GRANT SELECT ON engine_archive_run_list TO "{role}"')
    reader = connect(user=role)
    running = connect()
    begin_run(running, "prune")
    assert [run.state for run in runs(reader)] == ["running"]

    close(running, connection)
    assert [run.state for run in runs(reader)] == ["killed"]


@pytest.mark.parametrize("kind", ["vacuum", "", None])
def test_a_kind_of_run_that_there_is_not_is_refused_with_a_hint(
    connection: psycopg.Connection, kind: str | None
) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue) as refusal:
        call(connection, "begin_archive_run", kind=kind)

    assert refusal.value.diag.message_hint
    assert runs(connection) == []


def test_the_log_takes_no_reason_that_it_does_not_know(connection: psycopg.Connection) -> None:
    run_id = begin_run(connection, "prune")

    with pytest.raises(psycopg.errors.InvalidParameterValue, match="felt like it") as refused:
        finish_run(connection, run_id, "felt like it")
    assert refused.value.diag.message_hint

    assert [run.state for run in runs(connection)] == ["running"]


def test_two_runs_at_once_have_a_row_each(connection: psycopg.Connection, connect: Connect) -> None:
    old_sessions(connection, 4)
    own = [connect(), connect()]
    ids = [begin_run(each, "prune") for each in own]
    for each, run_id in zip(own, ids, strict=True):
        prune(each, batch_size=2, run_id=run_id)

    assert [(run.id, run.sessions) for run in runs(connection)] == [(n, 2) for n in ids]
    assert one(connection, "SELECT count(*) FROM engine_chat_session_archive") == 4
