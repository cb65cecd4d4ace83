"""What the commands say about the revision of a database."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aria_db.database import Database
    from aria_db.install.migrate import Status


def in_words(status: Status) -> str:
    """Return which revision a database is at, and what follows from it."""
    from aria_db.install.migrate import UNRELEASED_REMEDY

    if status.is_newest:
        return f"the database is at revision {status.current}, the newest"
    if status.is_ahead:
        return f"the database is at revision {status.current}, of a later release than this"
    if status.is_unreleased:
        return (
            f"the database is at revision {status.current} of an unreleased version of aria-db. "
            f"{UNRELEASED_REMEDY}"
        )
    where = f"is at revision {status.current}" if status.current else "is not upgraded"
    return f"the database {where}; the newest is {status.newest}"


def refuse_unreleased(status: Status) -> None:
    """Raise an error, with what to do, for a database that an unreleased version installed.

    :param status: the revision that the database is at.
    :raises alembic.util.CommandError: no release had that revision.
    """
    from aria_db.install import migrate

    migrate.refuse_unreleased([] if status.current is None else [status.current])


def refuse_unreleased_database(database: Database) -> None:
    """Refuse as :func:`refuse_unreleased` does, where the role may read the revision.

    :param database: the database.
    :raises alembic.util.CommandError: it is at a revision that no release had.
    """
    from aria_db.errors import PermissionDenied, translated
    from aria_db.install import migrate

    engine = database.engine()
    try:
        with suppress(PermissionDenied), translated(), engine.connect() as connection:
            refuse_unreleased(migrate.status(connection, database.schema))
    finally:
        engine.dispose()
