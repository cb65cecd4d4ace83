"""However a database comes to the newest revision, it holds the same."""

import re
import time
from collections.abc import Callable
from itertools import pairwise

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from aria_db import models
from aria_db.database import Database
from tests.support import new_session, places
from tests.support.installation import (
    ARCHIVES,
    LIVE_TABLES,
    NOTHING,
    REVISIONS,
    Catalogue,
    alembic,
    catalogue,
    connected,
    downgrade,
    one,
    psql,
    run_script,
    script,
    start_alembic,
    upgrade,
    without_version_table,
)

WAYS: dict[str, Callable[[Database], object]] = {
    "program": upgrade,
    "alembic": lambda database: alembic("upgrade", "head", DATABASE_URL=database.libpq_url()),
    "psql": lambda database: run_script(database, script("upgrade", "head")),
    "psql -1": lambda database: run_script(database, script("upgrade", "head"), "-1"),
}

every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


def create_application_tables(database: Database, tables: tuple[str, ...]) -> None:
    """Create tables as the application does: from its models, without aria-db."""
    with connected(database) as connection, connection.begin():
        models.Base.metadata.create_all(
            connection, tables=[models.Base.metadata.tables[table] for table in tables]
        )


def without_notes(held: Catalogue, tables: tuple[str, ...]) -> Catalogue:
    """Leave out the comments by which the downgrade knows the tables of the upgrade."""
    relations = {
        name: (*rest, None if name in tables else comment)
        for name, (*rest, comment) in held["relations"].items()
    }
    return held | {"relations": relations}


@every_way
def test_an_empty_database_is_upgraded_to_the_same_catalogue_in_every_way(
    way: Callable[[Database], object],
    empty_database: Database,
    empty_connection: psycopg.Connection,
    newest: Catalogue,
) -> None:
    way(empty_database)

    assert catalogue(empty_connection) == newest


@every_way
@pytest.mark.parametrize(
    "tables", [LIVE_TABLES, LIVE_TABLES + ARCHIVES], ids=["live tables", "all four"]
)
def test_tables_that_the_application_made_are_taken_as_they_are_with_their_rows(
    way: Callable[[Database], object],
    tables: tuple[str, ...],
    empty_database: Database,
    empty_connection: psycopg.Connection,
    newest: Catalogue,
) -> None:
    create_application_tables(empty_database, tables)
    session_id = new_session(empty_connection, messages=3)

    way(empty_database)

    assert catalogue(empty_connection) == without_notes(newest, tables)
    assert places(empty_connection, session_id) == (1, 3, 0, 0)


@pytest.mark.parametrize("way", [WAYS["program"], WAYS["psql"]], ids=["program", "psql"])
def test_archives_get_the_columns_that_the_application_added_to_its_live_tables(
    way: Callable[[Database], object],
    empty_database: Database,
    empty_connection: psycopg.Connection,
) -> None:
    create_application_tables(empty_database, LIVE_TABLES)
    for table in LIVE_TABLES:
        empty_connection.execute(
            sql.SQL("ALTER TABLE {} ADD COLUMN tenant varchar(40) NOT NULL DEFAULT 'acme'").format(
                sql.Identifier(table)
            )
        )
    session_id = new_session(empty_connection, messages=2)

    way(empty_database)

    types = "SELECT array_agg(attname || ' ' || format_type(atttypid, atttypmod) ORDER BY attnum) "
    types += "FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
    for live, archive in zip(LIVE_TABLES, ARCHIVES, strict=True):
        live_columns = one(empty_connection, types, live)
        assert isinstance(live_columns, list)
        assert "tenant character varying(40)" in live_columns
        assert one(empty_connection, types, archive) == [
            "archived_at timestamp with time zone",
            *live_columns,
        ]
    empty_connection.execute("SELECT archive_session(%s)", (session_id,))
    assert places(empty_connection, session_id) == (0, 0, 1, 2)
    assert one(empty_connection, "SELECT tenant FROM engine_chat_session_archive") == "acme"
    assert (
        one(empty_connection, "SELECT DISTINCT tenant FROM engine_chat_message_archive") == "acme"
    )


