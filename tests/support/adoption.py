"""What the tests of the adoption share: adopting, the whole catalogue, and every row."""

from collections.abc import Container
from dataclasses import replace
from uuid import UUID

import psycopg
import pytest

from aria_db import errors
from aria_db.database import Database
from aria_db.install import adoption, sql_objects
from tests.support.deployed import OLDER_SHAPE, SESSION_COLUMNS, Layout, printed
from tests.support.installation import connected

# One query for each kind of thing in the database that is nobody's extension; the first
# column names it.
_NO_EXTENSION = """
    NOT EXISTS (
        SELECT FROM pg_depend AS member
        WHERE member.classid = '{catalogue}'::regclass AND member.objid = {catalogue}.oid
        AND member.deptype = 'e'
    )
"""
_NO_SYSTEM = "{namespace}::regnamespace::text !~ '^(pg_|information_schema)'"

_RELATIONS = f"""
    {_NO_SYSTEM.format(namespace="relnamespace")} AND {_NO_EXTENSION.format(catalogue="pg_class")}
"""

_CATALOGUE = {
    "schemas": """
        SELECT nspname, nspowner::regrole::text, nspacl::text FROM pg_namespace
        WHERE nspname !~ '^(pg_|information_schema)'
    """,
    "relations": f"""
        SELECT oid::regclass::text, relkind, relowner::regrole::text, reloptions, relacl::text,
            obj_description(oid, 'pg_class')
        FROM pg_class WHERE {_RELATIONS}
    """,
    "columns": f"""
        SELECT attrelid::regclass || '.' || quote_ident(attname),
            row_number() OVER (PARTITION BY attrelid ORDER BY attnum),
            format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated,
            pg_get_expr(adbin, adrelid), attacl::text, col_description(attrelid, attnum)
        FROM pg_attribute
        JOIN pg_class ON pg_class.oid = attrelid
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE {_RELATIONS} AND relkind IN ('r', 'v') AND attnum > 0 AND NOT attisdropped
    """,
    "constraints": f"""
        SELECT conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
        FROM pg_constraint
        WHERE conrelid <> 0 AND {_NO_SYSTEM.format(namespace="connamespace")}
    """,
    "indexes": f"""
        SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid), indisvalid
        FROM pg_index JOIN pg_class ON pg_class.oid = indrelid WHERE {_RELATIONS}
    """,
    "functions": f"""
        SELECT oid::regprocedure::text, pg_get_functiondef(oid), proowner::regrole::text,
            proacl::text, obj_description(oid, 'pg_proc')
        FROM pg_proc
        WHERE prokind <> 'a' AND {_NO_SYSTEM.format(namespace="pronamespace")}
        AND {_NO_EXTENSION.format(catalogue="pg_proc")}
    """,
    # A view that is created from its own text may get other casts and names; that is no
    # difference.
    "views": f"""
        SELECT oid::regclass::text, regexp_replace(
            pg_get_viewdef(oid),
            '::(text|character varying)(\\[\\])?| AS "\\?column\\?"|[()]', '', 'g'
        )
        FROM pg_class
        WHERE relkind = 'v' AND {_RELATIONS}
    """,
    "extensions": "SELECT extname, extnamespace::regnamespace::text FROM pg_extension",
}

# A relation that was dropped and created again, or rewritten, differs here.
_STORAGE = f"""
    SELECT oid::regclass::text, oid, relfilenode, xmin::text FROM pg_class WHERE {_RELATIONS}
"""

Catalogue = dict[str, dict[str, tuple[object, ...]]]


def whole_catalogue(connection: psycopg.Connection, *, storage: bool = True) -> Catalogue:
    """Return all that the database holds except rows, ``{kind: {name: what it is}}``.

    :param storage: whether to include files and rows of the catalogue, so that nothing can be
        created again unnoticed.
    """
    queries = _CATALOGUE | ({"storage": _STORAGE} if storage else {})
    with connection.transaction():
        # So that PostgreSQL prints every name with its schema.
        connection.execute("SET LOCAL search_path = ''")
        return {
            kind: {
                name: tuple(tuple(value) if isinstance(value, list) else value for value in what)
                for name, *what in connection.execute(query)
            }
            for kind, query in queries.items()
        }


def of_the_application(held: Catalogue, layout: Layout) -> Catalogue:
    """Keep what is the application's: its tables, their neighbours, and its version table.

    Of the storage, only the oid and the file: statistics may change. Where its tables have the
    names of aria-db, the adoption may replace the archives, so they are left out.
    """
    prefixes = ["billing.", "public.alembic_version"]
    prefixes += layout.tables[:2] if layout == OLDER_SHAPE else [f"{printed(layout.schema)}."]
    return {
        kind: {
            name: what[:2] if kind == "storage" else what
            for name, what in things.items()
            if name.startswith(tuple(prefixes))
        }
        for kind, things in held.items()
    }


def differences(one: Catalogue, other: Catalogue) -> list[str]:
    """Return what two databases do not have in common, one line per thing."""
    return sorted(
        f"{kind} {name}: {one[kind].get(name)} / {other[kind].get(name)}"
        for kind in one
        for name in one[kind].keys() | other[kind].keys()
        if one[kind].get(name) != other[kind].get(name)
    )


