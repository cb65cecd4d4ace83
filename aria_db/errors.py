"""One exception per error that the SQL functions raise, and their common causes.

PostgreSQL sends a SQLSTATE, a message and often a HINT. :func:`translated` turns
what SQLAlchemy makes of them into one of these, and keeps all three. The driver may be
psycopg, psycopg2 or asyncpg::

    try:
        with translated():
            row = session.execute(functions.archive_session(session_id)).one_or_none()
    except SessionConflict as error:
        print(error.message, error.hint)
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, NamedTuple

from sqlalchemy.exc import DBAPIError, OperationalError


class AriaError(Exception):
    """What every error of this package is.

    :param message: what is wrong, naming the thing.
    :param sqlstate: PostgreSQL's code for it, if it came from there.
    :param detail: PostgreSQL's DETAIL, if any.
    :param hint: what to do about it, if known.
    """

    def __init__(
        self,
        message: str,
        *,
        sqlstate: str | None = None,
        detail: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.sqlstate = sqlstate
        self.detail = detail
        self.hint = hint


class InvalidConfiguration(AriaError):
    """The settings of this package cannot be used."""


class DatabaseError(AriaError):
    """An error that PostgreSQL reported and that has no class of its own."""

    default_hint: ClassVar[str | None] = None


class SessionConflict(DatabaseError):
    """AR001: the session is in both places, with rows that the call must not choose between."""


class ColumnDrift(DatabaseError):
    """AR002: a column would not be archived faithfully; nothing moved."""


class SessionHeld(DatabaseError):
    """AR003: the session is on hold; nothing was moved or deleted."""


class AdoptionRefused(DatabaseError):
    """AR004: the chat tables cannot be adopted as they are; nothing was changed."""


class DependentRows(DatabaseError):
    """AR005: rows of other tables refer to the session; nobody said what becomes of them."""


class RowsChanged(DatabaseError):
    """AR006: a trigger or rule kept, changed or redirected rows; nothing was done."""


class RowRefused(DatabaseError):
    """AR007: a constraint of the destination refuses a row; nothing moved."""


class NameTaken(DatabaseError):
    """42P07, 42723: something else has the name of an object of this package."""

    default_hint = (
        "Nothing was changed. Rename what has the name, or install into another schema: "
        "--schema NAME."
    )


class InvalidArgument(DatabaseError):
    """22023: an argument of a function is out of its range; nothing was done."""


class UnsuitableEncoding(DatabaseError):
    """22P05, 22021: the database's encoding has no such character; nothing was done."""

    default_hint = "The encoding of the database lacks this character. UTF8 has all characters."


class WrongState(DatabaseError):
    """55000: something is not in the state that the call needs; nothing was done."""


class PermissionDenied(DatabaseError):
    """42501: the role may not call the function or read the view."""

    default_hint = (
        "Connect as a role that may, or let the owner GRANT EXECUTE on the function "
        "(SELECT on the view)."
    )


class NotUpgraded(DatabaseError):
    """42883, 42P01, 3F000: a function, table or schema of this package is not there."""

    default_hint = (
        "Run `aria-db upgrade`; if it is installed in a schema of its own, set ARIA_DB_SCHEMA."
    )


class Retryable(DatabaseError):
    """40001, 40P01, 55P03: the work collided with other work; try again."""

    default_hint = "Nothing was done. Try again."


class Canceled(DatabaseError):
    """57014, 25P04: a timeout of the server, or somebody's ``pg_cancel_backend``, stopped it.

    Not a :class:`Retryable`: somebody stopped it on purpose.
    """

    default_hint = (
        "Nothing was done. If it took longer than statement_timeout or transaction_timeout "
        "allows, allow more or do less at a time."
    )


class OutOfResources(DatabaseError):
    """53xxx: the server is short of disk, memory or something else that its DBA can give."""

    default_hint = (
        "Nothing was done. PostgreSQL's log says what is short; try again when it is not."
    )


class ReadOnly(DatabaseError):
    """25006: the database is read-only: a hot standby, or set so by its DBA."""

    default_hint = (
        "Nothing was done. Connect to the primary, or let the DBA switch "
        "default_transaction_read_only off."
    )


