"""Alembic operations that install a version of a file in ``sql/``.

A function, procedure or view is one file per version,
``sql/<kind>s/<name>_v<NN>.sql``, and a file that was released never changes. A
revision names the version; the operation reads the file, online and with
``--sql`` alike, and knows its inverse, so that a downgrade is the upgrade read
backwards::

    OPERATIONS = [
        CreateSqlObject("function", "archive_session", 1),
        ReplaceSqlObject("view", "engine_chat_session_list", 2),
    ]


    def upgrade() -> None:
        for operation in OPERATIONS:
            op.invoke(operation)


    def downgrade() -> None:
        for operation in reversed(OPERATIONS):
            op.invoke(operation.reverse())
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import sqlalchemy as sa
from alembic.operations import MigrateOperation, Operations
from alembic.script import ScriptDirectory

from aria_db import resources

Kind = Literal["function", "procedure", "view"]

_FILE_NAME = re.compile(r"(?P<name>\w+)_v(?P<version>\d{2,})\.sql")


def path(kind: Kind, name: str, version: int) -> Path:
    """Return the file of one version of an object.

    :param kind: ``function``, ``procedure`` or ``view``.
    :param name: the object's unqualified name.
    :param version: its version, counted from 1.
    """
    return resources.SQL / f"{kind}s" / f"{name}_v{version:02}.sql"


def newest(kind: Kind) -> dict[str, int]:
    """Return the newest version of every object of a kind, by name."""
    versions: dict[str, int] = {}
    for file in (resources.SQL / f"{kind}s").glob("*.sql"):
        match = _FILE_NAME.fullmatch(file.name)
        if match is None:
            raise ValueError(f"{file} is not named <object>_v<NN>.sql")
        name, version = match["name"], int(match["version"])
        versions[name] = max(version, versions.get(name, 0))
    return versions


def at_head(scripts: ScriptDirectory) -> list[CreateSqlObject | ReplaceSqlObject]:
    """Return the operations that installed what is there at the newest revision, in order.

    :param scripts: the revisions.
    """
    installed: dict[tuple[Kind, str], CreateSqlObject | ReplaceSqlObject] = {}
    for script in reversed(list(scripts.walk_revisions())):
        for operation in getattr(script.module, "OPERATIONS", ()):
            installed.pop((operation.kind, operation.name), None)
            if not isinstance(operation, DropSqlObject):
                installed[operation.kind, operation.name] = operation
    return list(installed.values())


def verbatim(statements: str) -> sa.DDL:
    """Return statements that reach the database as they are written.

    :func:`sqlalchemy.text` would read ``:name`` as a parameter and take backslashes
    away; all that :class:`sqlalchemy.DDL` does is to format with ``%``.

    :param statements: SQL, as many statements as you like.
    """
    return sa.DDL(statements.replace("%", "%%"))  # type: ignore[no-untyped-call]


class SqlObjectOperation(MigrateOperation):
    """What the operations on one version of an SQL object have in common.

    :param kind: ``function``, ``procedure`` or ``view``.
    :param name: the object's unqualified name; the revision's search path says
        in which schema it is.
    :param version: the version to create, to replace the one before with, or to
        drop.
    """

    def __init__(self, kind: Kind, name: str, version: int) -> None:
        self.kind: Kind = kind
        self.name = name
        self.version = version

    @property
    def path(self) -> Path:
        """The file of this version."""
        return path(self.kind, self.name, self.version)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), self.kind, self.name, self.version))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.kind!r}, {self.name!r}, {self.version})"


class CreateSqlObject(SqlObjectOperation):
    """Create an object that is not there yet.

    Where something of the same name is there, it is not this package's: the operation
    fails (42P07, 42723) and does not replace it.
    """

    def reverse(self) -> DropSqlObject:
        """Return the operation that drops the same version."""
        return DropSqlObject(self.kind, self.name, self.version)


class DropSqlObject(SqlObjectOperation):
    """Drop an object. The version is what the inverse creates again."""

    def reverse(self) -> CreateSqlObject:
        """Return the operation that creates the same version."""
        return CreateSqlObject(self.kind, self.name, self.version)


class ReplaceSqlObject(SqlObjectOperation):
    """Replace one version with the next, keeping the object's privileges.

    The file says ``CREATE OR REPLACE``, so the arguments and the result stay as
    they are (a view may grow by columns at its end).

    :param kind: ``function``, ``procedure`` or ``view``.
    :param name: the object's unqualified name.
    :param version: the version to install.
    :param replaces: the version that is installed; the one before by default.
    """

    def __init__(self, kind: Kind, name: str, version: int, replaces: int | None = None) -> None:
        super().__init__(kind, name, version)
        self.replaces = version - 1 if replaces is None else replaces

    def reverse(self) -> ReplaceSqlObject:
        """Return the operation that brings the replaced version back."""
        return ReplaceSqlObject(self.kind, self.name, self.replaces, replaces=self.version)


@Operations.implementation_for(CreateSqlObject)
def _create(operations: Operations, operation: CreateSqlObject) -> None:
    text = operation.path.read_text("utf-8")
    operations.execute(verbatim(text.replace("CREATE OR REPLACE", "CREATE", 1)))


@Operations.implementation_for(ReplaceSqlObject)
def _replace(operations: Operations, operation: ReplaceSqlObject) -> None:
    operations.execute(verbatim(operation.path.read_text("utf-8")))


@Operations.implementation_for(DropSqlObject)
def _drop(operations: Operations, operation: DropSqlObject) -> None:
    operations.execute(f"DROP {operation.kind.upper()} {operation.name}")