def added(before: Catalogue, after: Catalogue) -> dict[str, set[str]]:
    """Check that nothing is gone or changed; return the names of what is new."""
    for kind, things in before.items():
        assert things.items() <= after[kind].items(), kind
    return {
        kind: new for kind, things in after.items() if (new := things.keys() - before[kind].keys())
    }


def adopt(database: Database, source: str | None = None, **options: str) -> None:
    """Adopt from within this process.

    :raises aria_db.errors.DatabaseError: or its subclass.
    """
    with connected(database) as connection, errors.translated():
        adoption.adopt(connection, source, database.schema, **options)


def plan(database: Database, source: str | None = None) -> adoption.AdoptionPlan:
    """Return what an adoption would do."""
    with connected(database) as connection, errors.translated():
        return adoption.plan(connection, source, database.schema)


def refusal(database: Database, source: str | None = None) -> str:
    """Check that an adoption is refused, with a reason and a remedy; return both."""
    with pytest.raises(errors.AdoptionRefused) as refused:
        adopt(database, source)
    assert refused.value.sqlstate == "AR004"
    assert refused.value.hint
    return f"{refused.value.message}\n{refused.value.hint}"


OWN_TABLES = [
    name
    for name, sql_object in sql_objects.newest().items()
    if sql_object.kind == "table" and name not in sql_objects.CHAT_TABLES
]
"""The tables that no application has: the journal, holds, policies and so on."""


def fill_own_tables(connection: psycopg.Connection, session_id: UUID) -> None:
    """Put something into each of :data:`OWN_TABLES`."""
    connection.execute("UPDATE engine_archive_policy SET archive_after = '10 years'")
    for statement in (
        "INSERT INTO engine_session_hold (session_id, reason) VALUES (%s, 'a lawsuit')",
        "INSERT INTO engine_archive_run (kind, arguments, backend_pid)"
        " VALUES ('prune', jsonb_build_object('session', %s), 1)",
        "INSERT INTO engine_archive_event (session_id, event, at, actor, role)"
        " VALUES (%s, 'held', now(), 'a lawyer', 'somebody')",
        "INSERT INTO engine_archive_left (session_id, sqlstate, message)"
        " VALUES (%s, 'AR007', 'too long')",
        "INSERT INTO engine_archive_dependent (schema_name, table_name, handling)"
        " VALUES (%s, 'feedback', 'delete')",
        "INSERT INTO engine_conflict_resolution (session_id, destination) VALUES (%s, 'live')",
    ):
        connection.execute(statement, [session_id])


def own_tables(connection: psycopg.Connection) -> dict[str, tuple[object, ...]]:
    """Return the rows of each of :data:`OWN_TABLES`, with their places in its file."""
    found = {}
    for name in OWN_TABLES:
        rows = connection.execute(
            f"SELECT tableoid, ctid::text, xmin::text, row_image::text FROM {name} AS row_image"
            " ORDER BY ctid"
        )
        found[name] = tuple(rows.fetchall())
    return found


def delete_history(connection: psycopg.Connection) -> None:
    """Empty the journal and the log of runs: a downgrade drops no table that holds rows."""
    connection.execute("DELETE FROM engine_archive_event; DELETE FROM engine_archive_run")


Images = dict[UUID, str]


def live(connection: psycopg.Connection, layout: Layout) -> Images:
    """Read every live session and message of the application's tables."""
    return _images(connection, layout, layout.tables.sessions, layout.tables.messages)


def archived(connection: psycopg.Connection, layout: Layout) -> Images:
    """Read every archived session and message as it would look if it were live."""
    return _images(connection, layout, layout.tables.session_archive, layout.tables.message_archive)


def archived_before(connection: psycopg.Connection, layout: Layout) -> Images:
    """Read the archive as it is before it is adopted: not all tables, and not all columns."""
    known = replace(layout, absent=layout.absent + layout.lacking)
    return _images(connection, known, *layout.tables[2 : 2 + layout.archives])


def _images(connection: psycopg.Connection, layout: Layout, *tables: str) -> Images:
    """Read the sessions of a table, and the messages of another.

    The images are of what PostgreSQL sends in its binary form, in which a JSON 1.0 is not 1.00
    and -0.0 is not 0.0. A NULL looks like a column that is not there.
    """
    images: Images = {}
    for table, columns in zip(tables, (SESSION_COLUMNS, layout.message_columns()), strict=False):
        image = " || ".join(
            f"CASE WHEN {name} IS NULL THEN ''"
            f" ELSE '{name} ' || encode(record_send(ROW({name})), 'hex') END"
            for name in columns
        )
        rows = connection.execute(f"SELECT id, md5({image}) FROM {table}")
        images.update(dict(rows.fetchall()))
    return images


def of_session(connection: psycopg.Connection, layout: Layout, session_id: UUID) -> set[UUID]:
    """Return the ids of a session and of its messages, live and archived."""
    rows = connection.execute(
        " UNION ".join(
            f"SELECT id FROM {table} WHERE {key} = %(id)s"
            for table, key in zip(layout.tables, ("id", "session_id") * 2, strict=True)
        ),
        {"id": session_id},
    )
    return {row[0] for row in rows}


def only(images: Images, ids: Container[UUID]) -> Images:
    """Keep some rows."""
    return {key: image for key, image in images.items() if key in ids}
