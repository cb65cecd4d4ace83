"""Where the database is: its URL, its schema, and engines for it.

The database is an explicit URL, or else ``DATABASE_URL``, or else what libpq's ``PG*`` variables
name. The embedded PostgreSQL of :mod:`aria_db.embedded` is used only when it is asked for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from aria_db.errors import InvalidConfiguration
from aria_db.timestamps import clamp_timestamps

DEFAULT_SCHEMA = "public"

# The libpq variables that say where a database is; PGUSER or PGPASSWORD alone do not.
LIBPQ_PLACES = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGSERVICE")


@dataclass(frozen=True)
class Database:
    """A database and the schema in it that this package uses.

    :param url: its URL, for the driver psycopg.
    :param schema: the schema of the tables and functions; None for whatever the
        search path of the role says.
    """

    url: sa.URL
    schema: str | None = None

    def engine(self, **options: Any) -> sa.Engine:
        """Return an engine whose connections find names in the schema.

        They read every timestamp; see :mod:`aria_db.timestamps`.

        :param options: passed to :func:`sqlalchemy.create_engine`.
        """
        engine = sa.create_engine(self.url, connect_args=self._connect_args(), **options)
        clamp_timestamps(engine)
        return engine

    def async_engine(self, **options: Any) -> AsyncEngine:
        """Return an asynchronous engine; else as :meth:`engine`.

        :param options: passed to :func:`sqlalchemy.ext.asyncio.create_async_engine`.
        """
        engine = create_async_engine(self.url, connect_args=self._connect_args(), **options)
        clamp_timestamps(engine.sync_engine)
        return engine

    def libpq_url(self) -> str:
        """Return the URL, password included, in the form that ``psql`` takes."""
        url = self.url
        if self.schema is not None:
            url = url.update_query_dict({"options": self._connect_args()["options"]})
        # Put together here: what SQLAlchemy writes for a space or a question mark is not what
        # libpq reads, and differs between 2.0 and 2.1.
        server = sa.URL.create("postgresql", url.username, url.password, url.host, url.port)
        place = server.render_as_string(hide_password=False).replace(" ", "%20")
        database = quote(url.database or "", safe="")
        query = urlencode(url.normalized_query, doseq=True, quote_via=quote, safe="")
        return f"{place}/{database}{'?' if query else ''}{query}"

    def _connect_args(self) -> dict[str, str]:
        if self.schema is None:
            return {}
        # The server splits the options at white space; a backslash takes a character as it is.
        setting = "-csearch_path=" + re.sub(r"([\\\s])", r"\\\1", f"{quoted(self.schema)},public")
        given = self.url.query.get("options") or os.environ.get("PGOPTIONS", "")
        return {"options": f"{given} {setting}".strip()}


def quoted(name: str) -> str:
    """Return a name as SQL takes it, whatever characters are in it.

    :param name: the name of a schema, say.
    """
    return '"{}"'.format(name.replace('"', '""'))


def literal(text: str) -> str:
    """Return a text as a literal of SQL, for statements that take no parameters.

    :param text: any text without NUL.
    """
    return "'{}'".format(text.replace("'", "''"))


def parse_url(text: str, name: str = "the database URL") -> sa.URL:
    """Return a URL for the driver psycopg from what people write.

    :param text: ``postgresql://…``, ``postgres://…`` or ``postgresql+psycopg://…``.
    :param name: what an error calls it.
    :raises InvalidConfiguration: it is no URL, or names another database or driver.
    """
    try:
        text.encode()
        url = sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError) as error:
        raise InvalidConfiguration(
            f"{name} cannot be read",
            hint="Write it as postgresql://user:password@host:5432/database.",
        ) from error
    if url.drivername not in {"postgresql", "postgres", "postgresql+psycopg"}:
        raise InvalidConfiguration(
            f"{name} begins with {url.drivername}://",
            hint="aria-db works with PostgreSQL through psycopg 3: postgresql://…",
        )
    return url.set(drivername="postgresql+psycopg")


def configured_url() -> sa.URL | None:
    """Return the URL that the environment names; None where it asks for the embedded PostgreSQL.

    :raises InvalidConfiguration: the environment names no database, or two; or
        ``DATABASE_URL`` is empty or cannot be read.
    """
    text = os.environ.get("DATABASE_URL")
    if text is not None and not text.strip():
        raise InvalidConfiguration("DATABASE_URL is empty", hint=_HOW_TO_NAME_ONE)
    places = ("DATABASE_URL", *LIBPQ_PLACES)
    named = next((variable for variable in places if os.environ.get(variable)), None)
    if _asks_for_embedded():
        if named is not None:
            raise InvalidConfiguration(
                f"{named} and ARIA_DB_EMBEDDED name two databases", hint="Unset one of them."
            )
        return None
    if text is not None:
        return parse_url(text, "DATABASE_URL")
    if named is None:
        raise InvalidConfiguration("no database is configured", hint=_HOW_TO_NAME_ONE)
    return sa.URL.create("postgresql+psycopg")


_HOW_TO_NAME_ONE = (
    "Name it in DATABASE_URL, as postgresql://user:password@host:5432/database. To try aria-db on "
    "a PostgreSQL of its own, set ARIA_DB_EMBEDDED=1, or give --embedded to a command."
)


def _asks_for_embedded() -> bool:
    match os.environ.get("ARIA_DB_EMBEDDED", ""):
        case "" | "0":
            return False
        case "1":
            return True
        case other:
            raise InvalidConfiguration(
                f"ARIA_DB_EMBEDDED is {other!r}",
                hint="It is 1 for the embedded PostgreSQL; else unset it.",
            )


def configured_schema() -> str | None:
    """Return ``ARIA_DB_SCHEMA``, or None if it is not set.

    :raises InvalidConfiguration: it is not valid UTF-8.
    """
    name = os.environ.get("ARIA_DB_SCHEMA") or None
    try:
        (name or "").encode()
    except UnicodeEncodeError as error:
        raise InvalidConfiguration("ARIA_DB_SCHEMA is not valid UTF-8") from error
    return name


@contextmanager
def opened(
    url: sa.URL | None = None, schema: str | None = None, *, embedded: bool = False
) -> Iterator[Database]:
    """Give the database to work with; an embedded one runs meanwhile.

    :param url: the database; by default the one that the environment names.
    :param schema: the schema; by default ``ARIA_DB_SCHEMA``.
    :param embedded: use the embedded PostgreSQL, whatever the environment names.
    :raises InvalidConfiguration: the environment names no database, or two, or none that
        can be read.
    :raises aria_db.embedded.EmbeddedUnavailable: the embedded one is asked for and cannot run.
    """
    schema = schema or configured_schema()
    if not embedded and url is None:
        url = configured_url()
    if not embedded and url is not None:
        yield Database(url, schema)
        return
    # An optional part of the package: imported where it is needed.
    from aria_db.embedded import start

    with start() as server:
        yield Database(server.url(), schema)
