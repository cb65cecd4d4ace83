"""delete_chat_session and delete_archived_session: whole, for good, and never what is held."""

from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.support import Start, call, events, new_session, places
from tests.support.layouts import BOTH_LAYOUTS
from tests.support.rows import (
    all_tables,
    archive,
    archived,
    copy_to_archive,
    delete_archived,
    delete_live,
    live,
    not_of,
    restore,
)
from tests.support.writes import ADD_A_MESSAGE, WRITES, begin, write

GONE = (0, 0, 0, 0)


class Deletion(NamedTuple):
    """A function that deletes, the table that has the session, and the move to the other place."""

    delete: Callable[..., Any]
    table: str
    place: tuple[int, int, int, int]
    move_away: Callable[..., Any]

    def session(self, connection: psycopg.Connection, messages: int = 3) -> UUID:
        session_id = new_session(connection, messages)
        if self.delete is delete_archived:
            archive(connection, session_id)
        return session_id


LIVE = Deletion(delete_live, "engine_chat_sessions", (1, 3, 0, 0), archive)
ARCHIVED = Deletion(delete_archived, "engine_chat_session_archive", (0, 0, 1, 3), restore)
BOTH_PLACES = pytest.mark.parametrize("deletion", [LIVE, ARCHIVED], ids=["live", "archived"])


def hold(connection: psycopg.Connection, session_id: UUID) -> list:
    return call(connection, "place_hold", session_id=session_id, reason="legal, case 7")


def assert_held(error: psycopg.Error, session_id: UUID) -> None:
    assert error.sqlstate == "AR003"
    assert error.diag.message_primary == f"session {session_id} is on hold: legal, case 7"
    assert error.diag.message_hint
    assert "deleted" in error.diag.message_hint


@BOTH_LAYOUTS
@BOTH_PLACES
@pytest.mark.parametrize("messages", [0, 3])
def test_a_session_is_deleted_with_all_its_messages_and_no_other_is(
    connection: psycopg.Connection, deletion: Deletion, messages: int
) -> None:
    session_id, other = (deletion.session(connection, n) for n in (messages, 2))
    bystander = new_session(connection)
    before = live(connection) + archived(connection)
    (began,) = connection.execute("SELECT clock_timestamp()").fetchone() or ()

    row = deletion.delete(connection, session_id)

    assert (row.id, row.message_count) == (session_id, messages)
    assert began < row.deleted_at
    assert places(connection, session_id) == GONE
    assert live(connection) + archived(connection) == not_of(before, session_id)
    assert {other, bystander} < {row.session_id for row in before}


@BOTH_PLACES
def test_a_session_that_is_not_there_gives_no_row_and_changes_nothing(
    connection: psycopg.Connection, deletion: Deletion
) -> None:
    """Nor does one that is in the other place alone."""
    elsewhere = deletion.session(connection)
    deletion.move_away(connection, elsewhere)
    before = all_tables(connection)

    for session_id in (uuid4(), elsewhere):
        assert deletion.delete(connection, session_id) is None
    assert all_tables(connection) == before


@BOTH_PLACES
def test_a_session_is_deleted_once(connection: psycopg.Connection, deletion: Deletion) -> None:
    session_id = deletion.session(connection)

    assert deletion.delete(connection, session_id) is not None
    assert deletion.delete(connection, session_id) is None


@BOTH_PLACES
def test_a_rolled_back_deletion_leaves_everything_as_it_was(
    connection: psycopg.Connection, deletion: Deletion
) -> None:
    session_id = deletion.session(connection)
    before = all_tables(connection)

    with connection.transaction(force_rollback=True):
        deletion.delete(connection, session_id)

    assert all_tables(connection) == before


@BOTH_PLACES
def test_null_is_refused_as_a_bad_argument_with_a_hint(
    connection: psycopg.Connection, deletion: Deletion
) -> None:
    deletion.session(connection)
    before = all_tables(connection)

    with pytest.raises(psycopg.errors.InvalidParameterValue) as refused:
        deletion.delete(connection, None)

    assert refused.value.diag.message_hint
    assert all_tables(connection) == before


