"""The files of ``sql/``: one per version of a table, view, function or procedure.

``sql/<topic>/<name>_v<NN>.sql`` creates version NN of the object. A released file never changes.
:mod:`aria_db.install.operations` installs these files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, cast

import sqlalchemy as sa

from aria_db.install import resources

Kind = Literal["function", "procedure", "table", "view"]

CHAT_TABLES = (
    "engine_chat_sessions",
    "engine_chat_messages",
    "engine_chat_session_archive",
    "engine_chat_message_archive",
)
"""The application's tables, in the order in which the moves lock them."""

_FILE_NAME = re.compile(r"(?P<name>\w+)_v(?P<version>\d{2,})\.sql")
_CREATE = re.compile(r"^CREATE (?:OR REPLACE )?(FUNCTION|PROCEDURE|TABLE|VIEW)\b", re.MULTILINE)
_REPLACE = re.compile(r"^CREATE OR REPLACE\b", re.MULTILINE)
# Every object has a comment, and the comment names it by what tells it from all others.
_COMMENT = re.compile(
    r"^COMMENT ON (?:FUNCTION|PROCEDURE|TABLE|VIEW) (\w+)\s*(\([^)]*\))?\s+IS\b", re.MULTILINE
)


@dataclass(frozen=True)
class SqlObject:
    """One version of an object in ``sql/``.

    :param name: the object's unqualified name.
    :param version: its version, counted from 1.
    :param path: the file.
    """

    name: str
    version: int
    path: Path

    @cached_property
    def text(self) -> str:
        """The statements of the file."""
        return self.path.read_text("utf-8")

    @cached_property
    def kind(self) -> Kind:
        """What the file creates."""
        match = _CREATE.search(self.text)
        if match is None:
            raise ValueError(f"{self.path} creates no function, procedure, table or view")
        return cast(Kind, match[1].lower())

    @cached_property
    def signatures(self) -> tuple[str, ...]:
        """What tells the object from all others: of a function, its name and argument types.

        Several where a function has grown.
        """
        signatures = tuple(name + arguments for name, arguments in _COMMENT.findall(self.text))
        creations = len(_CREATE.findall(self.text))
        if len(signatures) != creations:
            raise ValueError(
                f"{self.path} has {creations} CREATE statements and {len(signatures)} comments; "
                "each object needs a COMMENT ON that names it with its argument types"
            )
        return signatures

    def creation(self, new: Iterable[str]) -> str:
        """Return the statements, such that an object that is new replaces nothing.

        :param new: those of :attr:`signatures` that must not exist yet.
        """
        new = set(new)
        signatures = iter(self.signatures)
        return _REPLACE.sub(
            lambda match: "CREATE" if next(signatures) in new else match[0], self.text
        )


def files() -> dict[tuple[str, int], Path]:
    """Return the file of every version of every object, by name and version.

    :raises ValueError: a file is not named ``<object>_v<NN>.sql``, or two have the same name.
    """
    found: dict[tuple[str, int], Path] = {}
    for file in sorted(resources.SQL.rglob("*.sql")):
        if file.parent.name in resources.SCRIPTS:
            continue
        match = _FILE_NAME.fullmatch(file.name)
        if match is None:
            raise ValueError(f"{file} is not named <object>_v<NN>.sql")
        key = match["name"], int(match["version"])
        if key in found:
            raise ValueError(f"{file} and {found[key]} are the same version of one object")
        found[key] = file
    return found


def find(name: str, version: int) -> SqlObject:
    """Return one version of an object.

    :param name: the object's unqualified name.
    :param version: its version, counted from 1.
    :raises FileNotFoundError: there is no such file.
    """
    path = files().get((name, version))
    if path is None:
        raise FileNotFoundError(f"no folder of {resources.SQL} has {name}_v{version:02}.sql")
    return SqlObject(name, version, path)


def newest() -> dict[str, SqlObject]:
    """Return the newest version of every object, by name."""
    versions: dict[str, SqlObject] = {}
    for (name, version), path in files().items():
        if name not in versions or version > versions[name].version:
            versions[name] = SqlObject(name, version, path)
    return versions


def verbatim(statements: str) -> sa.DDL:
    """Return statements that reach the database as they are written.

    :func:`sqlalchemy.text` would read ``:name`` as a parameter and take backslashes
    away; all that :class:`sqlalchemy.DDL` does is to format with ``%``.

    :param statements: SQL, any number of statements.
    """
    return sa.DDL(statements.replace("%", "%%"))  # type: ignore[no-untyped-call]
