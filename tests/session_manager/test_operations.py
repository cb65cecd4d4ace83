"""Health, verification and privileges through the manager."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import Session

from aria_db import functions
from aria_db.database import Database
from aria_db.errors import DatabaseError, InvalidArgument, NotUpgraded, PermissionDenied
from aria_db.install import migrate
from aria_db.session_manager import ARCHIVE, NativeSessionManager, NewMessage, NewSession
from tests.support import command_line, new_session
from tests.support.access import grant, grant_live_tables
from tests.support.command_line import lines
from tests.support.retention import old_sessions
from tests.support.rows import archive

pytestmark = pytest.mark.anyio


@pytest.fixture
async def engine_of_role(database: Database, role: str) -> AsyncIterator[AsyncEngine]:
    """An asynchronous engine that logs in as the role."""
    engine = Database(database.url.set(username=role)).async_engine()
    yield engine
    await engine.dispose()


def recreated(connection: psycopg.Connection) -> UUID:
    """Archive a session and create it again, as nothing of this package does."""
    session_id = new_session(connection)
    archive(connection, session_id)
    connection.execute("INSERT INTO engine_chat_sessions (id) VALUES (%s)", [session_id])
    return session_id


async def test_the_manager_gives_the_findings_and_none_when_all_is_well(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    assert await manager.verify_archive() == []

    session_id = recreated(connection)

    (finding,) = await manager.verify_archive()
    assert (finding.finding, finding.session_id) == ("session in both places", session_id)
    assert finding.messages == 3
    assert "aria-db conflicts" in finding.remedy
    an_hour = timedelta(hours=1)
    assert await manager.verify_archive(datetime.now(UTC) - an_hour) == [finding]
    assert await manager.verify_archive(datetime.now(UTC) + an_hour) == []


def test_the_statements_work_in_a_synchronous_session(
    database: Database, connection: psycopg.Connection, role: str
) -> None:
    session_id = recreated(connection)

    engine = database.engine()
    with Session(engine) as session, session.begin():
        (found,) = session.execute(functions.verify_archive())
        statements = session.scalars(functions.grant_archive_access(role, "app")).all()
    engine.dispose()

    assert found.session_id == session_id
    assert all(statement.startswith("GRANT ") for statement in statements)


async def test_the_manager_grants_and_every_refusal_has_its_exception(
    manager: NativeSessionManager, engine_of_role: AsyncEngine, role: str
) -> None:
    granted = NativeSessionManager(engine_of_role)
    with pytest.raises(PermissionDenied):
        await granted.verify_archive()

    statements = await manager.grant_access(role, "operator")

    assert await granted.verify_archive() == []
    with pytest.raises(PermissionDenied):
        await granted.grant_access(role, "operator")
    with pytest.raises(DatabaseError, match="nobody_knows"):
        await manager.grant_access("nobody_knows", "app")
    with pytest.raises(InvalidArgument, match="owner"):
        await manager.grant_access(role, "owner")  # type: ignore[arg-type]
    dry = await manager.grant_access(role, "operator", dry_run=True)
    assert dry == statements
    await manager.grant_access(role, "operator", revoke=True)
    with pytest.raises(PermissionDenied):
        await granted.verify_archive()


async def test_the_manager_repairs_and_a_role_that_may_not_gets_its_exception(
    manager: NativeSessionManager,
    engine_of_role: AsyncEngine,
    connection: psycopg.Connection,
    role: str,
) -> None:
    connection.execute(f"GRANT EXECUTE ON FUNCTION repair_archive_access TO {role}")
    connection.execute("GRANT DELETE ON engine_archive_event TO PUBLIC")
    with pytest.raises(PermissionDenied):
        await NativeSessionManager(engine_of_role).repair_access()

    planned = await manager.repair_access(dry_run=True)

    assert {hazard.hazard for hazard in await manager.list_hazards()} == {
        "functions open to others",
        "tables open to others",
    }
    assert await manager.repair_access() == planned
    assert await manager.list_hazards() == []
    assert await manager.repair_access() == []


async def test_an_application_with_its_own_privileges_on_the_live_tables_needs_no_more_than_app(
    connection: psycopg.Connection, engine_of_role: AsyncEngine, role: str
) -> None:
    """Every call of the engine, as the HTTP API makes it."""
    grant(connection, role, "app")
    grant_live_tables(connection, role)
    manager = NativeSessionManager(engine_of_role)

    session = await manager.create_session(NewSession(title="a session"))
    await manager.add_message(session.id, NewMessage("user", "hello"))
    await manager.end_session(session.id)
    assert await manager.archive_session(session.id)
    assert (await manager.list_archived_sessions()).total == 1
    assert len(await manager.get_messages(session.id, ARCHIVE) or ()) == 1
    assert await manager.get_transcript(session.id)
    assert (await manager.get_stats()).archived_sessions == 1
    assert await manager.restore_session(session.id)
    assert (await manager.list_sessions()).total == 1
    assert len(await manager.archive_sessions([session.id])) == 1
    assert len(await manager.restore_sessions([session.id])) == 1
    assert await manager.delete_session(session.id)
    session_id = new_session(connection)
    assert await manager.archive_session(session_id)
    assert await manager.delete_session(session_id, ARCHIVE)
    async with engine_of_role.connect() as asking:
        assert (await asking.run_sync(migrate.status, None)).is_newest

    with pytest.raises(PermissionDenied):
        await manager.prune_old_sessions()
    with pytest.raises(PermissionDenied):
        await manager.check_health()


async def test_an_operator_needs_no_privilege_on_the_live_tables(
    connection: psycopg.Connection, engine_of_role: AsyncEngine, role: str
) -> None:
    grant(connection, role, "operator")
    manager = NativeSessionManager(engine_of_role)
    session_id = new_session(connection, updated_at=datetime(2020, 1, 1, tzinfo=UTC))

    assert await manager.place_hold(session_id, "case 17")
    assert (await manager.prune_old_sessions())["pruned_count"] == 0
    assert await manager.release_hold(session_id)
    assert (await manager.prune_old_sessions())["pruned_count"] == 1
    await manager.set_policy("chat", archive_after=timedelta(days=7))
    assert await manager.unset_policy("chat")
    assert len(await manager.list_runs()) >= 1
    assert all(figure.is_ok for figure in await manager.check_health())
    assert await manager.list_conflicts() == []
    assert await manager.verify_archive() == []
    async for progress in manager.purge_batches():
        assert progress.sessions == 0


async def test_a_reader_checks_and_lists_and_does_nothing_else(
    connection: psycopg.Connection, engine_of_role: AsyncEngine, role: str
) -> None:
    grant(connection, role, "reader")
    manager = NativeSessionManager(engine_of_role)
    session_id = new_session(connection)

    assert all(figure.is_ok for figure in await manager.check_health())
    # who may not read which revision is installed
    url = Database(engine_of_role.url).libpq_url()
    assert lines(command_line.run("check", DATABASE_URL=url))[0].startswith("0 of ")
    assert await manager.list_runs() == []
    assert (await manager.list_sessions()).total == 1
    assert (await manager.list_archived_sessions()).total == 0
    for refused in (
        manager.archive_session(session_id),
        manager.get_messages(session_id),
        manager.verify_archive(),
        manager.place_hold(session_id, "case 17"),
    ):
        with pytest.raises(PermissionDenied):
            await refused


async def test_health_names_the_figures_that_are_not_ok_first(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    assert all(figure.is_ok for figure in await manager.check_health())
    old_sessions(connection, 2)
    session_id = new_session(connection)
    await manager.archive_session(session_id)
    new_session(connection, id=session_id)

    figures = await manager.check_health()

    red = [figure for figure in figures if not figure.is_ok]
    assert [figure.figure for figure in red] == ["backlog", "conflicts"]
    assert list(figures[:2]) == red
    assert [(figure.value, figure.unit) for figure in red] == [(2, "sessions"), (1, "sessions")]
    assert all(figure.remedy for figure in red)


async def test_health_has_no_remedy_where_there_is_nothing_to_do(
    manager: NativeSessionManager,
) -> None:
    # Nothing is due, soft-deleted, held or in conflict; the archive is empty.
    figures = await manager.check_health()

    assert {figure.figure: figure.value for figure in figures if figure.figure != "size"} == {
        "backlog": 0,
        "soft_deleted": 0,
        "conflicts": 0,
        "left": 0,
        "held": 0,
        "oldest_archived": None,
    }
    assert [figure.remedy for figure in figures] == [None] * len(figures)


async def test_without_the_revision_the_calls_say_to_upgrade(
    manager: NativeSessionManager, connection: psycopg.Connection
) -> None:
    connection.execute("DROP VIEW engine_archive_health")
    with pytest.raises(NotUpgraded):
        await manager.check_health()
