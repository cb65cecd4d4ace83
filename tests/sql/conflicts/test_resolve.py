"""resolve_session_conflict: both transcripts in one place, or refused whole."""

from uuid import UUID, uuid4

import psycopg
import pytest

from tests.support import Connect, new_session
from tests.support.conflicts import (
    change,
    conflict,
    conflicts,
    differences,
    events,
    insert_message,
    one,
    resolutions,
    resolve,
)
from tests.support.layouts import BOTH_LAYOUTS, SCHEMA
from tests.support.rows import (
    ANOTHER_VALUE,
    ARCHIVE,
    LIVE,
    Row,
    all_tables,
    archive,
    archived,
    copy_to_archive,
    live,
    of,
    restore,
)

BOTH_PLACES = pytest.mark.parametrize("destination", ["live", "archive"])
BOTH_ROWS = pytest.mark.parametrize("keep", ["live", "archive"])


def in_place(connection: psycopg.Connection, destination: str, session_id: UUID) -> list[Row]:
    """Read a session where it should be, and check that it is nowhere else."""
    here, there = live(connection), archived(connection)
    if destination == "archive":
        here, there = there, here
    assert of(there, session_id) == []
    return of(here, session_id)


def assert_refused(
    connection: psycopg.Connection,
    session_id: UUID,
    destination: str,
    sqlstate: str,
    keep: str | None = None,
) -> psycopg.errors.Diagnostic:
    """The call fails with this SQLSTATE and a HINT, and nothing changes anywhere."""
    before = all_tables(connection), resolutions(connection), events(connection)
    with pytest.raises(psycopg.Error) as refused:
        resolve(connection, session_id, destination, keep)
    assert refused.value.sqlstate == sqlstate
    assert str(session_id) in str(refused.value)
    assert refused.value.diag.message_hint
    assert (all_tables(connection), resolutions(connection), events(connection)) == before
    return refused.value.diag


def new_column(connection: psycopg.Connection, layout: str) -> None:
    """Add a column to the four tables, and show it in the views."""
    own = ("chat_sessions", "chat_messages"), ("chat_sessions_archive", "chat_messages_archive")
    for names, tables, first in ((LIVE, own[0], ""), (ARCHIVE, own[1], "archived_at, ")):
        for name, table in zip(names, tables, strict=True):
            if layout == "tables":
                connection.execute(f"ALTER TABLE {name} ADD COLUMN mood text DEFAULT 'calm'")
                continue
            columns = one(
                connection,
                "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute"
                " WHERE attrelid = %s::regclass AND attnum > 0 AND attname <> 'archived_at'",
                name,
            )
            connection.execute(f"ALTER TABLE {table} ADD COLUMN mood text DEFAULT 'calm'")
            connection.execute(
                f"CREATE OR REPLACE VIEW {name} AS SELECT {first}{columns}, mood FROM {table}"
            )


@BOTH_LAYOUTS
@BOTH_PLACES
@pytest.mark.parametrize(
    ("only_live", "equal", "only_archive"), [(2, 3, 4), (0, 2, 0), (2, 0, 2), (0, 0, 0)]
)
def test_both_transcripts_are_merged_and_every_message_is_kept_once_as_it_was(
    connection: psycopg.Connection, destination: str, only_live: int, equal: int, only_archive: int
) -> None:
    session_id = conflict(connection, only_live=only_live, equal=equal, only_archive=only_archive)
    bystanders = [conflict(connection), new_session(connection)]
    rows = sorted(set(of(live(connection) + archived(connection), session_id)))
    others = [of(place(connection), *bystanders) for place in (live, archived)]

    row = resolve(connection, session_id, destination)

    count = only_live + equal + only_archive
    assert row == (session_id, destination, count, True)
    assert sorted(in_place(connection, destination, session_id)) == rows
    assert len(rows) == 1 + count
    assert [of(place(connection), *bystanders) for place in (live, archived)] == others
    assert conflicts(connection).keys() == {bystanders[0]}


@BOTH_LAYOUTS
@BOTH_PLACES
def test_a_retry_is_safe_and_says_that_it_did_nothing(
    connection: psycopg.Connection, destination: str
) -> None:
    session_id = conflict(connection)
    resolve(connection, session_id, destination)
    before = all_tables(connection), events(connection)

    assert resolve(connection, session_id, destination) == (session_id, destination, 6, False)
    assert (all_tables(connection), events(connection)) == before
    assert len(resolutions(connection)) == 1


@BOTH_PLACES
def test_a_session_in_the_other_place_alone_is_refused_and_not_moved(
    connection: psycopg.Connection, destination: str
) -> None:
    session_id = new_session(connection)
    if destination == "live":
        archive(connection, session_id)

    told = assert_refused(connection, session_id, destination, "22023")

    assert "no conflict" in str(told.message_primary)


