"""Who may do what after a grant: every object, by the catalogue, and every kind of call."""

from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from aria_db.database import Database
from aria_db.install import migrate
from tests.support import Connect, new_session, temporary_role
from tests.support.access import ACCESSES, grant, grant_live_tables, verify
from tests.support.installation import catalogue, downgrade, upgrade
from tests.support.layouts import BOTH_LAYOUTS
from tests.support.rows import archive, archived, copy_to_archive, live, of, restore

READ = "SELECT"
WRITE = "SELECT INSERT UPDATE DELETE"
CALL = "EXECUTE"
NO = ""

# Everything there is in the schema, with what a reader, a support, an app and an operator may do
# with it.
# What is added to the schema is added here: decide who may use it.
MATRIX = {
    # the application's tables: what it does with the live ones it was granted by somebody else
    "engine_chat_sessions": (NO, READ, NO, NO),
    "engine_chat_messages": (NO, READ, NO, NO),
    "engine_chat_session_archive": (NO, READ, READ, READ),
    "engine_chat_message_archive": (NO, READ, READ, READ),
    # aria-db's own tables
    "aria_db_version": (NO, NO, READ, READ),
    "engine_archive_policy": (NO, NO, NO, WRITE),
    "engine_session_hold": (NO, NO, NO, READ),
    "engine_archive_run": (NO, NO, NO, READ),
    "engine_archive_run_id_seq": (NO, NO, NO, NO),
    "engine_archive_event": (NO, NO, NO, READ),
    "engine_archive_event_id_seq": (NO, NO, NO, NO),
    "engine_archive_left": (NO, NO, NO, READ),
    "engine_archive_dependent": (NO, NO, NO, READ),
    "engine_conflict_resolution": (NO, NO, NO, READ),
    "engine_conflict_resolution_id_seq": (NO, NO, NO, NO),
    # views
    "engine_chat_session_list": (READ, READ, READ, READ),
    "engine_chat_session_archive_list": (READ, READ, READ, READ),
    "engine_chat_session_all": (READ, READ, READ, READ),
    "engine_archive_run_list": (READ, NO, NO, READ),
    "engine_archive_health": (READ, NO, NO, READ),
    "engine_archive_candidate": (NO, NO, NO, READ),
    "engine_session_conflict": (NO, NO, NO, READ),
    "_table_beneath": (NO, NO, NO, NO),
    "_empty_candidate": (NO, NO, NO, NO),
    "_zombie_session": (NO, NO, NO, NO),
    "_purge_candidate": (NO, NO, NO, NO),
    # functions and procedures, as PostgreSQL names them
    "archive_session(uuid,text)": (NO, NO, CALL, CALL),
    "archive_sessions(uuid[],bigint,text)": (NO, NO, CALL, CALL),
    "restore_session(uuid,text)": (NO, NO, CALL, CALL),
    "restore_sessions(uuid[],bigint,text)": (NO, NO, CALL, CALL),
    "delete_chat_session(uuid,text)": (NO, NO, CALL, CALL),
    "delete_archived_session(uuid,text)": (NO, NO, CALL, CALL),
    "delete_chat_message(uuid,uuid,text)": (NO, NO, CALL, CALL),
    "estimate_sessions(text,text,text,timestamp with time zone,timestamp with time zone)": (
        *(CALL, CALL, CALL, CALL),
    ),
    "last_message_times(text,uuid[])": (CALL, CALL, CALL, CALL),
    "archive_column_drift()": (CALL, NO, NO, CALL),
    "archive_dependents()": (CALL, NO, NO, CALL),
    "archive_hazards()": (CALL, NO, NO, CALL),
    "prune_sessions(interval,text,integer,bigint,text)": (NO, NO, NO, CALL),
    "count_prunable_sessions(interval,text)": (NO, NO, NO, CALL),
    "prune_old_sessions(interval,text,integer,interval,text)": (NO, NO, NO, CALL),
    "purge_archive(text,integer,bigint,text)": (NO, NO, NO, CALL),
    "delete_empty_sessions(interval,integer,bigint,text)": (NO, NO, NO, CALL),
    "count_empty_sessions(interval)": (NO, NO, NO, CALL),
    "end_zombie_sessions(integer)": (NO, NO, NO, CALL),
    "count_zombie_sessions()": (NO, NO, NO, CALL),
    "count_purgeable_sessions(text)": (NO, NO, NO, CALL),
    "restore_run(bigint,integer,bigint,text)": (NO, NO, NO, CALL),
    "count_restorable_sessions(bigint)": (NO, NO, NO, CALL),
    "archive_history(uuid)": (NO, CALL, CALL, CALL),
    "_archived_parents(uuid[])": (NO, NO, NO, NO),
    "_check_undoable_run(bigint)": (NO, NO, NO, NO),
    "begin_archive_run(text,jsonb,text)": (NO, NO, NO, CALL),
    "finish_archive_run(bigint,text,text)": (NO, NO, NO, CALL),
    "place_hold(uuid,text,text)": (NO, NO, NO, CALL),
    "release_hold(uuid,text)": (NO, NO, NO, CALL),
    "session_conflict_differences(uuid)": (NO, NO, NO, CALL),
    "resolve_session_conflict(uuid,text,text,text)": (NO, NO, NO, CALL),
    "verify_archive(timestamp with time zone)": (NO, NO, NO, CALL),
    # the owner's: what the others call, and what grants
    "_actor(text)": (NO, NO, NO, NO),
    "_all_columns(regclass)": (NO, NO, NO, NO),
    "_archive_dependents(uuid[],timestamp with time zone)": (NO, NO, NO, NO),
    "_are_tables_plain()": (NO, NO, NO, NO),
    "_begin_checked_move(uuid[],timestamp with time zone)": (NO, NO, NO, NO),
    "_chat_images(text,uuid[],boolean)": (NO, NO, NO, NO),
    "_chat_tables()": (NO, NO, NO, NO),
    "_check_archive_run(bigint,text[])": (NO, NO, NO, NO),
    "_check_gone(text,uuid[])": (NO, NO, NO, NO),
    "_check_older_than(interval)": (NO, NO, NO, NO),
    "_check_prune_arguments(interval,text)": (NO, NO, NO, NO),
    "_check_session_type(text)": (NO, NO, NO, NO),
    "_check_unseen_holds(uuid[])": (NO, NO, NO, NO),
    "_compare_images(text[],text[])": (NO, NO, NO, NO),
    "_delete_chat_sessions(uuid[],bigint,text)": (NO, NO, NO, NO),
    "_delete_dependents(uuid[])": (NO, NO, NO, NO),
    "_dependent_archives()": (NO, NO, NO, NO),
    "_dependent_drift()": (NO, NO, NO, NO),
    "_dependent_keys()": (NO, NO, NO, NO),
    "_end_checked_move(uuid[],text[])": (NO, NO, NO, NO),
    "_fill_missing_values(uuid[])": (NO, NO, NO, NO),
    "_find_dependents(text,uuid[],boolean)": (NO, NO, NO, NO),
    "_insertable_columns(regclass,boolean)": (NO, NO, NO, NO),
    "_key_join(name[],name[])": (NO, NO, NO, NO),
    "_lock_and_check_tables(boolean)": (NO, NO, NO, NO),
    "_lock_dependent_tables()": (NO, NO, NO, NO),
    "_move_back(uuid[],boolean)": (NO, NO, NO, NO),
    "_raise_move_error(text,text,text,text,text,text,text,boolean)": (NO, NO, NO, NO),
    "_record_archive_batch(bigint,bigint,bigint,timestamp with time zone)": (NO, NO, NO, NO),
    "_record_left_sessions(bigint,uuid[],text[],text[],text[])": (NO, NO, NO, NO),
    "_referring_keys(text[])": (NO, NO, NO, NO),
    "_refuse_dependent(oid,name,text,uuid,text)": (NO, NO, NO, NO),
    "_refuse_if_held(uuid[],text)": (NO, NO, NO, NO),
    "_refuse_unsafe_tables()": (NO, NO, NO, NO),
    "_remove_archived_copies(uuid[],bigint,text,boolean)": (NO, NO, NO, NO),
    "_restore_dependents(uuid[])": (NO, NO, NO, NO),
    "_restored_columns(regclass,boolean)": (NO, NO, NO, NO),
    "_row_images(oid,text,oid[],tid[],uuid[])": (NO, NO, NO, NO),
    "_session_images(oid,name,uuid[],text,regclass)": (NO, NO, NO, NO),
    "_session_keys()": (NO, NO, NO, NO),
    "_set_constraints(boolean)": (NO, NO, NO, NO),
    "archive_access()": (NO, NO, NO, NO),
    "set_archive_dependent(text,text,text)": (NO, NO, NO, NO),
    "_excess_privileges()": (NO, NO, NO, NO),
    "_schema_creators()": (NO, NO, NO, NO),
    "repair_archive_access(boolean)": (NO, NO, NO, NO),
    "grant_archive_access(text,text,boolean,boolean)": (NO, NO, NO, NO),
}