@pytest.mark.parametrize("way", [WAYS["program"], WAYS["alembic"]], ids=["program", "alembic"])
def test_a_second_upgrade_changes_nothing(
    way: Callable[[Database], object], database: Database, connection: psycopg.Connection
) -> None:
    # A function that is replaced by itself would look the same, and be another row.
    rows = "SELECT array_agg(xmin::text || ctid::text ORDER BY oid) FROM pg_proc"
    before = catalogue(connection), one(connection, rows)

    way(database)

    assert (catalogue(connection), one(connection, rows)) == before


def test_the_script_for_an_empty_database_is_refused_by_an_upgraded_one_and_changes_nothing(
    database: Database, connection: psycopg.Connection, newest: Catalogue
) -> None:
    done = psql(database, script("upgrade", "head"))

    assert done.returncode != 0
    assert "already exists" in done.stderr
    assert catalogue(connection) == newest


@pytest.mark.parametrize("online", [True, False], ids=["program", "psql"])
def test_each_revision_downgrades_to_the_one_before_and_upgrades_again(
    online: bool,
    empty_database: Database,
    empty_connection: psycopg.Connection,
    newest: Catalogue,
) -> None:
    def go(direction: str, former: str, latter: str) -> Catalogue:
        if not online:
            run_script(empty_database, script(direction, f"{former}:{latter}"))
        elif direction == "upgrade":
            upgrade(empty_database, latter)
        else:
            downgrade(empty_database, latter)
        return catalogue(empty_connection)

    steps = list(pairwise(["base", *REVISIONS]))
    held = {latter: go("upgrade", former, latter) for former, latter in steps}
    assert held[REVISIONS[-1]] == newest

    for former, latter in reversed(steps[1:]):
        assert go("downgrade", latter, former) == held[former]
        assert go("upgrade", former, latter) == held[latter]
        assert go("downgrade", latter, former) == held[former]
    at_base = go("downgrade", REVISIONS[0], "base")
    assert without_version_table(at_base) == NOTHING

    assert {latter: go("upgrade", former, latter) for former, latter in steps} == held


@pytest.mark.parametrize("options", [(), ("-1",)], ids=["psql", "psql -1"])
def test_the_script_of_the_whole_downgrade_leaves_nothing(
    options: tuple[str, ...], database: Database, connection: psycopg.Connection
) -> None:
    run_script(database, script("downgrade", "head:base"), *options)

    assert without_version_table(catalogue(connection)) == NOTHING


@pytest.mark.parametrize("way", [WAYS["program"], WAYS["psql"]], ids=["program", "psql"])
def test_an_upgrade_that_fails_half_way_leaves_the_database_as_it_was(
    way: Callable[[Database], object],
    empty_database: Database,
    empty_connection: psycopg.Connection,
) -> None:
    # Without a status there can be no list of the sessions that are not soft-deleted.
    create_application_tables(empty_database, LIVE_TABLES)
    empty_connection.execute("ALTER TABLE engine_chat_sessions DROP COLUMN status")
    before = catalogue(empty_connection)

    with pytest.raises((sa.exc.ProgrammingError, AssertionError), match="status"):
        way(empty_database)

    assert catalogue(empty_connection) == before


def test_two_upgrades_at_the_same_moment_take_turns_and_both_succeed(
    empty_database: Database, empty_connection: psycopg.Connection, newest: Catalogue
) -> None:
    # The turn, as the script takes it: while it is held here, both must wait for it.
    turn = re.search(r"SELECT pg_advisory_xact_lock\(\d+\)", script("upgrade", "head"))
    assert turn is not None
    url = empty_database.libpq_url()
    with psycopg.connect(url) as blocker:
        blocker.execute(turn[0])
        upgrades = [start_alembic("upgrade", "head", DATABASE_URL=url) for _ in range(2)]
        wait_for_two(empty_connection)

    for process in upgrades:
        _, complaints = process.communicate(timeout=60)
        assert process.returncode == 0, complaints
    assert catalogue(empty_connection) == newest


def wait_for_two(observer: psycopg.Connection) -> None:
    """Return when two backends wait for an advisory lock; fail if they do not within 30 s."""
    waiting = """
        SELECT count(*)
        FROM pg_locks
        JOIN pg_database ON pg_database.oid = pg_locks.database
        WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()
    """
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if one(observer, waiting) == 2:
            return
        time.sleep(0.01)
    raise AssertionError("two backends did not wait within 30 s")
