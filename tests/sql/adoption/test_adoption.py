"""Every variant of layout A is adopted, used and downgraded; the application notices nothing."""

from uuid import UUID

import psycopg
import pytest

from aria_db import errors
from aria_db.database import Database
from aria_db.session_manager import NativeSessionManager
from tests.support import events
from tests.support.adoption import (
    Catalogue,
    added,
    adopt,
    archived,
    archived_before,
    delete_history,
    live,
    of_session,
    of_the_application,
    only,
    plan,
    whole_catalogue,
)
from tests.support.application import Application
from tests.support.command_line import Cli, document, lines
from tests.support.deployed import LIVE_SESSIONS, VARIANTS, Layout, session
from tests.support.http import SESSIONS, archive, running
from tests.support.installation import downgrade, one
from tests.support.retention import wait_until_gone

every_variant = pytest.mark.parametrize(
    "layout", VARIANTS.values(), ids=VARIANTS.keys(), indirect=True
)
some_variants = pytest.mark.parametrize(
    "layout",
    [VARIANTS[name] for name in ("no archives", "odd names")],
    ids=["no archives", "odd names"],
    indirect=True,
)

# A session with an embedding, which no prune would archive.
WITH_EMBEDDING = session(21)


def check_what_is_new(before: Catalogue, after: Catalogue, layout: Layout) -> None:
    """Check that the application's objects are as they were, except what the plan names."""
    new = added(of_the_application(before, layout), of_the_application(after, layout))
    missing = layout.tables[2 + layout.archives :]
    assert set(missing) <= new.get("relations", set())
    columns = {f"{layout.tables.message_archive}.{name}" for name in layout.lacking}
    assert columns <= new.get("columns", set())
    # And with the tables their columns, indexes and constraints; nothing else.
    beginnings = tuple(f"{table}{mark}" for table in missing for mark in "._")
    for names in new.values():
        assert {name for name in names - columns if name not in missing} == {
            name for name in names - columns if name.startswith(beginnings)
        }


@every_variant
@pytest.mark.anyio
async def test_a_database_is_adopted_checked_used_and_downgraded_and_no_row_changes(
    database: Database,
    connection: psycopg.Connection,
    manager: NativeSessionManager,
    layout: Layout,
    application: Application,
) -> None:
    before = whole_catalogue(connection)
    were_live, were_archived = live(connection, layout), archived_before(connection, layout)
    old = set(find_old(connection, layout))
    assert layout.archives == 0 or were_archived

    adopt(database)
    application.work(connection)
    check_what_is_new(before, whole_catalogue(connection), layout)
    assert live(connection, layout) == were_live
    assert archived(connection, layout) == were_archived

    await check_figures(manager, layout)

    moved = of_session(connection, layout, WITH_EMBEDDING)
    result = await manager.archive_session(WITH_EMBEDDING)
    assert result is not None
    assert (result.message_count, result.newly_archived) == (len(moved) - 1, True)
    assert only(live(connection, layout), moved) == {}
    assert only(archived(connection, layout), moved) == only(were_live, moved)

    pruned = await manager.prune_old_sessions(days=30)
    assert pruned["pruned_count"] == len(old - layout.conflicts() - {WITH_EMBEDDING})
    assert set(find_old(connection, layout)) == old & layout.conflicts()
    await check_conflicts(manager, layout)
    check_that_nothing_is_lost(connection, layout, were_live, were_archived)

    restored = await manager.restore_session(WITH_EMBEDDING)
    assert restored is not None
    assert restored.newly_restored
    assert only(live(connection, layout), moved) == only(were_live, moved)
    assert only(archived(connection, layout), moved) == {}
    journal = [(row.event, row.message_count) for row in events(connection, WITH_EMBEDDING)]
    assert journal == [("archived", len(moved) - 1), ("restored", len(moved) - 1)]
    application.work(connection)

    delete_history(connection)
    are_live, are_archived = live(connection, layout), archived(connection, layout)
    downgrade(database, "base", database.schema)
    application.work(connection)
    assert live(connection, layout) == are_live
    assert archived(connection, layout) == are_archived
    after = whole_catalogue(connection)
    check_what_is_new(before, after, layout)
    check_that_nothing_of_ours_is_left(before, after, layout)


