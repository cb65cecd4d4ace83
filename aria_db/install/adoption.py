"""Adopt the chat tables that a database has already: what it takes, and doing it.

The SQL is in ``sql/adoption``: functions in ``pg_temp`` that look, and a script that executes
what they found. ``migrations/env.py`` runs it before the revisions, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from alembic import command

from aria_db.database import DEFAULT_SCHEMA, quoted
from aria_db.install import migrate, resources
from aria_db.install.sql_objects import verbatim


@dataclass(frozen=True)
class AdoptionStep:
    """A finding about the tables of a database that is to be adopted.

    :param kind: ``layout`` and ``source`` say what was found and where; ``untouched``
        what stays as it is; ``advice`` what would help; ``problem`` why the adoption is
        impossible; ``lock`` and ``step`` what it does.
    :param object: the table, view or schema.
    :param description: what is so, or will be done.
    :param remedy: for a problem, what to do about it.
    :param statement: the SQL, where there is one.
    """

    kind: Literal["layout", "source", "untouched", "advice", "problem", "lock", "step"]
    object: str
    description: str
    remedy: str | None
    statement: str | None


@dataclass(frozen=True)
class AdoptionPlan:
    """What it takes to archive in a database that has chat tables already.

    :param steps: every finding, in order.
    """

    steps: tuple[AdoptionStep, ...]

    @property
    def layout(self) -> str | None:
        """``A``: tables of the application elsewhere; ``B``: under the names of this package."""
        return self._object_of("layout")

    @property
    def source(self) -> str | None:
        """The schema of the tables."""
        return self._object_of("source")

    @property
    def problems(self) -> tuple[AdoptionStep, ...]:
        """Why the adoption is impossible; empty when it is possible."""
        return tuple(step for step in self.steps if step.kind == "problem")

    def _object_of(self, kind: str) -> str | None:
        return next((step.object for step in self.steps if step.kind == kind), None)


def adopt(
    connection: sa.Connection,
    source: str | None = None,
    schema: str | None = None,
    revision: str = "head",
) -> None:
    """Adopt the chat tables of a database and upgrade it, in one transaction.

    Done again after the application has changed its tables, it brings archives and
    views up to date.

    :param connection: a connection to the database, as the owner of the tables.
    :param source: the schema of the application's tables; by default the only one there is.
    :param schema: the schema to install into.
    :param revision: the revision to upgrade to.
    :raises sqlalchemy.exc.DBAPIError: with SQLSTATE AR004, the tables cannot be adopted as
        they are; with 55P03, a lock was not granted in time. Nothing was changed.
    """
    configuration = migrate.config(connection, schema, chat_tables="adopt", adopt_schema=source)
    command.upgrade(configuration, revision)


def plan(
    connection: sa.Connection, source: str | None = None, schema: str | None = None
) -> AdoptionPlan:
    """Return what :func:`adopt` would do. Nothing is changed; no lock is kept.

    :param connection: a connection to the database that is in no transaction.
    :param source: the schema of the application's tables; by default the only one there is.
    :param schema: the schema to install into.
    """
    target = schema or DEFAULT_SCHEMA
    *functions, _ = scripts()
    with connection.begin() as transaction:
        path = f"{quoted(target)}, pg_temp"
        connection.execute(sa.select(sa.func.set_config("search_path", path, True)))
        for statements in functions:
            connection.execute(verbatim(statements))
        found = sa.func.pg_temp.adoption_plan(source, target).table_valued(
            "kind", "object", "description", "remedy", "statement"
        )
        rows = connection.execute(sa.select(found)).all()
        transaction.rollback()
    return AdoptionPlan(tuple(AdoptionStep(*row) for row in rows))


def parse_x_argument(text: str) -> tuple[migrate.ChatTables, str | None]:
    """Return what ``alembic -x adopt=...`` asks for.

    :param text: what follows the equals sign: the schema whose chat tables are adopted;
        empty for the only one that has some; ``none`` to create others beside them. A
        schema of that name is adopted with ``aria-db adopt none``.
    :return: the arguments ``chat_tables`` and ``adopt_schema`` of
        :func:`aria_db.install.migrate.config`.
    """
    if text == "none":
        return "beside", None
    return "adopt", text or None


def scripts() -> Iterator[str]:
    """Give the SQL of the adoption: the functions that look, and last what executes."""
    for file in sorted((resources.SQL / "adoption").glob("*.sql")):
        yield file.read_text("utf-8")
