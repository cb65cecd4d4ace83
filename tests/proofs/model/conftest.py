"""The world that the model is compared with."""

from collections.abc import Iterator

import psycopg
import pytest

from aria_db.database import Database
from tests.proofs.model.clients import Http, with_actor
from tests.proofs.model.world import World
from tests.support import set_for_database
from tests.support.http import running


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
