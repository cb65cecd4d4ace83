"""Layout B: aria-db's names in public, and archives in which archived_at is the last column."""

import psycopg
import pytest

from aria_db import errors
from aria_db.database import Database
from aria_db.session_manager import NativeSessionManager
from tests.support.adoption import (
    added,
    adopt,
    archived,
    delete_history,
    differences,
    live,
    of_session,
    of_the_application,
    only,
    plan,
    refusal,
    whole_catalogue,
)
from tests.support.application import Application
from tests.support.deployed import (
    LIVE_SESSIONS,
    OLDER_SHAPE,
    PRUNED_SESSIONS,
    Layout,
    session,
)
from tests.support.http import SESSIONS, archive, running
from tests.support.installation import downgrade, one, upgrade

pytestmark = pytest.mark.parametrize("layout", [OLDER_SHAPE], ids=["B"], indirect=True)

# The revision to which the database was upgraded before it was adopted, if it was.
first_upgraded_to = pytest.mark.parametrize("revision", [None, "0001_chat_tables", "head"])


def upgrade_first(database: Database, revision: str | None) -> None:
    if revision is not None:
        upgrade(database, revision)


@first_upgraded_to
@pytest.mark.anyio
async def test_its_archives_are_replaced_and_it_is_used_and_downgraded_and_no_row_changes(
    revision: str | None,
    database: Database,
    connection: psycopg.Connection,
    manager: NativeSessionManager,
    layout: Layout,
    application: Application,
) -> None:
    before = of_the_application(whole_catalogue(connection), layout)
    were_live, were_archived = live(connection, layout), archived(connection, layout)
    upgrade_first(database, revision)

    adopt(database)

    application.work(connection)
    # The live tables are as they were.
    assert of_the_application(whole_catalogue(connection), layout) == before
    assert (live(connection, layout), archived(connection, layout)) == (were_live, were_archived)
    for table in layout.tables[2:]:
        described = connection.execute(f"SELECT * FROM {table} LIMIT 0").description
        assert described is not None
        assert described[0].name == "archived_at"
    assert [row for row in await manager.check_health() if row.figure == "drift"] == []

    moved = of_session(connection, layout, session(21))
    assert await manager.archive_session(session(21))
    assert only(archived(connection, layout), moved) == only(were_live, moved)
    for session_id in sorted(layout.conflicts()):
        if session_id in layout.equal_copies():
            assert await manager.archive_session(session_id)
        else:
            with pytest.raises(errors.SessionConflict):
                await manager.archive_session(session_id)
    assert (await manager.prune_old_sessions(days=30))["pruned_count"] > LIVE_SESSIONS // 3
    everything = were_live | were_archived
    assert (live(connection, layout) | archived(connection, layout)).keys() == everything.keys()
    assert were_archived.items() <= archived(connection, layout).items()
    assert await manager.restore_session(session(21))
    assert only(live(connection, layout), moved) == only(were_live, moved)

    delete_history(connection)
    are = live(connection, layout), archived(connection, layout)
    downgrade(database, "base")
    application.work(connection)
    assert (live(connection, layout), archived(connection, layout)) == are
    after = whole_catalogue(connection)
    assert of_the_application(after, layout) == before
    tables = {name for name, (kind, *_) in after["relations"].items() if kind in ("r", b"r")}
    assert {name for name in tables if name.startswith("public.engine_")} == set(layout.tables)
    assert [name for name in after["functions"] if "archive" in name] == []


def test_the_plan_says_how_many_rows_it_moves_and_changes_nothing(
    database: Database, connection: psycopg.Connection, layout: Layout
) -> None:
    before = whole_catalogue(connection)

    found = plan(database)

    assert (found.layout, found.source) == ("B", "public")
    moves = {step.object: step.description for step in found.steps if "rows" in step.description}
    sessions = PRUNED_SESSIONS + len(layout.conflicts())
    assert str(sessions) in moves[layout.tables.session_archive]
    messages = one(connection, f"SELECT count(*) FROM {layout.tables.message_archive}")
    assert str(messages) in moves[layout.tables.message_archive]
    assert whole_catalogue(connection) == before


