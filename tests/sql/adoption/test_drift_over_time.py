"""After the adoption, the application's own migrations go on changing its tables."""

from pathlib import Path

import psycopg
import pytest

from aria_db import errors
from aria_db.database import Database
from aria_db.session_manager import NativeSessionManager
from tests.support.adoption import (
    OWN_TABLES,
    added,
    adopt,
    archived,
    differences,
    fill_own_tables,
    live,
    of_session,
    only,
    own_tables,
    plan,
    whole_catalogue,
)
from tests.support.application import Application
from tests.support.command_line import Cli, document
from tests.support.deployed import OLDER_SHAPE, STANDARD, VARIANTS, Layout, session
from tests.support.installation import REVISIONS, one, upgrade
from tests.support.next_release import NextRelease

every_place = pytest.mark.parametrize(
    "layout",
    [STANDARD, VARIANTS["odd names"], OLDER_SHAPE],
    ids=["A", "odd names", "B"],
    indirect=True,
)

CHOSEN = session(21)

# What its migrations add; the last may not be null.
COLUMNS = {
    "mood": "text",
    "Mood, since 2.0": "varchar(40)",
    "tenant": "varchar(40) NOT NULL DEFAULT 'acme'",
}


def add_column(connection: psycopg.Connection, table: str, column: str) -> None:
    """Run the application's own migration, and use the column in the chosen session."""
    connection.execute(f'ALTER TABLE {table} ADD COLUMN "{column}" {COLUMNS[column]}')
    connection.execute(f"""UPDATE {table} SET "{column}" = 'good'""")


@every_place
@pytest.mark.parametrize(
    ("place", "column"),
    [(1, "mood"), (0, "Mood, since 2.0"), (1, "tenant")],
    ids=["text", "odd name", "not null"],
)
@pytest.mark.anyio
async def test_a_column_that_the_application_adds_is_reported_and_once_adopted_archived(
    place: int,
    column: str,
    database: Database,
    connection: psycopg.Connection,
    manager: NativeSessionManager,
    cli: Cli,
    layout: Layout,
    application: Application,
) -> None:
    table, archive = layout.tables[place], layout.tables[place + 2]
    adopt(database)
    add_column(connection, table, column)
    before = live(connection, layout), archived(connection, layout)

    with pytest.raises(errors.ColumnDrift, match=column):
        await manager.archive_session(CHOSEN)
    with pytest.raises(errors.ColumnDrift, match=column):
        await manager.prune_old_sessions()
    figures = [row for row in await manager.check_health() if row.figure == "drift"]
    assert figures
    assert not any(row.is_ok for row in figures)
    assert all(row.subject.endswith(f".{column}") for row in figures)
    assert all("aria-db adopt" in row.remedy for row in figures)
    assert (live(connection, layout), archived(connection, layout)) == before
    application.work(connection)

    adopt(database)

    assert [row for row in await manager.check_health() if row.figure == "drift"] == []
    assert (live(connection, layout), archived(connection, layout)) == before
    moved = of_session(connection, layout, CHOSEN)
    assert await manager.archive_session(CHOSEN)
    assert only(archived(connection, layout), moved) == only(before[0], moved)
    key = "id" if place == 0 else "session_id"
    kept = f'SELECT DISTINCT "{column}" FROM {archive} WHERE {key} = %s'
    assert one(connection, kept, CHOSEN) == "good"
    assert await manager.restore_session(CHOSEN)
    assert only(live(connection, layout), moved) == only(before[0], moved)
    assert one(connection, kept.replace(archive, table), CHOSEN) == "good"
    application.work(connection)


def test_the_command_line_reports_the_column_before_a_move_fails_on_it(
    database: Database, connection: psycopg.Connection, cli: Cli, layout: Layout
) -> None:
    adopt(database)
    add_column(connection, layout.tables.messages, "mood")

    figures = document(cli("check", "--json"), status=1)["figures"]

    drift = [figure for figure in figures if figure["figure"] == "drift"]
    assert drift
    for figure in drift:
        assert "mood" in figure["subject"]
        assert "aria-db adopt" in figure["remedy"]
    planned = [step for step in plan(database).steps if step.kind == "step"]
    assert any("mood" in f"{step.description} {step.statement}" for step in planned)


