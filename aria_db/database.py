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

import psycopg
import sqlalchemy as sa
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from aria_db.connections import set_up_connections
from aria_db.errors import InvalidConfiguration
from aria_db.poolers import detect_poolers
from aria_db.timestamps import clamp_timestamps

DEFAULT_SCHEMA = "public"

# Of psycopg: how often a statement is executed before it is prepared.
_PREPARE_THRESHOLD = "prepare_threshold"

# The libpq variables that say where a database is; PGUSER or PGPASSWORD alone do not.
LIBPQ_PLACES = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGSERVICE")


@dataclass(frozen=True)
class Database:
    """A database and the schema in it that this package uses.

    :param url: its URL, for the driver psycopg: :func:`parse_url` makes one of any.
    :param schema: the schema of the tables and functions; None for whatever the
        search path of the role says.
    """

    url: sa.URL
    schema: str | None = None

    def engine(self, **options: Any) -> sa.Engine:
        """Return an engine whose statements are for the schema.

        SQLAlchemy writes the schema into the statements of this package and into those on its
        models (``schema_translate_map``). It does not change SQL text: qualify the names there.
        The connections read every timestamp (see :mod:`aria_db.timestamps`). Behind a pooler they
        prepare no statements (see :mod:`aria_db.poolers`), unless ``prepare_threshold`` is in the
        URL or in ``connect_args``.

        :param options: passed to :func:`sqlalchemy.create_engine`.
        :raises InvalidConfiguration: ``prepare_threshold`` in the URL is no number.
        """
        url, options = self._with_options(options)
        engine = sa.create_engine(url, **options)
        self._prepare(engine, options)
        return engine

    def async_engine(self, **options: Any) -> AsyncEngine:
        """Return an asynchronous engine; else as :meth:`engine`.

        :param options: passed to :func:`sqlalchemy.ext.asyncio.create_async_engine`.
        """
        url, options = self._with_options(options)
        engine = create_async_engine(url, **options)
        self._prepare(engine.sync_engine, options)
        return engine

    def libpq_url(self) -> str:
        """Return the URL, password included, in the form that ``psql`` takes.

        A schema becomes the startup option ``search_path``, which poolers drop or refuse.
        """
        url = self.url.difference_update_query([_PREPARE_THRESHOLD])
        if self.schema is not None:
            # The server splits the options at white space; a backslash takes a character as it is.
            path = re.sub(r"([\\\s])", r"\\\1", f"{quoted(self.schema)},public")
            given = url.query.get("options") or os.environ.get("PGOPTIONS", "")
            url = url.update_query_dict({"options": f"{given} -csearch_path={path}".strip()})
        # Put together here: what SQLAlchemy writes for a space or a question mark is not what
        # libpq reads, and differs between 2.0 and 2.1.
        server = sa.URL.create("postgresql", url.username, url.password, url.host, url.port)
        place = server.render_as_string(hide_password=False).replace(" ", "%20")
        database = quote(url.database or "", safe="")
        query = urlencode(url.normalized_query, doseq=True, quote_via=quote, safe="")
        return f"{place}/{database}{'?' if query else ''}{query}"

    def _with_options(self, given: dict[str, Any]) -> tuple[sa.URL, dict[str, Any]]:
        """Return the URL and the options for an engine."""
        # By default it is the encoding of the database, which may lack characters of an argument.
        connect_args = {"client_encoding": "utf8", **given.get("connect_args", {})}
        text = self.url.query.get(_PREPARE_THRESHOLD)
        if text is not None:
            if text != "none" and not str(text).isdecimal():
                raise InvalidConfiguration(
                    f"{_PREPARE_THRESHOLD} is {text!r}",
                    hint="Write the number of executions, or none.",
                )
            threshold = None if text == "none" else int(str(text))
            connect_args.setdefault(_PREPARE_THRESHOLD, threshold)
        options = {**given, "connect_args": connect_args}
        if self.schema is not None:
            options["execution_options"] = {
                **_for_schema(self.schema),
                **given.get("execution_options", {}),
            }
        return self.url.difference_update_query([_PREPARE_THRESHOLD]), options

    @staticmethod
    def _prepare(engine: sa.Engine, options: dict[str, Any]) -> None:
        set_up_connections(engine)
        clamp_timestamps(engine)
        if _PREPARE_THRESHOLD not in options["connect_args"]:
            detect_poolers(engine)