# What is done, and who may do it. The names are those of sessions.
READER, SUPPORT, APP, OPERATOR = ACCESSES
ACTIONS = {
    "SELECT * FROM archive_session(%(live)s)": {APP, OPERATOR},
    "SELECT * FROM archive_sessions(ARRAY[%(live)s::uuid])": {APP, OPERATOR},
    "SELECT * FROM restore_session(%(archived)s)": {APP, OPERATOR},
    "SELECT * FROM restore_sessions(ARRAY[%(archived)s::uuid])": {APP, OPERATOR},
    "SELECT * FROM delete_chat_session(%(unwanted)s)": {APP, OPERATOR},
    "SELECT * FROM delete_archived_session(%(unwanted_archived)s)": {APP, OPERATOR},
    "SELECT * FROM engine_chat_session_list": set(ACCESSES),
    "SELECT * FROM engine_chat_session_archive_list": set(ACCESSES),
    "SELECT * FROM engine_chat_session_all": set(ACCESSES),
    "SELECT * FROM engine_chat_message_archive WHERE session_id = %(archived)s": {
        *(SUPPORT, APP, OPERATOR)
    },
    "SELECT * FROM engine_chat_messages WHERE session_id = %(live)s": {SUPPORT},
    "SELECT * FROM engine_chat_sessions": {SUPPORT},
    "SELECT * FROM archive_history(%(archived)s)": {SUPPORT, APP, OPERATOR},
    "SELECT * FROM aria_db_version": {APP, OPERATOR},
    "SELECT estimate_sessions('live')": set(ACCESSES),
    "SELECT * FROM archive_column_drift()": {READER, OPERATOR},
    "SELECT * FROM archive_dependents()": {READER, OPERATOR},
    "SELECT * FROM archive_hazards()": {READER, OPERATOR},
    "SELECT * FROM engine_archive_dependent": {OPERATOR},
    "SELECT * FROM engine_archive_health": {READER, OPERATOR},
    "SELECT * FROM engine_archive_run_list": {READER, OPERATOR},
    "SELECT * FROM prune_sessions()": {OPERATOR},
    "SELECT * FROM count_prunable_sessions()": {OPERATOR},
    "CALL prune_old_sessions()": {OPERATOR},
    "SELECT * FROM purge_archive()": {OPERATOR},
    "SELECT * FROM count_purgeable_sessions()": {OPERATOR},
    "SELECT begin_archive_run('prune')": {OPERATOR},
    "SELECT finish_archive_run(1, 'nothing left')": {OPERATOR},
    "SELECT * FROM engine_archive_run": {OPERATOR},
    "SELECT * FROM engine_archive_event": {OPERATOR},
    "SELECT * FROM engine_archive_left": {OPERATOR},
    "SELECT * FROM place_hold(%(live)s, 'case 17')": {OPERATOR},
    "SELECT * FROM engine_session_hold": {OPERATOR},
    "SELECT * FROM release_hold(%(live)s)": {OPERATOR},
    "INSERT INTO engine_archive_policy (session_type, archive_after) VALUES ('chat', '1 day')": {
        OPERATOR
    },
    "UPDATE engine_archive_policy SET purge_after = '1 year'": {OPERATOR},
    "DELETE FROM engine_archive_policy": {OPERATOR},
    "SELECT * FROM engine_session_conflict": {OPERATOR},
    "SELECT * FROM session_conflict_differences(%(live)s)": {OPERATOR},
    "SELECT * FROM resolve_session_conflict(%(live)s, 'live')": {OPERATOR},
    "SELECT * FROM engine_conflict_resolution": {OPERATOR},
    "SELECT * FROM verify_archive()": {OPERATOR},
    # nobody
    "SELECT * FROM engine_chat_sessions FOR UPDATE": set(),
    "INSERT INTO engine_chat_sessions DEFAULT VALUES": set(),
    "INSERT INTO engine_chat_session_archive (archived_at) VALUES (now())": set(),
    "UPDATE engine_chat_message_archive SET content = ''": set(),
    "DELETE FROM engine_chat_session_archive": set(),
    "DELETE FROM engine_session_hold": set(),
    "DELETE FROM engine_archive_run": set(),
    "DELETE FROM engine_archive_event": set(),
    "DELETE FROM engine_archive_left": set(),
    "DELETE FROM engine_conflict_resolution": set(),
    "SELECT * FROM _table_beneath": set(),
    "UPDATE aria_db_version SET version_num = '0001'": set(),
    "SELECT _lock_and_check_tables()": set(),
    "SELECT _record_archive_batch(1, 1, 1)": set(),
    "SELECT grant_archive_access(current_user::text, 'operator')": set(),
    "SELECT repair_archive_access()": set(),
    "CREATE TABLE mine ()": set(),
}


