import psycopg
import pytest

from tests.support import Connect


@pytest.fixture
def other(connect: Connect) -> psycopg.Connection:
    """A second connection, in autocommit mode."""
    return connect()
