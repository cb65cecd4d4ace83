"""An upgrade before the adoption created empty tables; the adoption replaces them by views."""

from dataclasses import replace

import psycopg
import pytest

from aria_db.database import Database
from tests.support import deployed, temporary_role
from tests.support.adoption import (
    OWN_TABLES,
    adopt,
    differences,
    fill_own_tables,
    of_the_application,
    own_tables,
    plan,
    refusal,
    whole_catalogue,
)
from tests.support.deployed import STANDARD, Layout, session
from tests.support.installation import downgrade, one, upgrade

NAMES = (
    *("engine_chat_sessions", "engine_chat_messages"),
    *("engine_chat_session_archive", "engine_chat_message_archive"),
)


@pytest.fixture
def layout(has_pgvector: bool) -> Layout:
    return STANDARD if has_pgvector else STANDARD.without_pgvector()


@pytest.fixture(params=["0001_chat_tables", "head"])
def upgraded(request: pytest.FixtureRequest, empty_database: Database, layout: Layout) -> Database:
    """A database that was upgraded while it was empty; then it got the application's tables."""
    upgrade(empty_database, request.param)
    with psycopg.connect(empty_database.libpq_url(), autocommit=True) as building:
        deployed.build(building, layout)
    return empty_database


only_head = pytest.mark.parametrize("upgraded", ["head"], indirect=True)


@pytest.fixture
def own(postgresql_empty: psycopg.Connection) -> psycopg.Connection:
    """A connection to that database, in autocommit mode."""
    postgresql_empty.autocommit = True
    return postgresql_empty


def test_views_replace_the_empty_tables_of_an_upgrade_and_the_application_keeps_all(
    upgraded: Database, own: psycopg.Connection, layout: Layout
) -> None:
    before = whole_catalogue(own)

    adopt(upgraded, layout.schema)

    after = whole_catalogue(own)
    assert of_the_application(after, layout) == of_the_application(before, layout)
    for name in NAMES:
        kind = own.execute("SELECT relkind::text FROM pg_class WHERE oid = %s::regclass", [name])
        assert kind.fetchone() == ("v",)
    left_over = {name for name in after["relations"] if "replaced" in name or "_old" in name}
    assert left_over == set()
    moved = one(own, "SELECT message_count FROM archive_session(%s)", session(21))
    back = one(own, "SELECT message_count FROM restore_session(%s)", session(21))
    assert moved == back == 1
    assert one(own, "SELECT count(*) FROM engine_chat_session_list") == 1800
    assert one(own, "SELECT sessions FROM prune_sessions(interval '30 days')") == 500


def test_the_result_is_that_of_an_adoption_without_an_upgrade_before(
    upgraded: Database, own: psycopg.Connection, database: Database, connection: psycopg.Connection
) -> None:
    adopt(upgraded, "aria_engine")
    adopt(replace(database, schema="public"), "aria_engine")

    swapped, fresh = (whole_catalogue(each, storage=False) for each in (own, connection))
    assert differences(swapped, fresh) == []


@only_head
def test_grants_on_the_empty_tables_and_views_over_them_stay(
    upgraded: Database, own: psycopg.Connection, layout: Layout
) -> None:
    with temporary_role(own) as role:
        own.execute(
            f"""
            GRANT SELECT ON engine_chat_sessions, engine_chat_session_list TO {role};
            GRANT UPDATE (title) ON engine_chat_sessions TO {role};
            GRANT INSERT ON engine_chat_messages TO {role} WITH GRANT OPTION;
            GRANT EXECUTE ON FUNCTION archive_session(uuid, text) TO {role};
            CREATE VIEW titles AS SELECT title FROM engine_chat_session_list;
            CREATE VIEW roles AS SELECT role, count(*) FROM engine_chat_messages GROUP BY role;
            CREATE VIEW roles_and_titles AS SELECT role, title FROM roles CROSS JOIN titles;
            COMMENT ON VIEW titles IS 'of the reports';
            GRANT SELECT ON titles TO {role};
            """
        )

        adopt(upgraded, layout.schema)

        privileges = own.execute(
            """
            SELECT
                has_table_privilege(%(role)s, 'engine_chat_sessions', 'SELECT'),
                has_table_privilege(%(role)s, 'engine_chat_sessions', 'UPDATE'),
                has_column_privilege(%(role)s, 'engine_chat_sessions', 'title', 'UPDATE'),
                has_table_privilege(%(role)s, 'engine_chat_messages', 'INSERT WITH GRANT OPTION'),
                has_table_privilege(%(role)s, 'engine_chat_session_list', 'SELECT'),
                has_function_privilege(%(role)s, 'archive_session(uuid, text)', 'EXECUTE'),
                has_function_privilege(%(role)s, 'restore_session(uuid, text)', 'EXECUTE'),
                has_table_privilege(%(role)s, 'titles', 'SELECT'),
                obj_description('titles'::regclass, 'pg_class')
            """,
            {"role": role},
        ).fetchone()
        assert privileges == (True, False, *[True] * 4, False, True, "of the reports")
        assert one(own, "SELECT count(*) FROM titles") == 1800
        assert one(own, "SELECT sum(count) FROM roles") == 4000
        assert one(own, "SELECT count(*) FROM roles_and_titles") == 3600
        own.execute(f"SET ROLE {role}")
        assert one(own, "SELECT message_count FROM archive_session(%s)", session(21)) == 1
        own.execute("RESET ROLE")