def find_old(connection: psycopg.Connection, layout: Layout) -> list[UUID]:
    """Return the sessions that a prune with an age of 30 days archives."""
    rows = connection.execute(
        f"SELECT id FROM {layout.tables.sessions}"
        " WHERE status = 'archived' OR updated_at < now() - interval '30 days'"
    )
    return [row[0] for row in rows]


async def check_figures(manager: NativeSessionManager, layout: Layout) -> None:
    """Check what an operator sees right after the adoption."""
    figures = await manager.check_health()
    assert [figure for figure in figures if figure.figure == "drift"] == []
    conflicts = next(figure for figure in figures if figure.figure == "conflicts")
    assert (conflicts.value, conflicts.unit) == (len(layout.conflicts()), "sessions")
    assert conflicts.reading.startswith(f"{conflicts.value} sessions")
    assert conflicts.is_ok == (not layout.conflicts())
    if layout.conflicts():
        assert "aria-db conflicts" in conflicts.remedy
    soft_deleted = next(figure for figure in figures if figure.figure == "soft_deleted")
    conflicting = SOFT_DELETED_CONFLICTS & layout.conflicts()
    assert soft_deleted.value == LIVE_SESSIONS // 10 - len(conflicting)
    assert soft_deleted.unit == "sessions"
    assert soft_deleted.reading.startswith(f"{soft_deleted.value} sessions")
    assert "aria-db prune" in soft_deleted.remedy
    sizes = {figure.subject for figure in figures if figure.figure == "size"}
    assert sizes == set(layout.tables)


SOFT_DELETED_CONFLICTS = {session(10)}


async def check_conflicts(manager: NativeSessionManager, layout: Layout) -> None:
    """Check that equal copies become one, and that different ones are refused."""
    for session_id in sorted(layout.conflicts()):
        if session_id in layout.equal_copies():
            assert await manager.archive_session(session_id) is not None
        else:
            with pytest.raises(errors.SessionConflict, match=str(session_id)):
                await manager.archive_session(session_id)


def check_that_nothing_is_lost(
    connection: psycopg.Connection,
    layout: Layout,
    were_live: dict[UUID, str],
    were_archived: dict[UUID, str],
) -> None:
    """Check that each row is as it was, in one place, and in both only if it was in both."""
    are_live, are_archived = live(connection, layout), archived(connection, layout)
    in_both = are_live.keys() & are_archived.keys()
    assert in_both <= were_live.keys() & were_archived.keys()
    assert are_live.keys() | are_archived.keys() == were_live.keys() | were_archived.keys()
    assert are_live.items() <= were_live.items()
    assert were_archived.items() <= are_archived.items()
    from_live = are_archived.items() - were_archived.items()
    assert from_live <= were_live.items()


def check_that_nothing_of_ours_is_left(before: Catalogue, after: Catalogue, layout: Layout) -> None:
    new = added(without_storage(before), without_storage(after))
    of_application = added(
        *(without_storage(of_the_application(held, layout)) for held in (before, after))
    )
    ours = {
        kind: {name for name in names if "aria_db_version" not in name}
        - of_application.get(kind, set())
        for kind, names in new.items()
    }
    # An upgrade creates the schema that it is to use. A downgrade leaves it, whatever it holds.
    ours.pop("schemas", None)
    assert not any(ours.values()), ours


def without_storage(held: Catalogue) -> Catalogue:
    return {kind: things for kind, things in held.items() if kind != "storage"}


@every_variant
def test_an_adoption_reads_and_writes_no_row_of_a_live_table(
    database: Database,
    postgresql: psycopg.Connection,
    connection: psycopg.Connection,
    layout: Layout,
) -> None:
    """That no table is rewritten, archives included, the test above checks by the storage."""
    postgresql.close()
    with psycopg.connect(database.libpq_url()) as other:
        # After an autovacuum, an index would be enough for counting.
        other.execute("SET enable_indexonlyscan = off")
        other.execute(f"SELECT count(*) FROM {layout.tables.sessions}")
        other.execute(f"SELECT count(*) FROM {layout.tables.messages}")
    counted = accesses(connection, layout)
    assert [scans for _, scans, *_ in counted] == [1, 1]  # the statistics are up to date

    adopt(database)

    assert accesses(connection, layout) == counted


