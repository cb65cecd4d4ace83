"""restore_run: what a run archived and nobody has touched since comes back, and nothing else."""

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support import Connect, Start, call, events, new_session, places
from tests.support.layouts import BOTH_LAYOUTS
from tests.support.retention import (
    ARCHIVED,
    LIVE,
    NOTHING,
    Moved,
    archive,
    begin_run,
    copy_to_archive,
    finish_run,
    old_sessions,
    one,
    prune,
    restore,
    runs,
    wait_until_gone,
    where,
    whole_reads,
)
from tests.support.rows import archived as archived_rows
from tests.support.rows import delete_archived
from tests.support.rows import live as live_rows


def pruned(connection: psycopg.Connection, *, batch_size: int = 500) -> int:
    """Archive what is due in a run; return its id."""
    run_id = begin_run(connection, "prune")
    while prune(connection, batch_size=batch_size, run_id=run_id).sessions:
        pass
    finish_run(connection, run_id)
    return run_id


def undo(connection: psycopg.Connection, run_id: int, **arguments: object) -> Moved:
    return Moved(*call(connection, "restore_run", run_id=run_id, **arguments)[0])


def begin_undo(connection: psycopg.Connection, run_id: int) -> int:
    return begin_run(connection, "undo", arguments=Jsonb({"run_id": run_id}))


def undone(connection: psycopg.Connection, run_id: int, batch_size: int = 500) -> Moved:
    """Undo a run to its end, in a run; return the sums."""
    undo_run_id = begin_undo(connection, run_id)
    total = NOTHING
    while True:
        batch = undo(connection, run_id, batch_size=batch_size, undo_run_id=undo_run_id)
        total = Moved(*map(sum, zip(total, batch, strict=True)))
        if batch.sessions == 0:
            finish_run(connection, undo_run_id)
            return total


def count(connection: psycopg.Connection, run_id: int) -> tuple[int, ...]:
    (row,) = call(connection, "count_restorable_sessions", run_id=run_id)
    return tuple(row)


def left(connection: psycopg.Connection) -> list[tuple[UUID, int, str]]:
    return connection.execute(
        "SELECT session_id, run_id, sqlstate FROM engine_archive_left ORDER BY session_id"
    ).fetchall()


@BOTH_LAYOUTS
def test_an_undo_brings_back_every_row_of_a_run_in_batches_and_says_so(
    connection: psycopg.Connection, layout: str
) -> None:
    ids = old_sessions(connection, 5)
    bystander = new_session(connection)
    archive(connection, bystander)
    before = live_rows(connection)
    run_id = pruned(connection, batch_size=2)
    assert count(connection, run_id) == (5, 15, 0, 0)

    undo_run_id = begin_undo(connection, run_id)
    batches = [
        undo(connection, run_id, batch_size=2, undo_run_id=undo_run_id, actor="ada")
        for _ in range(4)
    ]

    assert batches == [Moved(2, 6), Moved(2, 6), Moved(1, 3), NOTHING]
    assert live_rows(connection) == before
    assert where(connection, [bystander]) == [ARCHIVED]
    restored = [event for event in events(connection) if event.event == "restored"]
    assert {event.session_id for event in restored} == set(ids)
    assert {(event.run_id, event.actor) for event in restored} == {(undo_run_id, "ada")}
    run = runs(connection)[-1]
    assert (run.kind, run.arguments) == ("undo", {"run_id": run_id})
    assert (run.batches, run.sessions, run.messages) == (3, 5, 15)
    assert count(connection, run_id) == (0, 0, 0, 5)


def test_an_undo_needs_no_run_of_its_own(connection: psycopg.Connection) -> None:
    ids = old_sessions(connection, 2)
    run_id = pruned(connection)

    assert undo(connection, run_id) == Moved(2, 6)

    assert where(connection, ids) == [LIVE, LIVE]
    assert [run.kind for run in runs(connection)] == ["prune"]


def test_what_was_archived_last_comes_back_first(connection: psycopg.Connection) -> None:
    oldest, middle, newest = old_sessions(connection, 3)
    run_id = pruned(connection, batch_size=1)

    undo(connection, run_id, batch_size=1)

    assert where(connection, [oldest, middle, newest]) == [ARCHIVED, ARCHIVED, LIVE]


def test_a_batch_ends_with_the_session_that_brings_it_to_5000_messages(
    connection: psycopg.Connection,
) -> None:
    ids = [new_session(connection, 5000) for _ in range(2)]
    run_id = begin_run(connection, "archive")
    archive(connection, *ids, run_id=run_id)
    finish_run(connection, run_id)

    assert [undo(connection, run_id).messages for _ in range(3)] == [5000, 5000, 0]


