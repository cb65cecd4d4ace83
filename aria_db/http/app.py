"""The application: what uvicorn serves."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import psycopg
from fastapi import Depends, FastAPI, Request
from fastapi.security import APIKeyHeader, HTTPBearer
from sqlalchemy import event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry

from aria_db import __version__
from aria_db.database import Database, configured_schema, configured_url, for_schema
from aria_db.errors import DatabaseError, InvalidConfiguration, translated
from aria_db.http import access, health, problems, settings
from aria_db.http.embedding import router
from aria_db.http.limits import DEFAULT, Limits
from aria_db.http.middleware import (
    AllowedMethods,
    BodyLimits,
    RequireToken,
    WithoutTrailingSlash,
)
from aria_db.http.tokens import Token, refuse_doubles
from aria_db.install.schemas import only_schema
from aria_db.session_manager import NativeSessionManager
from aria_db.validation import readable_json

_logger = logging.getLogger(__name__)

# A host that does not answer costs a request this long, where neither the URL nor
# PGCONNECT_TIMEOUT says otherwise. psycopg's own default is two minutes.
CONNECT_TIMEOUT_SECONDS = 5

DESCRIPTION = """\
Sessions and messages of the chat engine, live and archived.

Archiving moves a session and all its messages into the archive in one atomic step of the
database; restoring moves them back. Both are safe to repeat.

Every error is a problem document ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).

Rows that other programs wrote may hold what JSON cannot say. A number that is not finite
comes as the string `"NaN"`, `"Infinity"` or `"-Infinity"`, a time outside the years 1 to
9999 (`infinity` is one) as the nearest inside, and JSON that readers choke on, nested more
than 100 levels deep or with numbers beyond their range, as a string with its text.
"""


# How long a server that has not found the schema goes on without it.
_LOOK_AGAIN_SECONDS = 1.0

PREFIXES = ("/api/engine/sessions", "/engine/sessions")
"""Where the sessions are; the second for proxies that strip ``/api``, and not in OpenAPI."""


class _Connection:
    """The engine and what is on it.

    Opened at the start; or at the first request, where the application is mounted in another one:
    Starlette starts the outer one alone.

    :param database: the database.
    :param limits: how many connections there are at most.
    """

    def __init__(self, database: Database, limits: Limits) -> None:
        self._database = database
        self._limits = limits
        self._lock = asyncio.Lock()
        self._shared: health.Shared | None = None
        self._look_again_at = float("inf")

    async def open(self) -> health.Shared:
        """Return the engine and what is on it."""
        shared = self._shared
        # While one request looks for the schema again, the others go on without it.
        if shared is not None and (self._lock.locked() or not self._is_to_look_again()):
            return shared
        async with self._lock:
            if self._shared is None or self._is_to_look_again():
                self._shared = await self._connected()
            return self._shared

    def _is_to_look_again(self) -> bool:
        return asyncio.get_running_loop().time() >= self._look_again_at

    async def _connected(self) -> health.Shared:
        engine = (
            _engine(self._database, self._limits) if self._shared is None else self._shared.engine
        )
        schema = self._database.schema or await _only_schema(engine)
        if schema is None:
            # The database may not answer yet, or not be upgraded.
            self._look_again_at = asyncio.get_running_loop().time() + _LOOK_AGAIN_SECONDS
        else:
            self._look_again_at = float("inf")
            engine = for_schema(engine, schema)
        manager = NativeSessionManager(engine)
        return health.Shared(engine, schema, manager, health.ArchiveVerdict(manager))

    async def close(self) -> None:
        """Close the connections."""
        if self._shared is not None:
            await self._shared.engine.dispose()
            self._shared = None


# What asks for the token is the middleware; these say so in OpenAPI.
_SCHEMES = (HTTPBearer(auto_error=False), APIKeyHeader(name="X-API-Key", auto_error=False))


class _Api(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, with the media type that problems have."""
        document = super().openapi()
        for operations in document["paths"].values():
            for operation in operations.values():
                for answer in operation["responses"].values():
                    content = answer["content"]
                    json = content.get("application/json", {})
                    if json.get("schema") == {"$ref": "#/components/schemas/Problem"}:
                        content[problems.MEDIA_TYPE] = content.pop("application/json")
        return document