def for_schema(engine: AsyncEngine, schema: str) -> AsyncEngine:
    """Return an engine on the same connections whose statements are for a schema.

    :param engine: the engine.
    :param schema: the schema that is written into the statements of this package.
    """
    return engine.execution_options(**_for_schema(schema))


def _for_schema(schema: str) -> dict[str, Any]:
    return {"schema_translate_map": {None: schema}}


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

    All forms of libpq's URLs work, also a directory or several hosts instead of one host. The
    parameter ``prepare_threshold`` is psycopg's: see :meth:`Database.engine`. An application's URL
    may name another driver, asyncpg or psycopg2: aria-db connects with psycopg all the same, and
    takes over asyncpg's ``ssl``, ``timeout`` and ``prepared_statement_cache_size``.

    :param text: ``postgresql://…``, ``postgres://…`` or ``postgresql+driver://…``.
    :param name: what an error calls it.
    :raises InvalidConfiguration: it is no URL, names another database or driver, or has a parameter
        that libpq does not know.
    """
    scheme, separator, rest = text.partition("://")
    if separator and scheme not in _SCHEMES:
        raise InvalidConfiguration(
            f"{name} begins with {scheme}://",
            hint="aria-db works with PostgreSQL through psycopg 3: postgresql://…",
        )
    address, _, query = rest.partition("?")
    if scheme == "postgresql+asyncpg":
        query = _of_libpq(query)
    own = re.search(rf"(?:^|&){_PREPARE_THRESHOLD}=([^&]*)", query)
    if own is not None:
        query = (query[: own.start()] + query[own.end() :]).removeprefix("&")
    try:
        text.encode()
        if not separator:
            raise ValueError
        given = conninfo_to_dict(f"postgresql://{address}?{query}")
        if re.fullmatch("[0-9,]*", str(given.get("port", ""))) is None:
            raise ValueError
    except (psycopg.Error, ValueError) as error:
        unknown = re.search('invalid URI query parameter: "([^"]*)"', str(error))
        if unknown is not None:
            raise InvalidConfiguration(
                f"{name} has the parameter {unknown[1]}, which libpq does not know",
                hint="Leave it out: aria-db connects with psycopg 3, whatever the URL names.",
            ) from error
        # libpq's own message may contain the password.
        raise InvalidConfiguration(
            f"{name} cannot be read",
            hint="Write it as postgresql://user:password@host:5432/database.",
        ) from error
    parts = {part: str(value) for part, value in given.items() if value is not None}
    if own is not None:
        parts[_PREPARE_THRESHOLD] = own[1]
    host, port = parts.get("host", ""), parts.get("port", "")
    is_plain = not re.search("[,/@]", host) and re.fullmatch("[0-9]*", port) is not None
    if is_plain:
        parts.pop("host", None)
        parts.pop("port", None)
    return sa.URL.create(
        "postgresql+psycopg",
        username=parts.pop("user", None),
        password=parts.pop("password", None),
        host=(host or None) if is_plain else None,
        port=int(port) if is_plain and port else None,
        database=parts.pop("dbname", None),
        query=parts,
    )


# The drivers that an application's URL may name.
_SCHEMES = {
    *("postgresql", "postgres", "postgresql+psycopg", "postgresql+psycopg_async"),
    *("postgresql+psycopg2", "postgresql+asyncpg"),
}

# What asyncpg calls a parameter of libpq.
_OF_ASYNCPG = {"ssl": "sslmode", "timeout": "connect_timeout"}


def _of_libpq(query: str) -> str:
    """Return a query for asyncpg with the names of libpq and psycopg."""
    found = []
    for part in filter(None, query.split("&")):
        parameter, _, value = part.partition("=")
        if parameter == "prepared_statement_cache_size":
            # Without a cache nothing is prepared for longer than a statement.
            found += [f"{_PREPARE_THRESHOLD}=none"] if value == "0" else []
        else:
            found.append(f"{_OF_ASYNCPG.get(parameter, parameter)}={value}")
    return "&".join(found)


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
                hint="Use 1 for the embedded PostgreSQL, or unset it.",
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
    :raises InvalidConfiguration: the environment names no database, or two, or its URL cannot be
        read.
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
