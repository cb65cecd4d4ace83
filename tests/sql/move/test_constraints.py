"""AR007: a constraint of the destination refuses a row. The error names it and says what to do."""

import psycopg
import pytest

from tests.support import new_session, places
from tests.support.dependents import Chat, hazards, refused
from tests.support.layouts import BOTH_LAYOUTS
from tests.support.retention import left, old_sessions, prune
from tests.support.rows import archive, archive_many, live, restore, restore_many

pytestmark = BOTH_LAYOUTS

LIVE, ARCHIVED = (1, 3, 0, 0), (0, 0, 1, 3)


def not_restored(connection: psycopg.Connection, *ids: object) -> str:
    """Restore sessions, which AR007 must refuse; return message and hint."""
    with pytest.raises(psycopg.DatabaseError) as caught:
        restore_many(connection, ids)
    assert caught.value.sqlstate == "AR007"
    return f"{caught.value.diag.message_primary}\n{caught.value.diag.message_hint}"


def add_to_both(connection: psycopg.Connection, chat: Chat, column: str) -> None:
    """Add a column to the sessions, as the application does, and to the views if there are any."""
    for table in (chat.sessions, chat.session_archive):
        connection.execute(f"ALTER TABLE {table} ADD {column}")
    if chat.sessions != "engine_chat_sessions":
        name = column.split()[0]
        for view in ("engine_chat_sessions", "engine_chat_session_archive"):
            row = connection.execute("SELECT pg_get_viewdef(%s::regclass)", (view,)).fetchone()
            text = row[0].replace("\n   FROM", f",\n    {name}\n   FROM").rstrip(";")
            connection.execute(f"CREATE OR REPLACE VIEW {view} AS {text}")


def add_users(connection: psycopg.Connection) -> None:
    """Add a table to which agent_id of the sessions can refer."""
    connection.execute("CREATE TABLE users AS SELECT 'aria' AS id")
    connection.execute("ALTER TABLE users ADD PRIMARY KEY (id)")


def test_a_column_that_may_be_null_live_and_not_in_the_archive(
    connection: psycopg.Connection, chat: Chat
) -> None:
    good = new_session(connection)
    bad = new_session(connection, temperature=None)
    connection.execute(f"ALTER TABLE {chat.session_archive} ALTER temperature SET NOT NULL")

    text = refused(connection, bad, sqlstate="AR007")
    assert "temperature" in text
    assert "DROP NOT NULL" in text
    (hazard,) = hazards(connection, "stricter NOT NULL")
    assert (hazard.object.split(".")[-1], hazard.effect) == ("temperature", "refuses")
    assert archive(connection, good) is not None


def test_a_check_of_the_archive_alone(connection: psycopg.Connection, chat: Chat) -> None:
    bad, good = old_sessions(connection, 2)
    connection.execute("UPDATE engine_chat_sessions SET title = 'bad' WHERE id = %s", (bad,))
    connection.execute(
        f"ALTER TABLE {chat.session_archive} ADD CONSTRAINT nice CHECK (title <> 'bad')"
    )

    assert "DROP CONSTRAINT nice" in refused(connection, bad, sqlstate="AR007")
    assert [row.effect for row in hazards(connection, "stricter CHECK")] == ["refuses"]
    assert prune(connection) == (1, 3, 1)
    assert places(connection, good) == ARCHIVED
    row = left(connection)[bad]
    assert (row.sqlstate, "nice" in row.message, "DROP CONSTRAINT" in row.remedy) == (
        "AR007",
        True,
        True,
    )


def test_a_unique_value_of_the_archive_alone(connection: psycopg.Connection, chat: Chat) -> None:
    one, two = (new_session(connection, title="the same") for _ in range(2))
    connection.execute(f"CREATE UNIQUE INDEX once ON {chat.session_archive} (title)")
    archive(connection, one)

    refused(connection, two, sqlstate="AR007")
    assert [row.effect for row in hazards(connection, "stricter UNIQUE")] == ["refuses"]


@pytest.mark.parametrize("of", ["sessions", "messages"])
@pytest.mark.parametrize("what", ["GENERATED ALWAYS AS IDENTITY", "GENERATED ALWAYS AS (1) STORED"])
def test_an_archive_that_computes_a_column_is_refused(
    connection: psycopg.Connection, chat: Chat, of: str, what: str, layout: str
) -> None:
    if layout == "views":
        pytest.skip("the view of an adopted archive is laid after the column is there")
    session_id = new_session(connection)
    live_table = getattr(chat, of)
    archive_table = chat.session_archive if of == "sessions" else chat.message_archive
    connection.execute(f"ALTER TABLE {live_table} ADD number int {what}")
    connection.execute(f"ALTER TABLE {archive_table} ADD number int {what}")

    with pytest.raises(psycopg.DatabaseError) as caught:
        archive(connection, session_id)
    assert caught.value.sqlstate == "AR007"
    assert places(connection, session_id) == LIVE
    (hazard,) = hazards(connection, "identity column in the archive") or hazards(
        connection, "generated column in the archive"
    )
    connection.execute(hazard.remedy.rstrip("."))
    archive(connection, session_id)
    restore(connection, session_id)