class DatabaseUnavailable(DatabaseError):
    """08xxx, 57Pxx, 53300, a refused login or no answer at all: it cannot be reached."""

    default_hint = "Check that PostgreSQL runs and that DATABASE_URL (or PGHOST, ...) names it."


_BY_SQLSTATE: dict[str, type[DatabaseError]] = {
    "AR001": SessionConflict,
    "AR002": ColumnDrift,
    "AR003": SessionHeld,
    "AR004": AdoptionRefused,
    "AR005": DependentRows,
    "AR006": RowsChanged,
    "AR007": RowRefused,
    "42P07": NameTaken,
    "42723": NameTaken,
    "22023": InvalidArgument,
    "22021": UnsuitableEncoding,
    "22P05": UnsuitableEncoding,
    "25006": ReadOnly,
    "55000": WrongState,
    "25P04": Canceled,
    "42501": PermissionDenied,
    "42883": NotUpgraded,
    "42P01": NotUpgraded,
    "28000": DatabaseUnavailable,
    "28P01": DatabaseUnavailable,
    "3D000": DatabaseUnavailable,
    "3F000": NotUpgraded,
    "40001": Retryable,
    "40P01": Retryable,
    "55P03": Retryable,
    "53000": OutOfResources,
    "53100": OutOfResources,
    "53200": OutOfResources,
    "53300": DatabaseUnavailable,
    "53400": OutOfResources,
    "57014": Canceled,
    "57P01": DatabaseUnavailable,
    "57P02": DatabaseUnavailable,
    "57P03": DatabaseUnavailable,
    "57P04": DatabaseUnavailable,
    "57P05": DatabaseUnavailable,
}


class _Report(NamedTuple):
    """What PostgreSQL reported of an error; all None if the driver failed by itself."""

    sqlstate: str | None
    message: str | None
    detail: str | None
    hint: str | None


def _report_of(original: BaseException | None) -> _Report:
    """Read the report from the exception of a driver: psycopg, psycopg2 or asyncpg."""
    diagnostic = getattr(original, "diag", None)
    if diagnostic is not None:
        return _Report(
            diagnostic.sqlstate,
            diagnostic.message_primary,
            diagnostic.message_detail,
            diagnostic.message_hint,
        )
    # SQLAlchemy raises an exception of its own from asyncpg's.
    return _report_of_asyncpg(getattr(original, "__cause__", None))


def _report_of_asyncpg(original: BaseException | None) -> _Report:
    names = ("sqlstate", "message", "detail", "hint")
    return _Report(*(getattr(original, name, None) for name in names))


def from_dbapi(error: DBAPIError) -> DatabaseError:
    """Return the exception of this package for an error that SQLAlchemy raised.

    :param error: what SQLAlchemy raised; ``error.orig`` is that of psycopg, psycopg2 or asyncpg.
    """
    is_broken = isinstance(error, OperationalError) or error.connection_invalidated
    return _from_report(_report_of(error.orig), str(error.orig), is_broken)


def _from_report(report: _Report, text: str, is_broken: bool) -> DatabaseError:
    sqlstate, message, detail, hint = report
    if sqlstate in _BY_SQLSTATE:
        kind = _BY_SQLSTATE[sqlstate]
    elif is_broken and (sqlstate is None or sqlstate.startswith("08")):
        kind = DatabaseUnavailable
    else:
        kind = DatabaseError
    if hint is None or kind is NotUpgraded:  # PostgreSQL's own would be about type casts
        hint = kind.default_hint
    return kind(message or text, sqlstate=sqlstate, detail=detail, hint=hint)


@contextmanager
def translated() -> Iterator[None]:
    """Raise the exceptions of this package instead of SQLAlchemy's.

    :raises DatabaseError: or the subclass for the SQLSTATE.
    """
    try:
        yield
    except DBAPIError as error:
        raise from_dbapi(error) from error
    # SQLAlchemy does not wrap what asyncpg raises while it connects.
    except ConnectionError as error:
        hint = DatabaseUnavailable.default_hint
        raise DatabaseUnavailable(str(error), hint=hint) from error
    except Exception as error:
        asyncpg = sys.modules.get("asyncpg")
        if asyncpg is None or not isinstance(error, asyncpg.PostgresError):
            raise
        raise _from_report(_report_of_asyncpg(error), str(error), is_broken=True) from error