@BOTH_LAYOUTS
@BOTH_PLACES
def test_an_unknown_session_gives_no_row(connection: psycopg.Connection, destination: str) -> None:
    assert resolve(connection, uuid4(), destination) is None


@pytest.mark.parametrize(
    ("destination", "keep", "told"),
    [
        ("nowhere", None, "destination is nowhere"),
        (None, None, "destination is NULL"),
        ("live", "both", "keep is both"),
    ],
)
def test_a_bad_argument_is_refused_and_named(
    connection: psycopg.Connection, destination: str | None, keep: str | None, told: str
) -> None:
    session_id = conflict(connection)
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=told):
        resolve(connection, session_id, destination, keep)
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="session_id"):
        resolve(connection, None, "live")


@BOTH_LAYOUTS
@BOTH_PLACES
@BOTH_ROWS
def test_rows_of_the_session_that_differ_need_a_choice_and_the_other_one_is_logged(
    connection: psycopg.Connection, destination: str, keep: str
) -> None:
    session_id = conflict(connection)
    change(connection, LIVE[0], "title = 'live', total_cost = 'NaN', status = 'ended'", session_id)
    kept = {"live": live, "archive": archived}
    (wanted,) = {row for row in of(kept[keep](connection), session_id) if row.id == session_id}
    dropped = {
        "live": "SELECT to_jsonb(row) FROM engine_chat_session_archive AS row",
        "archive": "SELECT to_jsonb(row) FROM engine_chat_sessions AS row",
    }
    dropped_row = one(connection, dropped[keep])
    archived_at = one(connection, f"SELECT archived_at FROM {ARCHIVE[0]}")

    told = assert_refused(connection, session_id, destination, "AR001")
    assert "keep => 'live' or 'archive'" in str(told.message_hint)
    row = resolve(connection, session_id, destination, keep)

    assert row == (session_id, destination, 6, True)
    assert wanted in in_place(connection, destination, session_id)
    assert len(in_place(connection, destination, session_id)) == 7
    (resolution,) = resolutions(connection)
    assert resolution[1:6] == (session_id, destination, keep, dropped_row, archived_at)
    assert resolution.resolved_by == one(connection, "SELECT session_user")


def test_a_dropped_row_can_be_brought_back_from_the_log(connection: psycopg.Connection) -> None:
    """With every digit, whatever settings the caller has."""
    session_id = conflict(connection)
    change(connection, LIVE[0], "temperature = 0.1234567890123456, title = 'é\"'", session_id)
    before = of(live(connection), session_id)
    connection.execute("SET extra_float_digits = -15")

    resolve(connection, session_id, "live", "archive")
    connection.execute(
        """
        UPDATE engine_chat_sessions AS live SET (temperature, title) = (
            SELECT dropped.temperature, dropped.title
            FROM engine_conflict_resolution AS resolution,
                jsonb_populate_record(NULL::engine_chat_sessions, dropped_row) AS dropped
        )
        """
    )

    assert before[0] in live(connection)


def test_rows_that_are_equal_leave_nothing_to_choose(connection: psycopg.Connection) -> None:
    session_id = conflict(connection)

    resolve(connection, session_id, "live", "archive")

    (resolution,) = resolutions(connection)
    assert (resolution.kept, resolution.dropped_row) == (None, None)
    assert resolution.archived_at is not None


def test_every_column_of_the_row_that_is_kept_is_kept(connection: psycopg.Connection) -> None:
    columns = connection.execute(
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_name = 'engine_chat_sessions' AND data_type <> 'uuid'"
    ).fetchall()
    assert len(columns) > 10
    session_id = conflict(connection)
    rows = of(archived(connection), session_id)
    for name, data_type in columns:
        with connection.transaction(force_rollback=True):
            change(connection, LIVE[0], f"{name} = {ANOTHER_VALUE[data_type]}", session_id)
            with pytest.raises(psycopg.Error), connection.transaction():
                resolve(connection, session_id, "live")
            resolve(connection, session_id, "live", "archive")
            assert rows[0] in live(connection), name


