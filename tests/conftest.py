"""A real PostgreSQL for every test that touches data.

The embedded server starts once, also for several workers of pytest-xdist. The revisions run
once in each worker, into a template database, and each test gets a fresh clone of it.
"""

import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from pytest_postgresql import factories
from sqlalchemy.ext.asyncio import AsyncEngine

from aria_db import embedded
from aria_db.database import Database
from aria_db.install import migrate, resources
from aria_db.session_manager import NativeSessionManager

pytest_plugins = ["tests.isolation.plugin"]

_SERVER = pytest.StashKey[embedded.EmbeddedServer]()

Connect = Callable[..., psycopg.Connection]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--sql", type=Path, help="a folder to install from instead of sql/ (see tests/mutations)"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Start the server that pytest-postgresql's fixtures connect to.

    A worker of pytest-xdist uses the one of the process that started it.
    """
    config.addinivalue_line("markers", "database: uses the server that the tests are given")
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
    switch_fsync_off(server)


def hear_what_is_ignored() -> None:
    """Let the programs that tests start heed signals that this process was told to ignore.

    A job in the background ignores SIGINT, and nohup SIGHUP. Who is started inherits that, but
    not a handler.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


def switch_fsync_off(server: embedded.EmbeddedServer) -> None:
    """Make a server fast of which nothing outlives the tests."""
    # What must survive a crash has its own server.
    with psycopg.connect(
        Database(server.url("postgres")).libpq_url(), autocommit=True
    ) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")


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


postgresql_empty_noproc = factories.postgresql_noproc(dbname="empty")
postgresql_noproc = factories.postgresql_noproc(dbname="tests", load=[_upgrade])

postgresql_empty = factories.postgresql("postgresql_empty_noproc")
postgresql = factories.postgresql("postgresql_noproc")


def _database(connection: psycopg.Connection) -> Database:
    info = connection.info
    return Database(_url(info.host, info.port, info.user, info.dbname))


@pytest.fixture
def database(postgresql: psycopg.Connection) -> Database:
    """A database at the newest revision, this test's alone."""
    return _database(postgresql)


@pytest.fixture
def empty_database(postgresql_empty: psycopg.Connection) -> Database:
    """A database without anything in it, this test's alone."""
    return _database(postgresql_empty)


@pytest.fixture
def connect(database: Database) -> Iterator[Connect]:
    """Open psycopg connections to the test's database, in autocommit mode by default."""
    connections: list[psycopg.Connection] = []

    def open_connection(**options: object) -> psycopg.Connection:
        options.setdefault("autocommit", True)
        connections.append(psycopg.connect(database.libpq_url(), **options))
        return connections[-1]

    yield open_connection
    for connection in connections:
        connection.close()


@pytest.fixture
def connection(connect: Connect) -> psycopg.Connection:
    """A psycopg connection to the test's database, in autocommit mode."""
    return connect()


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
