"""The functions of retention as Python calls, and sessions of a certain age."""

import time
from collections.abc import Iterable
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import namedtuple_row

from tests.support import call, new_session, places

LIVE = (1, 3, 0, 0)
ARCHIVED = (0, 0, 1, 3)
GONE = (0, 0, 0, 0)


class Moved(NamedTuple):
    """What one batch did; a purge leaves nothing behind."""

    sessions: int
    messages: int
    left_behind: int = 0


NOTHING = Moved(0, 0)


def prune(connection: psycopg.Connection, **arguments: object) -> Moved:
    return Moved(*call(connection, "prune_sessions", **arguments)[0])


def purge(connection: psycopg.Connection, **arguments: object) -> Moved:
    return Moved(*call(connection, "purge_archive", **arguments)[0])


def archive(connection: psycopg.Connection, *ids: UUID, **arguments: object) -> list:
    return call(connection, "archive_sessions", session_ids=list(ids), **arguments)


def restore(connection: psycopg.Connection, *ids: UUID, **arguments: object) -> list:
    return call(connection, "restore_sessions", session_ids=list(ids), **arguments)


def place_hold(
    connection: psycopg.Connection, session_id: UUID, reason: str = "asked", **arguments: object
) -> list:
    return call(connection, "place_hold", session_id=session_id, reason=reason, **arguments)


def release_hold(connection: psycopg.Connection, session_id: UUID, **arguments: object) -> bool:
    (row,) = call(connection, "release_hold", session_id=session_id, **arguments)
    was_held: bool = row.release_hold
    return was_held


def begin_run(connection: psycopg.Connection, kind: str, **arguments: object) -> int:
    """Open a run of this kind; return its id."""
    (row,) = call(connection, "begin_archive_run", kind=kind, **arguments)
    run_id: int = row.begin_archive_run
    return run_id


def finish_run(
    connection: psycopg.Connection,
    run_id: int,
    stop_reason: str = "nothing left",
    error: str | None = None,
) -> None:
    call(connection, "finish_archive_run", run_id=run_id, stop_reason=stop_reason, error=error)


def session_of_age(
    connection: psycopg.Connection, age: str, messages: int = 3, **columns: object
) -> UUID:
    """Insert a live session with messages, last updated so long ago."""
    session_id = new_session(connection, messages, **columns)
    connection.execute(
        "UPDATE engine_chat_sessions SET updated_at = now() - %s::interval WHERE id = %s",
        (age, session_id),
    )
    return session_id


def sessions_of_age(
    connection: psycopg.Connection, count: int, age: str, **columns: object
) -> list[UUID]:
    """Insert live sessions, last updated so long ago."""
    return [session_of_age(connection, age, **columns) for _ in range(count)]


def old_sessions(connection: psycopg.Connection, count: int, **columns: object) -> list[UUID]:
    """Insert sessions that the default policy archives, the oldest first."""
    return [session_of_age(connection, f"{200 - n} days", **columns) for n in range(count)]


def archived_for(
    connection: psycopg.Connection, age: str, messages: int = 3, **columns: object
) -> UUID:
    """Insert a session and archive it, so long ago."""
    session_id = new_session(connection, messages, **columns)
    archive(connection, session_id)
    set_archived(connection, session_id, age)
    return session_id


def sessions_archived_for(
    connection: psycopg.Connection, count: int, age: str, **columns: object
) -> list[UUID]:
    """Insert sessions and archive them, so long ago."""
    return [archived_for(connection, age, **columns) for _ in range(count)]


def set_archived(connection: psycopg.Connection, session_id: UUID, age: str) -> None:
    """Let a session be archived so long ago."""
    for table, key in (
        ("engine_chat_session_archive", "id"),
        ("engine_chat_message_archive", "session_id"),
    ):
        connection.execute(
            f"UPDATE {table} SET archived_at = now() - %s::interval WHERE {key} = %s",
            (age, session_id),
        )


def session_restored(connection: psycopg.Connection, ago: str, **columns: object) -> UUID:
    """Insert a session that was last updated two years ago, and was restored so long ago."""
    session_id = session_of_age(connection, "2 years", **columns)
    archive(connection, session_id)
    restore(connection, session_id)
    connection.execute(
        """
        UPDATE engine_archive_event SET at = now() - %s::interval
        WHERE session_id = %s AND event = 'restored'
        """,
        (ago, session_id),
    )
    return session_id


def forbid_a_title(connection: psycopg.Connection) -> None:
    """Make the archive refuse sessions with the title that :func:`forbid` gives."""
    connection.execute(
        "ALTER TABLE engine_chat_session_archive"
        " ADD CONSTRAINT not_forbidden CHECK (title <> 'forbidden')"
    )


def forbid(connection: psycopg.Connection, session_id: UUID) -> None:
    """Give a session the title that keeps it from being archived."""
    _set_title(connection, session_id, "forbidden")


def allow(connection: psycopg.Connection, session_id: UUID) -> None:
    """Take the title of :func:`forbid` away."""
    _set_title(connection, session_id, "allowed")


def _set_title(connection: psycopg.Connection, session_id: UUID, title: str) -> None:
    connection.execute(
        "UPDATE engine_chat_sessions SET title = %s WHERE id = %s", (title, session_id)
    )


def copy_to_archive(connection: psycopg.Connection, session_id: UUID) -> None:
    """Leave a session in both places, as an interrupted copy does."""
    for live, archived, key in (
        ("engine_chat_sessions", "engine_chat_session_archive", "id"),
        ("engine_chat_messages", "engine_chat_message_archive", "session_id"),
    ):
        connection.execute(
            f"INSERT INTO {archived} SELECT now(), live.* FROM {live} AS live WHERE {key} = %s",
            (session_id,),
        )


