"""What an installation gives to others: nothing. And where it refuses to install."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from aria_db import errors
from aria_db.database import Database
from aria_db.install import adoption
from tests.support import command_line, deployed, layouts, new_session, temporary_role
from tests.support.command_line import lines
from tests.support.dependents import hazards
from tests.support.installation import (
    ARCHIVES,
    LIVE_TABLES,
    alembic,
    connected,
    one,
    run_script,
    script,
    start_alembic,
    upgrade,
)
from tests.support.rows import archive, archived

ALL = {"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"}

DEFAULTS = [
    "GRANT ALL ON TABLES TO {}",
    "GRANT EXECUTE ON FUNCTIONS TO {}",
    "GRANT ALL ON SEQUENCES TO {}",
]

Way = Callable[[Database, str], object]


def _by_alembic(database: Database, schema: str) -> None:
    alembic("-x", f"schema={schema}", "upgrade", "head", DATABASE_URL=database.libpq_url())


def _by_command(database: Database, schema: str) -> None:
    lines(command_line.on(database)("upgrade", "--schema", schema))


def _by_script(database: Database, schema: str) -> None:
    run_script(database, script("-x", f"schema={schema}", "upgrade", "head"))


every_way = pytest.mark.parametrize("way", [_by_command, _by_alembic, _by_script])


@pytest.fixture
def stranger(empty_connection: psycopg.Connection) -> Iterator[str]:
    """A role that may log in and nothing else."""
    with temporary_role(empty_connection) as role:
        yield role


def privileges_of(connection: psycopg.Connection, grantee: str) -> dict[str, set[str]]:
    """Return what a role, or PUBLIC, was granted, by object; nothing of PostgreSQL's own."""
    rows = connection.execute(
        """
        SELECT object, array_agg(entry.privilege_type)
        FROM (
            SELECT oid::regclass::text, relacl, relnamespace FROM pg_class
            UNION ALL
            SELECT oid::regprocedure::text, coalesce(proacl, acldefault('f', proowner)),
                pronamespace
            FROM pg_proc
        ) AS objects (object, privileges, namespace)
        CROSS JOIN LATERAL aclexplode(privileges) AS entry
        WHERE namespace::regnamespace::text !~ '^(pg_|information_schema)'
            AND entry.grantee = CASE WHEN %(name)s <> 'PUBLIC' THEN %(name)s::regrole ELSE 0 END
        GROUP BY object
        """,
        {"name": grantee},
    )
    # since PostgreSQL 17 there is one more
    return {name: set(found) - {"MAINTAIN"} for name, found in rows}


def give_by_default(connection: psycopg.Connection, grantee: str, scope: str = "") -> None:
    for statement in DEFAULTS:
        connection.execute(f"ALTER DEFAULT PRIVILEGES {scope} {statement.format(grantee)}")


@pytest.mark.parametrize("scope", ["", "IN SCHEMA public"], ids=["global", "of the schema"])
@pytest.mark.parametrize("kind", ["a role", "PUBLIC"])
def test_default_privileges_give_nothing_of_ours_and_leave_the_live_tables_alone(
    kind: str,
    scope: str,
    stranger: str,
    empty_database: Database,
    empty_connection: psycopg.Connection,
) -> None:
    name = stranger if kind == "a role" else kind
    give_by_default(empty_connection, name, scope)

    upgrade(empty_database)

    assert privileges_of(empty_connection, name) == {
        **dict.fromkeys(LIVE_TABLES, ALL),
        **{name: {"SELECT"} for name in ARCHIVES},
    }
    assert hazards(empty_connection) == []


@every_way
def test_default_privileges_give_nothing_in_a_schema_of_its_own(
    way: Way, stranger: str, empty_database: Database, empty_connection: psycopg.Connection
) -> None:
    give_by_default(empty_connection, stranger)
    empty_connection.execute(
        f"ALTER DEFAULT PRIVILEGES GRANT USAGE, CREATE ON SCHEMAS TO {stranger}"
    )

    way(empty_database, "aria")

    empty_connection.execute("SET search_path = aria")
    assert privileges_of(empty_connection, stranger).keys() == {*LIVE_TABLES, *ARCHIVES}
    assert hazards(empty_connection) == []
    may = "SELECT has_schema_privilege(%s, 'aria', %s)"
    assert one(empty_connection, may, stranger, "CREATE") is False
    assert one(empty_connection, may, stranger, "USAGE") is True


