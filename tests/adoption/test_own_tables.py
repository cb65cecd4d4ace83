"""An upgrade came before the adoption: the empty tables that it made give way to the views."""

import psycopg
import pytest

from aria_db.database import Database
from tests.adoption import deployed
from tests.adoption.deployed import STANDARD, Layout, session
from tests.adoption.support import (
    adopt,
    differences,
    of_the_application,
    plan,
    refusal,
    whole_catalogue,
)
from tests.migrations.support import downgrade, one, upgrade
from tests.support import temporary_role

NAMES = (
    *("engine_chat_sessions", "engine_chat_messages"),
    *("engine_chat_session_archive", "engine_chat_message_archive"),
)


@pytest.fixture
def layout(has_pgvector: bool) -> Layout:
    return STANDARD if has_pgvector else STANDARD.without_pgvector()


@pytest.fixture(params=["0002", "0003", "head"])
def upgraded(request: pytest.FixtureRequest, empty_database: Database, layout: Layout) -> Database:
    """A database that was upgraded when it was empty, and got the application's tables after."""
    upgrade(empty_database, request.param)
    with psycopg.connect(empty_database.libpq_url(), autocommit=True) as building:
        deployed.build(building, layout)
    return empty_database


@pytest.fixture
def own(postgresql_empty: psycopg.Connection) -> psycopg.Connection:
    """A connection to that database, in autocommit mode."""
    postgresql_empty.autocommit = True
    return postgresql_empty


def test_empty_tables_of_an_upgrade_give_way_to_views_and_nothing_else_changes(
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
    adopt(database, "aria_engine")

    swapped, fresh = (whole_catalogue(each, storage=False) for each in (own, connection))
    assert differences(swapped, fresh) == []


@pytest.mark.parametrize("upgraded", ["0002", "head"], indirect=True)
def test_what_was_granted_and_what_was_built_on_them_stays(
    upgraded: Database, own: psycopg.Connection, layout: Layout
) -> None:
    with temporary_role(own) as role:
        own.execute(
            f"""
            GRANT SELECT ON engine_chat_sessions, engine_chat_session_list TO {role};
            GRANT UPDATE (title) ON engine_chat_sessions TO {role};
            GRANT INSERT ON engine_chat_messages TO {role} WITH GRANT OPTION;
            GRANT EXECUTE ON FUNCTION archive_session TO {role};
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
                has_function_privilege(%(role)s, 'archive_session(uuid)', 'EXECUTE'),
                has_function_privilege(%(role)s, 'restore_session(uuid)', 'EXECUTE'),
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
@pytest.mark.parametrize("upgraded", ["head"], indirect=True)
def test_tables_of_an_upgrade_that_hold_rows_are_not_replaced(
    table: str, upgraded: Database, own: psycopg.Connection, layout: Layout
) -> None:
    own.execute(FILL[table])
    before = whole_catalogue(own)

    told = refusal(upgraded, layout.schema)

    assert table in told
    assert any(table in step.object for step in plan(upgraded, layout.schema).problems)
    assert whole_catalogue(own) == before
    assert one(own, f"SELECT count(*) FROM {table}") == 1


@pytest.mark.parametrize("upgraded", ["0003"], indirect=True)
def test_after_the_swap_a_downgrade_to_base_leaves_the_application_alone(
    upgraded: Database, own: psycopg.Connection, layout: Layout
) -> None:
    before = of_the_application(whole_catalogue(own), layout)
    adopt(upgraded, layout.schema)

    downgrade(upgraded, "base")

    after = whole_catalogue(own)
    assert of_the_application(after, layout) == before
    assert not [name for name in after["relations"] if name.startswith("public.engine_")]