@pytest.mark.parametrize("revision", [None, "head"])
def test_a_second_adoption_changes_nothing(
    revision: str | None, database: Database, connection: psycopg.Connection, layout: Layout
) -> None:
    upgrade_first(database, revision)
    adopt(database)
    before = whole_catalogue(connection)

    adopt(database)

    assert whole_catalogue(connection) == before


@pytest.mark.parametrize("revision", ["0001_chat_tables", "head"])
def test_the_result_is_the_same_whether_it_was_upgraded_before_or_not(
    revision: str, database: Database, connection: psycopg.Connection, layout: Layout
) -> None:
    upgrade(database, revision)
    adopt(database)
    one_way = whole_catalogue(connection, storage=False)
    downgrade(database, "base")

    adopt(database)

    assert differences(one_way, whole_catalogue(connection, storage=False)) == []


def test_grants_on_an_archive_its_comment_and_the_views_over_it_stay(
    database: Database, connection: psycopg.Connection, layout: Layout
) -> None:
    connection.execute(
        """
        GRANT SELECT ON engine_chat_session_archive TO pg_monitor;
        COMMENT ON TABLE engine_chat_session_archive IS 'kept for seven years';
        CREATE VIEW archived_titles AS SELECT title FROM engine_chat_session_archive;
        """
    )
    titles = one(connection, "SELECT count(*) FROM archived_titles")

    adopt(database)

    acl = "SELECT relacl::text FROM pg_class WHERE oid = 'engine_chat_session_archive'::regclass"
    assert "pg_monitor=r" in str(one(connection, acl))
    comment = "SELECT obj_description('engine_chat_session_archive'::regclass, 'pg_class')"
    assert one(connection, comment) == "kept for seven years"
    assert one(connection, "SELECT count(*) FROM archived_titles") == titles
    assert one(connection, "SELECT archive_session(%s) IS NOT NULL", session(21)) is True
    assert titles == one(connection, "SELECT count(*) - 1 FROM archived_titles")


def test_an_archive_with_a_trigger_is_not_replaced(
    database: Database, connection: psycopg.Connection, layout: Layout
) -> None:
    connection.execute(
        """
        CREATE FUNCTION notify() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER notify AFTER INSERT ON engine_chat_session_archive
        FOR EACH ROW EXECUTE FUNCTION notify();
        """
    )
    before = whole_catalogue(connection)

    assert "engine_chat_session_archive" in refusal(database)
    assert whole_catalogue(connection) == before


DEPENDENT = {
    "a foreign key": "CREATE TABLE exports"
    " (session_id uuid REFERENCES engine_chat_session_archive (id))",
    "a function": "CREATE FUNCTION exports() RETURNS bigint LANGUAGE sql"
    " RETURN (SELECT count(*) FROM engine_chat_session_archive)",
    "the result of a function": "CREATE FUNCTION exports()"
    " RETURNS SETOF engine_chat_session_archive LANGUAGE sql"
    " AS 'SELECT * FROM engine_chat_session_archive'",
    "a materialized view": "CREATE MATERIALIZED VIEW exports"
    " AS SELECT id FROM engine_chat_session_archive",
}


@pytest.mark.parametrize("statement", DEPENDENT.values(), ids=DEPENDENT.keys())
def test_what_depends_on_an_archive_and_is_no_view_is_named_and_not_lost(
    statement: str, database: Database, connection: psycopg.Connection, layout: Layout
) -> None:
    connection.execute(statement)
    before = whole_catalogue(connection)

    with pytest.raises(errors.AdoptionRefused, match="engine_chat_session_archive") as refused:
        adopt(database)

    assert "exports" in (refused.value.detail or "")
    assert refused.value.hint
    assert whole_catalogue(connection) == before