def privileges(connection: psycopg.Connection, role: str) -> dict[str, str]:
    """Read what a role may do with each object of the schema, in the words of the matrix.

    A function is named with its argument types: others may have the same name.
    """
    rows = connection.execute(
        """
        SELECT relname::text, string_agg(privilege, ' ' ORDER BY place) FILTER (
            WHERE CASE
                WHEN relkind = 'S' THEN privilege IN ('SELECT', 'UPDATE')
                    AND has_sequence_privilege(%(role)s, oid, privilege || ', USAGE')
                WHEN privilege IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
                    THEN has_any_column_privilege(%(role)s, oid, privilege)
                ELSE has_table_privilege(%(role)s, oid, privilege)
            END
        )
        FROM pg_class CROSS JOIN unnest(
            '{SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER}'::text[]
        ) WITH ORDINALITY AS _ (privilege, place)
        WHERE relnamespace = 'public'::regnamespace AND relkind NOT IN ('i', 'I', 't', 'c')
        GROUP BY relname
        UNION ALL
        SELECT oid::regprocedure::text,
            CASE WHEN has_function_privilege(%(role)s, oid, 'EXECUTE') THEN 'EXECUTE' END
        FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        """,
        {"role": role},
    )
    return {name: allowed or NO for name, allowed in rows}


