"""The health check: does the database answer, is it upgraded, does the archive need somebody."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field
from sqlalchemy.exc import TimeoutError as BusyPool
from sqlalchemy.ext.asyncio import AsyncEngine

from aria_db.errors import DatabaseError, DatabaseUnavailable, NotUpgraded, translated
from aria_db.http.answers import Answer
from aria_db.http.examples import example
from aria_db.install import migrate
from aria_db.session_manager import NativeSessionManager

# Shorter than the patience of what asks: Docker's and Kubernetes' probes.
TIMEOUT_SECONDS = 3.0

# Probes come every few seconds, and looking was measured to take 1.5 s where 200,000
# sessions are live.
REMEMBERED_SECONDS = 60.0

_logger = logging.getLogger(__name__)


class Figure(Answer):
    """A figure of the archive that somebody should act on."""

    figure: str = Field(description="Which figure: backlog, conflicts, drift or last_run.")
    subject: str = Field(description="The policy, table, column or kind of run that it is about.")
    # Left to right: a count stays an integer.
    value: int | float | None = Field(
        description="What was found, for programs.", union_mode="left_to_right"
    )
    unit: str = Field(description="The unit of the value.")
    reading: str = Field(description="What was found, for people.")
    remedy: str | None = Field(description="What to do.")


class Health(BaseModel):
    """Whether this server can do its work."""

    model_config = example(
        {
            "status": "ok",
            "database": "ok",
            "revision": "0002_archive",
            "newest": "0002_archive",
            "archive": "attention",
            "attention": [
                {
                    "figure": "backlog",
                    "subject": "*",
                    "value": 1200,
                    "unit": "sessions",
                    "reading": "1200 sessions are due",
                    "remedy": "Run `aria-db prune`, and check that it is scheduled.",
                }
            ],
        }
    )

    status: Literal["ok", "not upgraded", "unavailable"]
    database: Literal["ok", "unavailable"] = Field(description="Whether the database answers.")
    revision: str | None = Field(default=None, description="The database's revision.")
    newest: str | None = Field(default=None, description="The newest that this server knows.")
    hint: str | None = Field(default=None, description="What to do, if anything.")
    archive: Literal["ok", "attention"] | None = Field(
        default=None,
        description="Whether somebody should act on the archive; the server serves all the same. "
        "Left out where it was not found out: the role may not read engine_archive_health, or "
        "it took too long.",
    )
    attention: list[Figure] | None = Field(
        default=None, description="With attention: the figures, and what to do about each."
    )


_RESPONSES: dict[int | str, dict[str, Any]] = {
    503: {
        "model": Health,
        "description": "The database does not answer or is not at the newest revision.",
        "content": {
            "application/json": {
                "example": {
                    "status": "not upgraded",
                    "database": "ok",
                    "revision": "0001_chat_tables",
                    "newest": "0002_archive",
                    "hint": NotUpgraded.default_hint,
                }
            }
        },
    }
}


@dataclass(frozen=True)
class Shared:
    """What the requests of an application share.

    :param engine: its engine.
    :param schema: the schema of the tables and functions; None for the search path of the role.
    :param manager: the manager on the engine.
    :param verdict: what needs somebody in the archive.
    """

    engine: AsyncEngine
    schema: str | None
    manager: NativeSessionManager
    verdict: ArchiveVerdict


def router(connect: Callable[[], Awaitable[Shared]]) -> APIRouter:
    """Return the route of the health check.

    :param connect: gives what the requests share.
    """
    found = APIRouter()

    @found.get(
        "/health",
        tags=["health"],
        summary="Tell whether the server can work",
        responses=_RESPONSES,
        response_model_exclude_unset=True,
    )
    async def health(response: Response) -> Health:
        """Ask the database, and answer within a few seconds at any rate.

        `archive` is for people: it does not change the status.
        """
        deadline = asyncio.get_running_loop().time() + TIMEOUT_SECONDS
        shared = await connect()
        answer = await _look(shared.engine, shared.schema, deadline)
        if answer.status == "ok":
            # A backlog is no reason to take a server out of service: the status stays 200.
            return answer.model_copy(update=await shared.verdict.members(deadline))
        response.status_code = 503
        return answer

    return found


async def _look(engine: AsyncEngine, schema: str | None, deadline: float) -> Health:
    try:
        with translated():
            async with asyncio.timeout_at(deadline), engine.connect() as connection:
                found = await connection.run_sync(migrate.status, schema)
    except (TimeoutError, BusyPool, DatabaseUnavailable) as error:
        # The message of a failed connection names hosts and roles: for the log.
        _logger.error("%s", str(error) or f"the database did not answer in {TIMEOUT_SECONDS:g} s")
        return Health(
            status="unavailable", database="unavailable", hint=DatabaseUnavailable.default_hint
        )
    except DatabaseError as error:
        return Health(
            status="unavailable", database="ok", hint=f"{error.message}. {error.hint or ''}".strip()
        )
    # While a deploy rolls, this program works on what the next release has installed.
    if found.is_newest or found.is_ahead:
        return Health(status="ok", database="ok", revision=found.current, newest=found.newest)
    return Health(
        status="not upgraded",
        database="ok",
        revision=found.current,
        newest=found.newest,
        hint=migrate.UNRELEASED_REMEDY if found.is_unreleased else NotUpgraded.default_hint,
    )


class ArchiveVerdict:
    """What needs somebody in the archive, remembered for :data:`REMEMBERED_SECONDS`.

    :param manager: who looks.
    """

    def __init__(self, manager: NativeSessionManager) -> None:
        self._manager = manager
        self._members: dict[str, Any] = {}
        self._good_until = 0.0

    async def members(self, deadline: float) -> dict[str, Any]:
        """Return the members of the answer; none if they cannot be had, or not in time.

        :param deadline: until when it may take, by the clock of the event loop.
        """
        now = asyncio.get_running_loop().time()
        if now >= self._good_until:
            self._members = await self._look(deadline)
            self._good_until = now + REMEMBERED_SECONDS
        return self._members

    async def _look(self, deadline: float) -> dict[str, Any]:
        try:
            async with asyncio.timeout_at(deadline):
                figures = await self._manager.check_health()
        except (TimeoutError, BusyPool, DatabaseError) as error:
            _logger.warning("the archive was not looked at: %s", error or "it took too long")
            return {}
        attention = [Figure.model_validate(row) for row in figures if not row.is_ok]
        return {"archive": "attention", "attention": attention} if attention else {"archive": "ok"}