@pytest.mark.anyio
async def test_a_column_that_the_application_adds_to_both_tables_is_adopted_too(
    database: Database,
    connection: psycopg.Connection,
    manager: NativeSessionManager,
    layout: Layout,
) -> None:
    adopt(database)
    for table in (layout.tables.messages, layout.tables.message_archive):
        add_column(connection, table, "mood")
    with pytest.raises(errors.ColumnDrift, match="mood"):
        await manager.archive_session(CHOSEN)

    adopt(database)

    assert await manager.archive_session(CHOSEN)
    kept = f"SELECT mood FROM {layout.tables.message_archive} WHERE session_id = %s"
    assert one(connection, kept, CHOSEN) == "good"


@pytest.mark.anyio
async def test_several_migrations_of_the_application_are_adopted_one_after_the_other(
    database: Database,
    connection: psycopg.Connection,
    manager: NativeSessionManager,
    layout: Layout,
) -> None:
    adopt(database)
    for number in range(3):
        for table in layout.tables[:2]:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN extra_{number} integer")
            connection.execute(f"UPDATE {table} SET extra_{number} = {number}")
        adopt(database)
        before = live(connection, layout)
        moved = of_session(connection, layout, CHOSEN)

        assert await manager.archive_session(CHOSEN)
        assert await manager.restore_session(CHOSEN)

        assert only(live(connection, layout), moved) == only(before, moved)
        for table in layout.tables[:2]:
            numbers = f"SELECT array_agg(DISTINCT extra_{number}) FROM {table}"
            assert one(connection, numbers) == [number]


@pytest.mark.anyio
async def test_a_connection_that_moved_sessions_before_goes_on_after_the_second_adoption(
    database: Database, connection: psycopg.Connection, layout: Layout
) -> None:
    """The plans that its functions keep are of the old columns."""
    adopt(database)
    move = "SELECT message_count FROM archive_session(%s)"
    back = "SELECT message_count FROM restore_session(%s)"
    for _ in range(6):
        assert one(connection, move, CHOSEN) == one(connection, back, CHOSEN) == 1
    with psycopg.connect(database.libpq_url(), autocommit=True) as other:
        add_column(other, layout.tables.messages, "mood")
    adopt(database)

    assert one(connection, move, CHOSEN) == one(connection, back, CHOSEN) == 1

    kept = f"SELECT mood FROM {layout.tables.messages} WHERE session_id = %s"
    assert one(connection, kept, CHOSEN) == "good"


@pytest.mark.anyio
async def test_a_generated_column_of_the_application_is_archived_and_computed_again_on_restore(
    database: Database,
    connection: psycopg.Connection,
    manager: NativeSessionManager,
    layout: Layout,
) -> None:
    adopt(database)
    connection.execute(
        f"ALTER TABLE {layout.tables.messages}"
        " ADD COLUMN length integer GENERATED ALWAYS AS (length(content)) STORED"
    )
    before, moved = live(connection, layout), of_session(connection, layout, CHOSEN)

    adopt(database)
    assert await manager.archive_session(CHOSEN)
    assert only(archived(connection, layout), moved) == only(before, moved)
    assert await manager.restore_session(CHOSEN)
    assert live(connection, layout) == before


@pytest.mark.parametrize("layout", [VARIANTS["no archives"]], ids=["no archives"], indirect=True)
def test_the_application_finds_the_archives_that_the_adoption_created_and_creates_none(
    database: Database, connection: psycopg.Connection, layout: Layout, application: Application
) -> None:
    adopt(database)
    before = whole_catalogue(connection)["relations"]

    application.create_archives(connection)
    pruned = application.prune(connection, "30 days")

    assert pruned
    tables = {name for name, (kind, *_) in before.items() if kind in ("r", b"r")}
    after = whole_catalogue(connection)["relations"]
    assert {name for name, (kind, *_) in after.items() if kind in ("r", b"r")} == tables
    assert one(connection, "SELECT count(*) FROM engine_chat_session_archive") == len(pruned)


@pytest.mark.parametrize("layout", [VARIANTS["no archives"]], ids=["no archives"], indirect=True)
def test_an_upgrade_builds_on_an_adoption_to_an_earlier_revision(
    database: Database, connection: psycopg.Connection, layout: Layout, application: Application
) -> None:
    adopt(database, revision="0001_chat_tables")
    upgrade(database)

    assert one(connection, "SELECT count(*) FROM archive_column_drift()") == 0
    application.work(connection)


