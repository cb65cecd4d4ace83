"""Keeps the tables of aria-db out of an application's ``alembic revision --autogenerate``.

Autogenerate compares the application's models with the whole database, and drops each table that
has no model.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import sqlalchemy as sa
from alembic import context
from alembic.runtime.migration import MigrationContext
from alembic.util import to_list

from aria_db.install import migrate, sql_objects

_ARCHIVES = sql_objects.CHAT_TABLES[2:]


def include_name(name: str | None, type_: str, parent_names: Mapping[str, str | None]) -> bool:
    """Return whether autogenerate compares something: Alembic's option ``include_name``.

    For the ``env.py`` of an application in the same database, with ``include_schemas`` or
    without::

        from aria_db.install import include_name

        context.configure(..., include_name=include_name)

    If ``target_metadata`` has a model of a table, autogenerate compares it, whatever its name.

    :param name: the name of the thing in the database; None for the default schema.
    :param type_: what it is, such as ``table``.
    :param parent_names: for a table, its ``schema_name``; None for the default schema.
    :returns: False for a table that aria-db made or archives into; True for all else.
    """
    if type_ != "table" or name is None:
        return True
    schema = parent_names.get("schema_name")
    running = _running()
    if running is not None and _has_model(running, schema, name):
        return True
    if name in _own_tables():
        return False
    return running is None or not _is_archive(running, schema, name)


@functools.cache
def _own_tables() -> frozenset[str]:
    """Return the names of the tables that the revisions create, and of the version table."""
    objects = sql_objects.newest().values()
    tables = {found.name for found in objects if found.kind == "table"}
    return frozenset(tables | {migrate.VERSION_TABLE})


def _running() -> MigrationContext | None:
    """Return Alembic's running context; None outside of an ``env.py``."""
    try:
        return context.get_context()
    except (NameError, AttributeError):  # before Alembic's first env.py, and after one
        return None


def _default_schema(running: MigrationContext) -> str | None:
    return running.dialect.default_schema_name


def _has_model(running: MigrationContext, schema: str | None, name: str) -> bool:
    default = _default_schema(running)
    return any(
        (table.schema or default, table.name) == (schema or default, name)
        for metadata in to_list(running.opts.get("target_metadata"), [])
        for table in metadata.tables.values()
    )


def _is_archive(running: MigrationContext, schema: str | None, name: str) -> bool:
    """Return whether a table with a name of the application's is an archive of aria-db's.

    Two comments tell: an adoption writes one on the view over an adopted archive, and
    ``set_archive_dependent`` writes one on an archive that it creates.
    """
    if running.connection is None:
        return False
    path = sa.func.format("%I.%I", schema or _default_schema(running), name)
    pg_class = sa.table("pg_class", sa.column("oid"), sa.column("relname"), schema="pg_catalog")
    comment = sa.func.obj_description(pg_class.c.oid, "pg_class")
    is_archive_of_chats = sa.and_(
        pg_class.c.relname.in_(_ARCHIVES),
        comment == sa.func.format("Laid by aria-db over %s.", path),
    )
    is_archive_of_dependent = sa.and_(
        pg_class.c.oid == sa.func.to_regclass(path),
        comment.like("Rows of % that were archived with their session."),
    )
    found = sa.exists(
        sa.select(pg_class.c.oid).where(is_archive_of_chats | is_archive_of_dependent)
    )
    return bool(running.connection.scalar(sa.select(found)))
