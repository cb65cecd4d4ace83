"""A database that is empty, and what it must become."""

import psycopg
import pytest

from tests.support.installation import Catalogue, catalogue


@pytest.fixture
def empty_connection(postgresql_empty: psycopg.Connection) -> psycopg.Connection:
    """A psycopg connection to the empty database, in autocommit mode."""
    postgresql_empty.autocommit = True
    return postgresql_empty


@pytest.fixture
def newest(connection: psycopg.Connection) -> Catalogue:
    """What an upgraded database holds."""
    return catalogue(connection)