def accesses(connection: psycopg.Connection, layout: Layout) -> list[tuple[object, ...]]:
    """Read how often the live tables were read and written, by connections that have ended.

    A connection reports its figures before it ends.
    """
    others = connection.execute(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    for (pid,) in others:
        wait_until_gone(connection, pid)
    connection.execute("SELECT pg_stat_clear_snapshot()")
    return connection.execute(
        "SELECT relname, seq_scan, seq_tup_read, coalesce(idx_scan, 0), n_tup_ins, n_tup_upd,"
        " n_tup_del FROM pg_stat_user_tables WHERE relid = ANY(%s::regclass[]) ORDER BY 1",
        [list(layout.tables[:2])],
    ).fetchall()


@every_variant
def test_a_plan_names_every_change_to_the_application_and_changes_nothing(
    database: Database, connection: psycopg.Connection, layout: Layout
) -> None:
    before = whole_catalogue(connection)

    found = plan(database)

    assert whole_catalogue(connection) == before
    assert (found.layout, found.source) == ("A", layout.schema)
    untouched = {step.object for step in found.steps if step.kind == "untouched"}
    assert {*layout.tables[:2], "public.alembic_version"} <= untouched
    adopt(database)
    after = whole_catalogue(connection)
    new = added(of_the_application(before, layout), of_the_application(after, layout))
    steps = [step for step in found.steps if step.kind == "step"]
    for table in layout.tables[2 + layout.archives :]:
        assert any(table in (step.statement or "") for step in steps)
    for column in layout.lacking:
        assert any(
            step.object == layout.tables.message_archive and column in step.description
            for step in steps
        )
    if layout.archives == 2 and not layout.lacking:
        assert new == {}
        assert not any(step.object in layout.tables for step in steps)


@some_variants
def test_a_second_adoption_changes_nothing_and_says_so(
    database: Database, connection: psycopg.Connection, layout: Layout
) -> None:
    adopt(database)
    before = whole_catalogue(connection)

    assert [step for step in plan(database).steps if step.kind == "step"] == []
    adopt(database)
    adopt(database, layout.schema)

    assert whole_catalogue(connection) == before


@pytest.mark.parametrize("layout", [VARIANTS["no archives"]], ids=["no archives"], indirect=True)
def test_archives_that_an_adoption_creates_have_every_column_and_then_archived_at(
    database: Database, connection: psycopg.Connection, layout: Layout
) -> None:
    adopt(database)

    columns = """
        SELECT array_agg(attname || ' ' || format_type(atttypid, atttypmod) ORDER BY attnum)
        FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
    """
    tables = layout.tables
    for live_table, archive_table in (
        (tables.sessions, tables.session_archive),
        (tables.messages, tables.message_archive),
    ):
        live_columns = one(connection, columns, live_table)
        assert isinstance(live_columns, list)
        assert one(connection, columns, archive_table) == [
            *live_columns,
            "archived_at timestamp with time zone",
        ]


def test_the_views_show_archived_at_first_and_can_be_written(
    database: Database, connection: psycopg.Connection, layout: Layout
) -> None:
    adopt(database)

    for view in ("engine_chat_session_archive", "engine_chat_message_archive"):
        described = connection.execute(f"SELECT * FROM {view} LIMIT 0").description
        assert described is not None
        assert described[0].name == "archived_at"
        assert sorted(column.name for column in described)
    row = connection.execute(
        "SELECT array_agg(DISTINCT is_insertable_into || is_updatable)"
        " FROM information_schema.views WHERE table_name IN ('engine_chat_sessions',"
        " 'engine_chat_messages', 'engine_chat_session_archive', 'engine_chat_message_archive')"
    ).fetchone()
    assert row == (["YESYES"],)


def test_a_row_written_through_a_view_gets_the_defaults_of_the_table(
    database: Database, connection: psycopg.Connection, application: Application
) -> None:
    adopt(database)

    new_id = one(connection, "INSERT INTO engine_chat_sessions (title) VALUES ('new') RETURNING id")

    assert isinstance(new_id, UUID)
    assert new_id in application.newest_sessions(connection)


# The command line, and HTTP


@some_variants
def test_a_dry_run_on_the_command_line_prints_the_plan_and_changes_nothing(
    cli: Cli, connection: psycopg.Connection, layout: Layout
) -> None:
    before = whole_catalogue(connection)

    printed = "\n".join(lines(cli("adopt", "--dry-run")))

    for name in (*layout.tables, "public.alembic_version"):
        assert name in printed
    assert whole_catalogue(connection) == before


@some_variants
def test_the_command_line_adopts_and_checks_and_has_nothing_to_do_the_next_time(
    cli: Cli, connection: psycopg.Connection, layout: Layout, application: Application
) -> None:
    assert lines(cli("adopt", layout.schema))
    application.work(connection)

    checked = cli("check", "--json")
    figures = document(checked, status=1)["figures"]
    red = {figure["figure"] for figure in figures if not figure["is_ok"]}
    # Sessions have been due for a prune for a long time.
    assert red == {"backlog"} | ({"conflicts"} if layout.conflicts() else set())
    before = whole_catalogue(connection)
    assert lines(cli("adopt"))
    assert lines(cli("upgrade"))[0].startswith("Nothing to do")
    assert whole_catalogue(connection) == before


@pytest.mark.parametrize("arguments", [("--dry-run",), ()], ids=["before", "after"])
def test_the_plan_is_one_json_document_for_programs(
    arguments: tuple[str, ...], cli: Cli, layout: Layout
) -> None:
    printed = document(cli("adopt", "--json", *arguments))

    assert printed["adopted"] == (not arguments)
    found = {step["kind"]: step["object"] for step in printed["plan"]}
    assert (found["layout"], found["source"]) == ("A", layout.schema)
    assert "step" in found


@some_variants
def test_an_adopted_database_is_served_over_http(
    database: Database, connection: psycopg.Connection, layout: Layout
) -> None:
    adopt(database)
    before = only(live(connection, layout), of_session(connection, layout, WITH_EMBEDDING))

    with running(database) as client:
        page = client.get(SESSIONS, params={"search": "Session 21", "limit": 100}).json()
        assert str(WITH_EMBEDDING) in [shown["id"] for shown in page["sessions"]]
        total = client.get(SESSIONS).json()["total"]
        assert total == LIVE_SESSIONS - LIVE_SESSIONS // 10

        answer = archive(client, WITH_EMBEDDING)
        assert (answer.status_code, answer.json()["message_count"]) == (200, len(before) - 1)
        newest = client.get(f"{SESSIONS}/archive").json()["sessions"][0]
        assert newest["id"] == str(WITH_EMBEDDING)
        transcript = client.get(f"{SESSIONS}/archive/{WITH_EMBEDDING}/messages").json()
        assert len(transcript["messages"]) == len(before) - 1
        assert only(archived(connection, layout), before) == before

        restored = client.post(f"{SESSIONS}/{WITH_EMBEDDING}/restore")
        assert restored.status_code == 200
        assert only(live(connection, layout), before) == before

        conflict = archive(client, session(7))
        assert conflict.status_code == (409 if layout.conflicts() else 200)


def test_an_archive_that_is_stricter_about_null_than_the_live_table_is_relaxed(
    database: Database, connection: psycopg.Connection, layout: Layout
) -> None:
    """An ORM makes such archives: what has a default in Python is NOT NULL there."""
    sessions, messages, session_archive, message_archive = layout.tables
    connection.execute(
        f"ALTER TABLE {session_archive} ALTER temperature SET NOT NULL, ALTER title SET NOT NULL;"
        f"ALTER TABLE {message_archive} ALTER metadata SET NOT NULL;"
        f"UPDATE {sessions} SET temperature = NULL, title = NULL WHERE id = '{session(21)}';"
        f"UPDATE {messages} SET metadata = NULL WHERE session_id = '{session(21)}'"
    )
    planned = plan(database)

    adopt(database)

    described = {step.object: step.description for step in planned.steps if step.kind == "step"}
    assert "temperature" in described[session_archive]
    assert "title" in described[session_archive]
    assert "metadata" in described[message_archive]
    assert one(connection, "SELECT message_count FROM archive_session(%s)", session(21)) == 1
    assert one(connection, "SELECT message_count FROM restore_session(%s)", session(21)) == 1
    null = f"SELECT temperature IS NULL AND title IS NULL FROM {sessions} WHERE id = %s"
    assert one(connection, null, session(21)) is True
