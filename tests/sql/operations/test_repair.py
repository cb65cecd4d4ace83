"""What others may do and archive_access() does not say: found as a hazard, revoked by a repair."""

import subprocess

import psycopg
import pytest

from aria_db import embedded
from aria_db.database import Database
from tests.support import Connect, new_session, temporary_role
from tests.support.access import ACCESSES, grant, grant_live_tables
from tests.support.dependents import Chat, add_feedback, hazards, refer_to_messages, set_handling
from tests.support.layouts import BOTH_LAYOUTS
from tests.support.rows import all_tables, archive, restore

FUNCTIONS, TABLES = "functions open to others", "tables open to others"


def repair(connection: psycopg.Connection, *, dry_run: bool = False) -> list[str]:
    """Call ``repair_archive_access``; return the statements."""
    rows = connection.execute("SELECT repair_archive_access(%s)", [dry_run])
    return [statement for (statement,) in rows]


def granted(connection: psycopg.Connection) -> set[tuple[object, ...]]:
    """Return what others than the owners may do with the objects that are not PostgreSQL's own."""
    rows = connection.execute(
        """
        SELECT object, entry.grantor, entry.grantee, entry.privilege_type, entry.is_grantable
        FROM (
            SELECT oid::regclass::text, relnamespace, relowner, relacl FROM pg_class
            UNION ALL
            SELECT attrelid::regclass || '.' || attname, relnamespace, relowner, attacl
            FROM pg_attribute INNER JOIN pg_class ON attrelid = pg_class.oid
            UNION ALL
            SELECT oid::regprocedure::text, pronamespace, proowner,
                coalesce(proacl, acldefault('f', proowner))
            FROM pg_proc
            UNION ALL
            SELECT nspname::text, oid, nspowner, nspacl FROM pg_namespace
        ) AS objects (object, namespace, owner, privileges)
        CROSS JOIN LATERAL aclexplode(privileges) AS entry
        WHERE namespace::regnamespace::text !~ '^(pg_|information_schema)'
            AND entry.grantee <> owner
        """
    )
    return set(rows.fetchall())


@pytest.fixture
def restored(
    database: Database,
    connection: psycopg.Connection,
    empty_database: Database,
    empty_connection: psycopg.Connection,
) -> psycopg.Connection:
    """A connection to a database that was restored without privileges, with an archived session."""
    archive(connection, new_session(connection))
    dump = subprocess.run(
        [embedded.program("pg_dump"), "--format=custom", f"--dbname={database.libpq_url()}"],
        check=True,
        capture_output=True,
    )
    # An older server does not know every setting of pg_restore, which then says so and goes on.
    subprocess.run(
        [
            *(embedded.program("pg_restore"), "--no-acl"),
            f"--dbname={empty_database.libpq_url()}",
        ],
        input=dump.stdout,
        check=False,
        capture_output=True,
    )
    return empty_connection


def test_after_a_restore_without_privileges_everybody_may_call_everything_until_it_is_repaired(
    restored: psycopg.Connection, connection: psycopg.Connection, empty_database: Database
) -> None:
    assert all_tables(restored) == all_tables(connection)
    (hazard,) = hazards(restored)
    assert (hazard.hazard, hazard.object, hazard.effect) == (FUNCTIONS, "PUBLIC", "unsafe")
    assert hazard.detail.startswith("PUBLIC may call public._actor(text) and ")
    assert "repair_archive_access()" in hazard.remedy
    assert "aria-db grant --repair" in hazard.remedy

    (statement,) = repair(restored)

    assert statement.startswith("REVOKE EXECUTE ON ROUTINE public._actor(text), ")
    assert statement.endswith(" FROM PUBLIC;")
    assert hazards(restored) == []
    assert repair(restored) == []
    everybodys = restored.execute(
        """
        SELECT oid::regprocedure FROM pg_proc
        CROSS JOIN LATERAL aclexplode(coalesce(proacl, acldefault('f', proowner))) AS entry
        WHERE pronamespace = 'public'::regnamespace AND entry.grantee = 0
        """
    )
    assert everybodys.fetchall() == []
    (row,) = restored.execute("SELECT id FROM engine_chat_session_archive").fetchall()
    assert restore(restored, row[0]).newly_restored


