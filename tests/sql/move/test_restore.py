"""restore_session and restore_sessions, alone with the database."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.support import call, new_session, places
from tests.support.layouts import BOTH_LAYOUTS
from tests.support.retention import set_policy
from tests.support.rows import (
    all_tables,
    archive,
    archive_many,
    archived,
    copy_to_archive,
    images,
    live,
    moved_now,
    not_of,
    of,
    restore,
    restore_many,
)


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


@pytest.mark.parametrize(
    "function_call",
    [
        "restore_session(NULL)",
        "restore_sessions(NULL)",
        "restore_sessions(ARRAY[NULL]::uuid[])",
        "restore_sessions(NULL::uuid || ARRAY(SELECT id FROM engine_chat_session_archive))",
        "restore_sessions(ARRAY(SELECT id FROM engine_chat_session_archive) || NULL::uuid)",
    ],
)
def test_null_is_refused_as_a_bad_argument_with_a_hint(
    connection: psycopg.Connection, function_call: str
) -> None:
    archive(connection, new_session(connection))
    before = all_tables(connection)

    with pytest.raises(psycopg.errors.InvalidParameterValue) as refused:
        connection.execute(f"SELECT * FROM {function_call}")

    assert refused.value.diag.message_hint
    assert all_tables(connection) == before


# Several in one call


def test_no_ids_give_no_rows(connection: psycopg.Connection) -> None:
    archive(connection, new_session(connection))
    before = all_tables(connection)

    assert restore_many(connection, []) == {}
    assert all_tables(connection) == before


@BOTH_LAYOUTS
def test_many_sessions_are_told_apart_by_what_they_were_before_the_call(
    connection: psycopg.Connection,
) -> None:
    """Archived ones, live ones, soft-deleted ones, unknown ones, each named twice, in no order."""
    moved = {new_session(connection, messages): messages for messages in (0, 1, 5)}
    put_away = {new_session(connection, 2): 2}
    as_active = live(connection)
    there = {new_session(connection, messages): messages for messages in (0, 2)}
    before = live(connection)
    archive_many(connection, moved)
    connection.execute(
        "UPDATE engine_chat_sessions SET status = 'archived' WHERE id = ANY(%s)", [[*put_away]]
    )

    ids = [*there, *moved, *put_away]
    rows = restore_many(connection, [uuid4(), *ids, uuid4(), *reversed(ids)])

    assert rows.keys() == set(ids)
    assert {key: row.message_count for key, row in rows.items()} == moved | put_away | there
    assert {key for key, row in rows.items() if moved_now(row)} == moved.keys() | put_away.keys()
    assert {row.restored_at is None for row in rows.values() if not moved_now(row)} == {True}
    assert len({row.restored_at for row in rows.values() if moved_now(row)}) == 1
    assert live(connection) == before
    assert archived(connection) == []
    assert len(as_active) == 4 + 1 + 5 + 2


@BOTH_LAYOUTS
def test_restoring_many_again_says_that_they_are_live_and_changes_nothing(
    connection: psycopg.Connection,
) -> None:
    ids = [new_session(connection, messages) for messages in (0, 3, 1)]
    archive_many(connection, ids)
    first = restore_many(connection, ids)
    before = all_tables(connection)

    again = restore_many(connection, reversed(ids))

    assert again == {
        key: row._replace(restored_at=None, newly_restored=False) for key, row in first.items()
    }
    assert all_tables(connection) == before


@BOTH_LAYOUTS
def test_one_session_that_must_not_come_back_keeps_all_others(
    connection: psycopg.Connection,
) -> None:
    session_ids = sorted(new_session(connection, 1) for _ in range(20))
    soft_deleted = new_session(connection, status="archived")
    archive_many(connection, set(session_ids) - {session_ids[13]})
    copy_to_archive(connection, session_ids[13])
    before = all_tables(connection)

    with pytest.raises(psycopg.Error, match=str(session_ids[13])) as refused:
        restore_many(connection, [soft_deleted, *session_ids])

    assert refused.value.sqlstate == "AR001"
    assert refused.value.diag.message_hint
    assert all_tables(connection) == before


def test_five_thousand_sessions_come_back_in_one_call(connection: psycopg.Connection) -> None:
    connection.execute(
        """
        INSERT INTO engine_chat_sessions (title)
        SELECT 'session ' || number FROM generate_series(1, 5000) AS number
        """
    )
    connection.execute(
        """
        INSERT INTO engine_chat_messages (session_id, role, content)
        SELECT id, 'user', title || ', message ' || number
        FROM engine_chat_sessions CROSS JOIN generate_series(1, 2) AS number
        """
    )
    bystander = new_session(connection)
    before = live(connection)
    session_ids: list[UUID] = [
        row.id for row in images(connection, "engine_chat_sessions") if row.id != bystander
    ]
    archive_many(connection, [*session_ids, bystander])

    rows = restore_many(connection, session_ids)

    assert len(rows) == 5000
    assert {(row.message_count, row.newly_restored) for row in rows.values()} == {(2, True)}
    assert live(connection) == not_of(before, bystander)
    assert archived(connection) == of(before, bystander)


@pytest.mark.parametrize("order", ["parents first", "children first", "by id"])
@pytest.mark.parametrize("constraint", ["", "ON DELETE CASCADE", "ON DELETE RESTRICT"])
def test_sessions_that_refer_to_each_other_come_back_in_any_order(
    connection: psycopg.Connection, order: str, constraint: str
) -> None:
    """A chain of three, and two that refer to each other: no order of single calls would do."""
    refer_to_parents(connection, constraint)
    chain = [new_session(connection) for _ in range(3)]
    pair = [new_session(connection) for _ in range(2)]
    for child, parent in (*zip(chain[1:], chain, strict=False), pair, pair[::-1]):
        connection.execute(
            "UPDATE engine_chat_sessions SET parent_id = %s WHERE id = %s", [parent, child]
        )
    ids = [*chain, *pair]
    before = live(connection)
    assert all(map(moved_now, archive_many(connection, ids).values()))

    ordered = {"parents first": ids, "children first": ids[::-1], "by id": sorted(ids)}[order]
    rows = restore_many(connection, ordered)

    assert all(map(moved_now, rows.values()))
    assert {row.message_count for row in rows.values()} == {3}
    assert live(connection) == before
    assert archived(connection) == []


def test_a_session_whose_parent_stays_in_the_archive_keeps_all_others(
    connection: psycopg.Connection,
) -> None:
    refer_to_parents(connection)
    parent, other = (new_session(connection) for _ in range(2))
    child = new_session(connection, parent_id=parent)
    archive_many(connection, [parent, child, other])
    before = all_tables(connection)

    with pytest.raises(psycopg.DatabaseError, match="refers to one that is not there") as caught:
        restore_many(connection, [other, child])
    assert caught.value.sqlstate == "AR007"

    assert all_tables(connection) == before
    assert all(map(moved_now, restore_many(connection, [other, child, parent]).values()))


def refer_to_parents(connection: psycopg.Connection, on_delete: str = "") -> None:
    """Give every session a reference to another one, as an application does that has threads."""
    connection.execute(
        "ALTER TABLE engine_chat_sessions"
        f" ADD COLUMN parent_id uuid REFERENCES engine_chat_sessions {on_delete}"
    )
    connection.execute("ALTER TABLE engine_chat_session_archive ADD COLUMN parent_id uuid")


# From when on the prune may archive it again


def due_from(connection: psycopg.Connection, session_id: UUID) -> Any:
    archive(connection, session_id)
    row = restore(connection, session_id)
    return None if row.due_from is None else row.due_from - row.restored_at


@BOTH_LAYOUTS
def test_due_from_is_the_time_of_the_restore_and_the_age_that_the_policy_says(
    connection: psycopg.Connection,
) -> None:
    set_policy(connection, "*", archive_after="30 days")
    set_policy(connection, "cron", archive_after="36 hours")

    assert due_from(connection, new_session(connection)) == timedelta(days=30)
    assert due_from(connection, new_session(connection, session_type="cron")) == timedelta(hours=36)
    old = new_session(connection, updated_at="2001-01-01", created_at="2001-01-01")
    assert due_from(connection, old) == timedelta(days=30)
    never_updated = new_session(connection, updated_at=None)
    assert due_from(connection, never_updated) == timedelta(days=30)


@pytest.mark.parametrize(
    "policy",
    [{"archive_after": None}, {"archive_after": "1 day", "enabled": False}, None],
    ids=["kept for ever", "not enabled", "no policy"],
)
def test_due_from_is_null_where_no_policy_makes_the_session_due(
    connection: psycopg.Connection, policy: dict | None
) -> None:
    set_policy(connection, "keep", archive_after="1 day")
    connection.execute("DELETE FROM engine_archive_policy")
    if policy is not None:
        set_policy(connection, "keep", **policy)

    assert due_from(connection, new_session(connection, session_type="keep")) is None


@BOTH_LAYOUTS
def test_due_from_counts_from_the_last_update_where_that_is_later_than_the_restore(
    connection: psycopg.Connection,
) -> None:
    """Live already, in use since: the same call tells when it is due."""
    session_id = new_session(connection)
    archive(connection, session_id)
    restored = restore(connection, session_id)
    connection.execute("UPDATE engine_chat_sessions SET updated_at = now() + interval '1 day'")
    updated_at = connection.execute("SELECT updated_at FROM engine_chat_sessions").fetchone()
    assert updated_at is not None

    again = restore(connection, session_id)

    assert restored.due_from == restored.restored_at + timedelta(days=30)
    assert again.due_from == updated_at[0] + timedelta(days=30)
    assert not moved_now(again)


def test_due_from_is_when_the_prune_archives_it_again(connection: psycopg.Connection) -> None:
    session_id = new_session(connection, updated_at="2001-01-01")
    archive(connection, session_id)
    row = restore(connection, session_id)

    for moment, moved in (("29 days 23 hours", 0), ("30 days 1 hour", 1)):
        # As long ago as if so much time had passed.
        connection.execute(
            "UPDATE engine_archive_event SET at = %s - %s::interval WHERE event = 'restored'",
            [row.restored_at, moment],
        )
        (pruned,) = call(connection, "prune_sessions")
        assert pruned.sessions == moved


@pytest.mark.parametrize("updated_at", ["infinity", "294276-12-31 23:59:59.999999 UTC"])
def test_a_session_from_the_end_of_time_comes_back_and_is_never_due(
    connection: psycopg.Connection, updated_at: str
) -> None:
    session_id = new_session(connection, updated_at=updated_at)
    before = live(connection)
    archive(connection, session_id)

    (restored,) = connection.execute(
        "SELECT newly_restored, due_from IS NULL FROM restore_session(%s)", [session_id]
    )

    assert restored == (True, True)
    assert live(connection) == before
