"""The router: the routes of the sessions for any FastAPI application, with its own manager."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Depends, Request
from sqlalchemy.ext.asyncio import AsyncEngine

from aria_db.http.access import MANAGER_KEY
from aria_db.http.problems import documented
from aria_db.http.routes import calls
from aria_db.install.schemas import for_installed_schema
from aria_db.session_manager import NativeSessionManager


def router(source: NativeSessionManager | AsyncEngine | Callable[..., Any]) -> APIRouter:
    """Return the routes of the sessions, to include in an application.

    The application brings the prefix and the authentication::

        app.include_router(
            router(engine), prefix="/api/engine/sessions", dependencies=[Depends(user)]
        )

    Errors of these routes are problems (RFC 9457). What the dependencies of the application raise
    is answered as everywhere in the application.

    :param source: a manager; or the application's asynchronous engine, with psycopg or asyncpg;
        or a dependency that gives a manager, such as one that returns ``manager.acting_as(user)``.
        With an engine, the schema is ``ARIA_DB_SCHEMA``, or else the only one in which this package
        is installed.
    """
    if isinstance(source, AsyncEngine):
        source = _manager_on(source)
    elif isinstance(source, NativeSessionManager):
        source = _always(source)

    async def provide(
        request: Request,
        manager: NativeSessionManager = Depends(source),  # noqa: B008
    ) -> None:
        request.scope[MANAGER_KEY] = manager

    return calls.router(Depends(provide), tags=["sessions"], responses=documented(500, 503))


def _always(manager: NativeSessionManager) -> Callable[[], Any]:
    # async, although it waits for nothing: FastAPI would run it in a thread.
    async def always() -> NativeSessionManager:
        return manager

    return always


def _manager_on(engine: AsyncEngine) -> Callable[[], Any]:
    """Return a dependency that looks for the schema once, at the first request."""
    found: list[NativeSessionManager] = []

    async def manager_on() -> NativeSessionManager:
        if not found:
            found.append(NativeSessionManager(await for_installed_schema(engine)))
        return found[0]

    return manager_on