FILL = {
    "engine_chat_sessions": "INSERT INTO engine_chat_sessions (title) VALUES ('kept')",
    "engine_chat_message_archive": """
        INSERT INTO engine_chat_message_archive (archived_at, id, session_id, role, content)
        VALUES (now(), gen_random_uuid(), gen_random_uuid(), 'user', 'kept')
    """,
}


@pytest.mark.parametrize("table", FILL)
@only_head
def test_tables_of_an_upgrade_that_hold_rows_are_not_replaced(
    table: str, upgraded: Database, own: psycopg.Connection, layout: Layout
) -> None:
    own.execute(FILL[table])
    before = whole_catalogue(own)

    assert table in refusal(upgraded, layout.schema)
    assert any(table in step.object for step in plan(upgraded, layout.schema).problems)
    assert whole_catalogue(own) == before
    assert one(own, f"SELECT count(*) FROM {table}") == 1


@only_head
def test_the_journal_holds_policies_and_runs_of_an_upgrade_stay_as_they_are(
    upgraded: Database, own: psycopg.Connection, layout: Layout
) -> None:
    fill_own_tables(own, session(21))
    rows, files = own_tables(own), whole_catalogue(own)["storage"]
    assert all(rows.values())

    adopt(upgraded, layout.schema)

    assert own_tables(own) == rows
    after = whole_catalogue(own)["storage"]
    for name in OWN_TABLES:
        assert after[f"public.{name}"] == files[f"public.{name}"]


@only_head
def test_a_connection_that_called_the_functions_before_goes_on_after_the_adoption(
    upgraded: Database, own: psycopg.Connection, layout: Layout
) -> None:
    """The plans that its functions keep are of the tables that are gone."""
    move = "SELECT message_count FROM archive_session(%s)"
    back = "SELECT message_count FROM restore_session(%s)"
    drift = "SELECT count(*) FROM archive_column_drift()"
    for _ in range(6):
        new_id = one(own, "INSERT INTO engine_chat_sessions DEFAULT VALUES RETURNING id")
        assert one(own, move, new_id) == one(own, back, new_id) == one(own, drift) == 0
        own.execute("DELETE FROM engine_chat_sessions")

    adopt(upgraded, layout.schema)

    assert one(own, drift) == 0
    assert one(own, move, session(21)) == one(own, back, session(21)) == 1
    own.execute(f"ALTER TABLE {layout.tables.messages} ADD COLUMN mood text")
    assert one(own, "SELECT column_name FROM archive_column_drift()") == "mood"


def test_a_downgrade_after_the_adoption_drops_the_views_and_leaves_the_application_alone(
    upgraded: Database, own: psycopg.Connection, layout: Layout
) -> None:
    before = of_the_application(whole_catalogue(own), layout)
    adopt(upgraded, layout.schema)

    downgrade(upgraded, "0001_chat_tables")
    after = whole_catalogue(own)
    assert of_the_application(after, layout) == before
    kinds = {
        name: kind
        for name, (kind, *_) in after["relations"].items()
        if name.startswith("public.engine_")
    }
    assert kinds.keys() == {f"public.{name}" for name in NAMES}
    assert set(kinds.values()) <= {"v", b"v"}

    downgrade(upgraded, "base")
    after = whole_catalogue(own)
    assert of_the_application(after, layout) == before
    assert not [name for name in after["relations"] if name.startswith("public.engine_")]
