"""What holds for everything that is installed, and for every statement that is sent.

Each rule is a function that gives its findings. One test applies it to what is installed, and
another one shows that it finds something bad: a rule that cannot fail is none.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from aria_db import functions
from aria_db.install import resources
from aria_db.session_manager import ARCHIVE, NativeSessionManager, NewMessage, NewSession
from tests.support import call
from tests.support.access import ACCESSES
from tests.support.layouts import BOTH_LAYOUTS

ROOT = Path(__file__).parents[2]

# What a role is granted, and what grants it. Everything else is called by these alone.
PUBLIC = {
    "archive_access",
    "grant_archive_access",
    "repair_archive_access",
    "set_archive_dependent",
}


class Source(NamedTuple):
    """A text of SQL, and where it is from."""

    name: str
    text: str


# A function with a body that PostgreSQL keeps parsed


def parsed_bodies_over_chat_tables(connection: psycopg.Connection) -> set[str]:
    """Return the functions that would keep a chat table from being altered.

    A body between BEGIN ATOMIC and END depends on the columns that it names.
    """
    rows = connection.execute(
        """
        SELECT DISTINCT routine.oid::regprocedure::text
        FROM pg_proc AS routine
        INNER JOIN pg_depend AS dependency
            ON dependency.classid = 'pg_proc'::regclass AND dependency.objid = routine.oid
        WHERE routine.prosqlbody IS NOT NULL
            AND dependency.refclassid = 'pg_class'::regclass
            AND dependency.refobjid IN (
                SELECT chat.oid FROM pg_class AS chat
                WHERE chat.relnamespace = current_schema()::regnamespace
                    AND chat.relname ~ '^(engine_)?chat_'
            )
        """
    )
    return {name for (name,) in rows}


@BOTH_LAYOUTS
def test_no_function_keeps_a_chat_table_from_being_altered(connection: psycopg.Connection) -> None:
    assert parsed_bodies_over_chat_tables(connection) == set()


@BOTH_LAYOUTS
@pytest.mark.parametrize(
    ("body", "is_found"),
    [
        ("RETURN (SELECT count(*) FROM engine_chat_sessions)", True),
        ("BEGIN ATOMIC SELECT count(title) FROM engine_chat_session_archive; END", True),
        ("BEGIN ATOMIC SELECT count(*) FROM engine_archive_run; END", False),
        ("AS 'SELECT count(*) FROM engine_chat_sessions'", False),
    ],
)
def test_a_function_that_keeps_a_chat_table_from_being_altered_is_found(
    connection: psycopg.Connection, body: str, is_found: bool
) -> None:
    connection.execute(f"CREATE FUNCTION bad() RETURNS bigint LANGUAGE sql {body}")

    assert parsed_bodies_over_chat_tables(connection) == ({"bad()"} if is_found else set())


# A query that selects nothing

_SELECTS_NOTHING = re.compile(r"\b(?:SELECT|PERFORM)\s+FROM\b", re.IGNORECASE)


def selecting_nothing(sources: Iterator[Source]) -> set[str]:
    """Return the texts that have a query without a column: not every PostgreSQL takes one."""
    return {source.name for source in sources if _SELECTS_NOTHING.search(source.text)}


def files() -> Iterator[Source]:
    """Give what is installed, and the texts of what installs and calls it, as they are written."""
    for path in sorted(resources.SQL.rglob("*.sql")):
        yield Source(f"sql/{path.relative_to(resources.SQL)}", path.read_text("utf-8"))
    for folder in ("migrations", "aria_db"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield Source(f"{path.relative_to(ROOT)}:{node.lineno}", node.value)


def installed(connection: psycopg.Connection) -> Iterator[Source]:
    """Give what is installed, as PostgreSQL has it."""
    yield from map(
        Source._make,
        connection.execute(
            """
            SELECT routine.oid::regprocedure::text, pg_get_functiondef(routine.oid)
            FROM pg_proc AS routine
            WHERE routine.pronamespace = current_schema()::regnamespace AND routine.prokind <> 'a'
            UNION ALL
            SELECT shown.oid::regclass::text, pg_get_viewdef(shown.oid)
            FROM pg_class AS shown
            WHERE shown.relnamespace = current_schema()::regnamespace AND shown.relkind = 'v'
            """
        ).fetchall(),
    )


def test_no_query_selects_nothing(connection: psycopg.Connection) -> None:
    assert len(list(files())) > 80
    assert len(list(installed(connection))) > 35
    assert selecting_nothing(files()) == set()
    assert selecting_nothing(installed(connection)) == set()


@pytest.mark.parametrize(
    ("query", "is_found"),
    [
        ("RETURN EXISTS (SELECT FROM engine_chat_sessions);", True),
        ("RETURN EXISTS(select\n\tfrom engine_chat_sessions);", True),
        ("PERFORM FROM engine_chat_sessions; RETURN true;", True),
        ("EXECUTE 'SELECT FROM engine_chat_sessions'; RETURN true;", True),
        ("RETURN EXISTS (SELECT 1 FROM engine_chat_sessions);", False),
        ("PERFORM 1 FROM engine_chat_sessions; RETURN true;", False),
    ],
)
def test_a_query_that_selects_nothing_is_found(
    connection: psycopg.Connection, query: str, is_found: bool
) -> None:
    connection.execute(
        f"CREATE FUNCTION bad() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN {query} END; $$"
    )

    assert selecting_nothing(installed(connection)) == ({"bad()"} if is_found else set())


def test_a_view_that_selects_nothing_is_found(connection: psycopg.Connection) -> None:
    connection.execute(
        "CREATE VIEW bad AS SELECT id, EXISTS (SELECT FROM engine_chat_messages)"
        " FROM engine_chat_sessions"
    )

    assert selecting_nothing(installed(connection)) == {"bad"}


# A clock in an expression that is assigned

_TOKEN = re.compile(r"'(?:[^']|'')*'|\w+|[^\w\s]")
_CLOCK = re.compile(
    r"now|(?:clock|statement|transaction)_timestamp|current_(?:timestamp|date|time)"
    r"|local(?:timestamp|time)",
    re.IGNORECASE,
)
_CONDITIONAL = {"coalesce", "case", "nullif", "greatest", "least"}


def clocks_in_conditions(statement: str) -> bool:
    """Tell whether an UPDATE assigns what a COALESCE or a CASE makes of the time.

    A database that sends statements on to others evaluates now() before, but not within these.
    """
    text = re.sub(r"--.*|/\*.*?\*/", " ", statement)
    tokens = [token.lower() for token in _TOKEN.findall(text)]
    return any(
        _assigns_a_clock(tokens[position:])
        for position, token in enumerate(tokens)
        if token == "set" and "update" in tokens[max(0, position - 12) : position]
    )


def _assigns_a_clock(tokens: list[str]) -> bool:
    """Read the assignments after SET, to the end of their clause."""
    open_around: list[str] = []
    for before, token in zip(["", *tokens], tokens, strict=False):
        if token == "(":
            open_around.append(before)
        elif token == "case":
            open_around.append(token)
        elif token in {")", "end"}:
            if not open_around:
                return False
            open_around.pop()
        elif not open_around and token in {"where", "from", "returning", ";"}:
            return False
        elif _CLOCK.fullmatch(token) and _CONDITIONAL & set(open_around):
            return True
    return False


def assigning_a_clock(sources: Iterator[Source]) -> set[str]:
    return {source.name for source in sources if clocks_in_conditions(source.text)}


def test_no_function_assigns_what_a_condition_makes_of_the_time(
    connection: psycopg.Connection,
) -> None:
    assert assigning_a_clock(files()) == set()
    assert assigning_a_clock(installed(connection)) == set()


@pytest.mark.parametrize(
    ("assignment", "is_found"),
    [
        ("ended_at = coalesce(ended_at, now())", True),
        ("ended_at = COALESCE(ended_at, clock_timestamp()), title = 'x'", True),
        ("title = 'x', ended_at = CASE WHEN ended_at IS NULL THEN now() ELSE ended_at END", True),
        ("ended_at = (SELECT coalesce(max(created_at), CURRENT_TIMESTAMP) FROM moved)", True),
        ("ended_at = greatest(updated_at, now() - interval '1 day')", True),
        ("ended_at = now()", False),
        ("title = coalesce(title, 'now()'), ended_at = clock_timestamp()", False),
        ("title = CASE WHEN title = '' THEN 'x' END, ended_at = now()", False),
        ("title = 'x' WHERE ended_at < coalesce(updated_at, now())", False),
        ("title = 'x' FROM moved WHERE CASE WHEN now() > ended_at THEN TRUE END", False),
    ],
)
def test_an_assignment_of_what_a_condition_makes_of_the_time_is_found(
    connection: psycopg.Connection, assignment: str, is_found: bool
) -> None:
    connection.execute("SET check_function_bodies = off")
    connection.execute(
        f"""
        CREATE FUNCTION bad() RETURNS void LANGUAGE sql AS $$
            WITH moved AS (SELECT coalesce(max(updated_at), now()) AS created_at FROM live)
            UPDATE engine_chat_sessions AS live SET {assignment};
            SELECT coalesce(title, now()::text) FROM engine_chat_sessions;
        $$
        """
    )

    assert assigning_a_clock(installed(connection)) == ({"bad()"} if is_found else set())


@pytest.fixture
def sent(async_engine: AsyncEngine) -> list[Source]:
    """Collect the statements that the engine sends."""
    statements: list[Source] = []

    @sa.event.listens_for(async_engine.sync_engine, "before_cursor_execute")
    def collect(_: object, __: object, statement: str, *___: object) -> None:
        statements.append(Source(statement, statement))

    return statements


@pytest.mark.anyio
async def test_the_manager_sends_neither(manager: NativeSessionManager, sent: list[Source]) -> None:
    """Every one of its updates, with the methods that only call a function left out."""
    session = await manager.create_session(NewSession(title="a session"))
    await manager.add_message(session.id, NewMessage("user", "said", tokens_input=1))
    for _ in range(2):
        ended = await manager.end_session(session.id)
        assert ended is not None
        assert ended.ended_at is not None
    await manager.update_session(session.id, title="another", metadata={})
    await manager.set_policy("cron", enabled=False)
    await manager.unset_policy("cron")
    await manager.list_policies()
    await manager.archive_session(session.id)
    await manager.get_transcript(session.id)
    await manager.get_messages(session.id, ARCHIVE)
    await manager.restore_session(session.id)
    await manager.get_messages(session.id)
    await manager.get_stats()
    await manager.check_health()
    await manager.list_conflicts()
    await manager.delete_session(session.id)

    updates = [source for source in sent if source.text.startswith("UPDATE")]
    assert any("ended_at" in source.text for source in updates)
    assert any("message_count" in source.text for source in updates)
    assert assigning_a_clock(iter(sent)) == set()
    assert selecting_nothing(iter(sent)) == set()


@pytest.mark.anyio
async def test_a_statement_of_either_kind_that_is_sent_is_found(
    manager: NativeSessionManager, async_engine: AsyncEngine, sent: list[Source]
) -> None:
    await manager.create_session(NewSession(title="a session"))
    assert assigning_a_clock(iter(sent)) == selecting_nothing(iter(sent)) == set()
    live = sa.table("engine_chat_sessions", sa.column("id"), sa.column("ended_at"))

    async with async_engine.begin() as connection:
        await connection.execute(
            sa.update(live)
            .where(live.c.id == uuid4())
            .values(ended_at=sa.func.coalesce(live.c.ended_at, sa.func.now()))
        )
        await connection.execute(sa.text("SELECT FROM engine_chat_sessions"))

    assert len(assigning_a_clock(iter(sent))) == 1
    assert len(selecting_nothing(iter(sent))) == 1


# What is internal


def told_as_internal(connection: psycopg.Connection) -> set[str]:
    rows = connection.execute(
        """
        SELECT routine.proname::text FROM pg_proc AS routine
        WHERE routine.pronamespace = current_schema()::regnamespace
            AND obj_description(routine.oid, 'pg_proc') ~* '\\yinternal\\y'
        """
    )
    return {name for (name,) in rows}


def not_public(connection: psycopg.Connection) -> set[str]:
    """Return the functions that nobody is granted and that grant nothing."""
    rows = connection.execute(
        """
        SELECT routine.proname::text FROM pg_proc AS routine
        WHERE routine.pronamespace = current_schema()::regnamespace
            AND routine.oid NOT IN (
                SELECT to_regprocedure(covered.object)
                FROM archive_access() AS covered
                WHERE covered.privilege = 'EXECUTE'
            )
        """
    )
    return {name for (name,) in rows} - PUBLIC


def misnamed(connection: psycopg.Connection) -> set[str]:
    """Return the functions whose name, comment and privileges do not say the same."""
    rows = connection.execute(
        """
        SELECT routine.proname::text FROM pg_proc AS routine
        WHERE routine.pronamespace = current_schema()::regnamespace
            AND routine.proname LIKE '\\_%'
        """
    )
    with_underscore = {name for (name,) in rows}
    told, hidden = told_as_internal(connection), not_public(connection)
    return (with_underscore | told | hidden) - (with_underscore & told & hidden)


def callable_by_others(connection: psycopg.Connection) -> set[str]:
    """Return the functions with an underscore that somebody other than their owner may call."""
    rows = connection.execute(
        """
        SELECT DISTINCT routine.proname::text
        FROM pg_proc AS routine
        CROSS JOIN LATERAL aclexplode(
            coalesce(routine.proacl, acldefault('f', routine.proowner))
        ) AS entry
        WHERE routine.pronamespace = current_schema()::regnamespace
            AND routine.proname LIKE '\\_%'
            AND entry.grantee <> routine.proowner
        """
    )
    return {name for (name,) in rows}


def undescribed(connection: psycopg.Connection) -> set[str]:
    rows = connection.execute(
        """
        SELECT routine.proname::text FROM pg_proc AS routine
        WHERE routine.pronamespace = current_schema()::regnamespace
            AND coalesce(obj_description(routine.oid, 'pg_proc'), '') = ''
        """
    )
    return {name for (name,) in rows}


def test_what_is_internal_begins_with_an_underscore_and_says_so(
    connection: psycopg.Connection,
) -> None:
    assert len(told_as_internal(connection)) >= 10
    assert misnamed(connection) == set()
    assert undescribed(connection) == set()


def test_what_is_internal_is_the_owners_alone_to_call(
    connection: psycopg.Connection, role: str
) -> None:
    """Also when every kind of access has been granted."""
    for access in ACCESSES:
        call(connection, "grant_archive_access", role_name=role, access=access)

    assert callable_by_others(connection) == set()
    granted = connection.execute(
        "SELECT has_function_privilege(%s, 'archive_session(uuid, text)', 'EXECUTE')", [role]
    )
    assert granted.fetchone() == (True,)


@pytest.mark.parametrize(
    ("name", "comment"),
    [
        ("helper", "Internal to the moves: helps."),
        ("helper", "Helps."),
        ("_helper", "Helps."),
    ],
)
def test_an_internal_function_that_does_not_look_like_one_is_found(
    connection: psycopg.Connection, name: str, comment: str
) -> None:
    """One that says so without an underscore, one that nobody is granted, one that does not say."""
    connection.execute(f"CREATE FUNCTION {name}() RETURNS integer LANGUAGE sql AS 'SELECT 1'")
    assert undescribed(connection) == {name}
    connection.execute(f"COMMENT ON FUNCTION {name}() IS '{comment}'")

    assert misnamed(connection) == {name}
    assert undescribed(connection) == set()


@pytest.mark.parametrize("grantee", ["PUBLIC", "a role"])
def test_an_internal_function_that_others_may_call_is_found(
    connection: psycopg.Connection, role: str, grantee: str
) -> None:
    connection.execute("CREATE FUNCTION _helper() RETURNS integer LANGUAGE sql AS 'SELECT 1'")
    if grantee == "a role":
        connection.execute("REVOKE ALL ON FUNCTION _helper() FROM PUBLIC")
        assert callable_by_others(connection) == set()
        connection.execute(f'GRANT EXECUTE ON FUNCTION _helper() TO "{role}"')

    assert callable_by_others(connection) == {"_helper"}


def test_every_public_function_has_a_statement_of_its_name_in_python(
    connection: psycopg.Connection,
) -> None:
    """The procedure, which is CALLed, and the list of privileges are for SQL alone."""
    for_sql_alone = {"prune_old_sessions", "archive_access"}
    rows = connection.execute(
        "SELECT proname::text FROM pg_proc WHERE pronamespace = current_schema()::regnamespace"
    )
    public = {name for (name,) in rows if not name.startswith("_")}

    assert {name for name in public if not hasattr(functions, name)} == for_sql_alone