def test_a_soft_deleted_session_comes_back_active(connection: psycopg.Connection) -> None:
    session_id = new_session(connection, status="archived")
    run_id = pruned(connection)

    assert undo(connection, run_id) == Moved(1, 3)

    status = one(connection, "SELECT status FROM engine_chat_sessions WHERE id = %s", session_id)
    assert status == "active"


# What somebody has touched since


def set_clock_back(connection: psycopg.Connection, run_id: int) -> None:
    """Give what a run archived a time long before, as a clock that goes wrong would."""
    connection.execute(
        """
        WITH moved AS (
            UPDATE engine_archive_event SET at = at - interval '1 day'
            WHERE run_id = %s AND event = 'archived' RETURNING session_id, at
        ), messages AS (
            UPDATE engine_chat_message_archive SET archived_at = at
            FROM moved WHERE moved.session_id = engine_chat_message_archive.session_id
        )
        UPDATE engine_chat_session_archive SET archived_at = at
        FROM moved WHERE session_id = id
        """,
        (run_id,),
    )


@pytest.mark.parametrize("clock", ["right", "back"])
def test_a_session_is_brought_back_by_the_undo_of_the_run_that_archived_it_last_and_no_other(
    connection: psycopg.Connection, clock: str
) -> None:
    (session_id,) = old_sessions(connection, 1)
    # Begun in another order than they archive.
    second, first = begin_run(connection, "archive"), begin_run(connection, "archive")
    archive(connection, session_id, run_id=first)
    restore(connection, session_id)
    archive(connection, session_id, run_id=second)
    for run_id in (first, second):
        finish_run(connection, run_id)
    if clock == "back":
        set_clock_back(connection, second)

    assert count(connection, first) == (0, 0, 0, 1)
    assert undo(connection, first) == NOTHING
    assert where(connection, [session_id]) == [ARCHIVED]

    assert count(connection, second) == (1, 3, 0, 0)
    assert undo(connection, second) == Moved(1, 3)
    assert where(connection, [session_id]) == [LIVE]


def test_what_was_deleted_or_restored_since_is_left_alone(
    connection: psycopg.Connection,
) -> None:
    deleted, restored, third = old_sessions(connection, 3)
    run_id = pruned(connection)
    delete_archived(connection, deleted)
    restore(connection, restored)
    connection.execute("UPDATE engine_chat_sessions SET title = 'newer'")

    assert count(connection, run_id) == (1, 3, 0, 2)
    assert undo(connection, run_id) == Moved(1, 3)

    assert where(connection, [deleted, restored, third]) == [(0, 0, 0, 0), LIVE, LIVE]
    titles = connection.execute("SELECT title FROM engine_chat_sessions ORDER BY title").fetchall()
    assert titles == [("a session",), ("newer",)]


def test_a_session_that_is_live_as_well_is_counted_and_left(
    connection: psycopg.Connection,
) -> None:
    copied, other = old_sessions(connection, 2)
    run_id = pruned(connection)
    new_session(connection, id=copied)
    before = places(connection, copied)

    assert count(connection, run_id) == (1, 3, 1, 0)
    assert undo(connection, run_id) == Moved(1, 3)

    assert (places(connection, copied), places(connection, other)) == (before, LIVE)


# Beside others


def test_a_session_in_use_is_left_for_a_later_batch(
    connection: psycopg.Connection, connect: Connect
) -> None:
    used, free = old_sessions(connection, 2)
    run_id = pruned(connection)
    other = connect(autocommit=False)
    other.execute("SELECT 1 FROM engine_chat_session_archive WHERE id = %s FOR UPDATE", (used,))

    assert undo(connection, run_id) == Moved(1, 3)
    assert undo(connection, run_id) == NOTHING
    assert where(connection, [used, free]) == [ARCHIVED, LIVE]

    other.rollback()
    assert undo(connection, run_id) == Moved(1, 3)


@BOTH_LAYOUTS
def test_a_session_that_another_run_archives_again_meanwhile_is_left_alone(
    connection: psycopg.Connection, connect: Connect, start: Start, layout: str
) -> None:
    (session_id,) = old_sessions(connection, 1)
    first = pruned(connection)
    # The undo looks at the archive before the other transaction ends, and at the row after.
    blocker, undoing = connect(autocommit=False), connect(autocommit=False)
    restore(blocker, session_id)
    second = begin_run(connection, "archive")
    archive(blocker, session_id, run_id=second)
    undoing.execute("SELECT count(*) FROM engine_chat_session_archive")

    assert undo(undoing, first) == NOTHING
    blocker.commit()
    assert undo(undoing, first) == NOTHING
    undoing.commit()

    assert where(connection, [session_id]) == [ARCHIVED]
    finish_run(connection, second)
    assert undo(connection, second) == Moved(1, 3)


