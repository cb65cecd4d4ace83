"""A downgrade takes away what the upgrade brought, and no row."""

from uuid import uuid4

import psycopg
import pytest
import sqlalchemy as sa

from aria_db import models
from aria_db.database import Database
from tests.support import new_session
from tests.support.installation import (
    ARCHIVES,
    LIVE_TABLES,
    NOTHING,
    catalogue,
    connected,
    downgrade,
    one,
    psql,
    run_script,
    script,
    upgrade,
    without_version_table,
)

CHAT_TABLES = "0001_chat_tables"

# The least that makes a table hold a row.
FILL = {
    "engine_chat_sessions": "INSERT INTO engine_chat_sessions DEFAULT VALUES",
    "engine_chat_messages": """
        WITH session AS (INSERT INTO engine_chat_sessions DEFAULT VALUES RETURNING id)
        INSERT INTO engine_chat_messages (session_id, role, content)
        SELECT id, 'user', '' FROM session
    """,
    "engine_chat_session_archive": """
        INSERT INTO engine_chat_session_archive (archived_at, id, agent_id, session_type, status)
        VALUES (now(), gen_random_uuid(), '', '', '')
    """,
    "engine_chat_message_archive": """
        INSERT INTO engine_chat_message_archive (archived_at, id, session_id, role, content)
        VALUES (now(), gen_random_uuid(), gen_random_uuid(), '', '')
    """,
}

# The same for aria-db's own tables, which no downgrade below 0002_archive leaves.
FILL_OUR_OWN = {
    "engine_session_hold": """
        INSERT INTO engine_session_hold (session_id, reason) VALUES (gen_random_uuid(), 'asked')
    """,
    "engine_archive_run": "SELECT begin_archive_run('prune')",
    "engine_archive_event": """
        INSERT INTO engine_archive_event (session_id, event, at, actor, role)
        VALUES (gen_random_uuid(), 'archived', now(), '', '')
    """,
    "engine_archive_left": """
        INSERT INTO engine_archive_left (session_id, sqlstate, message)
        VALUES (gen_random_uuid(), 'AR001', '')
    """,
    "engine_conflict_resolution": """
        INSERT INTO engine_conflict_resolution (session_id, destination)
        VALUES (gen_random_uuid(), 'live')
    """,
    "engine_archive_policy": """
        INSERT INTO engine_archive_policy (session_type) VALUES ('imported')
    """,
}


@pytest.mark.parametrize("table", FILL | FILL_OUR_OWN)
def test_a_downgrade_that_would_drop_rows_names_the_table_and_drops_nothing(
    table: str, database: Database, connection: psycopg.Connection
) -> None:
    connection.execute((FILL | FILL_OUR_OWN)[table])
    rows = f"SELECT count(*) FROM {table}"
    before = catalogue(connection), one(connection, rows)

    with pytest.raises(sa.exc.OperationalError) as refusal:
        downgrade(database, "base")

    error = refusal.value.orig
    assert isinstance(error, psycopg.errors.ObjectNotInPrerequisiteState)
    assert error.diag.message_primary == f"table {table} holds rows and is not dropped"
    assert error.diag.message_hint is not None
    assert (catalogue(connection), one(connection, rows)) == before


@pytest.mark.parametrize(
    "change",
    [
        "archive_after = '2 days'",
        "archive_after = NULL",
        "purge_after = '1 year'",
        "enabled = false",
    ],
)
def test_a_downgrade_does_not_drop_a_default_policy_that_was_changed(
    change: str, database: Database, connection: psycopg.Connection
) -> None:
    connection.execute(f"UPDATE engine_archive_policy SET {change} WHERE session_type = '*'")

    with pytest.raises(sa.exc.OperationalError, match="engine_archive_policy holds rows"):
        downgrade(database, CHAT_TABLES)


def test_a_downgrade_drops_the_default_policies_and_the_upgrade_brings_them_back(
    database: Database, connection: psycopg.Connection
) -> None:
    policies = "SELECT array_agg(policy::text) FROM engine_archive_policy AS policy"
    before = one(connection, policies)

    downgrade(database, CHAT_TABLES)
    upgrade(database)

    assert one(connection, policies) == before