@BOTH_LAYOUTS
def test_what_was_granted_by_its_kind_is_no_hazard_and_outlasts_a_repair(
    connection: psycopg.Connection, role: str
) -> None:
    grant_live_tables(connection, role)
    for access in ACCESSES:
        grant(connection, role, access)
    # who may read is for the owner to say
    connection.execute(f"GRANT SELECT ON engine_archive_event, engine_archive_policy TO {role}")
    connection.execute(
        f"""
        GRANT INSERT ON engine_archive_policy TO {role} WITH GRANT OPTION;
        CREATE FUNCTION _helper() RETURNS integer LANGUAGE sql RETURN 1;
        CREATE FUNCTION archive_session(text) RETURNS integer LANGUAGE sql RETURN 1;
        CREATE TABLE of_the_application (id integer);
        GRANT ALL ON of_the_application TO PUBLIC;
        """
    )
    before = granted(connection)

    assert hazards(connection) == []
    assert repair(connection) == []
    assert granted(connection) == before


GRANTS = {
    "INSERT ON engine_chat_session_archive": TABLES,
    "DELETE ON engine_chat_message_archive": TABLES,
    "UPDATE (content) ON engine_chat_message_archive": TABLES,
    "DELETE ON engine_chat_session_archive_list": TABLES,
    "TRUNCATE ON engine_archive_event": TABLES,
    "TRIGGER ON engine_session_hold": TABLES,
    "REFERENCES ON engine_archive_run": TABLES,
    "UPDATE ON aria_db_version": TABLES,
    "UPDATE ON SEQUENCE engine_archive_event_id_seq": TABLES,
    "UPDATE ON _table_beneath": TABLES,
    "DELETE ON _purge_candidate": TABLES,
    "TRUNCATE ON engine_archive_policy": TABLES,
    "EXECUTE ON FUNCTION _remove_archived_copies": FUNCTIONS,
    "EXECUTE ON FUNCTION grant_archive_access": FUNCTIONS,
    "EXECUTE ON FUNCTION set_archive_dependent": FUNCTIONS,
}


@BOTH_LAYOUTS
@pytest.mark.parametrize("given", GRANTS)
def test_what_no_kind_of_access_has_is_unsafe_and_a_repair_revokes_that_alone(
    connection: psycopg.Connection, role: str, given: str
) -> None:
    grant(connection, role, "operator")
    before = granted(connection)
    connection.execute(f"GRANT {given} TO {role}")

    (hazard,) = hazards(connection)
    assert (hazard.hazard, hazard.object, hazard.effect) == (GRANTS[given], role, "unsafe")

    planned = repair(connection, dry_run=True)
    assert hazards(connection) == [hazard]
    assert repair(connection) == planned != []
    assert granted(connection) == before
    assert hazards(connection) == []


@pytest.mark.parametrize(
    "given",
    [
        "EXECUTE ON FUNCTION archive_session(uuid, text)",
        "INSERT ON engine_archive_policy",
        "DELETE ON engine_chat_session_archive",
    ],
)
def test_what_is_everybodys_is_unsafe_although_a_kind_of_access_has_it(
    connection: psycopg.Connection, given: str
) -> None:
    before = granted(connection)
    connection.execute(f"GRANT {given} TO PUBLIC")

    (hazard,) = hazards(connection)
    assert (hazard.object, hazard.effect) == ("PUBLIC", "unsafe")
    repair(connection)
    assert granted(connection) == before


