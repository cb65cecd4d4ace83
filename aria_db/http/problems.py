"""Errors, all in one shape: problem details as in RFC 9457."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import sqlalchemy.exc
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from aria_db.errors import (
    Canceled,
    DatabaseError,
    DatabaseUnavailable,
    NotUpgraded,
    OutOfResources,
    PermissionDenied,
    ReadOnly,
    Retryable,
)

MEDIA_TYPE = "application/problem+json"

_logger = logging.getLogger(__name__)

_FAILED = "the server failed; its log says why"

# A request may be wrong in a million places, and the names of members are the caller's: the
# answer must not be larger than the request.
_MOST_ERRORS = 20
_LONGEST_NAME = 100

# Nothing is wrong with the request. A role without a privilege is not among them, nor
# is it 403: that would blame the caller, who cannot fix it. It is 500.
_TEMPORARY = (Retryable, Canceled, OutOfResources, DatabaseUnavailable, NotUpgraded, ReadOnly)

# The errors of the server's own whose message helps and gives nothing away.
_SHOWN_TO_CALLERS = (Retryable, Canceled, NotUpgraded, PermissionDenied, ReadOnly)

# What the first two characters of a SQLSTATE say of all others.
_STATUS_BY_CLASS = {
    "AR": 409,  # this package's own: the session or the tables forbid the move
    "22": 422,  # a value that the column cannot hold
    "23": 409,  # a constraint
    "54": 422,  # a value that is too large or too deep
    "55": 409,  # not in the state that the call needs
}


class FieldError(BaseModel):
    """What is wrong with one part of the request."""

    loc: list[str | int] = Field(description="Where: path, query or body, then the names.")
    msg: str = Field(description="What is wrong, for people.")
    type: str = Field(description="What is wrong, for programs.")


class Problem(BaseModel):
    """An error, as in RFC 9457. Members that are not known are left out."""

    type: str = Field(description="Always about:blank: status and code say which kind it is.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="The HTTP status, again.")
    detail: str = Field(description="What is wrong here.")
    code: str | None = Field(default=None, description="The SQLSTATE, where PostgreSQL says no.")
    hint: str | None = Field(default=None, description="What to do about it.")
    errors: list[FieldError] | None = Field(
        default=None,
        description=f"With 422: the parts of the request that are wrong, at most {_MOST_ERRORS}.",
    )


def response(
    status: int, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any
) -> Response:
    """Return a problem.

    :param status: the HTTP status.
    :param detail: what is wrong here.
    :param headers: headers of the answer.
    :param more: ``code``, ``hint`` and ``errors``; None leaves one out.
    """
    members = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **{name: value for name, value in more.items() if value is not None},
    }
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers = {"Retry-After": "1", **(headers or {})}
    return Response(json.dumps(members), status, headers, MEDIA_TYPE)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the error answers of a route, for OpenAPI.

    :param statuses: which of the answers below it gives.
    """
    return {
        status: {
            "model": Problem,
            "description": description,
            "content": {
                "application/json": {
                    "example": {
                        "type": "about:blank",
                        "title": HTTPStatus(status).phrase,
                        "status": status,
                        **example,
                    }
                }
            },
        }
        for status in statuses
        for description, example in [_DOCUMENTED[status]]
    }


