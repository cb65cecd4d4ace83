"""What `make sql-next` and `make sql-diff` do, in a copy of the checkout."""

from pathlib import Path

import psycopg
import pytest

from aria_db.database import Database
from tests.support.installation import REVISIONS, catalogue, one
from tests.support.next_release import copy_checkout, run_module


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    copy_checkout(tmp_path)
    return tmp_path


def test_the_next_version_is_a_copy_with_a_revision_that_installs_it_and_goes_back(
    checkout: Path, database: Database, connection: psycopg.Connection
) -> None:
    before = catalogue(connection)

    run_module(checkout, "migrations.sql_version", "next", "prune_sessions")
    copy = checkout / "sql/retention/prune_sessions_v02.sql"
    assert copy.read_text() == (checkout / "sql/retention/prune_sessions_v01.sql").read_text()
    copy.write_text(copy.read_text().replace("Archives one batch", "Archives a single batch"))
    url = database.libpq_url()
    run_module(checkout, "alembic", "upgrade", "head", DATABASE_URL=url)

    assert one(connection, "SELECT version_num FROM aria_db_version") == "0003_prune_sessions"
    assert catalogue(connection) != before
    run_module(checkout, "alembic", "downgrade", REVISIONS[-1], DATABASE_URL=url)
    assert catalogue(connection) == before


def test_the_diff_shows_what_the_newest_version_changes(checkout: Path) -> None:
    run_module(checkout, "migrations.sql_version", "next", "release_hold")
    copy = checkout / "sql/retention/release_hold_v02.sql"
    copy.write_text(copy.read_text().replace("RETURN FALSE", "RETURN NULL"))

    shown = run_module(checkout, "migrations.sql_version", "diff", "release_hold")

    assert "-        RETURN FALSE;" in shown
    assert "+        RETURN NULL;" in shown


@pytest.mark.parametrize(
    ("command", "name", "problem"),
    [
        ("next", "prune_session", "no object 'prune_session' in sql/; prune_sessions\\?"),
        ("next", "engine_archive_run", "is a table: write a revision with AddColumnOp"),
        ("diff", "prune_sessions", "has one version only"),
    ],
)
def test_a_name_that_has_no_next_version_or_no_diff_is_refused_with_the_reason(
    command: str, name: str, problem: str, checkout: Path
) -> None:
    with pytest.raises(AssertionError, match=problem):
        run_module(checkout, "migrations.sql_version", command, name)
