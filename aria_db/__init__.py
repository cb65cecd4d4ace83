"""aria-db: archiving of AI chat sessions in PostgreSQL.

::

    from aria_db import Database, NativeSessionManager

:class:`Database`, :class:`NativeSessionManager` and the exceptions of :mod:`aria_db.errors` are
loaded when they are first used, so that ``aria-db --help`` does not wait for SQLAlchemy.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aria_db.database import Database
    from aria_db.errors import (
        AdoptionRefused,
        AriaError,
        Canceled,
        ColumnDrift,
        DatabaseError,
        DatabaseUnavailable,
        DependentRows,
        InvalidArgument,
        InvalidConfiguration,
        NameTaken,
        NotUpgraded,
        OutOfResources,
        PermissionDenied,
        ReadOnly,
        Retryable,
        RowRefused,
        RowsChanged,
        SessionConflict,
        SessionHeld,
        UnsuitableEncoding,
        WrongState,
    )
    from aria_db.session_manager import NativeSessionManager

__version__ = "0.1.0"

__all__ = [
    "AdoptionRefused",
    "AriaError",
    "Canceled",
    "ColumnDrift",
    "Database",
    "DatabaseError",
    "DatabaseUnavailable",
    "DependentRows",
    "InvalidArgument",
    "InvalidConfiguration",
    "NameTaken",
    "NativeSessionManager",
    "NotUpgraded",
    "OutOfResources",
    "PermissionDenied",
    "ReadOnly",
    "Retryable",
    "RowRefused",
    "RowsChanged",
    "SessionConflict",
    "SessionHeld",
    "UnsuitableEncoding",
    "WrongState",
]

_MODULES = {"Database": "aria_db.database", "NativeSessionManager": "aria_db.session_manager"}


if not TYPE_CHECKING:  # For a type checker, a name that is not imported above is an error.

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(_MODULES.get(name, "aria_db.errors")), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