@pytest.fixture
def caller(connect: Connect, role: str) -> psycopg.Connection:
    """A connection of the role."""
    return connect(user=role)


@pytest.fixture
def ids(connection: psycopg.Connection) -> dict[str, UUID]:
    """Two live sessions and two archived ones."""
    names = ("live", "archived", "unwanted", "unwanted_archived")
    ids = {name: new_session(connection) for name in names}
    for name in ("archived", "unwanted_archived"):
        archive(connection, ids[name])
    return ids


@pytest.mark.parametrize("access", ACCESSES)
def test_a_grant_gives_exactly_what_the_matrix_says_of_every_object_there_is(
    connection: psycopg.Connection, role: str, access: str
) -> None:
    assert set(privileges(connection, role).values()) == {NO}

    grant(connection, role, access)
    place = ACCESSES.index(access)
    expected = {name: allowed[place] for name, allowed in MATRIX.items()}
    assert privileges(connection, role) == expected

    grant(connection, role, access)  # safe to repeat
    assert privileges(connection, role) == expected


def test_the_statements_grant_with_nothing_that_could_be_passed_on(
    connection: psycopg.Connection, role: str
) -> None:
    for access in ACCESSES:
        grant(connection, role, access)

    assert connection.execute(
        """
        SELECT count(*) FROM (
            SELECT relacl FROM pg_class UNION ALL SELECT proacl FROM pg_proc
            UNION ALL SELECT nspacl FROM pg_namespace
        ) AS objects (acl) CROSS JOIN LATERAL aclexplode(acl) AS entry
        WHERE entry.grantee = %s::regrole
            AND (entry.is_grantable OR entry.privilege_type = 'CREATE')
        """,
        [role],
    ).fetchone() == (0,)


