"""A real PostgreSQL for every test that touches data.

The embedded server starts once, also for several workers of pytest-xdist. The revisions run
once in each worker, into a template database, and each test gets a fresh clone of it. An
application's database is adopted once too, for the tests that run on both layouts.
"""

import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from psycopg.conninfo import conninfo_to_dict
from pytest_postgresql import factories
from sqlalchemy.ext.asyncio import AsyncEngine

from aria_db import embedded
from aria_db.database import Database
from aria_db.install import migrate, resources
from aria_db.session_manager import NativeSessionManager
from tests.support import Connect, layouts, temporary_role
from tests.support.server import make_fast

pytest_plugins = ["tests.proofs.isolation.plugin"]

_SERVER = pytest.StashKey[embedded.EmbeddedServer]()

# What hangs fails. Nothing here takes as long.
STATEMENT_TIMEOUT = "60s"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--sql",
        type=Path,
        help="a folder to install from instead of sql/ (see tests/proofs/mutations)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Start the server that pytest-postgresql's fixtures connect to.

    A worker of pytest-xdist uses the one of the process that started it.
    """
    config.addinivalue_line("markers", "database: uses the server that the tests are given")
    config.addinivalue_line("markers", "slow: takes long; `make test` leaves it to `make test-all`")
    hear_what_is_ignored()
    if config.option.sql:
        resources.SQL = config.option.sql
    if server := getattr(config, "workerinput", {}).get("server"):
        config.option.postgresql_host, config.option.postgresql_port = server
    if config.option.postgresql_host or config.option.collectonly:
        return
    # Not pytest's own directory: the server, under another account where the tests
    # run as root, must be able to enter it.
    directory = Path(tempfile.mkdtemp(prefix="aria-db-tests-"))
    directory.chmod(0o755)
    server = embedded.start(directory / "data")
    config.stash[_SERVER] = server
    config.option.postgresql_host = str(server.socket_directory)
    config.option.postgresql_port = server.port
    make_fast(server)


def hear_what_is_ignored() -> None:
    """Let the programs that tests start heed signals that this process was told to ignore.

    A job in the background ignores SIGINT, and nohup SIGHUP. Who is started inherits that, but
    not a handler.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@pytest.hookimpl(optionalhook=True)  # pytest-xdist's, which may be switched off
def pytest_configure_node(node: Any) -> None:
    """Tell a worker which server to use."""
    options = node.config.option
    node.workerinput["server"] = (options.postgresql_host, options.postgresql_port)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the server and remove what it left."""
    if server := config.stash.get(_SERVER, None):
        server.close()
        shutil.rmtree(server.data_directory.parent, ignore_errors=True)


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use the server, which `make test-matrix` runs on each version."""
    for item in items:
        if any(name.startswith("postgresql") for name in item.fixturenames):
            item.add_marker("database")


def _url(host: str, port: int, user: str, dbname: str) -> sa.URL:
    return sa.URL.create(
        "postgresql+psycopg",
        username=user,
        database=dbname,
        query={"host": host, "port": str(port)},
    )


def _upgrade(host: str, port: int, user: str, dbname: str, **_: object) -> None:
    engine = sa.create_engine(_url(host, port, user, dbname))
    with engine.connect() as connection:
        migrate.upgrade(connection)
    engine.dispose()


def _adopt(host: str, port: int, user: str, dbname: str, **_: object) -> None:
    layouts.adopt(Database(_url(host, port, user, dbname)))


postgresql_empty_noproc = factories.postgresql_noproc(dbname="empty")
postgresql_tables_noproc = factories.postgresql_noproc(dbname="tests", load=[_upgrade])
postgresql_views_noproc = factories.postgresql_noproc(dbname="adopted", load=[_adopt])

postgresql_empty = factories.postgresql("postgresql_empty_noproc")
postgresql_tables = factories.postgresql("postgresql_tables_noproc")
postgresql_views = factories.postgresql("postgresql_views_noproc")


@pytest.fixture
def layout(request: pytest.FixtureRequest) -> str:
    """Which tables the four names are: ``tables``, or ``views`` over an adopted database's."""
    return getattr(request, "param", "tables")


@pytest.fixture
def postgresql(request: pytest.FixtureRequest, layout: str) -> psycopg.Connection:
    """A connection to a database at the newest revision, this test's alone."""
    connection: psycopg.Connection = request.getfixturevalue(f"postgresql_{layout}")
    return connection


def _database(connection: psycopg.Connection) -> Database:
    info = connection.info
    return Database(_url(info.host, info.port, info.user, info.dbname))


@pytest.fixture
def database(postgresql: psycopg.Connection, layout: str) -> Database:
    """A database at the newest revision, this test's alone."""
    schema = layouts.SCHEMA if layout == "views" else None
    return replace(_database(postgresql), schema=schema)


@pytest.fixture
def empty_database(postgresql_empty: psycopg.Connection) -> Database:
    """A database without anything in it, this test's alone."""
    return _database(postgresql_empty)


@pytest.fixture
def connect(database: Database, layout: str) -> Iterator[Connect]:
    """Open psycopg connections to the test's database, in autocommit mode by default."""
    connections: list[psycopg.Connection] = []
    conninfo = database.libpq_url()
    settings = conninfo_to_dict(conninfo).get("options") or ""
    settings += f" -c statement_timeout={STATEMENT_TIMEOUT}"
    if layout == "views":
        settings += f" -c search_path={layouts.SEARCH_PATH}"

    def open_connection(options: str = "", **others: object) -> psycopg.Connection:
        others = {"autocommit": True, **others}
        connections.append(psycopg.connect(conninfo, options=f"{settings} {options}", **others))
        return connections[-1]

    yield open_connection
    for connection in connections:
        connection.close()


@pytest.fixture
def connection(connect: Connect) -> psycopg.Connection:
    """A psycopg connection to the test's database, in autocommit mode."""
    return connect()


@pytest.fixture
def empty_connection(postgresql_empty: psycopg.Connection) -> psycopg.Connection:
    """A psycopg connection to the empty database, in autocommit mode."""
    postgresql_empty.autocommit = True
    return postgresql_empty


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Threads for calls on several connections at once."""
    with ThreadPoolExecutor(max_workers=32) as executor:
        yield executor


@pytest.fixture
def role(connection: psycopg.Connection) -> Iterator[str]:
    """A role that may log in and nothing else."""
    with temporary_role(connection) as name:
        yield name


@pytest.fixture
def anyio_backend() -> str:
    """Run the asynchronous tests on asyncio, as SQLAlchemy does."""
    return "asyncio"


@pytest.fixture
async def async_engine(database: Database) -> AsyncIterator[AsyncEngine]:
    """An asynchronous engine for the test's database."""
    engine = database.async_engine()
    yield engine
    await engine.dispose()


@pytest.fixture
def manager(async_engine: AsyncEngine) -> NativeSessionManager:
    """A manager on the test's database."""
    return NativeSessionManager(async_engine)