_SESSION = "0198c0de-5e55-7000-8000-000000000001"
_DOCUMENTED: dict[int, tuple[str, dict[str, Any]]] = {
    400: ("The body cannot be read.", {"detail": "There was an error parsing the body"}),
    401: (
        "The token is missing or wrong.",
        {"detail": "this server asks for a token"},
    ),
    403: (
        "The token's role may not do this.",
        {"detail": "the token's role is reader; this needs a token of the role app or operator"},
    ),
    404: ("There is no such session, hold or run.", {"detail": f"Session {_SESSION} not found"}),
    409: (
        "The session is on hold (AR003), is live and archived (AR001), or a column would be lost "
        "(AR002); nothing was done to it.",
        {
            "detail": f"session {_SESSION} is live and archived, "
            "and its row is not the same in both",
            "code": "AR001",
            "hint": "Nothing was moved. `aria-db conflicts` (engine_session_conflict, "
            "resolve_session_conflict()) shows what differs and merges the two.",
        },
    ),
    408: ("The body took too long to arrive.", {"detail": "the body took longer than 30 s"}),
    413: (
        "The body is too large.",
        {"detail": "the body is larger than 10485760 bytes"},
    ),
    415: ("The body is not JSON.", {"detail": "the body must be sent as application/json"}),
    422: (
        "A part of the request is malformed or out of range.",
        {
            "detail": "limit: Input should be less than or equal to 500",
            "errors": [
                {
                    "loc": ["query", "limit"],
                    "msg": "Input should be less than or equal to 500",
                    "type": "less_than_equal",
                }
            ],
        },
    ),
    500: (
        "The server's fault; its log says more. The database role of the server may lack a "
        "privilege.",
        {"detail": _FAILED},
    ),
    503: (
        "The database cannot be reached, is not upgraded, or the work collided with other "
        "work. Retry-After says when to try again.",
        {
            "detail": "the database is not available",
            "hint": DatabaseUnavailable.default_hint,
        },
    ),
}


class Refused(HTTPException):
    """A request that this package refuses: a problem in any application, with this status.

    Another :class:`HTTPException` in a route is one of the application's, and its to answer.
    """


def of(error: Exception) -> Response | None:
    """Return the problem that answers an exception; None for one that is not this package's.

    :param error: what was raised in a route.
    """
    match error:
        case Refused():
            return response(error.status_code, error.detail, headers=error.headers)
        case RequestValidationError():
            return _of_invalid_request(error)
        case DatabaseError():
            return _of_database_error(error)
        case sqlalchemy.exc.TimeoutError():
            _logger.error("%s", error)
            return response(503, "all connections to the database are in use")
    return None


def install(app: FastAPI) -> None:
    """Let an application answer every error with a problem, those outside the routes as well.

    :param app: the application.
    """

    @app.exception_handler(HTTPException)
    async def on_http_exception(_: Request, error: HTTPException) -> Response:
        return response(error.status_code, error.detail, headers=error.headers)

    @app.exception_handler(Exception)
    async def on_failure(_: Request, error: Exception) -> Response:
        # Starlette raises it again, and uvicorn writes it to the log.
        return response(500, _FAILED)


def _of_invalid_request(error: RequestValidationError) -> Response:
    # FastAPI hands on as bytes what was not sent as JSON.
    if isinstance(error.body, bytes):
        return response(415, "the body must be sent as application/json")
    # Without the input: it may be large, or nothing that JSON can say.
    parts = error.errors()
    errors = [
        {"loc": [_short(step) for step in part["loc"]], "msg": part["msg"], "type": part["type"]}
        for part in parts[:_MOST_ERRORS]
    ]
    details = [f"{'.'.join(map(str, part['loc']))}: {part['msg']}" for part in errors]
    if len(parts) > _MOST_ERRORS:
        details.append(f"and {len(parts) - _MOST_ERRORS} more")
    return response(422, "; ".join(details), errors=errors)


def _of_database_error(error: DatabaseError) -> Response:
    status = 503 if isinstance(error, _TEMPORARY) else _status_of(error.sqlstate)
    if status < 500:
        return response(status, error.message, code=error.sqlstate, hint=error.hint)
    _logger.error("%s", error.message, exc_info=error if status == 500 else None)
    if isinstance(error, _SHOWN_TO_CALLERS):
        detail, hint = error.message, error.hint
    elif status == 503:
        detail, hint = "the database is not available", error.default_hint
    else:
        detail, hint = _FAILED, None
    return response(status, detail, code=error.sqlstate, hint=hint)


def _short(step: int | str) -> int | str:
    return step[:_LONGEST_NAME] if isinstance(step, str) else step


def _status_of(sqlstate: str | None) -> int:
    return _STATUS_BY_CLASS.get((sqlstate or "")[:2], 500)