# What may not be deleted


@BOTH_LAYOUTS
@BOTH_PLACES
def test_a_held_session_is_not_deleted_until_it_is_released(
    connection: psycopg.Connection, deletion: Deletion
) -> None:
    session_id = deletion.session(connection)
    hold(connection, session_id)
    before = all_tables(connection)

    with pytest.raises(psycopg.Error) as refused:
        deletion.delete(connection, session_id)

    assert_held(refused.value, session_id)
    assert all_tables(connection) == before
    call(connection, "release_hold", session_id=session_id)
    assert deletion.delete(connection, session_id).message_count == 3


@BOTH_LAYOUTS
@pytest.mark.parametrize("change", ["title = title", "title = 'another'"])
def test_an_archived_session_that_is_live_as_well_is_not_deleted(
    connection: psycopg.Connection, change: str
) -> None:
    session_id = new_session(connection)
    copy_to_archive(connection, session_id)
    connection.execute(f"UPDATE engine_chat_sessions SET {change}")
    before = all_tables(connection)

    with pytest.raises(psycopg.Error, match=str(session_id)) as refused:
        delete_archived(connection, session_id)

    assert refused.value.sqlstate == "AR001"
    assert "resolve_session_conflict" in str(refused.value.diag.message_hint)
    assert all_tables(connection) == before


@BOTH_LAYOUTS
def test_the_live_one_of_a_session_in_both_places_is_deleted_and_its_archive_stays(
    connection: psycopg.Connection,
) -> None:
    session_id = new_session(connection)
    rows = live(connection)
    copy_to_archive(connection, session_id)

    assert delete_live(connection, session_id).message_count == 3

    assert places(connection, session_id) == (0, 0, 1, 3)
    assert archived(connection) == rows


@BOTH_PLACES
@pytest.mark.parametrize(
    ("of_messages", "policy"),
    [(True, "USING (role = 'user')"), (True, "FOR SELECT USING (true)"), (False, "USING (true)")],
)
def test_a_deletion_that_does_not_see_every_row_is_refused(
    owner: psycopg.Connection,
    connection: psycopg.Connection,
    deletion: Deletion,
    of_messages: bool,
    policy: str,
) -> None:
    session_id = deletion.session(owner)
    connection.execute("SET search_path = app")
    before = all_tables(connection)
    messages = {LIVE: "engine_chat_messages", ARCHIVED: "engine_chat_message_archive"}
    table = messages[deletion] if of_messages else deletion.table
    owner.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    owner.execute(f"CREATE POLICY hiding ON {table} {policy}")

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        deletion.delete(owner, session_id)
    assert all_tables(connection) == before


# At the same moment


@BOTH_PLACES
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_deletion_waits_for_a_hold_that_is_being_placed_and_is_refused_if_it_stays(
    a: psycopg.Connection,
    b: psycopg.Connection,
    start_blocked: Start,
    deletion: Deletion,
    end: str,
) -> None:
    session_id = deletion.session(a)
    begin(b)
    hold(b, session_id)
    deleting = start_blocked(deletion.delete, a, session_id)
    b.execute(end)

    if end == "COMMIT":
        with pytest.raises(psycopg.Error) as refused:
            deleting.result()
        assert_held(refused.value, session_id)
        assert places(a, session_id) == deletion.place
    else:
        assert deleting.result().message_count == 3
        assert places(a, session_id) == GONE


@BOTH_PLACES
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_hold_waits_for_a_deletion_and_then_finds_no_session(
    a: psycopg.Connection,
    b: psycopg.Connection,
    start_blocked: Start,
    deletion: Deletion,
    end: str,
) -> None:
    session_id = deletion.session(a)
    begin(a)
    deletion.delete(a, session_id)
    holding = start_blocked(hold, b, session_id)
    a.execute(end)

    assert len(holding.result()) == (0 if end == "COMMIT" else 1)
    assert places(a, session_id) == (GONE if end == "COMMIT" else deletion.place)


