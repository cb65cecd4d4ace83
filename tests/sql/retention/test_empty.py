"""What delete_empty_sessions deletes, what it leaves, and that it loses no message."""

from datetime import timedelta
from uuid import UUID

import psycopg
import pytest

from tests.support import Start, call, events, new_session, places
from tests.support.dependents import CHAT, add_bookmark, refer_to_sessions, set_handling
from tests.support.layouts import BOTH_LAYOUTS
from tests.support.retention import (
    GONE,
    begin_run,
    copy_to_archive,
    left,
    one,
    place_hold,
    runs,
    session_of_age,
    session_restored,
    stop_in_view,
    where,
)

EMPTY = (1, 0, 0, 0)
HOUR = timedelta(hours=1)
ADD_A_MESSAGE = """
    INSERT INTO engine_chat_messages (session_id, role, content) VALUES (%s, 'user', 'late')
"""


def delete_empty(
    connection: psycopg.Connection, older_than: timedelta | None = HOUR, **arguments: object
) -> tuple[int, int]:
    """Delete a batch; return how many sessions it deleted, and how many it had to leave."""
    (row,) = call(connection, "delete_empty_sessions", older_than=older_than, **arguments)
    return row.sessions, row.left_behind


def count_empty(connection: psycopg.Connection, older_than: timedelta = HOUR) -> object:
    return one(connection, "SELECT count_empty_sessions(%s)", older_than)


def empty_session(connection: psycopg.Connection, age: str = "2 hours", **columns: object) -> UUID:
    return session_of_age(connection, age, 0, **columns)


def keep_on_delete(connection: psycopg.Connection, layout: str, title: str) -> None:
    """Let a trigger keep the sessions of this title."""
    table = CHAT[layout].sessions
    connection.execute(
        f"""
        CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RETURN NULL; END; $$;
        CREATE TRIGGER keep BEFORE DELETE ON {table}
        FOR EACH ROW WHEN (OLD.title = '{title}') EXECUTE FUNCTION keep()
        """
    )


@BOTH_LAYOUTS
def test_it_deletes_the_sessions_without_a_message_that_are_old_enough_and_no_other(
    connection: psycopg.Connection,
) -> None:
    empty, young = empty_session(connection), empty_session(connection, "59 minutes")
    chat = session_of_age(connection, "2 hours", 1)

    assert count_empty(connection) == 1
    assert delete_empty(connection) == (1, 0)

    assert where(connection, [empty, young, chat]) == [GONE, EMPTY, (1, 1, 0, 0)]
    assert count_empty(connection) == 0
    assert delete_empty(connection) == (0, 0)


def test_it_asks_for_the_messages_and_not_for_their_number_in_the_session(
    connection: psycopg.Connection,
) -> None:
    said_to_have_some = empty_session(connection, message_count=3)
    said_to_have_none = session_of_age(connection, "2 hours", 1, message_count=0)

    assert delete_empty(connection) == (1, 0)

    assert where(connection, [said_to_have_some, said_to_have_none]) == [GONE, (1, 1, 0, 0)]


def test_the_age_counts_from_the_last_restore_too_and_without_an_update_from_the_creation(
    connection: psycopg.Connection,
) -> None:
    restored = session_restored(connection, "30 minutes")
    connection.execute("DELETE FROM engine_chat_messages WHERE session_id = %s", [restored])
    never_updated = new_session(connection, 0)
    connection.execute(
        """
        UPDATE engine_chat_sessions SET updated_at = NULL, created_at = now() - interval '2 hours'
        WHERE id = %s
        """,
        [never_updated],
    )

    assert delete_empty(connection) == (1, 0)

    assert where(connection, [restored, never_updated]) == [EMPTY, GONE]
    assert delete_empty(connection, timedelta(minutes=20)) == (1, 0)


@BOTH_LAYOUTS
def test_what_is_held_soft_deleted_or_archived_as_well_stays(
    connection: psycopg.Connection,
) -> None:
    held, soft_deleted, in_both = (
        empty_session(connection, status=status) for status in ("active", "archived", "active")
    )
    place_hold(connection, held)
    copy_to_archive(connection, in_both)

    assert count_empty(connection) == 0
    assert delete_empty(connection) == (0, 0)

    assert where(connection, [held, soft_deleted, in_both]) == [EMPTY, EMPTY, (1, 0, 1, 0)]