def test_two_undos_share_the_work(connection: psycopg.Connection, connect: Connect) -> None:
    ids = old_sessions(connection, 4)
    run_id = pruned(connection)
    one_undo, another = connect(autocommit=False), connect(autocommit=False)

    assert undo(one_undo, run_id, batch_size=2) == Moved(2, 6)
    assert undo(another, run_id, batch_size=3) == Moved(2, 6)
    one_undo.commit()
    another.commit()

    assert where(connection, ids) == [LIVE] * 4


# Sessions that refer to each other


def refer(connection: psycopg.Connection, options: str = "") -> None:
    connection.execute(
        f"""
        ALTER TABLE engine_chat_sessions
            ADD parent_id uuid REFERENCES engine_chat_sessions {options};
        ALTER TABLE engine_chat_session_archive ADD parent_id uuid;
        """
    )


def test_a_session_comes_back_together_with_those_it_refers_to(
    connection: psycopg.Connection,
) -> None:
    refer(connection)
    ids = [new_session(connection) for _ in range(4)]
    # A chain, and its end in a circle of its own.
    for child, parent in ((0, 1), (1, 2), (2, 2), (3, 2)):
        connection.execute(
            "UPDATE engine_chat_sessions SET parent_id = %s WHERE id = %s",
            (ids[parent], ids[child]),
        )
    run_id = begin_run(connection, "archive")
    archive(connection, *ids, run_id=run_id)
    finish_run(connection, run_id)

    assert undone(connection, run_id, batch_size=1) == Moved(4, 12)

    assert where(connection, ids) == [LIVE] * 4
    assert left(connection) == []


def test_a_session_whose_parent_another_run_archived_stays_and_says_so(
    connection: psycopg.Connection,
) -> None:
    refer(connection)
    parent = new_session(connection)
    child = new_session(connection, parent_id=parent)
    first, second = begin_run(connection, "archive"), begin_run(connection, "archive")
    archive(connection, child, run_id=first)
    archive(connection, parent, run_id=second)
    finish_run(connection, first)
    finish_run(connection, second)

    assert undone(connection, first) == Moved(0, 0, left_behind=1)
    ((session_id, _, state),) = left(connection)
    assert (session_id, state) == (child, "AR007")

    # Another undo of the same run tries again, and forgets what has changed.
    undone(connection, second)
    assert undone(connection, first) == Moved(1, 3)
    assert left(connection) == []


# What cannot come back


def test_a_session_that_a_constraint_refuses_is_left_once_and_the_others_come_back(
    connection: psycopg.Connection,
) -> None:
    ids = old_sessions(connection, 3)
    run_id = pruned(connection)
    connection.execute(
        f"ALTER TABLE engine_chat_sessions ADD CONSTRAINT other CHECK (id <> '{ids[1]}'::uuid)"
    )
    undo_run_id = begin_undo(connection, run_id)

    batches = [undo(connection, run_id, undo_run_id=undo_run_id) for _ in range(2)]

    assert batches == [Moved(2, 6, left_behind=1), NOTHING]
    assert where(connection, ids) == [LIVE, ARCHIVED, LIVE]
    assert left(connection) == [(ids[1], undo_run_id, "AR007")]
    remedy = one(connection, "SELECT remedy FROM engine_archive_left")
    assert remedy

    # A prune that finishes does not forget it; the session's return does.
    pruned(connection)
    assert [session_id for session_id, *_ in left(connection)] == [ids[1]]
    connection.execute("ALTER TABLE engine_chat_sessions DROP CONSTRAINT other")
    restore(connection, ids[1])
    assert left(connection) == []


def test_an_undo_that_meets_no_trouble_any_more_forgets_what_it_had_to_leave(
    connection: psycopg.Connection,
) -> None:
    (session_id,) = old_sessions(connection, 1)
    run_id = pruned(connection)
    connection.execute(
        "ALTER TABLE engine_chat_sessions ADD CONSTRAINT other CHECK (FALSE) NOT VALID"
    )
    assert undone(connection, run_id) == Moved(0, 0, left_behind=1)
    delete_archived(connection, session_id)

    assert undone(connection, run_id) == NOTHING

    assert left(connection) == []


