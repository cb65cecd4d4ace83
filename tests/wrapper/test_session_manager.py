import pytest

from aria_db.errors import InvalidArgument
from aria_db.session_manager import NativeSessionManager

pytestmark = pytest.mark.anyio


async def test_a_session_that_is_archived_leaves_the_list_and_enters_the_archive(
    manager: NativeSessionManager,
) -> None:
    session = await manager.create_session(title="a title")
    await manager.add_message(session.id, "user", "hello")

    archived = await manager.archive_session(session.id)

    assert archived is not None
    assert archived.newly_archived
    assert archived.message_count == 1
    assert (await manager.list_sessions()).sessions == []
    assert [row.id for row in (await manager.list_archived_sessions()).sessions] == [session.id]


@pytest.mark.parametrize("limit", [0, -1])
async def test_a_page_that_may_hold_nothing_is_refused(
    manager: NativeSessionManager, limit: int
) -> None:
    for listed in (manager.list_sessions, manager.list_archived_sessions):
        with pytest.raises(InvalidArgument, match=f"limit is {limit}, and must be at least 1"):
            await listed(limit=limit)
