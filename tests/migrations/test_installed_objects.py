"""What is installed is what sql/ says, with the privileges that it should have."""

import psycopg
import pytest
from alembic.script import ScriptDirectory

from aria_db import migrate, resources, sql_objects
from aria_db.database import Database
from tests.migrations.support import Catalogue, catalogue, one, upgrade

# Those that do what their caller may do, and no more.
AS_THEIR_CALLER = {"grant_archive_access"}


def newest_files() -> dict[str, str]:
    """Return the newest text of every object, in an order in which they can be created."""
    texts = {
        name: sql_objects.path(kind, name, version).read_text("utf-8")
        for kind in ("function", "procedure", "view")
        for name, version in sorted(sql_objects.newest(kind).items())
    }
    # The one that reads other views.
    health = texts.pop("engine_archive_health")
    return texts | {"engine_archive_health": health}


def test_the_functions_and_views_installed_are_exactly_the_newest_files(
    empty_database: Database, empty_connection: psycopg.Connection, newest: Catalogue
) -> None:
    upgrade(empty_database, "0001")
    empty_connection.execute("SET search_path = public, pg_temp")
    revisions = ScriptDirectory.from_config(migrate.config())
    for revision in ("0003", "0004"):
        empty_connection.execute(revisions.get_revision(revision).module.TABLES)
    for text in newest_files().values():
        empty_connection.execute(text.encode())

    assert catalogue(empty_connection) == newest


def test_every_file_is_of_the_object_that_it_is_named_for(connection: psycopg.Connection) -> None:
    installed = connection.execute(
        """
        SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL
        SELECT viewname::text FROM pg_views WHERE schemaname = 'public'
        """
    )

    # No name twice either: an overload would make DROP FUNCTION ambiguous.
    assert sorted(name for (name,) in installed) == sorted(newest_files())


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
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'v'
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
            starts_with(obj_description(oid, 'pg_proc'), 'Internal to ')
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


@pytest.mark.parametrize("name", sql_objects.newest("view"))
def test_a_view_shows_nothing_to_a_role_that_it_was_not_granted_to(
    connection: psycopg.Connection, name: str
) -> None:
    assert not one(connection, "SELECT has_table_privilege('public', %s, 'SELECT')", name)


def test_a_script_changes_nothing_in_the_files_it_is_made_from() -> None:
    # Alembic writes four spaces for a tab in a script: a function would differ by the way
    # it was installed.
    for file in resources.SQL.rglob("*.sql"):
        assert "\t" not in file.read_text("utf-8"), file
