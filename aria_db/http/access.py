"""Access: which roles may call a route, and who is on record for a request."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, HTTPException, Request
from fastapi.params import Depends as Dependency

from aria_db.errors import InvalidArgument
from aria_db.http.tokens import Role, Token
from aria_db.session_manager import NativeSessionManager

# Where BearerToken leaves the token of a request.
SCOPE_KEY = "aria_db.token"

# These change nothing, so that no actor is recorded.
_SAFE_METHODS = ("GET", "HEAD")


class Roles:
    """A dependency of a route: it refuses tokens of other roles. Operators may call every route.

    :param roles: those that may.
    """

    def __init__(self, *roles: Role) -> None:
        self.roles = (*roles, Role.OPERATOR)

    # async, although it waits for nothing: FastAPI would run it in a thread.
    async def __call__(self, request: Request) -> None:
        """Refuse a request whose token has another role."""
        token = _token(request)
        if token is not None and token.role not in self.roles:
            allowed = " or ".join(self.roles)
            raise HTTPException(
                403, f"the token's role is {token.role}; this needs a token of the role {allowed}"
            )


def _for(*roles: Role) -> list[Dependency]:
    return [Depends(Roles(*roles))]


LISTS = _for(Role.READER, Role.SUPPORT, Role.APP)
"""For lists and figures."""

FIGURES = _for(Role.READER, Role.SUPPORT)
"""For runs and sessions that a prune left."""

TRANSCRIPTS = _for(Role.SUPPORT, Role.APP)
"""For a session, its messages and its history."""

WORK = _for(Role.APP)
"""For what the application does to sessions."""

OPERATION = _for()
"""For operators only."""


async def _manager(request: Request) -> NativeSessionManager:
    """Return the manager of a request, which acts as the caller."""
    manager = cast(NativeSessionManager, request.state.manager)
    token = _token(request)
    name = None if token is None else token.name
    if (header := request.state.actor_header) is None:
        return manager if name is None else manager.acting_as(name)
    try:
        return manager.acting_as(request.headers.get(header, ""))
    except InvalidArgument:
        if request.method in _SAFE_METHODS:
            return manager
        raise HTTPException(
            401,
            f"the header {header} must name the user; the proxy in front of this server sets it",
        ) from None


Manager = Annotated[NativeSessionManager, Depends(_manager)]


def _token(request: Request) -> Token | None:
    return cast(Token | None, request.scope.get(SCOPE_KEY))
