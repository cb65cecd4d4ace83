"""What is installed is what sql/ says, with the privileges that it should have."""

import psycopg
import pytest

from aria_db.database import Database
from aria_db.install import resources, sql_objects
from tests.install.dump import FILE, dump
from tests.support.installation import Catalogue, catalogue, one, upgrade

TABLES_AND_VIEWS = {"table", "view"}

# Those that do what their caller may do, and no more.
AS_THEIR_CALLER = {"grant_archive_access", "repair_archive_access", "set_archive_dependent"}


def test_what_is_installed_is_exactly_the_newest_files(
    empty_database: Database, empty_connection: psycopg.Connection, newest: Catalogue
) -> None:
    upgrade(empty_database, "0001_chat_tables")
    empty_connection.execute("SET search_path = public, pg_temp")
    remaining = {
        name: sql_object.text
        for name, sql_object in sql_objects.newest().items()
        if not name.startswith("engine_chat_") or sql_object.kind == "view"
    }
    # In any order that PostgreSQL accepts: views and SQL functions need what they read.
    while remaining:
        installed = set()
        for name, text in remaining.items():
            try:
                with empty_connection.transaction():
                    empty_connection.execute(text.encode())
            except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction):
                continue
            installed.add(name)
        assert installed, remaining.keys()
        remaining = {name: text for name, text in remaining.items() if name not in installed}

    assert catalogue(empty_connection) == newest


def test_every_file_is_of_the_object_that_it_is_named_for(connection: psycopg.Connection) -> None:
    installed = connection.execute(
        """
        SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL
        SELECT relname::text FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')
            AND relname <> 'aria_db_version'
        """
    )

    assert sorted(name for (name,) in installed) == sorted(sql_objects.newest())


def test_every_signature_is_the_one_that_postgresql_reads_from_the_file(
    connection: psycopg.Connection,
) -> None:
    for sql_object in sql_objects.newest().values():
        find = "to_regclass" if sql_object.kind in {"table", "view"} else "to_regprocedure"
        for signature in sql_object.signatures:
            assert one(connection, f"SELECT {find}(%s) IS NOT NULL", signature), signature


def test_every_object_has_a_comment_that_says_what_it_is_for(
    connection: psycopg.Connection,
) -> None:
    without = connection.execute(
        """
        SELECT oid::regprocedure::text
        FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND obj_description(oid, 'pg_proc') IS NULL
        UNION ALL
        SELECT oid::regclass::text
        FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')
            AND relname <> 'aria_db_version'
            AND obj_description(oid, 'pg_class') IS NULL
        """
    ).fetchall()

    assert without == []


def test_functions_that_change_data_run_as_their_owner_on_a_pinned_path_or_are_internal(
    connection: psycopg.Connection,
) -> None:
    changing = connection.execute(
        """
        SELECT proname, prosecdef, coalesce('search_path=public, pg_temp' = ANY(proconfig), FALSE),
            starts_with(proname, '_')
        FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND prokind = 'f' AND provolatile = 'v'
        """
    ).fetchall()

    assert len(changing) >= 5
    for name, as_owner, pinned, internal in changing:
        expected = (name not in AS_THEIR_CALLER and not internal, not internal)
        assert (as_owner, pinned) == expected, name


def test_nobody_may_execute_a_function_unless_it_was_granted(
    connection: psycopg.Connection,
) -> None:
    public = connection.execute(
        """
        SELECT proname
        FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace
            AND has_function_privilege('public', oid, 'EXECUTE')
        """
    ).fetchall()

    assert public == []


@pytest.mark.parametrize(
    "name", [name for name, found in sql_objects.newest().items() if found.kind in TABLES_AND_VIEWS]
)
def test_a_table_or_view_shows_nothing_to_a_role_that_it_was_not_granted_to(
    connection: psycopg.Connection, name: str
) -> None:
    assert not one(connection, "SELECT has_table_privilege('public', %s, 'SELECT')", name)


def test_a_script_changes_nothing_in_the_files_it_is_made_from() -> None:
    # Alembic writes four spaces for a tab in a script: a function would differ by the way
    # it was installed.
    for file in resources.SQL.rglob("*.sql"):
        assert "\t" not in file.read_text("utf-8"), file


def test_the_committed_schema_is_the_one_that_the_revisions_install(
    database: Database, connection: psycopg.Connection
) -> None:
    if connection.info.server_version // 10000 != 18:
        pytest.skip("schema.sql is of PostgreSQL 18, and pg_dump writes others differently")

    assert dump(database) == FILE.read_text("utf-8"), "run `make schema` and review the diff"
