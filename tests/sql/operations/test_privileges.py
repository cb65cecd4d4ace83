"""Who may call, what else a caller reaches (nothing), and what fools the functions (nothing)."""

from collections.abc import Callable
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

from tests.support import Connect, call, events, layouts, new_session, places
from tests.support.layouts import BOTH_LAYOUTS
from tests.support.rows import (
    ARCHIVE,
    LIVE,
    all_tables,
    archive,
    archive_many,
    archived,
    copy_to_archive,
    delete_archived,
    delete_live,
    live,
    not_of,
    of,
    restore,
    restore_many,
)

MOVES: dict[str, Callable] = {
    "archive_session(uuid,text)": archive,
    "archive_sessions(uuid[],bigint,text)": lambda connection, session_id: archive_many(
        connection, [session_id]
    )[session_id],
    "restore_session(uuid,text)": restore,
    "restore_sessions(uuid[],bigint,text)": lambda connection, session_id: restore_many(
        connection, [session_id]
    )[session_id],
    "delete_chat_session(uuid,text)": delete_live,
    "delete_archived_session(uuid,text)": delete_archived,
}


def place_after(function: str) -> tuple[int, int, int, int]:
    """Tell where a session with three messages is after the move, as ``places`` does."""
    if function.startswith("delete"):
        return (0, 0, 0, 0)
    return (0, 0, 1, 3) if function.startswith("archive") else (1, 3, 0, 0)


@pytest.fixture
def caller(connect: Connect, role: str) -> psycopg.Connection:
    """A connection of a role that owns nothing and may do nothing yet."""
    return connect(user=role)


def grant(connection: psycopg.Connection, role: str, *privileges: str) -> None:
    for privilege in privileges:
        connection.execute(
            sql.SQL("GRANT {} TO {}").format(sql.SQL(privilege), sql.Identifier(role))
        )


def grant_all_moves(connection: psycopg.Connection, role: str) -> None:
    grant(connection, role, *(f"EXECUTE ON FUNCTION {function}" for function in MOVES))


def session_for(connection: psycopg.Connection, function: str) -> UUID:
    session_id = new_session(connection)
    if function.startswith(("restore", "delete_archived")):
        archive(connection, session_id)
    return session_id


