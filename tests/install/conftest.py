"""What an empty database must become."""

import psycopg
import pytest

from tests.support.installation import Catalogue, catalogue


@pytest.fixture
def newest(connection: psycopg.Connection) -> Catalogue:
    """What an upgraded database holds."""
    return catalogue(connection)