@BOTH_LAYOUTS
@pytest.mark.parametrize(
    ("action", "handling", "goes"),
    [
        ("CASCADE", None, False),
        ("SET NULL", None, False),
        ("CASCADE", "refuse", False),
        ("CASCADE", "move", False),
        ("CASCADE", "delete", True),
        ("SET NULL", "detach", True),
    ],
)
def test_a_session_that_rows_of_another_table_refer_to_is_empty_only_if_they_go_or_let_go(
    connection: psycopg.Connection, layout: str, action: str, handling: str | None, goes: bool
) -> None:
    refer_to_sessions(connection, CHAT[layout], action)
    referred, other = empty_session(connection), empty_session(connection)
    add_bookmark(connection, referred)
    if handling is not None:
        set_handling(connection, "bookmark", handling)

    assert count_empty(connection) == 1 + goes
    assert delete_empty(connection) == (1 + goes, 0)

    assert where(connection, [referred, other]) == [GONE if goes else EMPTY, GONE]
    rows = connection.execute("SELECT session_id FROM bookmark").fetchall()
    assert rows == ([] if handling == "delete" else [(None if goes else referred,)])


def test_a_session_that_another_one_refers_to_stays(connection: psycopg.Connection) -> None:
    connection.execute(
        """
        ALTER TABLE engine_chat_sessions
        ADD COLUMN parent uuid REFERENCES engine_chat_sessions ON DELETE CASCADE
        """
    )
    parent = empty_session(connection)
    child = session_of_age(connection, "2 hours", 1, parent=parent)

    assert delete_empty(connection) == (0, 0)

    assert where(connection, [parent, child]) == [EMPTY, (1, 1, 0, 0)]


# With others at work


@BOTH_LAYOUTS
@pytest.mark.parametrize("arrival", ["message", "bookmark", "hold"])
def test_what_arrives_after_a_session_was_chosen_and_before_it_was_locked_keeps_it(
    connection: psycopg.Connection,
    other: psycopg.Connection,
    start_blocked: Start,
    layout: str,
    arrival: str,
) -> None:
    refer_to_sessions(connection, CHAT[layout], "CASCADE")
    stop_in_view(connection, "_empty_candidate")
    in_use, empty = empty_session(connection), empty_session(connection)

    other.execute("SELECT pg_advisory_lock(1)")
    deleting = start_blocked(delete_empty, connection)
    if arrival == "message":
        other.execute(ADD_A_MESSAGE, [in_use])
    elif arrival == "bookmark":
        add_bookmark(other, in_use)
    else:
        place_hold(other, in_use)
    other.execute("SELECT pg_advisory_unlock(1)")

    assert deleting.result() == (1, 0)
    assert where(other, [in_use, empty]) == [(1, int(arrival == "message"), 0, 0), GONE]


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize("arrival", ["message", "hold"])
def test_what_a_snapshot_does_not_show_is_not_lost(
    connection: psycopg.Connection, other: psycopg.Connection, level: str, arrival: str
) -> None:
    session_id = empty_session(connection)
    connection.execute(f"BEGIN ISOLATION LEVEL {level}")
    connection.execute("SELECT count(*) FROM engine_chat_sessions")
    if arrival == "message":
        other.execute(ADD_A_MESSAGE, [session_id])
    else:
        place_hold(other, session_id)

    with pytest.raises(psycopg.errors.SerializationFailure):
        delete_empty(connection)
    connection.execute("ROLLBACK")

    assert places(other, session_id) == (1, int(arrival == "message"), 0, 0)


def test_a_session_in_use_is_not_waited_for(
    connection: psycopg.Connection, other: psycopg.Connection
) -> None:
    in_use, empty = empty_session(connection), empty_session(connection)

    with other.transaction():
        other.execute(ADD_A_MESSAGE, [in_use])
        assert delete_empty(connection) == (1, 0)

    assert where(connection, [in_use, empty]) == [(1, 1, 0, 0), GONE]


