"""Adopt the chat tables that a database has already: what it takes, and doing it.

The SQL is in ``sql/adoption``: functions in ``pg_temp`` that look, and a script that executes
what they found. ``migrations/env.py`` runs it before the revisions, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import sqlalchemy as sa
from alembic import command
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory

from aria_db import functions
from aria_db.database import DEFAULT_SCHEMA, quoted
from aria_db.install import migrate, resources, sql_objects
from aria_db.install.operations import CreateSchemaIfAbsent, RevokeDefaultPrivileges, at_head
from aria_db.install.schemas import only_schema
from aria_db.install.sql_objects import verbatim
from aria_db.results import Hazard

ADOPTED_SCHEMA = "aria_db"
"""The schema of the views over an application's tables, unless another one is named."""

# The hazards that an adoption fixes.
_MADE_EQUAL = ("column drift", "stricter NOT NULL")

# What sql/installation/refuse_open_schema.sql refuses, as archive_hazards() calls it.
_OPEN_SCHEMA = "schema open to others"


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
    :param hazards: what :func:`~aria_db.functions.archive_hazards` would give afterwards, without
        differences between columns, NOT NULL among them: an adoption makes them equal, or has a
        problem with them.
    """

    steps: tuple[AdoptionStep, ...]
    hazards: tuple[Hazard, ...] = ()

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
    :param schema: the schema to install into; as for :func:`plan`.
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
    :param schema: the schema to install into; by default the one in which this package is
        installed, or else :func:`default_schema`.
    """
    with connection.begin() as transaction:
        target = schema or only_schema(connection) or default_schema(connection, source)
        path = f"{quoted(target)}, pg_temp"
        connection.execute(sa.select(sa.func.set_config("search_path", path, True)))
        _create_functions(connection)
        found = sa.func.pg_temp.adoption_plan(source, target).table_valued(
            "kind", "object", "description", "remedy", "statement"
        )
        steps = tuple(AdoptionStep(*row) for row in connection.execute(sa.select(found)))
        result = AdoptionPlan(steps)
        if not result.problems:
            is_new = not _is_installed(connection)
            hazards = _hazards(connection, result, target, is_new)
            result = replace(result, hazards=hazards)
            if is_new:
                result = _with_refusals(result)
        transaction.rollback()
    return result


def default_schema(connection: sa.Connection, source: str | None = None) -> str:
    """Return the schema to install into where nobody names one.

    The application itself uses the names of this package in ``public``: its migrations create and
    drop such tables, and it copies rows from them. So views over its tables go into a schema of
    their own. Tables that have these names already stay where they are.

    :param connection: a connection to the database, in a transaction that is to be rolled back.
    :param source: the schema of the application's tables; by default the only one there is.
    """
    _create_functions(connection)
    found = sa.func.pg_temp.adoption_layout(source, DEFAULT_SCHEMA).table_valued("layout")
    return ADOPTED_SCHEMA if connection.scalar(sa.select(found.c.layout)) == "A" else DEFAULT_SCHEMA


def _create_functions(connection: sa.Connection) -> None:
    """Create the temporary functions that inspect the database."""
    *functions, _ = scripts()
    for statements in functions:
        connection.execute(verbatim(statements))


def _is_installed(connection: sa.Connection) -> bool:
    table = sa.func.to_regclass("engine_archive_dependent")
    return connection.scalar(sa.select(table.is_not(None))) is True


def _with_refusals(plan: AdoptionPlan) -> AdoptionPlan:
    """Return the plan; a hazard that an installation would refuse becomes a problem."""
    refused = [hazard for hazard in plan.hazards if hazard.hazard == _OPEN_SCHEMA]
    problems = tuple(
        AdoptionStep("problem", hazard.object, hazard.detail, hazard.remedy, None)
        for hazard in refused
    )
    hazards = tuple(hazard for hazard in plan.hazards if hazard not in refused)
    return AdoptionPlan(plan.steps + problems, hazards)


def _hazards(
    connection: sa.Connection, plan: AdoptionPlan, target: str, is_new: bool
) -> tuple[Hazard, ...]:
    """Return the hazards of a database as it would be. The transaction is to be rolled back."""
    # A deploy, or another plan, may be creating the same objects.
    connection.execute(sa.select(sa.func.set_config("lock_timeout", migrate.LOCK_TIMEOUT, True)))
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(migrate.ADVISORY_LOCK)))
    operations = Operations(MigrationContext.configure(connection))
    operations.invoke(CreateSchemaIfAbsent(target))
    stand_ins = sa.func.pg_temp.adoption_stand_ins(plan.layout, plan.source, target)
    for statement in connection.scalars(sa.select(stand_ins.column_valued())).all():
        connection.execute(verbatim(statement))
    created = [f"pg_temp.{name}" for name in sql_objects.CHAT_TABLES]
    scripts = ScriptDirectory.from_config(migrate.config(connection, target))
    installed = at_head(scripts)
    for sql_object in installed:
        is_wanted = sql_object.kind != "table" or is_new
        if is_wanted and sql_object.name not in sql_objects.CHAT_TABLES:
            connection.execute(verbatim(sql_object.text))
            created += sql_object.signatures if is_new else ()
    operations.invoke(RevokeDefaultPrivileges(created))
    connection.execute(sa.select(sa.func.pg_temp.adoption_use_stand_ins(target)))
    found = (Hazard(*row) for row in connection.execute(functions.archive_hazards()))
    return tuple(hazard for hazard in found if hazard.hazard not in _MADE_EQUAL)


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
    """Give the SQL of the adoption: the functions that inspect, and last the one that changes."""
    yield (resources.SQL / "installation" / "rows_in_words.sql").read_text("utf-8")
    for file in sorted((resources.SQL / "adoption").glob("*.sql")):
        yield file.read_text("utf-8")