@BOTH_LAYOUTS
@pytest.mark.parametrize("access", [None, *ACCESSES])
def test_what_a_role_may_do_works_and_everything_else_is_refused(
    connection: psycopg.Connection,
    caller: psycopg.Connection,
    role: str,
    ids: dict[str, UUID],
    layout: str,
    access: str | None,
) -> None:
    if access is not None:
        grant(connection, role, access)

    done = {}
    for action in ACTIONS:
        try:
            caller.execute(action, ids)
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedTable) as refusal:
            # without USAGE on a schema of its own nothing in it is found
            if access is not None and refusal.sqlstate != "42501":
                raise
            done[action] = False
        except (psycopg.errors.UndefinedFunction, psycopg.errors.InvalidSchemaName):
            assert access is None
            done[action] = False
        else:
            done[action] = True
        connection.execute(
            "SELECT restore_session(%s), archive_session(%s)", [ids["live"], ids["archived"]]
        )

    assert done == {action: access in allowed for action, allowed in ACTIONS.items()}


@pytest.mark.parametrize("access", ACCESSES)
def test_revoking_takes_away_what_granting_gave_and_nothing_else(
    connection: psycopg.Connection, role: str, access: str
) -> None:
    grant_live_tables(connection, role)
    connection.execute(f"GRANT USAGE ON SCHEMA public TO {role}")
    before = privileges(connection, role)

    grant(connection, role, access)
    statements = grant(connection, role, access, revoking=True)
    grant(connection, role, access, revoking=True)  # safe to repeat

    assert before["engine_chat_messages"] == WRITE
    # support includes SELECT on the live tables, so revoking it also revokes a separate grant
    left = "INSERT UPDATE DELETE" if access == SUPPORT else WRITE
    live_tables = dict.fromkeys(("engine_chat_sessions", "engine_chat_messages"), left)
    assert privileges(connection, role) == before | live_tables
    # the application may have other objects in the schema
    assert not any("SCHEMA" in statement for statement in statements)


@pytest.mark.parametrize("revoking", [False, True])
def test_a_dry_run_changes_nothing_and_gives_the_statements_that_a_dba_can_run(
    connection: psycopg.Connection, role: str, revoking: bool
) -> None:
    if revoking:
        grant(connection, role, "operator")
    before = privileges(connection, role)

    statements = grant(connection, role, "operator", revoking=revoking, dry_run=True)
    assert privileges(connection, role) == before

    # wherever the DBA's search path leads
    connection.execute("SET search_path = pg_catalog")
    for statement in statements:
        connection.execute(statement)
    connection.execute("RESET search_path")
    after = privileges(connection, role)
    assert grant(connection, role, "operator", revoking=revoking) == statements
    assert privileges(connection, role) == after != before


def test_an_unknown_role_and_an_unknown_access_are_refused_by_name(
    connection: psycopg.Connection, role: str
) -> None:
    for name in ("nobody_knows", "public", role.upper(), role + "x" * 63):
        with pytest.raises(psycopg.errors.UndefinedObject, match="does not exist") as refused:
            grant(connection, name, "app")
        assert refused.value.diag.message_hint
    for access in ("owner", "", None):
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="operator"):
            grant(connection, role, access)
    assert set(privileges(connection, role).values()) == {NO}


