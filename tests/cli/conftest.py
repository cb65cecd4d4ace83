"""``aria-db`` on the test's database."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest

from aria_db.database import Database
from aria_db.install import resources
from tests.cli import support
from tests.cli.support import Cli
from tests.support import temporary_role


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
    with temporary_role(connection) as name:
        stranger = Database(database.url.set(username=name))
        yield partial(support.run, DATABASE_URL=stranger.libpq_url())