def test_two_at_once_share_the_work(
    connection: psycopg.Connection, other: psycopg.Connection
) -> None:
    ids = [empty_session(connection) for _ in range(4)]

    with other.transaction():
        assert delete_empty(other, batch_size=3) == (3, 0)
        assert delete_empty(connection) == (1, 0)

    assert where(connection, ids) == [GONE] * 4


# Batches, runs, the journal


def test_a_batch_takes_those_that_were_updated_first(connection: psycopg.Connection) -> None:
    ids = [empty_session(connection, f"{5 - n} hours") for n in range(3)]

    assert delete_empty(connection, batch_size=2) == (2, 0)
    assert where(connection, ids) == [GONE, GONE, EMPTY]
    assert delete_empty(connection, batch_size=2) == (1, 0)


@BOTH_LAYOUTS
def test_it_is_on_record_as_a_run_and_as_a_deletion_of_each_session(
    connection: psycopg.Connection,
) -> None:
    ids = {empty_session(connection) for _ in range(2)}
    run_id = begin_run(connection, "empty")

    assert delete_empty(connection, run_id=run_id, actor="ada") == (2, 0)
    assert delete_empty(connection, run_id=run_id, actor="ada") == (0, 0)

    (run,) = runs(connection)
    assert (run.kind, run.sessions, run.messages, run.batches) == ("empty", 2, 0, 1)
    found = events(connection)
    assert {event.session_id for event in found} == ids
    assert {(event.event, event.actor, event.run_id, event.message_count) for event in found} == {
        ("deleted", "ada", run_id, 0)
    }
    assert [event.detail for event in found] == [{"place": "live"}] * 2


@BOTH_LAYOUTS
@pytest.mark.parametrize("batch_size", [1, 500])
def test_one_that_cannot_be_deleted_is_written_down_and_stops_no_other(
    connection: psycopg.Connection, layout: str, batch_size: int
) -> None:
    keep_on_delete(connection, layout, "kept")
    kept = empty_session(connection, "3 hours", title="kept")
    empty = empty_session(connection)
    run_id = begin_run(connection, "empty")

    assert delete_empty(connection, run_id=run_id, batch_size=batch_size) == (1, 1)
    # not tried again in the same run
    assert delete_empty(connection, run_id=run_id, batch_size=batch_size) == (0, 0)

    assert where(connection, [kept, empty]) == [EMPTY, GONE]
    (found,) = left(connection).values()
    assert (found.session_id, found.run_id, found.sqlstate) == (kept, run_id, "AR006")
    assert found.message
    assert [event.session_id for event in events(connection)] == [empty]


# Bad arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"older_than": None}, "older_than must not be NULL"),
        ({"older_than": timedelta(0)}, "older_than is .*, and must be more than zero"),
        ({"older_than": timedelta(days=365_001)}, "older_than is .*, and must be more than zero"),
        ({"batch_size": 0}, "batch_size is 0, and must be at least 1"),
        ({"batch_size": None}, "batch_size is <NULL>, and must be at least 1"),
        ({"run_id": 17}, "there is no run 17"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    connection: psycopg.Connection, arguments: dict[str, object], message: str
) -> None:
    session_id = empty_session(connection)

    with pytest.raises(psycopg.errors.InvalidParameterValue, match=message) as refusal:
        delete_empty(connection, **{"older_than": HOUR, **arguments})  # type: ignore[arg-type]

    assert refusal.value.diag.message_hint
    assert places(connection, session_id) == EMPTY


def test_a_run_of_another_kind_is_refused_and_so_is_one_of_an_age_that_is_none(
    connection: psycopg.Connection,
) -> None:
    run_id = begin_run(connection, "purge")

    with pytest.raises(psycopg.errors.InvalidParameterValue, match="must be empty"):
        delete_empty(connection, run_id=run_id)
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="older_than is"):
        connection.execute("""SELECT begin_archive_run('empty', '{"older_than": "0 hours"}')""")