@pytest.mark.slow
@pytest.mark.parametrize("layout", [STANDARD, OLDER_SHAPE], ids=["A", "B"], indirect=True)
def test_an_adopted_database_is_upgraded_to_the_next_release_adopted_by_it_and_downgraded_again(
    database: Database,
    connection: psycopg.Connection,
    layout: Layout,
    application: Application,
    tmp_path: Path,
) -> None:
    next_release = NextRelease(tmp_path, REVISIONS[-1])
    adopt(database)
    before = whole_catalogue(connection, storage=False)

    next_release.run(database, "upgrade", "head")
    application.work(connection)
    connection.execute(f"ALTER TABLE {layout.tables.messages} ADD COLUMN mood text")
    next_release.run(database, "-x", "adopt=", "upgrade", "head")
    with_note = "SELECT message_count FROM archive_session(%s, 'somebody', 'a note')"
    assert one(connection, with_note, CHOSEN) == 1
    assert one(connection, "SELECT message_count FROM restore_session(%s)", CHOSEN) == 1
    next_release.run(database, "downgrade", REVISIONS[-1])

    application.work(connection)
    different = differences(before, whole_catalogue(connection, storage=False))
    assert different
    assert [line for line in different if "mood" not in line] == []
    assert one(connection, "SELECT message_count FROM archive_session(%s)", CHOSEN) == 1


@pytest.mark.parametrize("layout", [STANDARD, OLDER_SHAPE], ids=["A", "B"], indirect=True)
def test_the_journal_holds_policies_and_runs_stay_as_they_are_when_it_is_adopted_again(
    database: Database, connection: psycopg.Connection, layout: Layout
) -> None:
    adopt(database)
    fill_own_tables(connection, CHOSEN)
    rows, files = own_tables(connection), whole_catalogue(connection)["storage"]
    assert all(rows.values())
    add_column(connection, layout.tables.messages, "mood")

    adopt(database)

    assert one(connection, "SELECT count(*) FROM archive_column_drift()") == 0
    assert own_tables(connection) == rows
    after = whole_catalogue(connection)["storage"]
    schema = one(connection, "SELECT current_schema()")
    for name in OWN_TABLES:
        assert after[f"{schema}.{name}"] == files[f"{schema}.{name}"]


# What must be dropped before a column that a view shows can be changed, and more.
DROPS = {
    "the views of the messages": "DROP VIEW engine_chat_messages, engine_chat_message_archive"
    " CASCADE",
    "all views": "DROP VIEW engine_chat_sessions, engine_chat_messages,"
    " engine_chat_session_archive, engine_chat_message_archive CASCADE",
    "functions": "DROP FUNCTION archive_column_drift(), _actor(text), archive_session(uuid, text)"
    " CASCADE",
}


@pytest.mark.parametrize("drop", DROPS.values(), ids=DROPS.keys())
@pytest.mark.parametrize(
    "layout", [STANDARD, VARIANTS["odd names"]], ids=["A", "odd names"], indirect=True
)
def test_an_adoption_puts_back_what_the_application_dropped_to_change_a_column(
    drop: str,
    database: Database,
    connection: psycopg.Connection,
    layout: Layout,
    application: Application,
) -> None:
    adopt(database)
    # It has the name of a function of aria-db, and other arguments: it is not in the way.
    connection.execute("CREATE FUNCTION archive_session(uuid) RETURNS text RETURN 'of its own'")
    before = whole_catalogue(connection, storage=False)
    moved = of_session(connection, layout, CHOSEN)
    connection.execute(drop)
    dropped = whole_catalogue(connection, storage=False)
    assert set(added(dropped, before)) >= {"functions" if "FUNCTION" in drop else "views"}
    for table in (layout.tables.messages, layout.tables.message_archive):
        if "VIEW" in drop:
            connection.execute(f"ALTER TABLE {table} ALTER COLUMN role TYPE varchar(40)")
    application.work(connection)

    adopt(database)

    different = differences(before, whole_catalogue(connection, storage=False))
    assert [line for line in different if ".role: " not in line] == []
    assert bool(different) == ("VIEW" in drop)
    were_live = only(live(connection, layout), moved)
    move = "SELECT message_count FROM archive_session(%s, NULL)"
    assert one(connection, move, CHOSEN) == 1
    assert only(archived(connection, layout), moved) == were_live
    assert one(connection, "SELECT message_count FROM restore_session(%s)", CHOSEN) == 1
    assert only(live(connection, layout), moved) == were_live
    application.work(connection)
