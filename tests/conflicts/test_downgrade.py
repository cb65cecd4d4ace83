"""Revision 0004 goes as it came, and takes no row of the log with it."""

import psycopg
import pytest
import sqlalchemy as sa

from aria_db.database import Database
from tests.conflicts.support import conflict, conflicts, one, resolve
from tests.migrations.support import catalogue, downgrade, psql, script, upgrade


def test_a_downgrade_that_would_drop_the_log_refuses_and_drops_nothing(
    database: Database, connection: psycopg.Connection
) -> None:
    resolve(connection, conflict(connection), "live")
    before = catalogue(connection)

    with pytest.raises(sa.exc.OperationalError) as refusal:
        downgrade(database, "0003")
    done = psql(database, script("downgrade", "head:0003"))

    error = refusal.value.orig
    assert isinstance(error, psycopg.errors.ObjectNotInPrerequisiteState)
    assert error.diag.message_primary is not None
    assert "engine_conflict_resolution" in error.diag.message_primary
    assert error.diag.message_hint
    assert done.returncode != 0
    assert "engine_conflict_resolution" in done.stderr
    assert catalogue(connection) == before


def test_down_and_up_again_leaves_conflicts_and_grants_on_the_health_as_they_were(
    database: Database, connection: psycopg.Connection, role: str
) -> None:
    session_id = conflict(connection)
    connection.execute(f"GRANT SELECT ON engine_archive_health TO {role}")
    before = catalogue(connection)
    remedy = "SELECT remedy FROM engine_archive_health WHERE figure = 'conflicts'"

    downgrade(database, "0003")
    assert "aria-db conflicts" not in one(connection, remedy)
    upgrade(database)

    assert "aria-db conflicts" in one(connection, remedy)
    assert catalogue(connection) == before
    assert conflicts(connection).keys() == {session_id}
