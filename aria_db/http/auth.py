"""The bearer token: asked for by every path, also those that do not exist."""

from __future__ import annotations

import os
import re
import secrets

from starlette.types import ASGIApp, Receive, Scope, Send

from aria_db.errors import InvalidConfiguration
from aria_db.http import problems


def configured_token() -> str | None:
    """Return ``ARIA_DB_TOKEN``, or None if it is not set.

    :raises InvalidConfiguration: only the old name ``ARIA_API_TOKEN`` is set, or the new one
        is empty beside it. A server that ignored the old name would be open to everybody.
    """
    token = os.environ.get("ARIA_DB_TOKEN")
    if not token and "ARIA_API_TOKEN" in os.environ:
        raise InvalidConfiguration(
            "ARIA_API_TOKEN was renamed: set ARIA_DB_TOKEN instead",
            hint="To serve without a token, unset ARIA_API_TOKEN.",
        )
    return token


def check_token(token: str) -> None:
    """Refuse a token that nobody could send, or that anybody could.

    :param token: the token of a server.
    :raises InvalidConfiguration: a header cannot carry it, or it is empty.
    """
    if not re.fullmatch(r"[!-~]+", token):
        raise InvalidConfiguration(
            "the API token is empty or has characters that a header cannot carry",
            hint="Use printable ASCII without spaces, for example what "
            "`openssl rand -hex 32` prints. To serve without a token, unset ARIA_DB_TOKEN.",
        )


class BearerToken:
    """ASGI middleware that lets only requests with the token through.

    In front of the routes rather than a dependency of each, so that nothing can be
    forgotten: the documentation, the health check and errors ask for it as well.

    :param app: the application behind it.
    :param token: what callers must send as ``Authorization: Bearer <token>``.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 401."""
        if scope["type"] != "http" or self._is_authorized(scope):
            await self._app(scope, receive, send)
            return
        refusal = problems.response(
            401,
            "this server asks for a bearer token",
            hint="Send the header `Authorization: Bearer <token>`.",
            headers={"WWW-Authenticate": "Bearer"},
        )
        await refusal(scope, receive, send)

    def _is_authorized(self, scope: Scope) -> bool:
        header: bytes = dict(scope["headers"]).get(b"authorization", b"")
        scheme, _, token = header.partition(b" ")
        return scheme.lower() == b"bearer" and secrets.compare_digest(token.strip(), self._token)