@BOTH_LAYOUTS
def test_a_repair_covers_archive_tables_and_the_archives_of_dependents(
    connection: psycopg.Connection, chat: Chat, role: str
) -> None:
    """The tables beneath adopted archives, and the archives of dependents, belong to it as well."""
    session_id = new_session(connection)
    refer_to_messages(connection, chat, "CASCADE")
    add_feedback(connection, session_id)
    set_handling(connection, "feedback", "move")
    archive(connection, session_id)
    assert hazards(connection) == []
    connection.execute(f"GRANT ALL ON {chat.session_archive}, feedback_archive, feedback TO {role}")

    (hazard,) = hazards(connection)
    assert hazard.hazard == TABLES
    assert hazard.detail.endswith("and 1 more")
    (statement,) = repair(connection)
    assert "feedback_archive" in statement
    assert hazards(connection) == []
    may = "SELECT has_table_privilege(%s, %s, 'DELETE'), has_table_privilege(%s, %s, 'SELECT')"
    for table, writes in ((chat.session_archive, False), ("feedback", True)):
        row = connection.execute(may, [role, table, role, table]).fetchone()
        assert row == (writes, True)


@BOTH_LAYOUTS
def test_default_privileges_give_nothing_on_the_archive_of_another_table(
    connection: psycopg.Connection, chat: Chat, role: str
) -> None:
    refer_to_messages(connection, chat, "CASCADE")
    connection.execute(f"ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {role}, PUBLIC")

    set_handling(connection, "feedback", "move")

    assert connection.execute(
        "SELECT count(*) FROM pg_class CROSS JOIN LATERAL aclexplode(relacl) AS entry"
        " WHERE pg_class.oid = 'feedback_archive'::regclass AND entry.grantee <> relowner"
    ).fetchone() == (0,)
    assert hazards(connection) == []


def test_superusers_and_members_of_the_owner_are_no_hazard(
    owner: psycopg.Connection, connection: psycopg.Connection, role: str
) -> None:
    with temporary_role(connection) as member, temporary_role(connection) as superuser:
        connection.execute(f"GRANT {role} TO {member}; ALTER ROLE {superuser} SUPERUSER")
        owner.execute(f"GRANT ALL ON engine_archive_event TO {member}, {superuser}")
        owner.execute(f"GRANT CREATE ON SCHEMA app TO {member}, {superuser}")

        assert hazards(owner) == []
        assert repair(owner) == []


@pytest.fixture
def privileged(connection: psycopg.Connection, role: str) -> str:
    """A role that may delete from the journal and let others do so."""
    connection.execute(f"GRANT DELETE ON engine_archive_event TO {role} WITH GRANT OPTION")
    return role


def test_what_was_passed_on_is_revoked_with_it(
    connection: psycopg.Connection, connect: Connect, privileged: str
) -> None:
    with temporary_role(connection) as other:
        connect(user=privileged).execute(f"GRANT DELETE ON engine_archive_event TO {other}")
        assert {hazard.object for hazard in hazards(connection)} == {privileged, other}

        assert any(statement.endswith(" CASCADE;") for statement in repair(connection))

        assert hazards(connection) == []


def test_what_somebody_else_granted_and_keeps_is_an_error_and_nothing_is_changed(
    connection: psycopg.Connection, connect: Connect, role: str
) -> None:
    grant(connection, role, "operator")
    connection.execute(f"GRANT INSERT ON engine_archive_policy TO {role} WITH GRANT OPTION")
    connect(user=role).execute("GRANT INSERT ON engine_archive_policy TO PUBLIC")
    connection.execute("GRANT DELETE ON engine_archive_event TO PUBLIC")
    before = granted(connection)

    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="may not revoke") as refused:
        repair(connection)

    assert "that granted the privilege" in (refused.value.diag.message_hint or "")
    assert granted(connection) == before


def test_a_stranger_repairs_nothing_even_if_everybody_may_call_it(
    restored: psycopg.Connection, empty_database: Database
) -> None:
    before = granted(restored)
    with temporary_role(restored) as role:
        stranger = Database(empty_database.url.set(username=role))
        with (
            psycopg.connect(stranger.libpq_url(), autocommit=True) as own,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            repair(own)
    assert granted(restored) == before
