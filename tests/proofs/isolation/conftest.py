"""A laboratory for each test, and whether the deep set is run."""

import pytest

from aria_db.database import Database
from tests.proofs.isolation.isolationtester import Laboratory


@pytest.fixture
def deep(pytestconfig: pytest.Config) -> bool:
    """Whether the deep set was asked for."""
    return pytestconfig.getoption("deep", default=False)


@pytest.fixture
def laboratory(database: Database, layout: str) -> Laboratory:
    """A database in which specs run."""
    return Laboratory(database, layout)
