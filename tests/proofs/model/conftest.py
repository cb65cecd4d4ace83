"""How much is tried: a fixed part in every run, and as much as you like with a profile.

pytest tests/proofs/model --hypothesis-profile=deep
"""

from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings

from aria_db.database import Database
from tests.proofs.model.clients import Http, with_actor
from tests.proofs.model.world import World
from tests.support import set_for_database
from tests.support.http import running

DEEP = "deep"

_BOUNDED = settings(
    max_examples=50,
    stateful_step_count=20,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
settings.register_profile(
    DEEP, _BOUNDED, max_examples=500, stateful_step_count=60, derandomize=False
)


@pytest.fixture
def profile(pytestconfig: pytest.Config) -> settings:
    """How many sequences of how many steps."""
    is_deep = pytestconfig.getoption("hypothesis_profile", None) == DEEP
    return settings.get_profile(DEEP) if is_deep else _BOUNDED


@pytest.fixture
def world(database: Database, connection: psycopg.Connection) -> Iterator[World]:
    """A database in the layout that the test asks for, with a server of it."""
    # A day has 24 hours here, whatever the server's time zone: the model adds ages to times.
    set_for_database(connection, "timezone TO 'UTC'")
    connection.execute("SET timezone TO 'UTC'")
    with running(with_actor(database, Http.actor)) as client:
        world = World(database, connection, Http(client))
        yield world
        world.manager.close()
