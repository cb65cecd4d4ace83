"""Databases as they are found: each variant is built once, and each test gets a clone."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import psycopg
import pytest
from pytest_postgresql.executors import NoopExecutor
from pytest_postgresql.janitor import DatabaseJanitor

from aria_db.database import Database, quoted
from aria_db.install import adoption
from tests.support import command_line, deployed
from tests.support.application import Application
from tests.support.command_line import Cli
from tests.support.deployed import STANDARD, Layout

_REPLACED = pytest.StashKey[bool]()

Template = Callable[[Layout], str]


@pytest.fixture(scope="session")
def has_pgvector(postgresql_empty_noproc: NoopExecutor, pytestconfig: pytest.Config) -> bool:
    """Whether the server has the extension; if not, the summary of the run says so."""
    with _janitor(postgresql_empty_noproc, "postgres").cursor() as cursor:
        has_it = deployed.has_pgvector(cursor.connection)
    pytestconfig.stash[_REPLACED] = not has_it
    return has_it


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the rarer variants to `make test-all`."""
    usual = (STANDARD, deployed.OLDER_SHAPE, deployed.VARIANTS["no archives"])
    for item in items:
        callspec = getattr(item, "callspec", None)
        layout = callspec.params.get("layout") if callspec else None
        if isinstance(layout, Layout) and layout not in usual:
            item.add_marker("slow")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if config.stash.get(_REPLACED, False):
        terminalreporter.write_line(
            "tests/sql/adoption: no pgvector on this server, so embeddings were jsonb everywhere"
        )


@pytest.fixture(scope="session")
def template(postgresql_empty_noproc: NoopExecutor) -> Iterator[Template]:
    """Return the name of a database with a layout in it, which is built when first wanted."""
    names: dict[Layout, str] = {}
    with ExitStack() as stack:

        def name_of(layout: Layout) -> str:
            if layout not in names:
                name = f"{postgresql_empty_noproc.dbname}_layout_{len(names)}"
                janitor = stack.enter_context(_janitor(postgresql_empty_noproc, name))
                with janitor.cursor(name) as cursor:
                    deployed.build(cursor.connection, layout)
                names[layout] = name
            return names[layout]

        yield name_of


def _janitor(
    server: NoopExecutor, dbname: str, template_dbname: str | None = None
) -> DatabaseJanitor:
    return DatabaseJanitor(
        user=server.user,
        password=server.password,
        host=server.host,
        port=server.port,
        dbname=dbname,
        template_dbname=template_dbname,
    )


@pytest.fixture
def layout(request: pytest.FixtureRequest, has_pgvector: bool) -> Layout:
    """The layout of the test's database, as this server can have it."""
    wanted: Layout = getattr(request, "param", STANDARD)
    return wanted if has_pgvector else wanted.without_pgvector()


@pytest.fixture
def postgresql(
    layout: Layout, template: Template, postgresql_empty_noproc: NoopExecutor
) -> Iterator[psycopg.Connection]:
    """A connection to a database that aria-db has never seen, this test's alone."""
    name = f"{postgresql_empty_noproc.dbname}_deployed"
    with (
        _janitor(postgresql_empty_noproc, name, template(layout)) as janitor,
        janitor.cursor(name) as cursor,
    ):
        # The tests write the names without a schema, as an administrator may.
        path = f"{quoted(target_schema(layout) or adoption.ADOPTED_SCHEMA)}, public"
        cursor.connection.execute(f"ALTER DATABASE {quoted(name)} SET search_path = {path}")
        cursor.connection.execute(f"SET search_path = {path}")
        yield cursor.connection


def target_schema(layout: Layout) -> str | None:
    """Return the schema that is named in adoptions of a layout; None for none."""
    odd = deployed.VARIANTS["odd names"].schema
    return deployed.ODD_TARGET if layout.schema == odd else None


@pytest.fixture
def database(database: Database, layout: Layout) -> Database:
    """The database, with the schema that the views and functions go to."""
    return replace(database, schema=target_schema(layout))


@pytest.fixture
def application(layout: Layout) -> Application:
    """The application whose database it is."""
    return layout.application


@pytest.fixture
def cli(database: Database) -> Cli:
    """Run ``aria-db`` on the database."""
    return command_line.on(database)
