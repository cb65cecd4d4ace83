"""A downgrade of the archive, where sessions are in both places or were merged."""

import psycopg
import pytest
import sqlalchemy as sa

from aria_db.database import Database
from tests.support.access import grant
from tests.support.conflicts import change, conflict, conflicts, one, resolutions, resolve
from tests.support.installation import catalogue, downgrade, psql, script, upgrade
from tests.support.rows import LIVE, all_tables

CHAT_TABLES = "0001_chat_tables"


def test_a_downgrade_refuses_while_a_row_that_was_dropped_is_nowhere_else(
    database: Database, connection: psycopg.Connection
) -> None:
    """Every other table of aria-db's own is empty: only the dropped row is in the way."""
    session_id = conflict(connection)
    change(connection, LIVE[0], "title = 'new'", session_id)
    resolve(connection, session_id, "live", keep="archive")
    connection.execute("DELETE FROM engine_archive_event")
    before = catalogue(connection), all_tables(connection), resolutions(connection)

    with pytest.raises(sa.exc.OperationalError) as refusal:
        downgrade(database, CHAT_TABLES)
    done = psql(database, script("downgrade", f"head:{CHAT_TABLES}"))

    error = refusal.value.orig
    assert isinstance(error, psycopg.errors.ObjectNotInPrerequisiteState)
    assert error.diag.message_primary is not None
    assert "engine_conflict_resolution" in error.diag.message_primary
    assert error.diag.message_hint
    assert done.returncode != 0
    assert "engine_conflict_resolution" in done.stderr
    assert (catalogue(connection), all_tables(connection), resolutions(connection)) == before
    assert before[2][0].dropped_row["title"] == "new"


def test_down_and_up_again_leaves_a_session_in_both_places_and_the_same_grant_gives_the_same(
    database: Database, connection: psycopg.Connection, role: str
) -> None:
    session_id = conflict(connection)
    grant(connection, role, "operator")
    before = catalogue(connection), all_tables(connection), conflicts(connection)

    downgrade(database, CHAT_TABLES)
    assert one(connection, "SELECT to_regclass('engine_session_conflict') IS NULL")
    assert all_tables(connection) == before[1]
    upgrade(database)
    grant(connection, role, "operator")

    assert (catalogue(connection), all_tables(connection), conflicts(connection)) == before
    assert conflicts(connection).keys() == {session_id}
