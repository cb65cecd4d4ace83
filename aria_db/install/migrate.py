"""Run the revisions from a program: what the CLI and the health check call.

``alembic`` itself does the same from a checkout; this needs only the wheel.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from aria_db.database import DEFAULT_SCHEMA
from aria_db.install import resources
from aria_db.install.schemas import only_schema

# The application has an alembic_version of its own in the same database.
VERSION_TABLE = "aria_db_version"

# A revision waits this long for a lock behind traffic, and then gives up and
# leaves everything as it was. Traffic queues behind a waiting ALTER TABLE.
LOCK_TIMEOUT = "5s"

# Two deploys at once take turns: any constant that nobody else uses.
ADVISORY_LOCK = 0x41524941_44420001

_logger = logging.getLogger(__name__)

ChatTables = Literal["refuse", "adopt", "beside"]
"""What an upgrade does about chat tables in another schema: refuse to create empty ones
beside them, adopt them, or create others beside them."""

# Versions before 0.1.0 called their revisions 0001 to 0010. No release did.
UNRELEASED = frozenset(f"{number:04}" for number in range(1, 11))
UNRELEASED_REMEDY = (
    "This version cannot upgrade it. With the version that installed it, restore the archived "
    "sessions and downgrade to base; then run `aria-db upgrade` of this version."
)
"""What to do about a database at such a revision."""


@dataclass(frozen=True)
class Status:
    """Which revision a database is at, and which is the newest.

    :param current: the database's revision; None if it has none.
    :param newest: the newest revision that this package carries.
    :param is_ahead: whether a later release has upgraded the database, to a revision
        that this package does not know. Its functions serve this package too.
    """

    current: str | None
    newest: str
    is_ahead: bool

    @property
    def is_unreleased(self) -> bool:
        """Whether a version before 0.1.0 installed what is there, which cannot be upgraded."""
        return self.current in UNRELEASED

    @property
    def is_newest(self) -> bool:
        """Whether there is nothing to upgrade."""
        return self.current == self.newest


def config(
    connection: sa.Connection | None = None,
    schema: str | None = None,
    *,
    chat_tables: ChatTables = "refuse",
    adopt_schema: str | None = None,
) -> Config:
    """Return Alembic's configuration for the revisions of this package.

    :param connection: the connection to run on; by default ``migrations/env.py``
        connects to the configured database.
    :param schema: the schema to install into; by default ``ARIA_DB_SCHEMA``, or the only one
        in which this package is installed, or public.
    :param chat_tables: what to do about chat tables in another schema.
    :param adopt_schema: the schema whose chat tables are adopted, if they are to be; by
        default the only one that has some.
    """
    configuration = Config()
    configuration.set_main_option("script_location", str(resources.MIGRATIONS).replace("%", "%%"))
    configuration.set_main_option("path_separator", "os")
    configuration.set_main_option("file_template", "%%(rev)s")
    configuration.attributes["connection"] = connection
    configuration.attributes["schema"] = schema
    configuration.attributes["chat_tables"] = chat_tables
    configuration.attributes["adopt_schema"] = adopt_schema
    return configuration


def upgrade(
    connection: sa.Connection,
    schema: str | None = None,
    revision: str = "head",
    *,
    beside: bool = False,
) -> None:
    """Upgrade a database; at the newest revision this changes nothing.

    :param connection: a connection to the database, as a role that may create.
    :param schema: the schema to install into.
    :param revision: the revision to upgrade to.
    :param beside: create chat tables although there are some in another schema.
    :raises alembic.util.CommandError: there is no such revision.
    :raises sqlalchemy.exc.DBAPIError: with SQLSTATE AR004, there are chat tables in another
        schema, which :func:`aria_db.install.adoption.adopt` would adopt. Nothing was changed.
    """
    configuration = config(connection, schema, chat_tables="beside" if beside else "refuse")
    command.upgrade(configuration, revision)


def downgrade(connection: sa.Connection, revision: str, schema: str | None = None) -> None:
    """Downgrade a database. Tables that hold rows are not dropped: it refuses.

    :param connection: a connection to the database, as the owner of the objects.
    :param revision: the revision to go back to, or ``base``.
    :param schema: the schema it is installed in.
    :raises alembic.util.CommandError: there is no such revision.
    """
    command.downgrade(config(connection, schema), revision)


def status(connection: sa.Connection, schema: str | None = None) -> Status:
    """Return the revision of a database and the newest one.

    :param connection: a connection to the database.
    :param schema: the schema it is installed in; None for the only one.
    :raises InvalidConfiguration: no schema is given, and it is installed in several.
    """
    context = MigrationContext.configure(
        connection,
        opts={
            "version_table": VERSION_TABLE,
            "version_table_schema": schema or only_schema(connection) or DEFAULT_SCHEMA,
        },
    )
    scripts = ScriptDirectory.from_config(config())
    newest = scripts.get_current_head()
    if newest is None:
        raise RuntimeError(f"{resources.MIGRATIONS} holds no revision: the installation is broken")
    current = context.get_current_revision()
    known = {script.revision for script in scripts.walk_revisions()}
    is_ahead = current is not None and current not in known | UNRELEASED
    return Status(current, newest, is_ahead)


@contextmanager
def warnings_logged(connection: sa.Connection) -> Iterator[None]:
    """Log PostgreSQL's warnings as warnings: psycopg drops them.

    :param connection: the connection. With another driver than psycopg, nothing is logged.
    """

    def log(diagnostic: Any) -> None:
        if diagnostic.severity_nonlocalized == "WARNING":
            parts = (diagnostic.message_primary, diagnostic.message_hint)
            _logger.warning("%s", ". ".join(part for part in parts if part))

    driver_connection: Any = connection.connection.driver_connection
    if not hasattr(driver_connection, "add_notice_handler"):
        yield
        return
    driver_connection.add_notice_handler(log)
    try:
        yield
    finally:
        driver_connection.remove_notice_handler(log)


def refuse_unreleased(heads: Iterable[str]) -> None:
    """Raise an error for a database that a version before 0.1.0 installed.

    :param heads: the revisions that the database is at.
    :raises alembic.util.CommandError: it is at one of the revisions that no release had.
    """
    for revision in heads:
        if revision in UNRELEASED:
            raise CommandError(
                f"the database is at revision {revision} of an unreleased version of aria-db. "
                f"Nothing was changed. {UNRELEASED_REMEDY}"
            )
