from collections.abc import Iterator

import httpx
import psycopg
import pytest

from aria_db.database import Database
from tests.http.support import running
from tests.support import temporary_role


@pytest.fixture
def client(database: Database) -> Iterator[httpx.Client]:
    """A client of a server without a token, over the test's database."""
    with running(database) as client:
        yield client


@pytest.fixture
def role(connection: psycopg.Connection) -> Iterator[str]:
    """A role that may log in and nothing else."""
    with temporary_role(connection) as name:
        yield name
