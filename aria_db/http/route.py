"""Routes that answer errors with problems, and refuse parameters that they do not have."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any, TypeVar

from fastapi import APIRouter, Depends, Request, Response, params
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel

from aria_db.http import problems


class Route(APIRoute):
    """A route of this package, in an application of its own or in another one."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what handles a request; FastAPI calls this once."""
        handle = super().get_route_handler()

        async def handle_with_problems(request: Request) -> Response:
            try:
                return await handle(request)
            except Exception as error:
                if (answer := problems.of(error)) is None:
                    raise
                return answer

        return handle_with_problems


async def _refuse_unknown_parameters(request: Request) -> None:
    """Refuse parameters that the route does not have: it would ignore what somebody meant.

    A dependency, so that the application's own ones, which sign the caller in, come first.

    :raises RequestValidationError: there is one.
    """
    if request.query_params:
        _refuse_unknown(request, sorted(set(_parameters(_dependant_of(request)))))


def _dependant_of(request: Request) -> Dependant:
    """Return what the route of a request depends on, in the application that has included it.

    Newer versions of FastAPI do not copy an included route: what the application adds is in the
    scope of the request.
    """
    included = request.scope.get("fastapi", {}).get("effective_route_context")
    route: APIRoute = request.scope["route"]
    return getattr(included, "dependant", None) or route.dependant


Function = TypeVar("Function", bound=Callable[..., Any])


class Calls:
    """The calls of an API, which any number of routers can have.

    :param aliases: other names of first parts of paths, which are not in OpenAPI.
    """

    def __init__(self, aliases: Mapping[str, str]) -> None:
        self._aliases = aliases
        self._declared: list[tuple[str, Callable[..., Any], dict[str, Any]]] = []

    def __call__(self, method: str, path: str, **options: Any) -> Callable[[Function], Function]:
        """Return a decorator that declares a function as a call.

        :param method: the HTTP method.
        :param path: the path behind the prefix of the router.
        :param options: of :meth:`fastapi.APIRouter.add_api_route`.
        """

        def declared(function: Function) -> Function:
            self._declared.append((path, function, {"methods": [method], **options}))
            return function

        return declared

    def router(self, *dependencies: params.Depends, **options: Any) -> APIRouter:
        """Return a new router that has the calls, in the order in which they were declared.

        :param dependencies: what each call depends on.
        :param options: of :class:`fastapi.APIRouter`.
        """
        found = APIRouter(
            route_class=Route,
            dependencies=[Depends(_refuse_unknown_parameters), *dependencies],
            **options,
        )
        for path, function, more in self._declared:
            found.add_api_route(path, function, **more)
            for name, alias in self._aliases.items():
                if f"{path}/".startswith(f"{name}/"):
                    other = alias + path.removeprefix(name)
                    found.add_api_route(other, function, include_in_schema=False, **more)
        return found


def _parameters(dependant: Dependant) -> Iterator[str]:
    """Yield the query parameters of a route, those of its dependencies included."""
    for parameter in dependant.query_params:
        annotation = parameter.field_info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from annotation.model_fields
        else:
            yield parameter.alias
    for dependency in dependant.dependencies:
        yield from _parameters(dependency)


def _refuse_unknown(request: Request, known: list[str]) -> None:
    errors = []
    for name in dict.fromkeys(request.query_params):
        if name in known:
            continue
        nearest = difflib.get_close_matches(name, known, 1)
        if nearest:
            remedy = f"; did you mean {nearest[0]}?"
        elif known:
            remedy = f"; there are {', '.join(known)}"
        else:
            remedy = ": this call has none"
        errors.append(
            {
                "type": "unknown_parameter",
                "loc": ("query", name),
                "msg": f"there is no such parameter{remedy}",
            }
        )
    if errors:
        raise RequestValidationError(errors)
