"""Everything works in a schema of another name than public."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from uuid import UUID

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.orm import Session

from aria_db import functions, models
from aria_db.database import Database
from tests.support import new_session, places
from tests.support.installation import (
    ARCHIVES,
    LIVE_TABLES,
    NOTHING,
    ODD_SCHEMA,
    Catalogue,
    alembic,
    catalogue,
    connected,
    downgrade,
    one,
    run_script,
    script,
    upgrade,
    without_version_table,
)

every_schema = pytest.mark.parametrize("schema", ["aria", ODD_SCHEMA], ids=["plain", "odd"])

WAYS: dict[str, Callable[[Database, str], object]] = {
    "program": lambda database, schema: upgrade(database, schema=schema),
    "-x": lambda database, schema: alembic(
        "-x", f"schema={schema}", "upgrade", "head", DATABASE_URL=database.libpq_url()
    ),
    "ARIA_DB_SCHEMA": lambda database, schema: alembic(
        "upgrade", "head", DATABASE_URL=database.libpq_url(), ARIA_DB_SCHEMA=schema
    ),
    "psql": lambda database, schema: run_script(
        database, script("-x", f"schema={schema}", "upgrade", "head")
    ),
}


@pytest.fixture
def session_in(
    empty_database: Database, empty_connection: psycopg.Connection
) -> Iterator[Callable[[str], UUID]]:
    """Upgrade the schema and create a session with 3 messages there."""

    def create(schema: str) -> UUID:
        upgrade(empty_database, schema=schema)
        with open_in(empty_database, schema) as connection:
            return new_session(connection, messages=3)

    return create


def open_in(database: Database, schema: str) -> psycopg.Connection:
    """Open a connection that finds names in the schema."""
    return psycopg.connect(replace(database, schema=schema).libpq_url(), autocommit=True)


def create_temporary_decoys(connection: psycopg.Connection, schema: str) -> None:
    """Create temporary tables, which stand before all others, under the names of the four."""
    for table in LIVE_TABLES + ARCHIVES:
        connection.execute(
            sql.SQL("CREATE TEMPORARY TABLE {} (LIKE {})").format(
                sql.Identifier(table), sql.Identifier(schema, table)
            )
        )


@every_schema
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_another_schema_holds_the_same_catalogue_and_public_nothing(
    way: Callable[[Database, str], object],
    schema: str,
    empty_database: Database,
    empty_connection: psycopg.Connection,
    newest: Catalogue,
) -> None:
    way(empty_database, schema)

    assert catalogue(empty_connection, schema) == newest
    assert catalogue(empty_connection) == NOTHING


@every_schema
def test_an_existing_schema_is_used_as_it_is(
    schema: str, empty_database: Database, empty_connection: psycopg.Connection, newest: Catalogue
) -> None:
    empty_connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))

    upgrade(empty_database, schema=schema)

    assert catalogue(empty_connection, schema) == newest


def test_a_role_that_may_only_create_in_its_schema_can_upgrade_it(
    empty_database: Database, empty_connection: psycopg.Connection
) -> None:
    empty_connection.execute("CREATE ROLE deployer LOGIN")
    try:
        empty_connection.execute("CREATE SCHEMA aria AUTHORIZATION deployer")

        upgrade(
            replace(empty_database, url=empty_database.url.set(username="deployer")), schema="aria"
        )

        owners = "SELECT array_agg(DISTINCT relowner::regrole::text) FROM pg_class "
        owners += "WHERE relnamespace = 'aria'::regnamespace"
        assert one(empty_connection, owners) == ["deployer"]
    finally:
        empty_connection.execute("DROP OWNED BY deployer")
        empty_connection.execute("DROP ROLE deployer")


@every_schema
def test_a_downgrade_leaves_nothing_in_the_schema_and_does_not_touch_public(
    schema: str, empty_database: Database, empty_connection: psycopg.Connection, newest: Catalogue
) -> None:
    upgrade(empty_database)
    upgrade(empty_database, schema=schema)

    downgrade(empty_database, "base", schema=schema)

    assert without_version_table(catalogue(empty_connection, schema)) == NOTHING
    assert catalogue(empty_connection) == newest


@every_schema
def test_the_script_of_a_downgrade_leaves_nothing_in_the_schema(
    schema: str, empty_database: Database, empty_connection: psycopg.Connection
) -> None:
    upgrade(empty_database, schema=schema)

    run_script(empty_database, script("-x", f"schema={schema}", "downgrade", "head:base"))

    assert without_version_table(catalogue(empty_connection, schema)) == NOTHING


@every_schema
def test_functions_pin_their_schema_with_pg_temp_last(
    schema: str, empty_database: Database, empty_connection: psycopg.Connection
) -> None:
    upgrade(empty_database, schema=schema)

    identifier = one(empty_connection, "SELECT quote_ident(%s)", schema)
    pinned = empty_connection.execute(
        "SELECT proname, proconfig[1] FROM pg_proc "
        "WHERE pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s) AND prosecdef",
        (schema,),
    ).fetchall()
    assert {"archive_session", "archive_sessions", "restore_session"} <= {
        name for name, _ in pinned
    }
    assert {path for _, path in pinned} == {f"search_path={identifier}, pg_temp"}


@every_schema
def test_a_function_works_in_its_own_schema_whatever_the_callers_path_finds(
    schema: str,
    empty_database: Database,
    empty_connection: psycopg.Connection,
    session_in: Callable[[str], UUID],
) -> None:
    session_id = session_in(schema)
    upgrade(empty_database, schema="public")
    decoy_id = new_session(empty_connection, messages=1, id=session_id)
    create_temporary_decoys(empty_connection, schema)

    for function, expected in (
        ("archive_session", (0, 0, 1, 3)),
        ("restore_session", (1, 3, 0, 0)),
    ):
        empty_connection.execute(
            sql.SQL("SELECT * FROM {}({})").format(
                sql.Identifier(schema, function), sql.Literal(session_id)
            )
        )
        with open_in(empty_database, schema) as there, open_in(empty_database, "public") as public:
            assert places(there, session_id) == expected
            assert places(public, decoy_id) == (1, 1, 0, 0)
    assert places(empty_connection, session_id) == (0, 0, 0, 0)


@every_schema
def test_engines_of_a_schema_work_there_whatever_path_the_role_has(
    schema: str,
    empty_database: Database,
    empty_connection: psycopg.Connection,
    session_in: Callable[[str], UUID],
) -> None:
    session_id = session_in(schema)
    upgrade(empty_database, schema="public")
    new_session(empty_connection, messages=1, id=session_id)
    empty_connection.execute(
        sql.SQL("ALTER DATABASE {} SET search_path = public").format(
            sql.Identifier(empty_connection.info.dbname)
        )
    )
    listed = sa.select(models.EngineChatSessionList.id)
    archived = sa.select(models.EngineChatSessionArchiveList.id)

    with connected(replace(empty_database, schema=schema)) as there, Session(there) as session:
        assert session.scalars(listed).all() == [session_id]
        row = session.execute(functions.archive_session(session_id)).one()
        assert (row.message_count, row.newly_archived) == (3, True)
        assert session.scalars(listed).all() == []
        assert session.scalars(archived).all() == [session_id]
        session.commit()

    with connected(empty_database) as public, Session(public) as session:
        assert session.scalars(listed).all() == [session_id]
        assert session.scalars(archived).all() == []


@pytest.mark.anyio
async def test_asynchronous_engines_of_a_schema_work_there(
    empty_database: Database, session_in: Callable[[str], UUID]
) -> None:
    session_id = session_in(ODD_SCHEMA)
    engine = replace(empty_database, schema=ODD_SCHEMA).async_engine()

    async with engine.begin() as connection:
        row = (await connection.execute(functions.archive_session(session_id))).one()
    await engine.dispose()

    assert row.newly_archived