@BOTH_PLACES
@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_hold_that_a_snapshot_does_not_show_keeps_the_session(
    a: psycopg.Connection, b: psycopg.Connection, deletion: Deletion, level: str
) -> None:
    session_id = deletion.session(a)
    a.execute(f"BEGIN ISOLATION LEVEL {level}")
    a.execute("SELECT count(*) FROM engine_session_hold")
    hold(b, session_id)

    with pytest.raises(psycopg.errors.SerializationFailure):
        deletion.delete(a, session_id)

    a.execute("ROLLBACK")
    assert places(b, session_id) == deletion.place
    held = b.execute("SELECT session_id FROM engine_session_hold").fetchall()
    assert held == [(session_id,)]


@BOTH_PLACES
def test_a_deletion_with_a_snapshot_leaves_no_hold_behind(
    a: psycopg.Connection, deletion: Deletion
) -> None:
    session_id = deletion.session(a)
    a.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    deletion.delete(a, session_id)
    a.execute("COMMIT")

    assert places(a, session_id) == GONE
    assert a.execute("SELECT * FROM engine_session_hold").fetchall() == []


@BOTH_PLACES
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_deletion_waits_for_a_move_and_then_finds_the_session_gone_or_deletes_it(
    a: psycopg.Connection,
    b: psycopg.Connection,
    start_blocked: Start,
    deletion: Deletion,
    end: str,
) -> None:
    session_id = deletion.session(a)
    before = live(a) + archived(a)
    begin(b)
    deletion.move_away(b, session_id)
    deleting = start_blocked(deletion.delete, a, session_id)
    b.execute(end)

    if end == "COMMIT":
        assert deleting.result() is None
        assert sorted(live(a) + archived(a)) == sorted(before)
    else:
        assert deleting.result().message_count == 3
        assert places(a, session_id) == GONE


@BOTH_PLACES
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_move_waits_for_a_deletion_and_then_knows_no_such_session_or_moves_it(
    a: psycopg.Connection,
    b: psycopg.Connection,
    start_blocked: Start,
    deletion: Deletion,
    end: str,
) -> None:
    session_id = deletion.session(a)
    before = live(a) + archived(a)
    begin(a)
    deletion.delete(a, session_id)
    moving = start_blocked(deletion.move_away, b, session_id)
    a.execute(end)

    if end == "COMMIT":
        assert moving.result() is None
        assert places(a, session_id) == GONE
    else:
        assert moving.result().message_count == 3
        assert sorted(live(a) + archived(a)) == sorted(before)


@BOTH_PLACES
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_deletion_waits_for_a_deletion(
    a: psycopg.Connection,
    b: psycopg.Connection,
    start_blocked: Start,
    deletion: Deletion,
    end: str,
) -> None:
    session_id = deletion.session(a)
    begin(b)
    deletion.delete(b, session_id)
    deleting = start_blocked(deletion.delete, a, session_id)
    b.execute(end)

    row = deleting.result()
    assert (row is None) == (end == "COMMIT")
    assert places(a, session_id) == GONE


@BOTH_LAYOUTS
@pytest.mark.parametrize("name", WRITES)
def test_a_write_while_the_session_is_deleted_waits_and_then_fails_or_finds_nothing(
    a: psycopg.Connection,
    b: psycopg.Connection,
    ids: dict[str, UUID],
    start_blocked: Start,
    name: str,
) -> None:
    before = live(a)
    begin(a)
    delete_live(a, ids["session"])

    writing = start_blocked(write, b, name, ids)
    a.execute("COMMIT")

    if name in ADD_A_MESSAGE:
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            writing.result()
    else:
        assert writing.result() == 0
    assert live(a) == not_of(before, ids["session"])