def set_policy(connection: psycopg.Connection, session_type: str, **columns: object) -> None:
    """Give a session type this policy and nothing else."""
    connection.execute("DELETE FROM engine_archive_policy WHERE session_type = %s", (session_type,))
    named = ", ".join(["session_type", *columns])
    values = ", ".join(["%s"] * (len(columns) + 1))
    connection.execute(
        f"INSERT INTO engine_archive_policy ({named}) VALUES ({values})",
        [session_type, *columns.values()],
    )


def where(connection: psycopg.Connection, ids: Iterable[UUID]) -> list[tuple[int, int, int, int]]:
    """Tell of each session what :func:`tests.support.places` does."""
    return [places(connection, session_id) for session_id in ids]


def how_many(
    connection: psycopg.Connection, ids: Iterable[UUID], place: tuple[int, int, int, int]
) -> int:
    """Count the sessions that are in this place, and check that none is in two."""
    found = where(connection, ids)
    assert set(found) <= {LIVE, ARCHIVED, GONE}
    return found.count(place)


def one(connection: psycopg.Connection, query: str, *values: object) -> object:
    """Return the first column of the first row."""
    row = connection.execute(query, values or None).fetchone()
    assert row is not None
    return row[0]


def locked_sessions(observer: psycopg.Connection, table: str = "engine_chat_sessions") -> set[UUID]:
    """Return the sessions whose rows another connection has locked."""
    with observer.transaction(force_rollback=True):
        free = observer.execute(f"SELECT id FROM {table} FOR UPDATE SKIP LOCKED").fetchall()
        rows = observer.execute(f"SELECT id FROM {table}").fetchall()
    return {row for (row,) in rows} - {row for (row,) in free}


def whole_reads(connection: psycopg.Connection) -> list[tuple[str, int]]:
    """Return how often each table that grows was read from end to end.

    Those are the chat tables, or the tables beneath their views; the journal; and the holds.
    """
    connection.execute("SELECT pg_stat_force_next_flush()")
    return connection.execute(
        """
        SELECT relname, seq_scan FROM pg_stat_user_tables
        WHERE relname ~ 'chat|event|left|hold' ORDER BY relid
        """
    ).fetchall()


def stop_in_view(connection: psycopg.Connection, view: str) -> None:
    """Make who reads the view wait for the advisory lock 1, in the middle of its statement.

    It has its snapshot then, and has locked no row.
    """
    connection.execute(
        """
        CREATE FUNCTION stop_here() RETURNS boolean LANGUAGE plpgsql VOLATILE COST 1000000
        SET lock_timeout = 0 AS $$
        BEGIN
            PERFORM pg_advisory_xact_lock_shared(1);
            RETURN TRUE;
        END; $$
        """
    )
    definition = str(one(connection, "SELECT pg_get_viewdef(%s)", view)).rstrip(";")
    connection.execute(
        f"CREATE OR REPLACE VIEW {view} AS SELECT * FROM ({definition}) AS seen WHERE stop_here()"
    )


def stop_at_batch(connection: psycopg.Connection, batch: int) -> None:
    """Make a run wait for the advisory lock 1 with this batch moved and not committed."""
    connection.execute(
        """
        CREATE FUNCTION stop_run() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_advisory_xact_lock_shared(1);
            RETURN NEW;
        END; $$
        """
    )
    connection.execute(
        f"""
        CREATE TRIGGER stop_run BEFORE UPDATE ON engine_archive_run
        FOR EACH ROW WHEN (NEW.batches = {batch} AND OLD.batches < {batch})
        EXECUTE FUNCTION stop_run()
        """
    )


def left(connection: psycopg.Connection) -> dict[UUID, Any]:
    """Return what the prunes had to leave, by session."""
    cursor = connection.cursor(row_factory=namedtuple_row)
    rows = cursor.execute("SELECT * FROM engine_archive_left").fetchall()
    return {row.session_id: row for row in rows}


def stop_at_the_journal(connection: psycopg.Connection, after: int = 0) -> None:
    """Make who writes an event wait for the advisory lock 1, its rows moved and not committed.

    :param after: how many events are written before.
    """
    connection.execute(
        f"""
        CREATE FUNCTION stop_at_the_journal() RETURNS trigger LANGUAGE plpgsql
        SET lock_timeout = 0 AS $$
        BEGIN
            IF (SELECT count(*) FROM engine_archive_event) >= {after} THEN
                PERFORM pg_advisory_xact_lock_shared(1);
            END IF;
            RETURN NEW;
        END; $$
        """
    )
    connection.execute(
        """
        CREATE TRIGGER stop BEFORE INSERT ON engine_archive_event
        FOR EACH ROW EXECUTE FUNCTION stop_at_the_journal()
        """
    )


def runs(connection: psycopg.Connection) -> list:
    """Return the run log, the oldest run first."""
    cursor = connection.cursor(row_factory=namedtuple_row)
    return cursor.execute("SELECT * FROM engine_archive_run_list ORDER BY id").fetchall()


def wait_until_gone(observer: psycopg.Connection, pid: int) -> None:
    """Return when there is no such backend; fail if there still is one after 10 s."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if one(observer, "SELECT count(*) FROM pg_stat_activity WHERE pid = %s", pid) == 0:
            return
        time.sleep(0.01)
    raise AssertionError(f"backend {pid} was still there after 10 s")
