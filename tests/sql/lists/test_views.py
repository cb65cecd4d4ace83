"""The three views: what is in which, and each session once at every moment."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import psycopg
import pytest

from tests.support import Connect, Start, new_session
from tests.support.layouts import BOTH_LAYOUTS
from tests.support.rows import LIVE, archive, archive_many, images, restore

LIST, ARCHIVE_LIST, ALL = (
    "engine_chat_session_list",
    "engine_chat_session_archive_list",
    "engine_chat_session_all",
)


def ids_in(connection: psycopg.Connection, view: str) -> list[UUID]:
    return [
        session_id for (session_id,) in connection.execute(f"SELECT id FROM {view} ORDER BY id")
    ]


@BOTH_LAYOUTS
def test_each_view_has_its_sessions_and_no_others(connection: psycopg.Connection) -> None:
    active, ended, soft_deleted, was_active, was_soft_deleted = (
        new_session(connection, status=status)
        for status in ("active", "ended", "archived", "active", "archived")
    )
    moved = archive_many(connection, [was_active, was_soft_deleted])

    assert ids_in(connection, LIST) == sorted([active, ended])
    assert ids_in(connection, ARCHIVE_LIST) == sorted([was_active, was_soft_deleted])
    assert ids_in(connection, ALL) == sorted(
        [active, ended, soft_deleted, was_active, was_soft_deleted]
    )
    for view in (ARCHIVE_LIST, ALL):
        stamps = dict(connection.execute(f"SELECT id, archived_at FROM {view}").fetchall())
        for session_id, stamp in stamps.items():
            assert stamp == (moved[session_id].archived_at if session_id in moved else None)


@BOTH_LAYOUTS
def test_a_session_looks_the_same_in_the_views_as_in_its_table(
    connection: psycopg.Connection,
) -> None:
    """Every column of the table, by the same name and with the same value, in every view."""
    session_id = new_session(
        connection,
        title="a title",
        system_prompt="be kind",
        temperature=float("nan"),
        metadata='{"a": 1.00}',
        total_cost="9999.999999",
        ended_at="infinity",
    )
    row = images(connection, LIVE[0])
    assert images(connection, LIST, columns_of=LIVE[0]) == row
    assert images(connection, ALL, columns_of=LIVE[0]) == row

    archive(connection, session_id)
    assert images(connection, ARCHIVE_LIST, columns_of=LIVE[0]) == row
    assert images(connection, ALL, columns_of=LIVE[0]) == row


@pytest.mark.parametrize("call", [archive, restore])
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_session_on_its_way_is_in_one_list_to_everyone_else(
    a: psycopg.Connection, b: psycopg.Connection, call: Callable, end: str
) -> None:
    session_id = new_session(a)
    if call is restore:
        archive(a, session_id)
    here, there = (LIST, ARCHIVE_LIST) if call is archive else (ARCHIVE_LIST, LIST)
    a.execute("BEGIN")
    call(a, session_id)

    for own, place, other in ((a, there, here), (b, here, there)):
        assert ids_in(own, place) == [session_id]
        assert ids_in(own, other) == []
        assert ids_in(own, ALL) == [session_id]
    a.execute(end)
    assert ids_in(b, there if end == "COMMIT" else here) == [session_id]
    assert ids_in(b, ALL) == [session_id]


def test_every_read_of_all_sessions_has_each_once_while_they_move(
    connect: Connect, connection: psycopg.Connection, threads: ThreadPoolExecutor
) -> None:
    session_ids = sorted(new_session(connection, 1) for _ in range(20))
    begun = threading.Barrier(3)

    def move(own: psycopg.Connection, part: list[UUID]) -> None:
        begun.wait()
        for _ in range(15):
            archive_many(own, part)
            for session_id in part:
                restore(own, session_id)

    movers = [
        threads.submit(move, connect(), part) for part in (session_ids[:10], session_ids[10:])
    ]
    begun.wait()
    seen: list[tuple[bool, ...]] = []
    while len(seen) < 300 or not all(mover.done() for mover in movers):
        rows = connection.execute(f"SELECT id, archived_at IS NULL FROM {ALL} ORDER BY id")
        ids, places = zip(*rows, strict=True)
        assert list(ids) == session_ids
        seen.append(places)
    for mover in movers:
        mover.result()
    assert len(set(seen)) > 2


def test_nobody_waits_to_read_while_a_session_moves(
    a: psycopg.Connection, b: psycopg.Connection, start: Start
) -> None:
    session_id = new_session(a)
    a.execute("BEGIN")
    archive(a, session_id)
    reading = [start(ids_in, b, view) for view in (LIST, ARCHIVE_LIST, ALL)]
    assert [read.result(timeout=10) for read in reading] == [[session_id], [], [session_id]]
    a.execute("COMMIT")


def test_a_view_keeps_a_type_of_a_sessions_column_from_changing_unseen(
    connection: psycopg.Connection,
) -> None:
    """Whoever changes one has to drop the views first: `aria-db` brings them back as new."""
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="used by a view"):
        connection.execute("ALTER TABLE engine_chat_sessions ALTER COLUMN title TYPE text")