def test_a_name_that_is_more_sql_is_a_name(connection: psycopg.Connection, role: str) -> None:
    odd = f'{role}"; DROP TABLE "x'
    connection.execute(
        sql.SQL("ALTER ROLE {} RENAME TO {}").format(*map(sql.Identifier, (role, odd)))
    )
    try:
        grant(connection, odd, "reader")
        assert privileges(connection, odd)["engine_chat_session_list"] == READ
    finally:
        connection.execute(
            sql.SQL("ALTER ROLE {} RENAME TO {}").format(*map(sql.Identifier, (odd, role)))
        )


@pytest.mark.parametrize("revoking", [False, True])
def test_a_role_that_may_not_grant_changes_nothing_and_gets_an_error(
    connection: psycopg.Connection, caller: psycopg.Connection, role: str, revoking: bool
) -> None:
    """Where PostgreSQL would only warn: a role that has the privileges, and may not give them."""
    grant(connection, role, "operator")
    connection.execute(f"GRANT EXECUTE ON FUNCTION archive_access, grant_archive_access TO {role}")
    # so that its GRANT USAGE ON SCHEMA is not what fails
    connection.execute(f"GRANT USAGE ON SCHEMA public TO {role} WITH GRANT OPTION")
    with temporary_role(connection) as other:
        if revoking:
            grant(connection, other, "operator")
        before = privileges(connection, other)
        with pytest.raises(
            psycopg.errors.InsufficientPrivilege, match=r"may not (grant|revoke) \w+ on"
        ):
            grant(caller, other, "operator", revoking=revoking)
        assert privileges(connection, other) == before


def test_the_owner_of_the_functions_keeps_what_they_work_with(
    owner: psycopg.Connection, role: str
) -> None:
    session_id = new_session(owner)
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="owns"):
        grant(owner, role, "operator", revoking=True)

    grant(owner, role, "app")
    assert archive(owner, session_id).newly_archived


# Functions of the application with the same names

# For each function of ours one with the same name and other arguments.
NAMESAKES = [
    f"{name}(text)" if f"{name}(text)" not in MATRIX else f"{name}(integer)"
    for name, _, arguments in (key.partition("(") for key in MATRIX)
    if arguments
]


@pytest.fixture
def namesakes(postgresql_empty: psycopg.Connection, empty_database: Database) -> psycopg.Connection:
    """A connection to a database that has the application's functions and is then upgraded."""
    postgresql_empty.autocommit = True
    for function in NAMESAKES:
        postgresql_empty.execute(
            f"CREATE FUNCTION {function} RETURNS text LANGUAGE sql RETURN 'the application''s'"
        )
        postgresql_empty.execute(f"REVOKE ALL ON FUNCTION {function} FROM public")
    upgrade(empty_database)
    return postgresql_empty


def test_functions_of_the_application_with_our_names_are_neither_granted_nor_revoked(
    namesakes: psycopg.Connection,
) -> None:
    calls = dict.fromkeys(NAMESAKES, CALL)
    with temporary_role(namesakes) as role:
        for place, access in enumerate(ACCESSES):
            grant(namesakes, role, access)
            ours = {name: allowed[place] for name, allowed in MATRIX.items()}
            assert privileges(namesakes, role) == dict.fromkeys(NAMESAKES, NO) | ours

            for function in NAMESAKES:
                namesakes.execute(f"GRANT EXECUTE ON FUNCTION {function} TO {role}")
            grant(namesakes, role, access, revoking=True)
            assert privileges(namesakes, role) == dict.fromkeys(MATRIX, NO) | calls
            for function in NAMESAKES:
                namesakes.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM {role}")


