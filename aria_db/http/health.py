"""The health check: does the database answer, and is it at the newest revision."""

from __future__ import annotations

import asyncio
import logging

from fastapi import APIRouter, Request, Response
from sqlalchemy.ext.asyncio import AsyncEngine

from aria_db import migrate
from aria_db.errors import DatabaseError, DatabaseUnavailable, NotUpgraded, translated
from aria_db.http import schemas

# Shorter than the patience of what asks: Docker's and Kubernetes' probes.
TIMEOUT_SECONDS = 3.0

_logger = logging.getLogger(__name__)

router = APIRouter()


@router.get(
    "/health",
    tags=["health"],
    summary="Tell whether the server can work",
    responses={
        503: {
            "model": schemas.Health,
            "description": "The database does not answer or is not at the newest revision.",
            "content": {
                "application/json": {
                    "example": {
                        "status": "not upgraded",
                        "database": "ok",
                        "revision": "0001",
                        "newest": "0002",
                        "hint": NotUpgraded.default_hint,
                    }
                }
            },
        }
    },
    response_model_exclude_unset=True,
)
async def health(request: Request, response: Response) -> schemas.Health:
    """Ask the database for its revision, and answer within a few seconds at any rate."""
    found = await _look(request.state.engine, request.state.schema)
    if found.status != "ok":
        response.status_code = 503
    return found


async def _look(engine: AsyncEngine, schema: str | None) -> schemas.Health:
    try:
        with translated():
            async with asyncio.timeout(TIMEOUT_SECONDS), engine.connect() as connection:
                found = await connection.run_sync(migrate.status, schema)
    except (TimeoutError, DatabaseUnavailable) as error:
        # The message of a failed connection names hosts and roles: for the log.
        _logger.error("%s", error or f"the database did not answer in {TIMEOUT_SECONDS:g} s")
        return schemas.Health(
            status="unavailable", database="unavailable", hint=DatabaseUnavailable.default_hint
        )
    except DatabaseError as error:
        return schemas.Health(
            status="unavailable", database="ok", hint=f"{error.message}. {error.hint or ''}".strip()
        )
    # While a deploy rolls, this program works on what the next release has installed.
    if found.is_newest or found.is_ahead:
        return schemas.Health(
            status="ok", database="ok", revision=found.current, newest=found.newest
        )
    return schemas.Health(
        status="not upgraded",
        database="ok",
        revision=found.current,
        newest=found.newest,
        hint=NotUpgraded.default_hint,
    )