@BOTH_LAYOUTS
@pytest.mark.parametrize("function", MOVES)
def test_a_role_that_may_only_execute_moves_sessions_and_reaches_no_table(
    connection: psycopg.Connection,
    caller: psycopg.Connection,
    role: str,
    layout: str,
    function: str,
) -> None:
    session_id = session_for(connection, function)
    if layout == "views":
        grant(connection, role, f"USAGE ON SCHEMA {layouts.SEARCH_PATH}")
    grant(connection, role, f"EXECUTE ON FUNCTION {function}")

    row = MOVES[function](caller, session_id)

    assert row.id == session_id
    assert row.message_count == 3
    assert places(connection, session_id) == place_after(function)
    before = all_tables(connection)
    journal = events(connection)
    for table in (
        *LIVE,
        *ARCHIVE,
        *(layouts.TABLES if layout == "views" else ()),
        *("engine_archive_event", "engine_archive_left", "engine_session_hold"),
    ):
        key = "session_id" if table.startswith(("engine_archive", "engine_session")) else "id"
        for statement in (
            f"SELECT count(*) FROM {table}",
            f"SELECT {key} FROM {table} FOR UPDATE",
            f"DELETE FROM {table}",
            f"UPDATE {table} SET {key} = {key}",
            f"INSERT INTO {table} DEFAULT VALUES",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                caller.execute(statement)
    assert all_tables(connection) == before
    assert events(connection) == journal


@pytest.mark.parametrize("function", MOVES)
def test_a_role_without_the_privilege_moves_nothing(
    connection: psycopg.Connection, caller: psycopg.Connection, role: str, function: str
) -> None:
    session_id = session_for(connection, function)
    before = all_tables(connection)
    # a privilege on one function is none on another, and the tables are none at all
    others = [f"EXECUTE ON FUNCTION {other}" for other in MOVES if other != function]
    grant(connection, role, *others)
    grant(connection, role, f"ALL ON {', '.join(LIVE + ARCHIVE)}")

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        MOVES[function](caller, session_id)
    assert all_tables(connection) == before


def test_no_function_is_everybodys_to_call(
    connection: psycopg.Connection, caller: psycopg.Connection, role: str
) -> None:
    """The inner ones stay the owner's also for a role that may make every move."""

    def callable_functions() -> set[str]:
        rows = caller.execute(
            """
            SELECT oid::regprocedure::text FROM pg_proc
            WHERE pronamespace = 'public'::regnamespace AND has_function_privilege(oid, 'EXECUTE')
            """
        )
        return {name for (name,) in rows}

    assert callable_functions() == set()

    grant_all_moves(connection, role)

    assert callable_functions() == set(MOVES)


# Objects of a caller's own, by the names that the functions use. Each gives itself away: it
# raises, answers wrongly, or takes rows that then are not where they belong.
_TABLES_OF_THE_SAME_NAMES = """
    CREATE {temporary} TABLE {prefix}engine_archive_event (
        session_id uuid, event text, at timestamptz, actor text, role text, run_id bigint,
        message_count bigint, detail jsonb);
    CREATE {temporary} TABLE {prefix}engine_archive_left (session_id uuid);
    CREATE {temporary} TABLE {prefix}engine_session_hold (session_id uuid, reason text);
    CREATE {temporary} TABLE {prefix}_table_beneath (relation text, table_id text);
    CREATE {temporary} TABLE {prefix}engine_chat_sessions (id uuid, status text);
    CREATE {temporary} TABLE {prefix}engine_chat_messages (id uuid, session_id uuid, role text);
    CREATE {temporary} TABLE {prefix}engine_chat_session_archive (
        archived_at timestamptz, id uuid, status text);
    CREATE {temporary} TABLE {prefix}engine_chat_message_archive (
        archived_at timestamptz, id uuid, session_id uuid, role text);
"""
_RAISE = "LANGUAGE plpgsql AS $$ BEGIN RAISE 'fooled'; END $$"
_FUNCTIONS_AND_OPERATORS = f"""
    CREATE FUNCTION {{prefix}}archive_sessions(uuid[], bigint, text)
        RETURNS TABLE (
            id uuid, archived_at timestamptz, message_count bigint, newly_archived boolean)
        {_RAISE};
    CREATE FUNCTION {{prefix}}restore_sessions(uuid[], bigint, text)
        RETURNS TABLE (
            id uuid, restored_at timestamptz, message_count bigint, newly_restored boolean,
            due_from timestamptz)
        {_RAISE};
    CREATE FUNCTION {{prefix}}_lock_and_check_tables() RETURNS void LANGUAGE sql AS '';
    CREATE FUNCTION {{prefix}}_remove_archived_copies(uuid[], bigint, text) RETURNS void
        LANGUAGE sql AS '';
    CREATE FUNCTION {{prefix}}_refuse_if_held(uuid[], text) RETURNS void LANGUAGE sql AS '';
    CREATE FUNCTION {{prefix}}_check_unseen_holds(uuid[]) RETURNS void {_RAISE};
    CREATE FUNCTION {{prefix}}_check_archive_run(bigint, text[]) RETURNS text {_RAISE};
    CREATE FUNCTION {{prefix}}_insertable_columns(regclass, boolean DEFAULT true) RETURNS text
        {_RAISE};
    CREATE FUNCTION {{prefix}}_actor(text) RETURNS text LANGUAGE sql AS $$ SELECT 'fooled' $$;
    CREATE FUNCTION {{prefix}}current_setting(text, boolean) RETURNS text
        LANGUAGE sql AS $$ SELECT 'fooled' $$;
    CREATE FUNCTION {{prefix}}archive_column_drift()
        RETURNS TABLE (live_table text, column_name text, problem text)
        LANGUAGE sql AS $$ SELECT 'fooled', 'fooled', 'fooled' $$;
    CREATE FUNCTION {{prefix}}array_position(uuid[], uuid) RETURNS integer {_RAISE};
    CREATE FUNCTION {{prefix}}cardinality(uuid[]) RETURNS integer {_RAISE};
    CREATE FUNCTION {{prefix}}unnest(uuid[]) RETURNS SETOF uuid {_RAISE};
    CREATE FUNCTION {{prefix}}clock_timestamp() RETURNS timestamptz {_RAISE};
    CREATE FUNCTION {{prefix}}count() RETURNS bigint {_RAISE};
    CREATE FUNCTION {{prefix}}record_image_eq(record, record) RETURNS boolean
        LANGUAGE plpgsql AS $$ BEGIN RETURN true; END $$;
    CREATE FUNCTION {{prefix}}format(text, text, text) RETURNS text {_RAISE};
    CREATE FUNCTION {{prefix}}quote_ident(name) RETURNS text {_RAISE};
    CREATE FUNCTION {{prefix}}add_none(uuid[], uuid) RETURNS uuid[]
        LANGUAGE sql AS $$ SELECT '{{{{}}}}'::uuid[] $$;
    CREATE AGGREGATE {{prefix}}array_agg(uuid) (
        sfunc = {{prefix}}add_none, stype = uuid[], initcond = '{{{{}}}}');
    CREATE FUNCTION {{prefix}}always(uuid, uuid) RETURNS boolean LANGUAGE sql AS 'SELECT true';
    CREATE OPERATOR {{prefix}}= (leftarg = uuid, rightarg = uuid, function = {{prefix}}always);
    CREATE FUNCTION {{prefix}}never(varchar, varchar) RETURNS boolean
        LANGUAGE sql AS 'SELECT false';
    CREATE OPERATOR {{prefix}}= (leftarg = varchar, rightarg = varchar, function = {{prefix}}never);
"""


def fool(connection: psycopg.Connection, own_schema: str) -> None:
    """Put objects of the caller's own before and behind the real ones, as far as SQL lets it."""
    connection.execute(_TABLES_OF_THE_SAME_NAMES.format(temporary="TEMPORARY", prefix=""))
    connection.execute(_FUNCTIONS_AND_OPERATORS.format(prefix="pg_temp."))
    connection.execute(
        (_TABLES_OF_THE_SAME_NAMES + _FUNCTIONS_AND_OPERATORS).format(
            temporary="", prefix=f"{own_schema}."
        )
    )
    connection.execute(f"SET search_path = {own_schema}, pg_temp, pg_catalog, public")


@pytest.mark.parametrize("warmed_up", [True, False])
def test_a_callers_own_tables_functions_and_operators_fool_nobody(
    connection: psycopg.Connection, caller: psycopg.Connection, role: str, warmed_up: bool
) -> None:
    """With plans from before the caller made them, and without."""
    session_id, copied, different, bystander, held = (new_session(connection) for _ in range(5))
    call(connection, "place_hold", session_id=held, reason="asked")
    rows = live(connection)
    copy_to_archive(connection, copied)
    copy_to_archive(connection, different)
    connection.execute(
        "UPDATE engine_chat_session_archive SET title = 'another' WHERE id = %s", [different]
    )
    connection.execute(sql.SQL("CREATE SCHEMA own AUTHORIZATION {}").format(sql.Identifier(role)))
    grant_all_moves(connection, role)
    if warmed_up:
        caller.execute(
            "SELECT archive_session(gen_random_uuid()), restore_session(gen_random_uuid())"
        )
    fool(caller, "own")

    def move(function: str, argument: object) -> tuple:
        row = caller.execute(f"SELECT * FROM public.{function}(%s)", [argument]).fetchone()
        assert row is not None
        return row

    assert move("archive_session", session_id)[2:4] == (3, True)
    assert move("archive_sessions", [copied])[2:4] == (3, False)
    for refusing, sqlstate in ((different, "AR001"), (held, "AR003")):
        for function in ("archive_session", "delete_chat_session", "delete_archived_session"):
            if (refusing, function) == (different, "delete_chat_session"):
                continue  # the live one of two may go
            if (refusing, function) == (held, "delete_archived_session"):
                continue  # it is not there
            with pytest.raises(psycopg.Error) as refused:
                move(function, refusing)
            assert refused.value.sqlstate == sqlstate
    assert of(archived(connection), session_id, copied) == of(rows, session_id, copied)
    assert live(connection) == of(rows, different, bystander, held)
    assert move("restore_session", session_id)[2:4] == (3, True)
    assert move("restore_sessions", [copied])[2:4] == (3, True)
    assert live(connection) == rows
    assert move("delete_chat_session", bystander)[2] == 3
    assert live(connection) == not_of(rows, bystander)
    written = events(connection)
    assert [(event.session_id, event.event) for event in written] == [
        *((held, "held"), (session_id, "archived"), (copied, "resolved")),
        *((session_id, "restored"), (copied, "restored"), (bystander, "deleted")),
    ]
    assert {event.actor for event in written[1:]} == {role}
    for schema in ("own", "pg_temp"):
        for table in (
            *LIVE,
            *ARCHIVE,
            *("engine_archive_event", "engine_archive_left", "engine_session_hold"),
        ):
            assert caller.execute(f"SELECT * FROM {schema}.{table}").fetchall() == []


def test_a_callers_settings_change_nothing_about_the_move(
    connection: psycopg.Connection, caller: psycopg.Connection, role: str
) -> None:
    """Every plan made unlikely, every text form changed, every check of PL/pgSQL made an error."""
    session_id, copied, bystander = (new_session(connection) for _ in range(3))
    rows = live(connection)
    copy_to_archive(connection, copied)
    grant_all_moves(connection, role)
    planner = connection.execute("SELECT name FROM pg_settings WHERE name LIKE 'enable\\_%'")
    is_15 = connection.info.server_version < 160000
    parallel = "force_parallel_mode" if is_15 else "debug_parallel_query"
    settings = {name: "off" for (name,) in planner} | {
        "plan_cache_mode": "force_custom_plan",
        parallel: "on",
        "jit": "on",
        "jit_above_cost": "0",
        "row_security": "off",
        "array_nulls": "off",
        "transform_null_equals": "on",
        "quote_all_identifiers": "on",
        "extra_float_digits": "-15",
        "bytea_output": "escape",
        "datestyle": "SQL, DMY",
        "intervalstyle": "sql_standard",
        "timezone": "Pacific/Kiritimati",
        "standard_conforming_strings": "off",
        "backslash_quote": "on",
        "check_function_bodies": "off",
        "default_transaction_deferrable": "on",
        "plpgsql.extra_errors": "all",
        "xmlbinary": "hex",
        "work_mem": "64kB",
        "from_collapse_limit": "1",
        "join_collapse_limit": "1",
        "cursor_tuple_fraction": "0",
    }
    for name, value in settings.items():
        caller.execute("SELECT set_config(%s, %s, false)", [name, value])

    answers = caller.execute(
        "SELECT id, message_count, newly_archived FROM archive_sessions(%s)",
        [[session_id, copied, uuid4()]],
    )

    assert set(answers) == {(session_id, 3, True), (copied, 3, False)}
    assert archived(connection) == not_of(rows, bystander)
    for moved in (session_id, copied):
        answers = caller.execute("SELECT newly_restored FROM restore_session(%s)", [moved])
        assert answers.fetchone() == (True,)
    assert live(connection) == rows


@pytest.mark.parametrize("function", MOVES)
def test_a_caller_can_give_up_waiting_and_nothing_has_moved(
    connection: psycopg.Connection,
    b: psycopg.Connection,
    caller: psycopg.Connection,
    role: str,
    function: str,
) -> None:
    session_id = session_for(connection, function)
    grant_all_moves(connection, role)
    before = all_tables(connection)
    b.execute("BEGIN")
    b.execute(f"LOCK TABLE {', '.join(LIVE + ARCHIVE)} IN ACCESS EXCLUSIVE MODE")
    caller.execute("SET lock_timeout = '50ms'")

    with pytest.raises(psycopg.errors.LockNotAvailable):
        MOVES[function](caller, session_id)
    b.execute("ROLLBACK")
    assert all_tables(connection) == before
    assert MOVES[function](caller, session_id).message_count == 3
    assert places(connection, session_id) == place_after(function)


def test_an_owner_without_any_other_power_is_enough(
    owner: psycopg.Connection, connection: psycopg.Connection
) -> None:
    """No superuser anywhere: a plain role installs, and what it installed works for it."""
    session_id = new_session(owner)
    rows = live(owner)

    assert archive(owner, session_id)[2:] == (3, True)
    assert archived(owner) == rows
    assert restore(owner, session_id)[2:4] == (3, True)
    assert live(owner) == rows
    copy_to_archive(owner, session_id)
    assert archive(owner, session_id)[2:] == (3, False)
    assert archived(owner) == rows
    # and the tables of the same names in public are none of its business
    assert not any(all_tables(connection).values())


@pytest.mark.parametrize(
    ("table", "policy"),
    [
        ("engine_chat_messages", "USING (role = 'user')"),
        ("engine_chat_sessions", "FOR SELECT USING (true)"),
        ("engine_chat_message_archive", "FOR INSERT WITH CHECK (true)"),
    ],
)
@pytest.mark.parametrize("move", [archive, restore])
def test_a_move_that_does_not_see_every_row_is_refused(
    owner: psycopg.Connection,
    connection: psycopg.Connection,
    move: Callable,
    table: str,
    policy: str,
) -> None:
    """A policy hides rows from the functions' owner. Deleting their session would delete them."""
    session_id = new_session(owner)
    if move is restore:
        archive(owner, session_id)
    connection.execute("SET search_path = app")
    before = all_tables(connection)
    owner.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    owner.execute(f"CREATE POLICY hiding ON {table} {policy}")
    owner.execute("SET statement_timeout = '2s'")

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        move(owner, session_id)
    assert all_tables(connection) == before
