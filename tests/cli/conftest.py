"""``aria-db`` on the test's database."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from aria_db import resources
from aria_db.database import Database
from tests.cli import support
from tests.cli.support import Cli


@pytest.fixture
def cli(database: Database) -> Cli:
    """Run ``aria-db`` on a database at the newest revision."""
    return partial(support.run, DATABASE_URL=database.libpq_url())


@pytest.fixture
def sample_file() -> Path:
    """The conversations that the package carries."""
    return resources.SAMPLE_CONVERSATIONS


@pytest.fixture
def cli_of_stranger(database: Database, connection: psycopg.Connection) -> Iterator[Cli]:
    """Run ``aria-db`` as a role that may log in and nothing else."""
    name = f"aria_test_{uuid4().hex}"
    connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
    stranger = Database(database.url.set(username=name))
    yield partial(support.run, DATABASE_URL=stranger.libpq_url())
    connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