@pytest.mark.parametrize("archives", ["of the new shape", "missing"])
def test_archives_of_the_new_shape_stay_as_they_are_and_missing_ones_are_created(
    archives: str, database: Database, connection: psycopg.Connection, layout: Layout
) -> None:
    for table in layout.tables[2:]:
        connection.execute(f"DROP TABLE {table}")
    if archives == "of the new shape":
        for live_table, archive_table in zip(layout.tables[:2], layout.tables[2:], strict=True):
            connection.execute(
                f"CREATE TABLE {archive_table} (archived_at timestamptz NOT NULL,"
                f" LIKE {live_table}, PRIMARY KEY (id))"
            )
    before = whole_catalogue(connection)

    adopt(database)

    assert one(connection, "SELECT count(*) FROM archive_column_drift()") == 0
    new = added(
        of_the_application(before, layout), of_the_application(whole_catalogue(connection), layout)
    )
    assert new == {}
    if archives == "of the new shape":
        files = whole_catalogue(connection)["storage"]
        for table in layout.tables[2:]:
            assert files[table][:2] == before["storage"][table][:2]
    assert one(connection, "SELECT message_count FROM archive_session(%s)", session(21)) == 1


def test_it_is_served_over_http(
    database: Database, connection: psycopg.Connection, layout: Layout
) -> None:
    adopt(database)

    with running(database) as client:
        assert client.get(SESSIONS).json()["total"] == LIVE_SESSIONS - LIVE_SESSIONS // 10
        assert archive(client, session(21)).json()["message_count"] == 1
        assert client.get(f"{SESSIONS}/archive").json()["sessions"][0]["id"] == str(session(21))


def test_a_replaced_archive_keeps_checks_options_identity_sampling_and_publications(
    database: Database, connection: psycopg.Connection
) -> None:
    connection.execute("""
        ALTER TABLE engine_chat_sessions ADD CONSTRAINT named CHECK (title <> 'unnamed') NOT VALID;
        ALTER TABLE engine_chat_session_archive
            ADD CONSTRAINT named CHECK (title <> 'unnamed') NOT VALID,
            REPLICA IDENTITY FULL,
            SET (autovacuum_vacuum_scale_factor = 0.02, fillfactor = 90);
        ALTER TABLE engine_chat_session_archive ALTER title SET STATISTICS 500;
        CREATE PUBLICATION chats FOR TABLE engine_chat_session_archive, engine_chat_sessions,
            engine_chat_messages, engine_chat_message_archive
    """)
    kept = """
        SELECT relreplident, reloptions, attstattarget,
            (SELECT pg_get_constraintdef(oid) FROM pg_constraint
                WHERE conrelid = pg_class.oid AND conname = 'named'),
            (SELECT array_agg(pubname) FROM pg_publication_tables WHERE tablename = relname)
        FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attname = 'title'
        WHERE relname = 'engine_chat_session_archive'
    """
    before = connection.execute(kept).fetchone()
    oid = one(connection, "SELECT 'engine_chat_session_archive'::regclass::oid::text")
    planned = plan(database)

    adopt(database)

    assert connection.execute(kept).fetchone() == before
    assert one(connection, "SELECT 'engine_chat_session_archive'::regclass::oid::text") != oid
    kinds = {hazard.hazard for hazard in planned.hazards}
    assert "archive not published" not in kinds
    assert one(connection, "SELECT count(*) FROM archive_hazards()") == len(planned.hazards)
    described = "\n".join(step.description for step in planned.steps)
    for what in (
        "check named",
        "storage options",
        "statistics target of title",
        "identity",
        "publication",
    ):
        assert what in described


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("CREATE STATISTICS pairs ON title, model FROM engine_chat_session_archive", "pairs"),
        (
            "ALTER TABLE engine_chat_session_archive REPLICA IDENTITY USING INDEX"
            " engine_chat_session_archive_pkey",
            "replica identity",
        ),
        (
            "CREATE PUBLICATION chats FOR TABLE engine_chat_session_archive WHERE (title <> '')",
            "row filter",
        ),
        ("ALTER TABLE engine_chat_session_archive ADD EXCLUDE (id WITH =)", "excl"),
    ],
)
def test_what_a_new_archive_would_not_have_is_named_and_not_dropped(
    database: Database, connection: psycopg.Connection, statement: str, what: str
) -> None:
    connection.execute(statement)
    before = whole_catalogue(connection)

    assert what in refusal(database)

    assert whole_catalogue(connection) == before