@BOTH_LAYOUTS
@BOTH_PLACES
@pytest.mark.parametrize(
    "assignment", ["content = 'another'", "cost = 'NaN'", """metadata = '{"a": 1.00}'"""]
)
def test_a_message_that_is_not_the_same_in_both_is_refused_and_named(
    connection: psycopg.Connection, destination: str, assignment: str
) -> None:
    session_id = conflict(connection)
    change(connection, ARCHIVE[1], """metadata = '{"a": 1.0}'""", session_id)
    change(connection, LIVE[1], """metadata = '{"a": 1.0}'""", session_id)
    message = one(connection, f"SELECT id FROM {ARCHIVE[1]} ORDER BY created_at")
    with connection.transaction(force_rollback=True):
        assert resolve(connection, session_id, destination).newly_resolved
    connection.execute(f"UPDATE {LIVE[1]} SET {assignment} WHERE id = %s", [message])
    change(connection, LIVE[0], "title = 'another'", session_id)

    for keep in (None, "live", "archive"):
        told = assert_refused(connection, session_id, destination, "AR001", keep)
        assert str(message) in str(told.message_primary)
    assert conflicts(connection)[session_id].messages_different == 1


@BOTH_PLACES
def test_a_session_of_which_only_messages_are_archived_is_merged(
    connection: psycopg.Connection, destination: str
) -> None:
    session_id = conflict(connection)
    rows = sorted(set(live(connection) + archived(connection)))
    connection.execute("DELETE FROM engine_chat_session_archive")
    assert conflicts(connection)[session_id].session_rows == "only live"

    assert resolve(connection, session_id, destination).message_count == 6

    assert sorted(in_place(connection, destination, session_id)) == rows
    (resolution,) = resolutions(connection)
    assert (resolution.kept, resolution.dropped_row, resolution.archived_at) == (None, None, None)


@BOTH_LAYOUTS
def test_a_hold_keeps_it_from_the_archive_and_not_from_being_live(
    connection: psycopg.Connection,
) -> None:
    session_id = conflict(connection)
    connection.execute("SELECT place_hold(%s, 'a case')", [session_id])

    assert_refused(connection, session_id, "archive", "AR003")
    assert resolve(connection, session_id, "live").newly_resolved
    assert one(connection, "SELECT count(*) FROM engine_session_hold") == 1


@BOTH_LAYOUTS
def test_a_soft_delete_ends_where_a_session_stays_live_and_is_kept_in_the_archive(
    connection: psycopg.Connection,
) -> None:
    """A soft delete by the application: status 'archived'."""
    ids = [conflict(connection) for _ in range(2)]
    for table in (LIVE[0], ARCHIVE[0]):
        connection.execute(f"UPDATE {table} SET status = 'archived'")

    for session_id, destination in zip(ids, ("live", "archive"), strict=True):
        resolve(connection, session_id, destination)

    status = "SELECT status FROM engine_chat_session_all WHERE id = %s"
    assert [one(connection, status, session_id) for session_id in ids] == ["active", "archived"]


@pytest.mark.parametrize("layout", ["views"], indirect=True)
@BOTH_PLACES
def test_an_archived_message_whose_id_another_live_session_has_is_refused(
    connection: psycopg.Connection, destination: str
) -> None:
    session_id, other = conflict(connection), new_session(connection, 1)
    connection.execute(
        """
        UPDATE engine_chat_message_archive SET id = (
            SELECT id FROM engine_chat_messages WHERE session_id = %s
        )
        WHERE id = (
            SELECT id FROM engine_chat_message_archive ORDER BY created_at DESC LIMIT 1
        )
        """,
        [other],
    )

    assert_refused(connection, session_id, destination, "AR001")


def test_a_trigger_that_changes_the_kept_row_is_refused_and_not_overlooked(
    connection: psycopg.Connection,
) -> None:
    session_id = conflict(connection)
    change(connection, LIVE[0], "title = 'another'", session_id)
    connection.execute(
        """
        CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN NEW.updated_at := '2001-01-01'; RETURN NEW; END; $$;
        CREATE TRIGGER touch BEFORE UPDATE ON engine_chat_sessions
        FOR EACH ROW EXECUTE FUNCTION touch();
        """
    )

    assert_refused(connection, session_id, "live", "AR001", "archive")
    assert resolve(connection, session_id, "live", "live").newly_resolved


@BOTH_LAYOUTS
@BOTH_PLACES
def test_a_column_that_both_tables_got_later_is_compared_and_merged_like_the_others(
    connection: psycopg.Connection, layout: str, destination: str
) -> None:
    session_id = conflict(connection)
    # with plans and views from before
    assert conflicts(connection)[session_id].messages_equal == 2
    assert len(differences(connection, session_id)) == 4
    resolve(connection, conflict(connection), destination)
    new_column(connection, layout)
    assert conflicts(connection)[session_id].session_rows == "equal"
    assert conflicts(connection)[session_id].messages_equal == 2
    change(connection, LIVE[0], "mood = 'tense'", session_id)
    rows = sorted(set(of(live(connection) + archived(connection), session_id)))

    assert (None, "different", "mood", "tense", "calm") in differences(connection, session_id)
    assert conflicts(connection)[session_id].session_rows == "different"
    assert_refused(connection, session_id, destination, "AR001")
    resolve(connection, session_id, destination, "live")

    merged = in_place(connection, destination, session_id)
    assert set(merged) < set(rows)
    assert len(merged) == 7


