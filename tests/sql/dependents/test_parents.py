"""Sessions that refer to other sessions, by a key that the application added."""

import psycopg
import pytest

from tests.support import new_session, places
from tests.support.dependents import ACTIONS, Chat, refused
from tests.support.retention import left, old_sessions, prune
from tests.support.rows import archive, archive_many, delete_live, live, restore, restore_many

LIVE, ARCHIVED = (1, 3, 0, 0), (0, 0, 1, 3)


def add_parents(connection: psycopg.Connection, chat: Chat, on_delete: str) -> None:
    for table in (chat.sessions, chat.session_archive):
        connection.execute(f"ALTER TABLE {table} ADD parent_session_id uuid")
    connection.execute(
        f"ALTER TABLE {chat.sessions} ADD FOREIGN KEY (parent_session_id)"
        f" REFERENCES {chat.sessions} ON DELETE {on_delete}"
    )


@pytest.mark.parametrize("on_delete", ACTIONS)
def test_a_parent_moves_with_its_children_or_not_at_all(
    connection: psycopg.Connection, chat: Chat, on_delete: str
) -> None:
    add_parents(connection, chat, on_delete)
    parent = new_session(connection)
    child = new_session(connection, parent_session_id=parent)
    before = live(connection)

    assert f"session {child} refers to session {parent}" in refused(connection, parent)
    archive_many(connection, [parent, child])
    restore_many(connection, [child, parent])
    assert live(connection) == before
    assert archive(connection, child).newly_archived
    assert archive(connection, parent).newly_archived

    with pytest.raises(psycopg.DatabaseError, match="refers to one that is not there") as caught:
        restore(connection, child)
    assert caught.value.sqlstate == "AR007"
    assert "restore it first" in caught.value.diag.message_hint


def test_deleting_a_parent_does_not_delete_its_children(
    connection: psycopg.Connection, chat: Chat
) -> None:
    add_parents(connection, chat, "CASCADE")
    parent = new_session(connection)
    child = new_session(connection, parent_session_id=parent)

    with pytest.raises(psycopg.DatabaseError, match=f"session {child} refers to") as caught:
        delete_live(connection, parent)
    assert caught.value.sqlstate == "AR005"
    assert places(connection, child) == LIVE


def test_a_prune_archives_children_before_their_parents_and_keeps_those_of_today(
    connection: psycopg.Connection, chat: Chat
) -> None:
    """A parent whose child is not due stays, and is written down with the reason."""
    add_parents(connection, chat, "CASCADE")
    grandparent, parent, kept = old_sessions(connection, 3)
    (child,) = old_sessions(connection, 1)
    today = new_session(connection)
    for one, other in ((child, parent), (parent, grandparent), (today, kept)):
        connection.execute(
            "UPDATE engine_chat_sessions SET parent_session_id = %s WHERE id = %s", (other, one)
        )

    while prune(connection).sessions:
        pass
    assert [places(connection, one) for one in (grandparent, parent, child)] == [ARCHIVED] * 3
    assert [places(connection, one) for one in (kept, today)] == [LIVE] * 2
    assert {key: row.sqlstate for key, row in left(connection).items()} == {kept: "AR005"}
