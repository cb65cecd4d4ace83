"""The HTTP interface: FastAPI over :class:`aria_db.session_manager.NativeSessionManager`.

For an application of your own::

    from aria_db.http import create_app, router

The router is the routes, to include with a prefix; the application is to serve, or to mount.

``app`` makes the application, ``embedding`` the router, ``server`` runs the application, ``routes``
has the routes of the sessions, ``requests`` and ``answers`` what callers send and get, ``problems``
and ``route`` how errors are answered, ``middleware`` what every request of the application passes,
``health`` the health check, ``limits`` how much a server takes on, and ``settings`` what the
environment sets.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aria_db.http.app import create_app
    from aria_db.http.embedding import router

__all__ = ["create_app", "router"]

_MODULES = {"create_app": "aria_db.http.app", "router": "aria_db.http.embedding"}


if not TYPE_CHECKING:  # The command line needs `limits` for its help, and FastAPI for none of it.

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_MODULES[name]), name)