def test_functions_of_the_application_with_our_names_disturb_no_call_of_ours(
    namesakes: psycopg.Connection,
) -> None:
    session_id = new_session(namesakes)
    rows = live(namesakes)

    assert archive(namesakes, session_id).newly_archived
    assert archived(namesakes) == rows
    assert restore(namesakes, session_id).newly_restored
    assert live(namesakes) == rows
    copy_to_archive(namesakes, session_id)
    resolved = namesakes.execute(
        "SELECT place FROM resolve_session_conflict(%s, 'live')", [session_id]
    )
    assert resolved.fetchone() == ("live",)
    namesakes.execute("UPDATE engine_chat_sessions SET status = 'archived'")
    namesakes.execute("CALL prune_old_sessions()")
    assert archived(namesakes) != []
    namesakes.execute("UPDATE engine_archive_policy SET purge_after = '1 us'")
    assert namesakes.execute("SELECT sessions FROM purge_archive()").fetchone() == (1,)
    assert verify(namesakes) == []


def test_functions_of_the_application_with_our_names_outlast_a_downgrade(
    namesakes: psycopg.Connection, empty_database: Database
) -> None:
    downgrade(empty_database, "base")

    assert catalogue(namesakes)["functions"].keys() == set(NAMESAKES)
    assert namesakes.execute("SELECT archive_session('text')").fetchone() == ("the application's",)


# Row-level security


@pytest.fixture
def owner(
    database: Database, connect: Connect, connection: psycopg.Connection, role: str
) -> psycopg.Connection:
    """A connection of a plain role that has installed everything in a schema of its own."""
    connection.execute(sql.SQL("CREATE SCHEMA app AUTHORIZATION {}").format(sql.Identifier(role)))
    engine = sa.create_engine(database.url.set(username=role))
    with engine.connect() as installing:
        migrate.upgrade(installing, schema="app")
    engine.dispose()
    owner = connect(user=role)
    owner.execute("SET search_path = app")
    return owner


@pytest.fixture
def tenant(
    owner: psycopg.Connection, connection: psycopg.Connection, connect: Connect
) -> Iterator[psycopg.Connection]:
    """A role with the access of an application, that sees of the tables its own sessions alone."""
    with temporary_role(connection) as name:
        grant(owner, name, "app")
        grant_live_tables(owner, name)
        for place in ("engine_chat_sessions", "engine_chat_session_archive"):
            owner.execute(f"ALTER TABLE {place} ENABLE ROW LEVEL SECURITY")
            owner.execute(f"CREATE POLICY own ON {place} USING (agent_id = current_user)")
        for place, sessions in (
            ("engine_chat_messages", "engine_chat_sessions"),
            ("engine_chat_message_archive", "engine_chat_session_archive"),
        ):
            owner.execute(f"ALTER TABLE {place} ENABLE ROW LEVEL SECURITY")
            owner.execute(
                f"CREATE POLICY own ON {place} USING (session_id IN (SELECT id FROM {sessions}))"
            )
        tenant = connect(user=name)
        tenant.execute("SET search_path = app")
        yield tenant
        tenant.close()


def test_policies_hold_for_what_a_tenant_reads_from_the_tables_live_and_archived(
    owner: psycopg.Connection, tenant: psycopg.Connection
) -> None:
    own = new_session(tenant, agent_id=tenant.info.user)
    others = new_session(owner, agent_id="another")
    rows = live(owner)

    assert live(tenant) == of(rows, own)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        new_session(tenant, agent_id="another")
    for session_id in (own, others):
        archive(owner, session_id)
    assert archived(tenant) == of(rows, own)
    assert archived(owner) == rows


def test_policies_hide_nothing_from_a_move_and_nothing_in_the_views(
    owner: psycopg.Connection, tenant: psycopg.Connection
) -> None:
    """A session is moved whole or not at all; whose it is, the application has to ask before."""
    others = new_session(owner, agent_id="another")
    rows = live(owner)
    assert live(tenant) == []

    assert archive(tenant, others)[2:] == (3, True)
    assert archived(owner) == rows
    assert verify(owner) == []
    listed = tenant.execute("SELECT id FROM engine_chat_session_archive_list").fetchall()
    assert listed == [(others,)]
