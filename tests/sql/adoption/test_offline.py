"""A DBA reads the script of the adoption and runs it with psql, to the same result."""

import psycopg
import pytest

from aria_db.database import Database
from tests.support.adoption import (
    adopt,
    archived,
    delete_history,
    differences,
    live,
    refusal,
    whole_catalogue,
)
from tests.support.application import Application
from tests.support.deployed import (
    LACKING,
    ODD_TARGET,
    OLDER_SHAPE,
    STANDARD,
    VARIANTS,
    Layout,
    session,
)
from tests.support.installation import (
    ODD_SCHEMA,
    alembic,
    downgrade,
    one,
    psql,
    run_script,
    script,
    upgrade,
)

LAYOUTS = {
    "newest": STANDARD,
    "no archives": VARIANTS["no archives"],
    "archive lacks a column": LACKING,
    "odd names": VARIANTS["odd names"],
    "B": OLDER_SHAPE,
}
each_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys(), indirect=True)


def arguments(layout: Layout, database: Database) -> list[str]:
    """Return the options of `alembic` that adopt this layout."""
    options = ["-x", f"adopt={layout.schema}"]
    if database.schema is not None:
        options += ["-x", f"schema={database.schema}"]
    return options


@each_layout
def test_the_script_gives_the_same_catalogue_and_the_same_rows_as_the_program(
    database: Database,
    connection: psycopg.Connection,
    layout: Layout,
    application: Application,
) -> None:
    were_live = live(connection, layout)
    statements = script(*arguments(layout, database), "upgrade", "head")
    run_script(database, statements, "-1")
    by_script = whole_catalogue(connection, storage=False)

    application.work(connection)
    assert live(connection, layout) == were_live
    moved = archived(connection, layout)
    assert one(connection, "SELECT message_count FROM archive_session(%s)", session(21)) == 1
    assert len(archived(connection, layout)) == len(moved) + 2
    assert one(connection, "SELECT message_count FROM restore_session(%s)", session(21)) == 1
    assert live(connection, layout) == were_live
    # The program finds nothing left to do.
    adopt(database)
    assert differences(by_script, whole_catalogue(connection, storage=False)) == []
    delete_history(connection)
    downgrade(database, "base", database.schema)
    adopt(database)
    assert differences(by_script, whole_catalogue(connection, storage=False)) == []


def test_a_script_that_names_no_schema_finds_the_only_one_with_chat_tables(
    database: Database, connection: psycopg.Connection, layout: Layout
) -> None:
    run_script(database, script("-x", "adopt=", "upgrade", "head"), "-1")

    assert one(connection, "SELECT message_count FROM archive_session(%s)", session(21)) == 1


@pytest.mark.parametrize(
    "layout", [STANDARD, VARIANTS["odd names"]], ids=["newest", "odd names"], indirect=True
)
def test_alembic_adopts_online_as_the_program_does(
    database: Database, connection: psycopg.Connection, layout: Layout
) -> None:
    url = database.url.render_as_string(hide_password=False)
    alembic(*arguments(layout, database), "upgrade", "head", DATABASE_URL=url)
    by_alembic = whole_catalogue(connection)

    adopt(database)

    assert differences(by_alembic, whole_catalogue(connection)) == []


def test_the_script_has_comments_and_says_what_it_does_when_it_runs(
    database: Database, layout: Layout
) -> None:
    statements = script(*arguments(layout, database), "upgrade", "head")

    assert "-- Executes the plan" in statements
    done = psql(database, statements, "-1")
    assert done.returncode == 0, done.stderr
    assert "engine_chat_session_archive" in done.stderr


def test_a_script_that_fails_changes_nothing(
    database: Database, connection: psycopg.Connection, layout: Layout
) -> None:
    connection.execute("CREATE SCHEMA aria_db; CREATE TABLE engine_session_hold (id integer)")
    before = whole_catalogue(connection)

    done = psql(database, script(*arguments(layout, database), "upgrade", "head"), "-1")

    assert done.returncode != 0
    assert whole_catalogue(connection) == before


def test_the_script_of_an_upgrade_alone_names_the_adoption_and_changes_nothing(
    database: Database, connection: psycopg.Connection
) -> None:
    before = whole_catalogue(connection)

    done = psql(database, script("upgrade", "head"), "-1")

    assert done.returncode != 0
    assert "aria-db adopt aria_engine" in done.stderr
    assert whole_catalogue(connection) == before


@pytest.mark.parametrize("layout", [VARIANTS["odd names"]], ids=["odd names"], indirect=True)
def test_a_downgrade_leaves_what_else_the_target_schema_holds(
    database: Database, connection: psycopg.Connection, layout: Layout
) -> None:
    connection.execute(f'CREATE SCHEMA "{ODD_TARGET}"; CREATE TABLE "{ODD_TARGET}".notes (id int)')

    adopt(database)
    downgrade(database, "base", ODD_TARGET)

    assert one(connection, f"""SELECT to_regclass('"{ODD_TARGET}".notes') IS NOT NULL""") is True


@pytest.mark.parametrize("target", ["aria_engine", "aria"])
def test_the_views_go_into_the_schema_that_is_named_even_that_of_the_tables(
    target: str,
    database: Database,
    connection: psycopg.Connection,
    layout: Layout,
    application: Application,
) -> None:
    elsewhere = Database(database.url, target)

    adopt(elsewhere)

    with psycopg.connect(elsewhere.libpq_url(), autocommit=True) as there:
        assert one(there, "SELECT message_count FROM archive_session(%s)", session(21)) == 1
        assert one(there, "SELECT message_count FROM restore_session(%s)", session(21)) == 1
        assert one(there, "SELECT sessions FROM prune_sessions(interval '30 days')") == 500
    names = "SELECT array_agg(relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    assert "engine_chat_sessions" not in str(one(connection, names))
    application.work(connection)
    upgrade(elsewhere, schema=target)
    with psycopg.connect(elsewhere.libpq_url(), autocommit=True) as there:
        delete_history(there)
    downgrade(elsewhere, "base", target)
    application.work(connection)


def test_the_same_tables_may_be_adopted_for_two_targets(
    database: Database, connection: psycopg.Connection, layout: Layout
) -> None:
    adopt(database)
    adopt(Database(database.url, "aria"), layout.schema)

    assert one(connection, "SELECT message_count FROM archive_session(%s)", session(21)) == 1
    assert one(connection, "SELECT message_count FROM aria.restore_session(%s)", session(21)) == 1


@pytest.mark.parametrize("name", ["Aria", "it's", ODD_SCHEMA])
def test_the_schema_of_the_tables_may_have_any_name(
    name: str, database: Database, connection: psycopg.Connection, layout: Layout
) -> None:
    quoted_name = '"{}"'.format(name.replace('"', '""'))
    connection.execute(f"ALTER SCHEMA {layout.schema} RENAME TO {quoted_name}")

    run_script(database, script("-x", f"adopt={name}", "upgrade", "head"), "-1")

    assert one(connection, "SELECT message_count FROM archive_session(%s)", session(21)) == 1


def test_a_schema_called_none_is_adopted_by_its_name(
    database: Database, connection: psycopg.Connection, layout: Layout
) -> None:
    connection.execute(f"ALTER SCHEMA {layout.schema} RENAME TO none")

    adopt(database, "none")

    assert one(connection, "SELECT message_count FROM archive_session(%s)", session(21)) == 1
    assert "nowhere" in refusal(database, "nowhere")
