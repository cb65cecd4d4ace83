"""The ``aria-db`` command.

What a command needs is imported when it runs: ``aria-db --help`` waits for none of it.
"""

from __future__ import annotations

import signal
import sys
from io import TextIOWrapper
from types import FrameType

# The optional part of this package that a module which is not installed belongs to.
_EXTRAS = {
    "rich": "cli",
    "pydantic": "cli",
    "fastapi": "http",
    "h11": "http",
    "pydantic_settings": "http",
    "starlette": "http",
    "uvicorn": "http",
}


def main() -> None:
    """Run ``aria-db`` with the arguments of this process, and exit with its status.

    An error that a user can do something about is printed as one line and a hint.
    Anything else is a defect and keeps its traceback.
    """
    try:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                # A terminal that lacks a character shows its code instead.
                stream.reconfigure(errors="backslashreplace")
        # An orderly end, so that the embedded PostgreSQL is stopped.
        signal.signal(signal.SIGTERM, _end)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, _end)

        from aria_db.cli import (  # noqa: F401
            administration,
            adoption,
            conflicts,
            dependents,
            editing,
            holds,
            importing,
            moving,
            policies,
            privileges,
            pruning,
            serving,
            sessions,
            watching,
        )
        from aria_db.cli.base import app

        app(prog_name="aria-db")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except Exception as error:
        sys.exit(_report(error))


def _end(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


def _report(error: Exception) -> int:
    """Print an error, or raise it again if it is a defect; return the exit status."""
    if isinstance(error, ModuleNotFoundError):
        extra = _EXTRAS.get(error.name or "")
        if extra is None:
            raise error
        _print_error(f"{error.name} is not installed", f"pip install 'aria-db[{extra}]'")
        return 2
    if isinstance(error, ImportError) and "pq wrapper" in str(error):
        return _print_error(
            "psycopg finds no libpq", "Install libpq, or pip install 'psycopg[binary]'."
        )
    if isinstance(error, OSError):
        return _print_error(str(error))

    from alembic.util import CommandError
    from sqlalchemy.exc import DBAPIError

    from aria_db.embedded import EmbeddedNotInstalled, EmbeddedUnavailable
    from aria_db.errors import AriaError, InvalidConfiguration, from_dbapi

    if isinstance(error, DBAPIError):
        error = from_dbapi(error)
    match error:
        case AriaError():
            _print_error(error.message, error.hint, error.detail)
            return 2 if isinstance(error, InvalidConfiguration) else 1
        case EmbeddedNotInstalled():
            _print_error(str(error))
            return 2
        case CommandError() | EmbeddedUnavailable():
            return _print_error(str(error))
    raise error


def _print_error(message: str, hint: str | None = None, detail: str | None = None) -> int:
    for label, text in (("Error", message), ("Detail", detail), ("Hint", hint)):
        if text:
            # In one line, and without what would control the terminal.
            shown = (char if char.isprintable() else "\ufffd" for char in " ".join(text.split()))
            print(f"{label}: {''.join(shown)}", file=sys.stderr)
    return 1