# What is refused


def close(own: psycopg.Connection, observer: psycopg.Connection) -> None:
    pid = own.info.backend_pid
    own.close()
    wait_until_gone(observer, pid)


def begin_without_end(own: psycopg.Connection) -> int:
    old_sessions(own, 1)
    run_id = begin_run(own, "prune")
    prune(own, run_id=run_id)
    return run_id


CALLS: dict[str, Callable[[psycopg.Connection, Any], object]] = {
    "the undo": undo,
    "the count": count,
    "its run": begin_undo,
}


@pytest.mark.parametrize("called", CALLS.values(), ids=CALLS)
def test_a_running_run_is_not_undone_and_a_killed_one_is(
    connection: psycopg.Connection,
    connect: Connect,
    called: Callable[[psycopg.Connection, Any], object],
) -> None:
    running = connect()
    run_id = begin_without_end(running)
    rows = (live_rows(connection), archived_rows(connection))

    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match=f"run {run_id} is still"):
        called(connection, run_id)

    assert (live_rows(connection), archived_rows(connection)) == rows
    close(running, connection)
    called(connection, run_id)


@pytest.mark.parametrize("called", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("kind", ["purge", "restore", "empty", None])
def test_a_run_that_archived_nothing_is_not_undone(
    connection: psycopg.Connection,
    called: Callable[[psycopg.Connection, Any], object],
    kind: str | None,
) -> None:
    run_id, reason = 12345, "there is no run 12345"
    if kind:
        run_id = begin_run(connection, kind)
        finish_run(connection, run_id)
        reason = f"run {run_id} is of the kind {kind}, and only a prune or an archive can be undone"
    before = len(runs(connection))

    with pytest.raises(psycopg.errors.InvalidParameterValue, match=re.escape(reason)) as refused:
        called(connection, run_id)

    assert "aria-db runs" in (refused.value.diag.message_hint or "")
    assert len(runs(connection)) == before


@pytest.mark.parametrize("arguments", [{}, {"run_id": None}])
def test_an_undo_must_say_of_what(
    connection: psycopg.Connection, arguments: dict[str, None]
) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="there is no run NULL"):
        begin_run(connection, "undo", arguments=Jsonb(arguments))
    assert runs(connection) == []


def test_the_run_of_an_undo_must_be_one(connection: psycopg.Connection) -> None:
    ids = old_sessions(connection, 1)
    run_id = pruned(connection)

    for wrong, reason in ((run_id, "must be undo"), (999, "there is no run 999")):
        with pytest.raises(psycopg.errors.InvalidParameterValue, match=reason):
            undo(connection, run_id, undo_run_id=wrong)
    for size in (0, None):
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="batch_size is"):
            undo(connection, run_id, batch_size=size)

    assert where(connection, ids) == [ARCHIVED]


def test_an_undo_of_a_drifted_table_moves_nothing(connection: psycopg.Connection) -> None:
    ids = old_sessions(connection, 2)
    run_id = pruned(connection)
    connection.execute("ALTER TABLE engine_chat_sessions ADD newer integer")

    with pytest.raises(psycopg.Error) as refused:
        undo(connection, run_id)

    assert refused.value.sqlstate == "AR002"
    assert where(connection, ids) == [ARCHIVED, ARCHIVED]


# What it costs


def test_an_undo_reads_what_belongs_to_its_run(connection: psycopg.Connection) -> None:
    connection.execute(
        """
        INSERT INTO engine_archive_event (session_id, event, at, actor, role, run_id)
        SELECT gen_random_uuid(), 'archived', now(), 'ada', 'ada', number % 50 + 1000
        FROM generate_series(1, 5000) AS number
        """
    )
    connection.execute("ANALYZE engine_archive_event")
    old_sessions(connection, 3)
    run_id = pruned(connection)
    before = whole_reads(connection)

    assert undo(connection, run_id) == Moved(3, 9)

    assert whole_reads(connection) == before


def test_a_copy_in_both_places_that_a_run_removed_is_not_brought_back(
    connection: psycopg.Connection,
) -> None:
    copied = new_session(connection)
    copy_to_archive(connection, copied)
    run_id = begin_run(connection, "archive")
    archive(connection, copied, run_id=run_id)
    finish_run(connection, run_id)

    # It was archived before; the run only removed the live copy.
    assert count(connection, run_id) == (0, 0, 0, 0)
    assert undo(connection, run_id) == NOTHING
    assert where(connection, [copied]) == [ARCHIVED]