def test_a_role_with_default_privileges_calls_nothing_and_changes_no_archive(
    stranger: str, empty_database: Database, empty_connection: psycopg.Connection
) -> None:
    give_by_default(empty_connection, stranger)
    upgrade(empty_database)
    session_id = new_session(empty_connection)
    archive(empty_connection, session_id)
    rows = archived(empty_connection)
    empty_connection.execute(f"GRANT USAGE ON SCHEMA public TO {stranger}")

    with psycopg.connect(
        replace(empty_database, url=empty_database.url.set(username=stranger)).libpq_url(),
        autocommit=True,
    ) as own:
        for statement in (
            "DELETE FROM engine_chat_message_archive",
            "DELETE FROM engine_chat_session_archive_list",
            "DELETE FROM engine_archive_event",
            "SELECT setval('engine_archive_event_id_seq', 1)",
            "UPDATE aria_db_version SET version_num = '0'",
            "SELECT * FROM purge_archive()",
            f"SELECT * FROM restore_session('{session_id}')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                own.execute(statement)
        assert archived(own) == rows
    assert archived(empty_connection) == rows


def test_tables_that_exist_keep_what_they_grant(
    stranger: str, empty_database: Database, empty_connection: psycopg.Connection
) -> None:
    give_by_default(empty_connection, stranger)
    upgrade(empty_database, "0001_chat_tables")
    empty_connection.execute(f"GRANT INSERT ON {', '.join(ARCHIVES)} TO {stranger}")
    empty_connection.execute("DROP TABLE aria_db_version")
    before = privileges_of(empty_connection, stranger)

    upgrade(empty_database)

    assert privileges_of(empty_connection, stranger) == before
    assert before["engine_chat_message_archive"] == {"SELECT", "INSERT"}


# Adopted databases


def adopt(database: Database, layout: deployed.Layout, schema: str) -> None:
    with connected(database) as connection, errors.translated():
        adoption.adopt(connection, layout.schema, schema)


@pytest.mark.parametrize("variant", ["jsonb", "no archives"])
def test_default_privileges_give_nothing_over_adopted_tables_not_even_through_views(
    variant: str, stranger: str, empty_database: Database, empty_connection: psycopg.Connection
) -> None:
    layout = deployed.VARIANTS[variant].without_pgvector()
    deployed.build(empty_connection, layout, filled=False)
    given = f"GRANT SELECT, INSERT ON {layout.tables.sessions} TO {stranger}"
    empty_connection.execute(given)
    before = privileges_of(empty_connection, stranger)
    give_by_default(empty_connection, stranger)
    own = replace(empty_database, schema=layouts.SCHEMA)

    with connected(own) as connection:
        plan = adoption.plan(connection, layout.schema, own.schema)
    adopt(own, layout, layouts.SCHEMA)

    created = {
        f"{layout.schema}.{name}": {"SELECT"}
        for name in layout.missing
        if f"{layout.schema}.{name}" in layout.tables
    }
    assert privileges_of(empty_connection, stranger) == before | created
    empty_connection.execute(f"SET search_path = {layouts.SEARCH_PATH}")
    assert [hazard.hazard for hazard in plan.hazards if "open" in hazard.hazard] == []
    assert hazards(empty_connection) == []


def test_default_privileges_give_nothing_on_what_adopt_puts_back(
    stranger: str, empty_database: Database, empty_connection: psycopg.Connection
) -> None:
    layout = deployed.VARIANTS["jsonb"].without_pgvector()
    deployed.build(empty_connection, layout, filled=False)
    adopt(empty_database, layout, layouts.SCHEMA)
    empty_connection.execute(f"SET search_path = {layouts.SEARCH_PATH}")
    empty_connection.execute(
        f"""
        GRANT SELECT ON engine_chat_session_list TO {stranger};
        DROP VIEW engine_chat_session_archive CASCADE;
        DROP FUNCTION purge_archive, archive_hazards;
        """
    )
    give_by_default(empty_connection, stranger)

    adopt(empty_database, layout, layouts.SCHEMA)

    assert one(empty_connection, "SELECT to_regprocedure('archive_hazards()') IS NOT NULL") is True
    assert one(empty_connection, "SELECT to_regclass('engine_chat_session_all') IS NOT NULL")
    assert privileges_of(empty_connection, stranger) == {"engine_chat_session_list": {"SELECT"}}
    assert hazards(empty_connection) == []


# A schema in which others may create


def _refusal_by_command(database: Database) -> str:
    outcome = command_line.on(database)("upgrade")
    assert (outcome.returncode, outcome.stdout) == (1, "")
    return outcome.stderr


def _refusal_by_upgrade(database: Database) -> str:
    with pytest.raises(errors.AdoptionRefused) as refused, errors.translated():
        upgrade(database)
    return f"{refused.value.message}\n{refused.value.hint}"


def _refusal_by_alembic(database: Database) -> str:
    process = start_alembic("upgrade", "head", DATABASE_URL=database.libpq_url())
    _, told = process.communicate(timeout=60)
    assert process.returncode != 0
    return told


def _refusal_by_adopt(database: Database) -> str:
    with (
        pytest.raises(errors.AdoptionRefused) as refused,
        connected(database) as connection,
        errors.translated(),
    ):
        adoption.adopt(connection, schema=database.schema)
    return f"{refused.value.message}\n{refused.value.hint}"


def relations(connection: psycopg.Connection) -> list[Any]:
    return connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1"
    ).fetchall()


