"""What every request passes before the routes: the token, the size of its body, its method."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence

from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aria_db.http import access, problems, tokens
from aria_db.http.limits import Limits

# The rest of a refused body is of no use, and the next request would wait behind it.
_CLOSE = {"Connection": "close"}


class RequireToken:
    """ASGI middleware that lets only requests with one of the tokens through.

    In front of the routes rather than a dependency of each, so that nothing can be
    forgotten: the documentation, the health check and errors ask for it as well.

    :param app: the application behind it.
    :param known: one of these callers must send, as ``Authorization: Bearer <token>`` or as
        ``X-API-Key: <token>``. A caller that sends both must send the same in both.
    """

    def __init__(self, app: ASGIApp, known: Sequence[tokens.Token]) -> None:
        self._app = app
        self._known = known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 401."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if token := self._token(scope):
            await self._app({**scope, access.SCOPE_KEY: token}, receive, send)
            return
        refusal = problems.response(
            401,
            "this server asks for a token",
            hint="Send the header `Authorization: Bearer <token>`, or `X-API-Key: <token>`.",
            headers={"WWW-Authenticate": "Bearer"},
        )
        await refusal(scope, receive, send)

    def _token(self, scope: Scope) -> tokens.Token | None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        sent = set()
        if (header := headers.get(b"authorization")) is not None:
            scheme, _, secret = header.partition(b" ")
            sent.add(secret.strip() if scheme.lower() == b"bearer" else b"")
        if (key := headers.get(b"x-api-key")) is not None:
            sent.add(key.strip())
        return tokens.find(self._known, sent.pop()) if len(sent) == 1 else None


class BodyLimits:
    """ASGI middleware that refuses bodies that are too large (413) or too slow (408).

    In the place where the application reads them, so that its answers are as all others. A
    body that is too large is read to its end and forgotten, for as long as it may take:
    most clients look for an answer only when they have sent everything.

    :param app: the application behind it.
    :param limits: the limits.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with a limited body."""
        if scope["type"] == "http":
            receive = self._limited(dict(scope["headers"]), receive)
        await self._app(scope, receive, send)

    def _limited(self, headers: dict[bytes, bytes], receive: Receive) -> Receive:
        deadline = asyncio.get_running_loop().time() + self._limits.body_timeout
        # Where the length is announced, nothing of what is too large is kept.
        is_too_large = int(headers.get(b"content-length", 0)) > self._limits.max_body
        size = 0
        is_whole = False

        async def receive_part() -> Message:
            nonlocal size, is_too_large, is_whole
            if is_too_large and b"expect" in headers:
                raise self._too_large()  # before the client gets 100 Continue
            if is_whole:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    while not is_whole:
                        message = await receive()
                        is_whole = not message.get("more_body", False)
                        size += len(message.get("body", b""))
                        is_too_large = is_too_large or size > self._limits.max_body
                        if not is_too_large:
                            return message
            except TimeoutError:
                if not is_too_large:
                    seconds = self._limits.body_timeout
                    raise HTTPException(
                        408, f"the body took longer than {seconds:g} s", _CLOSE
                    ) from None
            raise self._too_large()

        return receive_part

    def _too_large(self) -> HTTPException:
        return HTTPException(413, f"the body is larger than {self._limits.max_body} bytes", _CLOSE)


class AllowedMethods:
    """ASGI middleware that answers 405 with all methods that a path has.

    Starlette's own answer names the methods of one route, and takes ``DELETE /…/stats``
    for one of a session with a malformed id.

    :param app: the application behind it.
    :param routes: its routes by the prefix under which it has included them; the first whose path
        fits is meant.
    """

    def __init__(self, app: ASGIApp, routes: Mapping[str, Iterable[BaseRoute]]) -> None:
        self._app = app
        self._methods: dict[str, dict[re.Pattern[str], set[str]]] = {}
        for prefix, included in routes.items():
            methods = self._methods.setdefault(prefix, {})
            for route in included:
                if isinstance(route, APIRoute):
                    methods.setdefault(route.path_regex, set()).update(route.methods or ())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 405."""
        app = self._app
        if scope["type"] == "http":
            allowed = self._allowed(_path_of(scope))
            if allowed is not None and scope["method"] not in allowed:
                headers = {"Allow": ", ".join(sorted(allowed))}
                app = problems.response(405, "Method Not Allowed", headers=headers)
        await app(scope, receive, send)

    def _allowed(self, here: str) -> set[str] | None:
        """Return the methods of a path; None if there is no such path."""
        for prefix, by_path in self._methods.items():
            if here.startswith(prefix):
                for path, methods in by_path.items():
                    if path.match(here.removeprefix(prefix)):
                        return methods
        return None


class WithoutTrailingSlash:
    """ASGI middleware that takes ``/path/`` for ``/path``, instead of a redirect.

    :param app: the application behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with the path of the route."""
        if scope["type"] == "http" and len(scope["path"]) > 1:
            scope["path"] = scope["path"].removesuffix("/")
        await self._app(scope, receive, send)


def _path_of(scope: Scope) -> str:
    """Return the path of a request within this application, which may be mounted at another."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path.removeprefix(root) if path.startswith(f"{root}/") else path
