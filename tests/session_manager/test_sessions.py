from uuid import uuid4

import psycopg
import pytest

from aria_db.errors import InvalidArgument, SessionConflict, SessionHeld
from aria_db.session_manager import ARCHIVE, NativeSessionManager, NewMessage, NewSession
from tests.support import new_session, places, set_for_database

pytestmark = pytest.mark.anyio


async def test_a_session_that_is_archived_leaves_the_list_and_enters_the_archive(
    manager: NativeSessionManager,
) -> None:
    session = await manager.create_session(NewSession(title="a title"))
    await manager.add_message(session.id, NewMessage("user", "hello"))

    archived = await manager.archive_session(session.id)

    assert archived is not None
    assert archived.newly_archived
    assert archived.message_count == 1
    assert (await manager.list_sessions()).sessions == []
    assert [row.id for row in (await manager.list_archived_sessions()).sessions] == [session.id]


async def test_deleting_a_live_session_says_when_and_how_many_messages_went_with_it(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    session_id, other_id = new_session(connection), new_session(connection)
    [before] = connection.execute("SELECT clock_timestamp()").fetchone() or ()

    deleted = await manager.delete_session(session_id)

    [after] = connection.execute("SELECT clock_timestamp()").fetchone() or ()
    assert deleted is not None
    assert (deleted.id, deleted.message_count) == (session_id, 3)
    assert before < deleted.deleted_at < after
    assert places(connection, session_id) == (0, 0, 0, 0)
    assert places(connection, other_id) == (1, 3, 0, 0)
    assert await manager.delete_session(session_id) is None


async def test_deleting_an_archived_session_says_when_and_how_many_messages_went_with_it(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    session_id, other_id = new_session(connection), new_session(connection)
    await manager.archive_sessions([session_id, other_id])
    [before] = connection.execute("SELECT clock_timestamp()").fetchone() or ()

    deleted = await manager.delete_session(session_id, ARCHIVE)

    [after] = connection.execute("SELECT clock_timestamp()").fetchone() or ()
    assert deleted is not None
    assert (deleted.id, deleted.message_count) == (session_id, 3)
    assert before < deleted.deleted_at < after
    assert places(connection, session_id) == (0, 0, 0, 0)
    assert places(connection, other_id) == (0, 0, 1, 3)
    assert await manager.delete_session(session_id, ARCHIVE) is None


async def test_a_session_is_deleted_only_from_the_place_that_is_named(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    live, archived = new_session(connection), new_session(connection)
    await manager.archive_session(archived)

    assert await manager.delete_session(live, ARCHIVE) is None
    assert await manager.delete_session(archived) is None

    assert places(connection, live) == (1, 3, 0, 0)
    assert places(connection, archived) == (0, 0, 1, 3)


async def test_an_archived_session_that_is_held_or_live_as_well_is_not_deleted(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    held, live_as_well = new_session(connection), new_session(connection)
    await manager.archive_sessions([held, live_as_well])
    await manager.place_hold(held, "an audit")
    new_session(connection, id=live_as_well)

    with pytest.raises(SessionHeld, match="an audit") as refusal:
        await manager.delete_session(held, ARCHIVE)
    assert refusal.value.sqlstate == "AR003"
    assert refusal.value.hint
    with pytest.raises(SessionConflict, match="live and archived") as conflict:
        await manager.delete_session(live_as_well, ARCHIVE)
    assert conflict.value.sqlstate == "AR001"
    assert conflict.value.hint

    assert places(connection, held) == (0, 0, 1, 3)
    assert places(connection, live_as_well) == (1, 3, 1, 3)


async def test_what_is_given_of_a_session_is_changed_and_the_rest_stays(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection, title="a title", model="a-model")
    before = await manager.get_session(session_id)
    assert before is not None

    changed = await manager.update_session(session_id, title="another", metadata={"a": [1]})

    assert changed is not None
    assert (changed.title, changed.model, changed.metadata_json) == (
        *("another", "a-model"),
        {"a": [1]},
    )
    assert changed.updated_at is not None
    assert before.updated_at is not None
    assert changed.updated_at > before.updated_at
    cleared = await manager.update_session(session_id, title=None, model=None)
    assert cleared is not None
    assert (cleared.title, cleared.model, cleared.metadata_json) == (None, None, {"a": [1]})
    same = await manager.update_session(session_id)
    assert same is not None
    assert same.updated_at == cleared.updated_at


async def test_only_sessions_of_the_main_list_are_changed(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    archived, soft_deleted = new_session(connection), new_session(connection, status="archived")
    await manager.archive_session(archived)

    for session_id in (archived, soft_deleted, uuid4()):
        assert await manager.update_session(session_id, title="another") is None

    titles = connection.execute("SELECT DISTINCT title FROM engine_chat_session_all").fetchall()
    assert titles == [("a session",)]


@pytest.mark.parametrize(
    ("metadata", "ended"),
    [
        ('{"a": 1}', {"a": 1, "ended": True}),
        (None, {"ended": True}),
        # nothing that could say so
        ("[1]", [1]),
    ],
)
async def test_the_metadata_of_a_session_that_is_ended_says_so(
    manager: NativeSessionManager,
    connection: psycopg.Connection,
    metadata: str | None,
    ended: object,
) -> None:
    session_id = new_session(connection, metadata=metadata)

    session = await manager.end_session(session_id)

    assert session is not None
    assert (session.status, session.metadata_json) == ("ended", ended)
    assert session.ended_at is not None


async def test_several_sessions_are_restored_and_those_that_do_not_exist_are_left_out(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    archived = [new_session(connection, messages) for messages in (0, 2)]
    await manager.archive_sessions(archived)

    restored = await manager.restore_sessions([*archived, uuid4()])

    assert {row.id: row.message_count for row in restored} == dict(
        zip(archived, (0, 2), strict=True)
    )
    assert all(row.newly_restored and row.restored_at for row in restored)
    assert await manager.restore_sessions([]) == []


async def test_the_database_can_set_who_is_on_record_for_what_a_manager_does(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    set_for_database(connection, "aria_db.actor = 'support desk'")
    session_id = new_session(connection)

    await manager.archive_session(session_id)

    assert connection.execute("SELECT actor, role FROM engine_archive_event").fetchall() == [
        ("support desk", connection.info.user)
    ]


async def test_a_page_may_hold_nothing_but_not_less(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    new_session(connection)

    for listed, total in ((manager.list_sessions, 1), (manager.list_archived_sessions, 0)):
        page = await listed(limit=0)
        assert (page.sessions, page.total, page.has_more) == ([], total, False)
        with pytest.raises(InvalidArgument, match="limit is -1, and must not be negative"):
            await listed(limit=-1)
