"""The two layouts that tests run on: aria-db's own tables, and a deployed application's, adopted.

The application's tables have names and keys of their own, ``archived_at`` last, a foreign key
between the archives, and columns that aria-db's own tables do not have.
"""

import psycopg
import pytest

from aria_db.database import Database
from aria_db.install import adoption
from tests.support import deployed

# Where the views and functions are, beside the application's tables.
SCHEMA = "aria_db"

# For tests that run on aria-db's own tables and on these.
BOTH_LAYOUTS = pytest.mark.parametrize("layout", ["tables", "views"], indirect=True)

# Without pgvector, which not every server has; tests/sql/adoption has a variant with it.
_DEPLOYED = deployed.VARIANTS["jsonb"]

TABLES = _DEPLOYED.names

APPLICATION_SCHEMA = _DEPLOYED.schema

# Tests name the views, and the tables beneath them.
SEARCH_PATH = f"{SCHEMA},{APPLICATION_SCHEMA}"


def adopt(database: Database) -> None:
    """Build an application's database without rows, and adopt it."""
    with psycopg.connect(database.libpq_url(), autocommit=True) as connection:
        deployed.build(connection, _DEPLOYED, filled=False)
    engine = database.engine()
    with engine.connect() as adopting:
        adoption.adopt(adopting, _DEPLOYED.schema, SCHEMA)
    engine.dispose()
