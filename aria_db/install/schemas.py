"""Find the schema of a database in which aria-db is installed."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from aria_db.database import configured_schema, for_schema
from aria_db.errors import InvalidConfiguration, NotUpgraded, translated

_NAMESPACES = sa.table("pg_namespace", sa.column("oid"), sa.column("nspname"), schema="pg_catalog")
_RELATIONS = sa.table(
    "pg_class",
    *map(sa.column, ("relname", "relnamespace", "relkind")),
    schema="pg_catalog",
)
# The version table alone does not tell: a downgrade to base leaves it behind.
_OURS = ("aria_db_version", "engine_chat_sessions")


def installed_schemas(connection: sa.Connection) -> list[str]:
    """Return the schemas in which this package is installed, in alphabetical order.

    :param connection: a connection to the database, as any role.
    """
    found = (
        sa.select(sa.cast(_NAMESPACES.c.nspname, sa.Text()))
        .join(_RELATIONS, _NAMESPACES.c.oid == _RELATIONS.c.relnamespace)
        .where(_RELATIONS.c.relname.in_(_OURS), _RELATIONS.c.relkind.in_(("r", "p", "v")))
        .group_by(_NAMESPACES.c.nspname)
        .having(sa.func.count() == len(_OURS))
        .order_by(_NAMESPACES.c.nspname)
    )
    return list(connection.scalars(found))


def only_schema(connection: sa.Connection) -> str | None:
    """Return the schema in which this package is installed; None if it is in none.

    :param connection: a connection to the database, as any role.
    :raises InvalidConfiguration: it is installed in several.
    """
    match installed_schemas(connection):
        case []:
            return None
        case [schema]:
            return schema
        case schemas:
            raise InvalidConfiguration(
                f"aria-db is installed in several schemas: {', '.join(schemas)}",
                hint="Name one with --schema, or with ARIA_DB_SCHEMA.",
            )


def find_schema(connection: sa.Connection, wanted: str | None = None) -> str:
    """Return the schema to use: the one that is wanted, or else the only one there is.

    :param connection: a connection to the database, as any role.
    :param wanted: the name of a schema.
    :raises NotUpgraded: this package is not installed in it, or nowhere.
    :raises InvalidConfiguration: none is wanted, and it is installed in several.
    """
    if wanted is None:
        schema = only_schema(connection)
        if schema is None:
            raise NotUpgraded(
                "aria-db is not installed in this database",
                hint="Run `aria-db upgrade`, or `aria-db adopt` where the application has chat "
                "tables.",
            )
        return schema
    schemas = installed_schemas(connection)
    if wanted not in schemas:
        there = f"It is installed in {' and '.join(schemas)}. " if schemas else ""
        raise NotUpgraded(
            f"aria-db is not installed in the schema {wanted}",
            hint=f"{there}To install it here, run `aria-db upgrade --schema {wanted}`.",
        )
    return wanted


async def for_installed_schema(engine: AsyncEngine) -> AsyncEngine:
    """Return an application's engine such that its statements find what is installed.

    An engine that has a ``schema_translate_map`` already is returned as it is. For another one the
    schema is ``ARIA_DB_SCHEMA``, or else the only one in which this package is installed; none, for
    the search path of the role, if it is installed nowhere.

    :param engine: the engine; the result uses the same connections.
    :raises InvalidConfiguration: it is installed in several.
    :raises DatabaseError: the database does not answer.
    """
    if "schema_translate_map" in engine.get_execution_options():
        return engine
    schema = configured_schema()
    if schema is None:
        with translated():
            async with engine.connect() as connection:
                schema = await connection.run_sync(only_schema)
    return engine if schema is None else for_schema(engine, schema)
