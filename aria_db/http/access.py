"""Access: which roles may call a route, and who is on record for a request."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.params import Depends as Dependency

from aria_db.errors import InvalidArgument
from aria_db.http.problems import Refused
from aria_db.http.tokens import Role, Token
from aria_db.session_manager import NativeSessionManager

# Where RequireToken leaves the token of a request, and a router the manager.
SCOPE_KEY = "aria_db.token"
MANAGER_KEY = "aria_db.manager"

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
            raise Refused(
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


def acting(
    manager: NativeSessionManager, request: Request, header: str | None
) -> NativeSessionManager:
    """Return a manager that acts as the caller of a request.

    :param manager: the manager.
    :param request: the request, with its token.
    :param header: the header in which a proxy names the user; None without such a proxy.
    :raises Refused: the proxy names nobody, and the request would change something.
    """
    token = _token(request)
    name = None if token is None else token.name
    if header is None:
        return manager if name is None else manager.acting_as(name)
    try:
        return manager.acting_as(request.headers.get(header, ""))
    except InvalidArgument:
        if request.method in _SAFE_METHODS:
            return manager
        raise Refused(
            401,
            f"the header {header} must name the user; the proxy in front of this server sets it",
        ) from None


async def _manager(request: Request) -> NativeSessionManager:
    """Return the manager that the router was made with."""
    return cast(NativeSessionManager, request.scope[MANAGER_KEY])


Manager = Annotated[NativeSessionManager, Depends(_manager)]


def _token(request: Request) -> Token | None:
    return cast(Token | None, request.scope.get(SCOPE_KEY))
