"""Triggers, rules and keys of the application on the chat tables: no row is lost or changed."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from uuid import uuid4

import psycopg
import pytest

from tests.support import Connect, call, new_session, places
from tests.support.conflicts import conflict, resolve
from tests.support.dependents import Chat, hazards, refused
from tests.support.layouts import BOTH_LAYOUTS
from tests.support.retention import archived_for, left, old_sessions, prune, purge, set_policy
from tests.support.rows import (
    all_tables,
    archive,
    archive_many,
    copy_to_archive,
    delete_archived,
    delete_live,
    live,
    restore,
)

pytestmark = BOTH_LAYOUTS

LIVE, ARCHIVED = (1, 3, 0, 0), (0, 0, 1, 3)


def add_trigger(
    connection: psycopg.Connection, table: str, when: str, body: str, name: str = "meddle"
) -> None:
    """Add a row trigger; ``when`` is such as BEFORE DELETE."""
    connection.execute(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END; $$;"
        f"CREATE TRIGGER {name} {when} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()"
    )


KEEP = "RETURN NULL;"
CHANGE = {
    "sessions": "NEW.title := 'x'; RETURN NEW;",
    "messages": "NEW.content := 'x'; RETURN NEW;",
}


@pytest.mark.parametrize("of", ["sessions", "messages"])
def test_a_trigger_that_keeps_live_rows_makes_the_archive_refuse_and_end(
    connection: psycopg.Connection, chat: Chat, of: str
) -> None:
    """The next call and the next prune end too."""
    (session_id,) = old_sessions(connection, 1)
    add_trigger(connection, getattr(chat, of), "BEFORE DELETE", KEEP)

    for _ in range(2):
        text = refused(connection, session_id, sqlstate="AR006")
    assert str(session_id) in text
    assert prune(connection) == (0, 0, 1)
    assert left(connection)[session_id].sqlstate == "AR006"
    assert places(connection, session_id) == LIVE


@pytest.mark.parametrize(
    ("table", "when", "body"),
    [
        ("session_archive", "BEFORE INSERT", KEEP),
        ("message_archive", "BEFORE INSERT", KEEP),
        ("session_archive", "BEFORE INSERT", CHANGE["sessions"]),
        ("message_archive", "BEFORE INSERT", CHANGE["messages"]),
        ("messages", "BEFORE INSERT", KEEP),
        ("messages", "BEFORE INSERT", CHANGE["messages"]),
        ("sessions", "BEFORE INSERT OR UPDATE", CHANGE["sessions"]),
    ],
)
def test_a_trigger_that_would_lose_or_change_a_row_on_either_way_makes_the_archive_refuse(
    connection: psycopg.Connection, chat: Chat, table: str, when: str, body: str
) -> None:
    """The way back is tried before anything is archived that could not be restored."""
    session_id = new_session(connection)
    add_trigger(connection, getattr(chat, table), when, body)

    refused(connection, session_id, sqlstate="AR006")


@pytest.mark.parametrize("code", ["P0001", "22012", "23514", "XX001"])
def test_an_error_of_a_trigger_is_one_of_ours_with_the_original_in_its_detail(
    connection: psycopg.Connection, chat: Chat, code: str
) -> None:
    session_id = new_session(connection)
    add_trigger(
        connection,
        chat.messages,
        "AFTER DELETE",
        f"RAISE EXCEPTION 'not on my watch' USING ERRCODE = '{code}';",
    )

    with pytest.raises(psycopg.DatabaseError, match="not on my watch") as caught:
        archive(connection, session_id)
    assert caught.value.sqlstate == "AR006"
    assert code in caught.value.diag.message_detail
    assert places(connection, session_id) == LIVE


@pytest.mark.parametrize("code", ["40001", "40P01", "55P03", "53100", "57014"])
def test_an_error_that_says_to_try_again_or_to_stop_stays_what_it_is(
    connection: psycopg.Connection, chat: Chat, code: str
) -> None:
    session_id = new_session(connection)
    add_trigger(
        connection, chat.messages, "AFTER DELETE", f"RAISE EXCEPTION 'no' USING ERRCODE = '{code}';"
    )

    with pytest.raises(psycopg.DatabaseError) as caught:
        archive(connection, session_id)
    assert caught.value.sqlstate == code


def test_a_trigger_that_counts_messages_changes_no_column_of_what_comes_back(
    connection: psycopg.Connection, chat: Chat
) -> None:
    add_trigger(
        connection,
        chat.messages,
        "AFTER INSERT OR DELETE",
        f"""
        UPDATE {chat.sessions}
        SET message_count = message_count + CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END,
            updated_at = clock_timestamp()
        WHERE id = coalesce(NEW.session_id, OLD.session_id);
        RETURN NULL;
        """,
    )
    session_id = new_session(connection)
    before = live(connection)

    for _ in range(2):
        assert archive(connection, session_id).message_count == 3
        restore(connection, session_id)
        assert live(connection) == before


def test_a_trigger_that_only_watches_disturbs_nothing(
    connection: psycopg.Connection, chat: Chat
) -> None:
    connection.execute("CREATE TABLE audit (what text)")
    for table in ("sessions", "messages", "session_archive", "message_archive"):
        add_trigger(
            connection,
            getattr(chat, table),
            "AFTER INSERT OR UPDATE OR DELETE",
            "INSERT INTO audit VALUES (TG_OP); RETURN NULL;",
            name=f"watch_{table}",
        )
    session_id = new_session(connection)
    before = live(connection)

    archive(connection, session_id)
    restore(connection, session_id)
    assert live(connection) == before


@pytest.mark.parametrize("of", ["session_archive", "message_archive"])
def test_a_trigger_that_keeps_archived_rows_makes_restore_purge_and_delete_refuse(
    connection: psycopg.Connection, chat: Chat, of: str
) -> None:
    session_id = archived_for(connection, "2 days", session_type="cron")
    add_trigger(connection, getattr(chat, of), "BEFORE DELETE", KEEP)
    set_policy(connection, "cron", archive_after="1 day", purge_after="1 day")
    before = all_tables(connection)

    for refuse in (
        lambda: restore(connection, session_id),
        lambda: delete_archived(connection, session_id),
        lambda: purge(connection),
    ):
        with pytest.raises(psycopg.DatabaseError) as caught:
            refuse()
        assert caught.value.sqlstate == "AR006"
        assert all_tables(connection) == before


@pytest.mark.parametrize("of", ["sessions", "messages"])
def test_a_trigger_that_keeps_live_rows_makes_a_delete_refuse(
    connection: psycopg.Connection, chat: Chat, of: str
) -> None:
    session_id = new_session(connection)
    add_trigger(connection, getattr(chat, of), "BEFORE DELETE", KEEP)

    with pytest.raises(psycopg.DatabaseError) as caught:
        delete_live(connection, session_id)
    assert caught.value.sqlstate == "AR006"
    assert places(connection, session_id) == LIVE


@pytest.mark.parametrize("of", ["sessions", "messages"])
def test_a_trigger_that_keeps_a_copy_makes_its_removal_refuse_and_end(
    connection: psycopg.Connection, chat: Chat, of: str
) -> None:
    session_id = new_session(connection)
    copy_to_archive(connection, session_id)
    add_trigger(connection, getattr(chat, of), "BEFORE DELETE", KEEP)

    refused(connection, session_id, sqlstate="AR006")
    assert prune(connection) == (0, 0, 0)


@pytest.mark.parametrize("destination", ["live", "archive"])
def test_a_trigger_that_changes_messages_makes_a_resolution_refuse(
    connection: psycopg.Connection, chat: Chat, destination: str
) -> None:
    session_id = conflict(connection)
    add_trigger(connection, chat.messages, "BEFORE INSERT", CHANGE["messages"])
    before = all_tables(connection)

    with pytest.raises(psycopg.DatabaseError) as caught:
        resolve(connection, session_id, destination, "live")
    assert caught.value.sqlstate == "AR006"
    assert all_tables(connection) == before


def test_a_rule_is_refused(connection: psycopg.Connection, chat: Chat) -> None:
    session_id = new_session(connection)
    connection.execute(f"CREATE RULE away AS ON DELETE TO {chat.messages} DO INSTEAD NOTHING")

    assert "the rule away" in refused(connection, session_id, sqlstate="AR006")
    assert [row.effect for row in hazards(connection, "rule")] == ["refuses"]


def test_a_message_key_that_is_missing_or_switched_off_is_refused(
    connection: psycopg.Connection, chat: Chat
) -> None:
    session_id = new_session(connection)
    connection.execute(f"ALTER TABLE {chat.messages} DISABLE TRIGGER ALL")
    assert "not enforced" in refused(connection, session_id, sqlstate="AR006")
    assert [row.effect for row in hazards(connection, "message key")] == ["refuses"]

    connection.execute(f"ALTER TABLE {chat.messages} ENABLE TRIGGER ALL")
    assert hazards(connection, "message key") == []
    row = connection.execute(
        "SELECT conname FROM pg_constraint WHERE contype = 'f' AND conrelid = %s::regclass",
        (chat.messages,),
    ).fetchone()
    connection.execute(f"ALTER TABLE {chat.messages} DROP CONSTRAINT {row[0]}")
    assert "has no foreign key on session_id" in refused(connection, session_id, sqlstate="AR006")
    assert [row.effect for row in hazards(connection, "message key")] == ["refuses"]


def test_a_session_that_ignores_keys_is_refused(connection: psycopg.Connection, chat: Chat) -> None:
    session_id = new_session(connection)
    connection.execute("SET session_replication_role = replica")
    text = refused(connection, session_id, sqlstate="AR006")
    assert "session_replication_role = origin" in text


@pytest.mark.parametrize("column", ["session_id", "id"])
def test_an_archive_that_refers_to_the_live_tables_is_refused(
    connection: psycopg.Connection, chat: Chat, column: str
) -> None:
    session_id = new_session(connection)
    of = chat.message_archive if column == "session_id" else chat.session_archive
    connection.execute(
        f"ALTER TABLE {of} ADD CONSTRAINT backwards FOREIGN KEY ({column})"
        f" REFERENCES {chat.sessions} ON DELETE CASCADE"
    )

    text = refused(connection, session_id)
    assert "by backwards" in text
    assert "DROP CONSTRAINT backwards" in text
    assert [row.effect for row in hazards(connection, "key from an archive")] == ["refuses"]


def test_deferred_constraints_are_deferred_again_after_a_move(
    connection: psycopg.Connection, chat: Chat
) -> None:
    session_id, other = new_session(connection), new_session(connection)
    connection.execute(
        f"CREATE TABLE bookmark (session_id uuid CONSTRAINT later REFERENCES {chat.sessions}"
        " DEFERRABLE INITIALLY DEFERRED)"
    )
    for move in (archive, restore, delete_live):
        with connection.transaction():
            move(connection, session_id)
            connection.execute("INSERT INTO bookmark VALUES (%s)", (uuid4(),))
            connection.execute("UPDATE bookmark SET session_id = %s", (other,))
        connection.execute("DELETE FROM bookmark")


def test_a_move_ends_beside_a_session_that_moves_to_and_fro(
    connect: Connect, threads: ThreadPoolExecutor, connection: psycopg.Connection, chat: Chat
) -> None:
    """Whatever the tables look like, no call spins."""
    session_id = new_session(connection)
    connections = [connect("-c statement_timeout=20s") for _ in range(3)]

    def move(own: psycopg.Connection) -> None:
        for step in (archive, restore) * 30:
            with suppress(psycopg.errors.SerializationFailure):
                step(own, session_id)

    list(threads.map(move, connections))
    assert places(connection, session_id) in (LIVE, ARCHIVED)
    assert call(connection, "verify_archive") == []
    archive_many(connection, [session_id])


def test_a_trigger_that_changes_a_session_as_it_is_inserted_is_made_up_for(
    connection: psycopg.Connection, chat: Chat
) -> None:
    session_id = new_session(connection)
    before = live(connection)
    add_trigger(connection, chat.sessions, "BEFORE INSERT", CHANGE["sessions"])

    archive(connection, session_id)
    restore(connection, session_id)
    assert live(connection) == before