def test_a_unique_value_that_another_session_has_by_now_is_no_conflict(
    connection: psycopg.Connection, chat: Chat
) -> None:
    one = new_session(connection, title="the same")
    archive(connection, one)
    connection.execute(f"CREATE UNIQUE INDEX once ON {chat.sessions} (title)")
    two = new_session(connection, title="the same")

    text = not_restored(connection, one)
    assert "once" in text
    assert "conflicts" not in text
    connection.execute("UPDATE engine_chat_sessions SET title = 'other' WHERE id = %s", (two,))
    restore(connection, one)


def test_a_deferred_constraint_refuses_the_move_and_not_the_commit(
    connection: psycopg.Connection, chat: Chat
) -> None:
    session_id = new_session(connection, title="one of a kind")
    connection.execute(
        f"ALTER TABLE {chat.sessions} ADD CONSTRAINT slug UNIQUE (title)"
        " DEFERRABLE INITIALLY DEFERRED"
    )
    archive(connection, session_id)
    new_session(connection, title="one of a kind")

    with connection.transaction():
        with pytest.raises(psycopg.Error) as refusal, connection.transaction():
            restore(connection, session_id)
        assert refusal.value.sqlstate == "AR007"
        new_session(connection, title="of another kind")

    assert places(connection, session_id) == ARCHIVED


def test_a_user_who_is_gone_keeps_his_sessions_archived(
    connection: psycopg.Connection, chat: Chat
) -> None:
    add_users(connection)
    connection.execute(
        f"ALTER TABLE {chat.sessions} ADD CONSTRAINT of_user FOREIGN KEY (agent_id)"
        " REFERENCES users ON DELETE CASCADE"
    )
    session_id = new_session(connection)
    archive(connection, session_id)
    connection.execute("DELETE FROM users")

    assert "of_user" in not_restored(connection, session_id)
    assert places(connection, session_id) == ARCHIVED
    connection.execute("INSERT INTO users VALUES ('aria')")
    restore(connection, session_id)
    assert places(connection, session_id) == LIVE


@pytest.mark.parametrize(
    ("on_delete", "effect"), [("CASCADE", "loses"), ("SET NULL", "loses"), ("NO ACTION", "refuses")]
)
def test_a_key_of_the_archive_to_another_table_is_a_hazard(
    connection: psycopg.Connection, chat: Chat, on_delete: str, effect: str
) -> None:
    add_users(connection)
    connection.execute(
        f"ALTER TABLE {chat.session_archive} ADD CONSTRAINT of_user FOREIGN KEY (agent_id)"
        f" REFERENCES users ON DELETE {on_delete}"
    )
    assert [row.effect for row in hazards(connection, "key from an archive")] == [effect]
    session_id = new_session(connection)
    if on_delete == "CASCADE":
        archive(connection, session_id)
        connection.execute("DELETE FROM users")
        assert places(connection, session_id)[2] == 0  # lost, and not by a move
    elif on_delete == "NO ACTION":
        connection.execute("DELETE FROM users")
        assert "of_user" in refused(connection, session_id, sqlstate="AR007")


def test_a_session_archived_before_a_not_null_column_came_gets_its_default(
    connection: psycopg.Connection, chat: Chat
) -> None:
    old, new = new_session(connection), new_session(connection)
    archive(connection, old)
    add_to_both(connection, chat, "pinned boolean")
    connection.execute(
        f"UPDATE {chat.sessions} SET pinned = true;"
        f"ALTER TABLE {chat.sessions} ALTER pinned SET DEFAULT false, ALTER pinned SET NOT NULL"
    )
    before = live(connection)
    archive_many(connection, [new])

    restore_many(connection, [old, new])

    assert dict(connection.execute(f"SELECT id, pinned FROM {chat.sessions}").fetchall()) == {
        old: False,
        new: True,
    }
    assert set(before) <= set(live(connection))


def test_a_live_table_that_became_stricter_is_named(
    connection: psycopg.Connection, chat: Chat
) -> None:
    session_id = new_session(connection)
    archive(connection, session_id)
    connection.execute(
        f"ALTER TABLE {chat.sessions} ADD CONSTRAINT strict CHECK (title <> 'a session')"
    )

    assert "strict" in not_restored(connection, session_id)
    assert places(connection, session_id) == ARCHIVED


def test_an_unlogged_archive_is_a_hazard(connection: psycopg.Connection, chat: Chat) -> None:
    connection.execute(f"ALTER TABLE {chat.message_archive} SET UNLOGGED")
    (hazard,) = hazards(connection, "unlogged table")
    assert hazard.effect == "unsafe"
    connection.execute(hazard.remedy.rstrip("."))
    assert hazards(connection) == []