@BOTH_LAYOUTS
def test_while_a_column_would_be_lost_conflicts_are_listed_and_not_resolved(
    connection: psycopg.Connection, layout: str
) -> None:
    session_id = conflict(connection)
    table = "engine_chat_messages" if layout == "tables" else "aria_engine.chat_messages"
    connection.execute(f"ALTER TABLE {table} ADD COLUMN mood text")
    before = all_tables(connection)

    assert conflicts(connection).keys() == {session_id}
    for call in (differences, lambda *session: resolve(*session, "live")):
        with pytest.raises(psycopg.Error) as refused:
            call(connection, session_id)
        assert refused.value.sqlstate == "AR002"
    assert all_tables(connection) == before


@BOTH_LAYOUTS
def test_a_role_that_may_only_execute_resolves_and_no_other_does(
    connection: psycopg.Connection, connect: Connect, role: str, layout: str
) -> None:
    session_id = conflict(connection)
    caller = connect(user=role)
    if layout == "views":
        connection.execute(f"GRANT USAGE ON SCHEMA {SCHEMA} TO {role}")
    for statement in (
        "SELECT * FROM engine_session_conflict",
        "SELECT * FROM session_conflict_differences(gen_random_uuid())",
        "SELECT * FROM resolve_session_conflict(gen_random_uuid(), 'live')",
        "SELECT * FROM engine_conflict_resolution",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            caller.execute(statement)
    for privilege in (
        "SELECT ON engine_session_conflict",
        "EXECUTE ON FUNCTION session_conflict_differences(uuid)",
        "EXECUTE ON FUNCTION resolve_session_conflict(uuid, text, text, text)",
    ):
        connection.execute(f"GRANT {privilege} TO {role}")

    assert conflicts(caller).keys() == {session_id}
    assert len(differences(caller, session_id)) == 4
    assert resolve(caller, session_id, "archive").newly_resolved
    assert resolutions(connection)[0].resolved_by == role


@BOTH_PLACES
def test_a_merged_session_archives_and_restores_like_any_other(
    connection: psycopg.Connection, destination: str
) -> None:
    session_id = conflict(connection)
    resolve(connection, session_id, destination)
    if destination == "archive":
        assert restore(connection, session_id).newly_restored
    insert_message(connection, session_id, "later")
    assert archive(connection, session_id).message_count == 7
    assert restore(connection, session_id).message_count == 7


def test_a_session_that_comes_into_both_places_again_is_merged_and_logged_again(
    connection: psycopg.Connection,
) -> None:
    session_id = conflict(connection)
    for number in (1, 2):
        resolve(connection, session_id, "live")
        assert len(resolutions(connection)) == number
        copy_to_archive(connection, session_id)


def test_a_column_that_the_database_numbers_is_no_hindrance(
    connection: psycopg.Connection,
) -> None:
    session_id = conflict(connection)
    connection.execute(
        "ALTER TABLE engine_chat_sessions ADD COLUMN number integer GENERATED ALWAYS AS IDENTITY"
    )
    connection.execute(f"ALTER TABLE {ARCHIVE[0]} ADD COLUMN number integer")
    connection.execute(
        f"UPDATE {ARCHIVE[0]} SET number = (SELECT number FROM engine_chat_sessions)"
    )
    connection.execute("UPDATE engine_chat_sessions SET title = 'renamed'")
    number = one(connection, "SELECT number FROM engine_chat_sessions")

    resolve(connection, session_id, "live", "archive")

    assert one(connection, "SELECT number FROM engine_chat_sessions") == number
    assert one(connection, "SELECT title FROM engine_chat_sessions") != "renamed"


@BOTH_PLACES
@BOTH_ROWS
def test_a_column_that_the_database_computes_is_no_hindrance(
    connection: psycopg.Connection, destination: str, keep: str
) -> None:
    session_id = conflict(connection)
    for table, text in (("engine_chat_sessions", "title"), ("engine_chat_messages", "content")):
        computed = f"GENERATED ALWAYS AS (length({text})) STORED"
        connection.execute(f"ALTER TABLE {table} ADD COLUMN words integer {computed}")
    for table, text in zip(ARCHIVE, ("title", "content"), strict=True):
        connection.execute(f"ALTER TABLE {table} ADD COLUMN words integer")
        connection.execute(f"UPDATE {table} SET words = length({text})")
    connection.execute("UPDATE engine_chat_sessions SET title = 'renamed'")

    resolved = resolve(connection, session_id, destination, keep)

    assert resolved.message_count == 6
    assert len(in_place(connection, destination, session_id)) == 7
