"""What the tests of the migrations share: the catalogue, and `alembic` and `psql` as processes."""

import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import sqlalchemy as sa
from alembic.script import ScriptDirectory

from aria_db import embedded
from aria_db.database import Database
from aria_db.install import migrate

ROOT = Path(__file__).resolve().parents[2]

LIVE_TABLES = ("engine_chat_sessions", "engine_chat_messages")
ARCHIVES = ("engine_chat_session_archive", "engine_chat_message_archive")

# From the oldest to the newest.
REVISIONS = [
    script.revision for script in ScriptDirectory.from_config(migrate.config()).walk_revisions()
][::-1]

# Everything in a name that SQL, libpq's options, URLs or drivers treat in their own way.
ODD_SCHEMA = 'My "odd" \\ schema, 100%s :x+y'

# One query for each kind of thing; the first column names the thing.
CATALOGUE = {
    "relations": """
        SELECT relname, relkind, relpersistence, reloptions, relacl::text,
            obj_description(oid, 'pg_class') AS comment
        FROM pg_class
        WHERE relnamespace = %(schema)s AND relkind <> 'i'
    """,
    "columns": """
        SELECT relname || '.' || attname,
            row_number() OVER (PARTITION BY relname ORDER BY attnum) AS place,
            format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated,
            pg_get_expr(adbin, adrelid) AS default, attacl::text,
            col_description(attrelid, attnum) AS comment
        FROM pg_attribute
        JOIN pg_class ON pg_class.oid = attrelid
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE relnamespace = %(schema)s AND relkind <> 'i' AND attnum > 0 AND NOT attisdropped
    """,
    # NOT NULL is told with the columns; only newer versions of PostgreSQL have it here.
    "constraints": """
        SELECT conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
        FROM pg_constraint
        WHERE connamespace = %(schema)s AND contype <> 'n'
    """,
    "indexes": """
        SELECT pg_index.indexrelid::regclass::text, pg_get_indexdef(pg_index.indexrelid)
        FROM pg_index
        JOIN pg_class ON pg_class.oid = pg_index.indexrelid
        WHERE relnamespace = %(schema)s
    """,
    "functions": """
        SELECT oid::regprocedure::text, pg_get_functiondef(oid), prosecdef, proconfig,
            proacl::text, obj_description(oid, 'pg_proc') AS comment
        FROM pg_proc
        WHERE pronamespace = %(schema)s
    """,
    "views": """
        SELECT relname, pg_get_viewdef(oid)
        FROM pg_class
        WHERE relnamespace = %(schema)s AND relkind = 'v'
    """,
}

Catalogue = dict[str, dict[str, tuple[object, ...]]]

NOTHING: Catalogue = {kind: {} for kind in CATALOGUE}


def catalogue(connection: psycopg.Connection, schema: str = "public") -> Catalogue:
    """Return what a schema holds, ``{kind: {name: what it is}}``.

    The schema's own name is left out, so that two schemas can be compared.

    :param connection: a connection in autocommit mode.
    :param schema: a schema; one that does not exist holds nothing.
    """
    oid = one(connection, "SELECT oid FROM pg_namespace WHERE nspname = %s", schema)
    identifier = one(connection, "SELECT quote_ident(%s)", schema)
    literal = "'{}'".format(schema.replace("'", "''"))

    def nameless(value: object) -> object:
        match value:
            case list():
                return tuple(map(nameless, value))
            case str():
                return (
                    value.replace(f"{identifier}.", "")
                    .replace(f"search_path={identifier},", "search_path=<schema>,")
                    .replace(f"SET search_path TO {literal},", "SET search_path TO <schema>,")
                )
            case _:
                return value

    with connection.transaction():
        # What PostgreSQL prints names of this schema without it, wherever it can.
        connection.execute("SELECT set_config('search_path', %s, true)", (identifier,))
        return {
            kind: {
                name: tuple(map(nameless, description))
                for name, *description in connection.execute(query, {"schema": oid})
            }
            for kind, query in CATALOGUE.items()
        }


def without_version_table(held: Catalogue) -> Catalogue:
    """Leave out the version table: a downgrade to base leaves it, empty."""
    return {
        kind: {
            name: what
            for name, what in things.items()
            if not name.startswith(migrate.VERSION_TABLE)
        }
        for kind, things in held.items()
    }


def one(connection: psycopg.Connection, query: str, *values: object) -> object:
    """Return the first column of the first row; None if there is no row."""
    row = connection.execute(query, values or None).fetchone()
    return row[0] if row else None


@contextmanager
def connected(database: Database) -> Iterator[sa.Connection]:
    """Give an SQLAlchemy connection, and leave nothing open behind it."""
    engine = database.engine()
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def upgrade(database: Database, revision: str = "head", schema: str | None = None) -> None:
    """Upgrade from within this process."""
    with connected(database) as connection:
        migrate.upgrade(connection, schema, revision)


def downgrade(database: Database, revision: str, schema: str | None = None) -> None:
    """Downgrade from within this process."""
    with connected(database) as connection:
        migrate.downgrade(connection, revision, schema)


def start_alembic(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start the command `alembic` with no settings but these."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PG", "ARIA_", "DATABASE_URL"))
    }
    return subprocess.Popen(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=ROOT,
        env=inherited | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def alembic(*arguments: str, **environment: str) -> str:
    """Run the command `alembic` and return what it printed."""
    process = start_alembic(*arguments, **environment)
    printed, complaints = process.communicate(timeout=60)
    assert process.returncode == 0, complaints
    return printed


@functools.cache
def script(*arguments: str) -> str:
    """Return the script that `alembic ... --sql` writes, which needs no database."""
    return alembic(*arguments, "--sql")


def psql(database: Database, statements: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run `psql` on a script, stopping at the first error."""
    return subprocess.run(
        [
            *(embedded.program("psql"), "--no-psqlrc", "--quiet", "--tuples-only", "--no-align"),
            *("--set=ON_ERROR_STOP=1", f"--dbname={database.libpq_url()}", *options),
        ],
        input=statements,
        capture_output=True,
        text=True,
        timeout=60,
    )


def run_script(database: Database, statements: str, *options: str) -> None:
    """Run `psql` on a script that must succeed."""
    done = psql(database, statements, *options)
    assert done.returncode == 0, done.stderr
