from collections.abc import Iterator

import httpx
import pytest

from aria_db.database import Database
from tests.support.http import running


@pytest.fixture
def client(database: Database) -> Iterator[httpx.Client]:
    """A client of a server without a token, over the test's database."""
    with running(database) as client:
        yield client
