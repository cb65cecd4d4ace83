"""``aria-db`` on the test's database."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from aria_db import conversations
from aria_db.database import Database
from tests.support import command_line, temporary_role
from tests.support.command_line import Cli
from tests.support.server import new_place


@pytest.fixture
def cli(database: Database) -> Cli:
    """Run ``aria-db`` on a database at the newest revision."""
    return command_line.on(database)


@pytest.fixture
def sample_file() -> Path:
    """The conversations that the package carries."""
    return conversations.SAMPLE


@pytest.fixture
def cli_of_stranger(database: Database, connection: psycopg.Connection) -> Iterator[Cli]:
    """Run ``aria-db`` as a role that may log in and nothing else."""
    with temporary_role(connection) as name:
        stranger = Database(database.url.set(username=name))
        yield command_line.on(stranger)


@pytest.fixture
def data() -> Iterator[Path]:
    """A data directory for an embedded server, where the account of root's may go as well."""
    with new_place() as place:
        yield place / "data"
