"""restore_session, alone with the database."""

from uuid import uuid4

import psycopg
import pytest

from tests.sql.adopted_layout import BOTH_LAYOUTS
from tests.sql.rows import all_tables, archive, archive_many, archived, live, not_of, of, restore
from tests.support import new_session, places


@BOTH_LAYOUTS
@pytest.mark.parametrize("messages", [0, 3])
def test_a_session_comes_back_with_all_its_messages_and_no_other_does(
    connection: psycopg.Connection, messages: int
) -> None:
    session_id, other = new_session(connection, messages), new_session(connection)
    before = live(connection)
    archived_at = archive_many(connection, [session_id, other])[session_id].archived_at

    row = restore(connection, session_id)

    assert (row.id, row.message_count, row.newly_restored) == (session_id, messages, True)
    assert row.restored_at > archived_at
    assert places(connection, session_id) == (1, messages, 0, 0)
    assert live(connection) == of(before, session_id)
    assert archived(connection) == not_of(before, session_id)


def test_an_unknown_session_gives_no_row_and_changes_nothing(
    connection: psycopg.Connection,
) -> None:
    archive(connection, new_session(connection))
    before = all_tables(connection)

    assert restore(connection, uuid4()) is None
    assert all_tables(connection) == before


@BOTH_LAYOUTS
def test_restoring_again_says_that_it_is_live_and_changes_nothing(
    connection: psycopg.Connection,
) -> None:
    session_id = new_session(connection)
    archive(connection, session_id)
    first = restore(connection, session_id)
    before = all_tables(connection)

    again = restore(connection, session_id)

    assert again == first._replace(restored_at=None, newly_restored=False)
    assert all_tables(connection) == before


@BOTH_LAYOUTS
@pytest.mark.parametrize("moved", [True, False])
def test_a_soft_deleted_session_comes_back_as_active_and_otherwise_as_it_was(
    connection: psycopg.Connection, moved: bool
) -> None:
    session_id = new_session(connection, 3, title="put away")
    as_active = live(connection)
    connection.execute("UPDATE engine_chat_sessions SET status = 'archived'")
    soft_deleted = live(connection)
    if moved:
        archive(connection, session_id)
        assert archived(connection) == soft_deleted

    row = restore(connection, session_id)

    assert (row.message_count, row.newly_restored) == (3, True)
    assert row.restored_at is not None
    assert live(connection) == as_active
    assert archived(connection) == []
    assert not restore(connection, session_id).newly_restored


def test_every_other_status_comes_back_as_it_was(connection: psycopg.Connection) -> None:
    for status in ("active", "ended", "Archived", " archived", "archived "):
        new_session(connection, status=status)
    before = live(connection)
    for session_id in {row.session_id for row in before}:
        archive(connection, session_id)
        restore(connection, session_id)

    assert live(connection) == before


def test_a_rolled_back_restore_leaves_everything_as_it_was(connection: psycopg.Connection) -> None:
    session_id = new_session(connection)
    archive(connection, session_id)
    before = all_tables(connection)

    with connection.transaction(force_rollback=True):
        assert restore(connection, session_id).newly_restored

    assert all_tables(connection) == before


def test_a_restored_session_is_archived_again_with_a_new_archived_at(
    connection: psycopg.Connection,
) -> None:
    session_id = new_session(connection)
    first = archive(connection, session_id)
    restore(connection, session_id)
    connection.execute(
        "INSERT INTO engine_chat_messages (session_id, role, content) VALUES (%s, 'user', 'more')",
        [session_id],
    )
    before = live(connection)

    second = archive(connection, session_id)

    assert second.newly_archived
    assert second.archived_at > first.archived_at
    assert second.message_count == 4
    assert archived(connection) == before


def test_messages_in_the_archive_without_their_session_are_left_alone(
    connection: psycopg.Connection,
) -> None:
    session_id = new_session(connection)
    archive(connection, session_id)
    connection.execute("DELETE FROM engine_chat_session_archive")
    before = all_tables(connection)

    assert restore(connection, session_id) is None
    assert archive(connection, session_id) is None
    assert all_tables(connection) == before