@pytest.mark.parametrize(
    "refusal_by", [_refusal_by_upgrade, _refusal_by_command, _refusal_by_alembic]
)
@pytest.mark.parametrize("kind", ["a role", "PUBLIC"])
def test_a_schema_in_which_others_may_create_is_refused_until_it_is_revoked(
    kind: str,
    refusal_by: Callable[[Database], str],
    stranger: str,
    empty_database: Database,
    empty_connection: psycopg.Connection,
) -> None:
    name = stranger if kind == "a role" else kind
    empty_connection.execute(f"GRANT CREATE ON SCHEMA public TO {name}")

    told = refusal_by(empty_database)

    remedy = f"REVOKE CREATE ON SCHEMA public FROM {name}"
    assert f"{name} may create objects in schema public" in told
    assert remedy in told
    assert "--schema aria_db" in told
    assert "schema=aria_db" in told
    assert relations(empty_connection) == []
    upgrade(empty_database, schema="aria_db")
    empty_connection.execute(remedy)
    upgrade(empty_database)


def test_the_script_refuses_such_a_schema_too(
    stranger: str, empty_database: Database, empty_connection: psycopg.Connection
) -> None:
    empty_connection.execute(f"GRANT CREATE ON SCHEMA public TO {stranger}")

    with pytest.raises(AssertionError, match="may create objects in schema public"):
        run_script(empty_database, script("upgrade", "head"))

    assert relations(empty_connection) == []


def test_adopt_refuses_such_a_schema_and_its_dry_run_says_so(
    stranger: str, empty_database: Database, empty_connection: psycopg.Connection
) -> None:
    layout = deployed.VARIANTS["jsonb"].without_pgvector()
    deployed.build(empty_connection, layout, filled=False)
    empty_connection.execute(f"GRANT CREATE ON SCHEMA public TO {stranger}")
    before = relations(empty_connection)

    target = replace(empty_database, schema="public")
    told = _refusal_by_adopt(target)
    planned = command_line.on(target)("adopt", layout.schema, "--dry-run")

    remedy = f"REVOKE CREATE ON SCHEMA public FROM {stranger}"
    assert remedy in told
    assert "--schema aria_db" in told
    assert planned.returncode == 1
    assert remedy in planned.stderr
    assert relations(empty_connection) == before
    empty_connection.execute(remedy)
    adopt(empty_database, layout, "public")


def test_the_role_that_owns_the_chat_tables_is_told_to_install(
    stranger: str, empty_database: Database, empty_connection: psycopg.Connection
) -> None:
    """The tables are the application's, in a schema in which it may create."""
    upgrade(empty_database, "0001_chat_tables")
    empty_connection.execute("DROP TABLE aria_db_version")
    for table in (*LIVE_TABLES, *ARCHIVES):
        empty_connection.execute(f"ALTER TABLE {table} OWNER TO {stranger}")
        empty_connection.execute(f"COMMENT ON TABLE {table} IS NULL")
    empty_connection.execute(f"GRANT CREATE ON SCHEMA public TO {stranger}")

    told = _refusal_by_command(empty_database)

    assert f"run this as {stranger}" in told
    # from a schema of its own they would not be found
    assert "--schema" not in told
    upgrade(replace(empty_database, url=empty_database.url.set(username=stranger)))


def test_superusers_owners_and_their_members_may_create_in_the_schema(
    stranger: str, empty_database: Database, empty_connection: psycopg.Connection
) -> None:
    names = [f"{stranger}_{kind}" for kind in ("superuser", "owner", "member", "of_database")]
    superuser, owner, member, of_database = names
    database = empty_connection.info.dbname
    for name in names:
        empty_connection.execute(f"CREATE ROLE {name} LOGIN")
    try:
        empty_connection.execute(
            f"""
            ALTER ROLE {superuser} SUPERUSER;
            GRANT {owner} TO {member};
            ALTER SCHEMA public OWNER TO {owner};
            ALTER DATABASE {database} OWNER TO {of_database};
            GRANT CREATE ON SCHEMA public TO {superuser}, {member}, {of_database};
            """
        )
        upgrade(empty_database)
        assert hazards(empty_connection) == []
    finally:
        empty_connection.execute(
            f"ALTER DATABASE {database} OWNER TO CURRENT_USER;"
            f"ALTER SCHEMA public OWNER TO CURRENT_USER; DROP OWNED BY {', '.join(names)}"
        )
        for name in names:
            empty_connection.execute(f"DROP ROLE {name}")


def test_a_schema_that_is_opened_later_is_reported_and_can_be_upgraded(
    stranger: str, empty_database: Database, empty_connection: psycopg.Connection
) -> None:
    upgrade(empty_database)
    empty_connection.execute(f"GRANT CREATE ON SCHEMA public TO {stranger}")

    upgrade(empty_database)

    told = lines(command_line.on(empty_database)("check"), 1)
    assert f"     REVOKE CREATE ON SCHEMA public FROM {stranger}." in told