@BOTH_LAYOUTS
@pytest.mark.parametrize("name", WRITES)
def test_a_deletion_waits_for_a_write_and_deletes_what_it_wrote(
    a: psycopg.Connection,
    b: psycopg.Connection,
    ids: dict[str, UUID],
    start_blocked: Start,
    name: str,
) -> None:
    begin(b)
    write(b, name, ids)
    as_written = live(b)

    deleting = start_blocked(delete_live, a, ids["session"])
    b.execute("COMMIT")

    row = deleting.result()
    if name == "delete the session":
        assert row is None
    else:
        messages = [found for found in as_written if found.session_id == ids["session"]]
        assert row.message_count == len(messages) - 1
    assert live(a) == not_of(as_written, ids["session"])
    assert places(a, ids["session"]) == GONE


# A message


def delete_message(connection: psycopg.Connection, session_id: object, message_id: object) -> bool:
    (row,) = call(
        connection,
        "delete_chat_message",
        session_id=session_id,
        message_id=message_id,
        actor="ada",
    )
    return row.delete_chat_message is True


def message_ids(connection: psycopg.Connection, session_id: UUID) -> list[UUID]:
    rows = connection.execute(
        "SELECT id FROM engine_chat_messages WHERE session_id = %s ORDER BY created_at",
        [session_id],
    )
    return [message_id for (message_id,) in rows]


@BOTH_LAYOUTS
def test_a_message_is_deleted_counted_and_on_record_and_no_other_goes(
    connection: psycopg.Connection,
) -> None:
    session_id, other = new_session(connection, message_count=3), new_session(connection)
    first, *rest = message_ids(connection, session_id)

    assert not delete_message(connection, other, first)
    assert delete_message(connection, session_id, first)
    assert not delete_message(connection, session_id, first)

    assert message_ids(connection, session_id) == rest
    assert places(connection, other) == (1, 3, 0, 0)
    counted = connection.execute(
        "SELECT message_count FROM engine_chat_sessions WHERE id = %s", [session_id]
    )
    assert counted.fetchone() == (2,)
    (event,) = events(connection)
    assert (event.session_id, event.event, event.actor) == (session_id, "message_deleted", "ada")
    assert (event.message_count, event.detail) == (1, {"message_id": str(first)})


def test_a_session_that_counts_no_messages_does_not_count_below_none(
    connection: psycopg.Connection,
) -> None:
    for counted in (0, None):
        session_id = new_session(connection, message_count=counted)
        assert delete_message(connection, session_id, message_ids(connection, session_id)[0])

    assert connection.execute("SELECT message_count FROM engine_chat_sessions").fetchall() == [
        (0,),
        (0,),
    ]


@BOTH_LAYOUTS
def test_a_message_of_a_session_on_hold_or_in_the_archive_stays(
    connection: psycopg.Connection,
) -> None:
    held, archived_one = new_session(connection), new_session(connection)
    (message, *_), (archived_message, *_) = (
        message_ids(connection, session_id) for session_id in (held, archived_one)
    )
    hold(connection, held)
    archive(connection, archived_one)

    with pytest.raises(psycopg.Error) as error:
        delete_message(connection, held, message)
    assert_held(error.value, held)
    assert not delete_message(connection, archived_one, archived_message)

    assert places(connection, held) == (1, 3, 0, 0)
    assert places(connection, archived_one) == (0, 0, 1, 3)


def test_a_message_that_a_trigger_keeps_is_an_error(connection: psycopg.Connection) -> None:
    session_id = new_session(connection, message_count=3)
    connection.execute(
        """
        CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER keep BEFORE DELETE ON engine_chat_messages
        FOR EACH ROW EXECUTE FUNCTION keep()
        """
    )

    with pytest.raises(psycopg.Error, match="kept message") as error:
        delete_message(connection, session_id, message_ids(connection, session_id)[0])

    assert (error.value.sqlstate, bool(error.value.diag.message_hint)) == ("AR006", True)
    assert events(connection) == []


@pytest.mark.parametrize(("session_id", "message_id"), [(None, uuid4()), (uuid4(), None)])
def test_a_message_without_an_id_is_refused(
    connection: psycopg.Connection, session_id: UUID | None, message_id: UUID | None
) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="must not be NULL"):
        delete_message(connection, session_id, message_id)
