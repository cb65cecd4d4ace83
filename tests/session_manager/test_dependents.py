"""The manager's calls for tables that refer to chat rows, and for what a prune left."""

import psycopg
import pytest

from aria_db.errors import DependentRows, InvalidArgument, NameTaken, RowRefused, RowsChanged
from aria_db.results import Dependent, Hazard
from aria_db.session_manager import NativeSessionManager
from tests.support import new_session, places
from tests.support.dependents import CHAT, add_bookmark, refer_to_sessions
from tests.support.retention import forbid, forbid_a_title, old_sessions

pytestmark = pytest.mark.anyio


async def test_a_table_that_refers_to_sessions_is_listed_set_and_moves_with_them(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    refer_to_sessions(connection, CHAT["tables"], "CASCADE")
    session_id = new_session(connection)
    add_bookmark(connection, session_id)
    with pytest.raises(DependentRows, match="rows in bookmark") as caught:
        await manager.archive_session(session_id)
    assert "set_archive_dependent('public', 'bookmark', 'move')" in (caught.value.hint or "")
    key = ("public", "bookmark", "bookmark_session_id_fkey", "engine_chat_sessions", "CASCADE")
    assert await manager.list_dependents() == [Dependent(*key, True, "refuse", 0)]
    [hazard] = await manager.list_hazards()
    assert isinstance(hazard, Hazard)
    assert (hazard.hazard, hazard.effect) == ("dependent without handling", "refuses")

    await manager.set_dependent("public", "bookmark", "move")

    assert await manager.list_dependents() == [Dependent(*key, True, "move", 0)]
    assert await manager.list_hazards() == []
    assert await manager.archive_session(session_id)
    assert await manager.restore_session(session_id)
    assert connection.execute("SELECT session_id FROM bookmark").fetchall() == [(session_id,)]


async def test_what_cannot_be_set_is_refused(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    with pytest.raises(InvalidArgument, match="no foreign key"):
        await manager.set_dependent("public", "nosuch", "move")
    refer_to_sessions(connection, CHAT["tables"], "CASCADE")
    connection.execute("CREATE TABLE bookmark_archive ()")
    with pytest.raises(NameTaken, match="bookmark_archive exists already"):
        await manager.set_dependent("public", "bookmark", "move")


async def test_a_trigger_and_a_constraint_have_an_exception_each(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    forbid_a_title(connection)
    session_id = new_session(connection, title="forbidden")
    with pytest.raises(RowRefused, match="not_forbidden") as refused:
        await manager.archive_session(session_id)
    assert "DROP CONSTRAINT not_forbidden" in (refused.value.hint or "")

    connection.execute(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER keep BEFORE DELETE ON engine_chat_messages"
        " FOR EACH ROW EXECUTE FUNCTION keep();"
        "UPDATE engine_chat_sessions SET title = 'allowed'"
    )
    with pytest.raises(RowsChanged, match=str(session_id)):
        await manager.archive_session(session_id)
    assert places(connection, session_id) == (1, 3, 0, 0)


async def test_what_a_prune_left_is_listed_with_the_remedy(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    forbid_a_title(connection)
    left, _ = old_sessions(connection, 2)
    forbid(connection, left)

    [*_, last] = [progress async for progress in manager.prune_batches()]

    assert (last.sessions, last.left_behind) == (1, 1)
    [row] = await manager.list_left()
    assert (row.session_id, row.sqlstate) == (left, "AR007")
    assert "DROP CONSTRAINT" in (row.remedy or "")
    assert len(await manager.list_left(limit=1)) == 1


async def test_a_later_prune_of_everything_forgets_what_earlier_ones_left(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    """Also where the session is not due any more, and so was not even tried."""
    forbid_a_title(connection)
    (left,) = old_sessions(connection, 1)
    forbid(connection, left)
    async for _ in manager.prune_batches():
        pass
    assert await manager.list_left()
    connection.execute("UPDATE engine_chat_sessions SET updated_at = now()")

    async for _ in manager.prune_batches():
        pass
    assert await manager.list_left() == []