def create_app(
    database: Database,
    *,
    token: str | None = None,
    tokens: Sequence[Token] = (),
    actor_header: str | None = None,
    limits: Limits = DEFAULT,
) -> FastAPI:
    """Return the application for a database, to serve or to mount in another one.

    It starts whether the database answers or not; ``/health`` tells. Mounted, it connects at the
    first request.

    :param database: the database.
    :param token: the token of an operator without a name; None for none.
    :param tokens: others, with their roles and names. Without any, everybody who can connect is
        an operator.
    :param actor_header: the header in which a proxy names the user; None without such a proxy.
    :param limits: how much it takes on.
    :raises InvalidConfiguration: a token is empty, a header cannot carry it, or it comes twice.
    """
    known = (*tokens, *([] if token is None else [Token(token)]))
    refuse_doubles(known)

    connection = _Connection(database, limits)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await connection.open()
        try:
            yield
        finally:
            await connection.close()

    async def manager_of(request: Request) -> NativeSessionManager:
        shared = await connection.open()
        return access.acting(shared.manager, request, actor_header)

    app = _Api(
        title="aria-db",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        dependencies=[Depends(scheme) for scheme in _SCHEMES] if known else [],
        responses=problems.documented(401) if known else {},
    )
    problems.install(app)
    sessions, checks = router(manager_of), health.router(connection.open)
    for prefix in PREFIXES:
        app.include_router(
            sessions,
            prefix=prefix,
            include_in_schema=prefix == PREFIXES[0],
            responses=problems.documented(403) if known else {},
        )
    app.include_router(checks)
    routes = {**dict.fromkeys(PREFIXES, sessions.routes), "": checks.routes}
    app.add_middleware(AllowedMethods, routes=routes)
    app.add_middleware(WithoutTrailingSlash)
    app.add_middleware(BodyLimits, limits=limits)
    if known:
        app.add_middleware(RequireToken, known=known)
    return app


def from_environment() -> FastAPI:
    """Return the application for what the environment names.

    For ``uvicorn --factory aria_db.http.app:from_environment``: the database is
    ``DATABASE_URL`` (or libpq's ``PG*`` variables), its schema ``ARIA_DB_SCHEMA``, and the
    token and the limits are those of :func:`aria_db.http.settings.read`.

    :raises InvalidConfiguration: no database is named, its URL cannot be read, or it is the
        embedded one; the token is empty, a header cannot carry it, or only its old name
        ``ARIA_API_TOKEN`` is set; or a limit is out of range.
    """
    url = configured_url()
    if url is None:
        raise InvalidConfiguration(
            "only `aria-db serve` can run the embedded PostgreSQL",
            hint="Set DATABASE_URL, and unset ARIA_DB_EMBEDDED.",
        )
    found = settings.read()
    return create_app(
        Database(url, configured_schema()),
        token=found.token,
        tokens=found.known_tokens(),
        actor_header=found.actor_header,
        limits=found.limits(),
    )


def with_connect_timeout(database: Database) -> Database:
    """Return a database with a limit to how long a connection to it may take.

    :param database: the database; its own limit, or libpq's, is kept.
    """
    url = database.url
    if "connect_timeout" not in url.query and "PGCONNECT_TIMEOUT" not in os.environ:
        url = url.update_query_dict({"connect_timeout": str(CONNECT_TIMEOUT_SECONDS)})
    return replace(database, url=url)


def _engine(database: Database, limits: Limits) -> AsyncEngine:
    """Return an engine that outlives restarts of the database and can read every row."""
    engine = with_connect_timeout(database).async_engine(
        # None beyond: what overflows is closed after each use, and costs more than a request.
        pool_size=limits.connections,
        max_overflow=0,
        pool_timeout=limits.connection_timeout,
        json_deserializer=readable_json,
    )
    event.listen(engine.sync_engine, "checkout", _check_open)
    return engine


async def _only_schema(engine: AsyncEngine) -> str | None:
    """Return the only installed schema; None, for the search path of the role, if there is none.

    The server starts without a database that answers, so that is no error.
    """
    try:
        with translated():
            async with asyncio.timeout(health.TIMEOUT_SECONDS), engine.connect() as connection:
                return await connection.run_sync(only_schema)
    except (TimeoutError, DatabaseError) as error:
        _logger.warning("Could not look up the schema: %s", error or "it took too long")
        return None


def _check_open(_connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
    """Let the pool make new connections if the server has closed this one.

    Without asking the server, as pool_pre_ping does: a round trip for every request.
    """
    connection = cast(psycopg.AsyncConnection[Any], record.driver_connection)
    try:
        # The first may read no more than the server's last words.
        for _ in range(2):
            connection.pgconn.consume_input()
    except psycopg.OperationalError as error:
        raise InvalidatePoolError from error
