"""How Alembic runs the revisions: against which database, in which schema.

Everything happens in one transaction, so that a failing revision leaves the
database as it was.
"""

import sys
from contextlib import ExitStack
from logging.config import fileConfig

import sqlalchemy as sa
from alembic import context
from alembic.operations import Operations

from aria_db import database, models
from aria_db.errors import InvalidConfiguration
from aria_db.install import adoption, migrate, schemas
from aria_db.install.operations import (  # registers the operations of the revisions
    CreateSchemaIfAbsent,
    RevokeDefaultPrivileges,
    RunSqlScript,
    at_head,
)
from aria_db.install.sql_objects import verbatim

config = context.config
if config.config_file_name is not None and config.attributes.get("configure_logging", True):
    fileConfig(config.config_file_name, disable_existing_loggers=False)

x_arguments = context.get_x_argument(as_dictionary=True)
wanted_schema: str | None = (
    x_arguments.get("schema") or config.attributes.get("schema") or database.configured_schema()
)

chat_tables: migrate.ChatTables = config.attributes.get("chat_tables", "refuse")
adopt_schema: str | None = config.attributes.get("adopt_schema")
if "adopt" in x_arguments:
    chat_tables, adopt_schema = adoption.parse_x_argument(x_arguments["adopt"])

OPTIONS = {
    "target_metadata": models.Base.metadata,
    "version_table": migrate.VERSION_TABLE,
    # The application has tables of its own in the same schema.
    "include_name": lambda name, kind, _: kind != "table" or name in models.Base.metadata.tables,
    # A comment is for DBAs, and no part of the model.
    "autogenerate_plugins": ["alembic.autogenerate.*", "~alembic.autogenerate.comments"],
}

# A script from base on creates the version table, which a downgrade to base has left
# behind, empty. One with a revision in it stays, and the script fails.
DROP_EMPTY_VERSION_TABLE = f"""
DO $script$
BEGIN
    IF to_regclass('{migrate.VERSION_TABLE}') IS NOT NULL THEN
        IF NOT EXISTS (SELECT 1 FROM {migrate.VERSION_TABLE}) THEN
            DROP TABLE {migrate.VERSION_TABLE};
        END IF;
    END IF;
END;
$script$
"""  # noqa: S608 (a constant name)


def put_back_what_is_missing() -> None:
    """Install again what an application's DROP VIEW … CASCADE took with it."""
    revisions = context.get_context()
    connection = revisions.connection
    if connection is None or revisions.get_current_revision() != context.get_head_revision():
        return
    for installed in at_head(context.script):
        if installed.kind == "table":
            continue
        find = sa.func.to_regclass if installed.kind == "view" else sa.func.to_regprocedure
        missing = [
            signature
            for signature in installed.signatures
            if connection.scalar(sa.select(find(signature).is_(None)))
        ]
        if missing:
            context.execute(verbatim(installed.creation(new=missing)))
            Operations(revisions).invoke(RevokeDefaultPrivileges(missing))


def run_revisions(schema: str, schema_exists: bool) -> None:
    """Run what Alembic was asked for, in the target schema and in one transaction."""
    operations = Operations(context.get_context())
    with context.begin_transaction():
        context.execute(f"SET LOCAL lock_timeout = '{migrate.LOCK_TIMEOUT}'")
        context.execute(f"SELECT pg_advisory_xact_lock({migrate.ADVISORY_LOCK})")
        if not context.is_offline_mode():
            migrate.refuse_unreleased(context.get_context().get_current_heads())
        if not schema_exists:
            operations.invoke(CreateSchemaIfAbsent(schema))
        # pg_temp last: functions and views pin this path, and a caller's temporary
        # table must not hide the real one.
        path = f"{database.quoted(schema)}, pg_temp"
        context.execute(verbatim(f"SET LOCAL search_path = {path}"))
        if chat_tables != "refuse":
            context.execute(f"SET LOCAL aria_db.chat_tables = '{chat_tables}'")
        if chat_tables == "adopt":
            source = database.literal(adopt_schema or "")
            context.execute(verbatim(f"SET LOCAL aria_db.adopt_schema = {source}"))
            operations.invoke(RunSqlScript("revoke_default_privileges"))
            for statements in adoption.scripts():
                context.execute(verbatim(statements))
        if context.is_offline_mode() and not context.get_context().get_current_heads():
            context.execute(DROP_EMPTY_VERSION_TABLE)
        context.run_migrations()
        if chat_tables == "adopt":
            put_back_what_is_missing()


def run_offline() -> None:
    """Write the SQL script."""
    schema = wanted_schema or database.DEFAULT_SCHEMA
    if wanted_schema is None and chat_tables == "adopt" and adopt_schema != schema:
        schema = adoption.ADOPTED_SCHEMA
    context.configure(
        dialect_name="postgresql",
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},
        version_table_schema=schema,
        **OPTIONS,
    )
    run_revisions(schema, schema_exists=schema == database.DEFAULT_SCHEMA)


def run_online() -> None:
    """Run against the caller's connection, or else against the configured database."""
    with ExitStack() as stack:
        connectable = config.attributes.get("connection")
        if connectable is None:
            opened = database.opened(schema=wanted_schema)
            connectable = stack.enter_context(opened).engine()
            stack.callback(connectable.dispose)
        if isinstance(connectable, sa.Engine):
            connectable = stack.enter_context(connectable.connect())
        is_callers_transaction = connectable.in_transaction()
        schema = wanted_schema or schemas.only_schema(connectable)
        if schema is None and chat_tables == "adopt":
            schema = adoption.default_schema(connectable, adopt_schema)
        schema = schema or database.DEFAULT_SCHEMA
        schema_exists = sa.inspect(connectable).has_schema(schema)
        if not is_callers_transaction:
            # Alembic must begin and commit its own.
            connectable.rollback()
        context.configure(connection=connectable, version_table_schema=schema, **OPTIONS)
        stack.enter_context(migrate.warnings_logged(connectable))
        run_revisions(schema, schema_exists)


try:
    if context.is_offline_mode():
        run_offline()
    else:
        run_online()
except InvalidConfiguration as error:
    # A program that calls Alembic gets the exception; the `alembic` command prints it.
    if config.cmd_opts is None:
        raise
    print(f"Error: {error.message}\nHint: {error.hint}", file=sys.stderr)
    sys.exit(2)
