"""Bodies of requests that are too large or too slow."""

from __future__ import annotations

import asyncio

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aria_db.http.limits import Limits

# The rest of a refused body is of no use, and the next request would stand behind it.
_CLOSE = {"Connection": "close"}


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
                raise self._too_large()  # before the client is told to go on and send it
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