def test_the_script_of_a_downgrade_refuses_to_drop_rows_too(
    database: Database, connection: psycopg.Connection
) -> None:
    connection.execute(FILL["engine_chat_message_archive"])
    before = catalogue(connection)

    done = psql(database, script("downgrade", "head:base"))

    assert done.returncode != 0
    assert "engine_chat_message_archive holds rows" in done.stderr
    assert catalogue(connection) == before


def test_a_downgrade_that_keeps_the_tables_keeps_their_rows(
    database: Database, connection: psycopg.Connection
) -> None:
    for statement in FILL.values():
        connection.execute(statement)
    counts = "SELECT ARRAY[{}]".format(", ".join(f"(SELECT count(*) FROM {t})" for t in FILL))
    before = one(connection, counts)

    downgrade(database, "0001")

    assert one(connection, counts) == before
    assert catalogue(connection)["functions"] == {}


@pytest.mark.parametrize("tables", [LIVE_TABLES, LIVE_TABLES + ARCHIVES], ids=["live", "all four"])
def test_tables_that_the_application_made_survive_the_downgrade_even_when_empty(
    tables: tuple[str, ...], empty_database: Database, empty_connection: psycopg.Connection
) -> None:
    with connected(empty_database) as connection, connection.begin():
        models.Base.metadata.create_all(
            connection, tables=[models.Base.metadata.tables[table] for table in tables]
        )
    before = catalogue(empty_connection)

    run_script(empty_database, script("upgrade", "head"))
    run_script(empty_database, script("downgrade", "head:base"))

    assert without_version_table(catalogue(empty_connection)) == before


def test_rows_in_tables_of_the_application_do_not_hinder_the_downgrade(
    empty_database: Database, empty_connection: psycopg.Connection
) -> None:
    with connected(empty_database) as connection, connection.begin():
        models.Base.metadata.create_all(
            connection, tables=[models.Base.metadata.tables[table] for table in LIVE_TABLES]
        )
    session_id = new_session(empty_connection, id=uuid4())
    upgrade(empty_database)

    downgrade(empty_database, "base")

    assert one(empty_connection, "SELECT id FROM engine_chat_sessions") == session_id
    relations = catalogue(empty_connection)["relations"]
    assert set(LIVE_TABLES) <= set(relations)
    assert not set(ARCHIVES) & set(relations)


def test_objects_of_the_application_survive_the_downgrade(
    database: Database, connection: psycopg.Connection
) -> None:
    connection.execute("CREATE TABLE users (id integer PRIMARY KEY)")
    connection.execute("CREATE FUNCTION answer() RETURNS integer LANGUAGE sql RETURN 42")

    run_script(database, script("downgrade", "head:base"))

    left = without_version_table(catalogue(connection))
    assert set(left["relations"]) == {"users"}
    assert set(left["functions"]) == {"answer()"}


def test_what_the_application_built_on_an_object_of_the_upgrade_is_not_dropped_with_it(
    database: Database, connection: psycopg.Connection
) -> None:
    connection.execute("CREATE VIEW titles AS SELECT title FROM engine_chat_session_list")
    before = catalogue(connection)

    with pytest.raises(sa.exc.InternalError, match="titles"):
        downgrade(database, "base")

    assert catalogue(connection) == before


def test_a_downgrade_behind_a_reader_gives_up_after_the_lock_timeout_and_changes_nothing(
    database: Database, connection: psycopg.Connection
) -> None:
    before = catalogue(connection)
    # Not to wait for ever, should there be no lock timeout.
    patient = database.url.update_query_dict({"options": "-c statement_timeout=30s"})
    with psycopg.connect(database.libpq_url()) as reader:
        reader.execute("SELECT FROM engine_chat_sessions")

        with pytest.raises(sa.exc.OperationalError) as failure:
            downgrade(Database(patient), "base")

    assert isinstance(failure.value.orig, psycopg.errors.LockNotAvailable)
    assert catalogue(connection) == before
    # Nothing else was in the way.
    run_script(database, script("downgrade", "head:base"))
    assert without_version_table(catalogue(connection)) == NOTHING
