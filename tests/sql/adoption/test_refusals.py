"""An adoption that is impossible fails with one clear message, and changes nothing."""

from dataclasses import dataclass, replace

import psycopg
import pytest

from aria_db import errors
from aria_db.database import Database
from tests.support.adoption import adopt, plan, refusal, whole_catalogue
from tests.support.application import Application
from tests.support.command_line import Cli, lines
from tests.support.command_line import refusal as cli_refusal
from tests.support.deployed import VARIANTS, Layout, session
from tests.support.installation import alembic, one, psql, script, upgrade

EMPTY_THE_TABLES = """
    ALTER TABLE aria_engine.chat_messages DROP CONSTRAINT chat_messages_session_id_fkey;
    DELETE FROM aria_engine.chat_sessions;
    DELETE FROM aria_engine.chat_messages;
"""


@dataclass(frozen=True)
class Impossible:
    """A change that makes the adoption impossible.

    :param change: what somebody did to the database.
    :param names: what the refusal must name.
    """

    change: str
    names: tuple[str, ...]


IMPOSSIBLE = {
    "a view has the name of a live table": Impossible(
        "CREATE VIEW engine_chat_sessions AS SELECT 1 AS id", ("engine_chat_sessions", "view")
    ),
    "a view of some of the rows has the name of a live table": Impossible(
        "CREATE VIEW engine_chat_messages AS"
        " SELECT * FROM aria_engine.chat_messages WHERE role = 'user'",
        ("engine_chat_messages", "view"),
    ),
    "a view that counts has the name of an archive": Impossible(
        "CREATE VIEW engine_chat_message_archive AS SELECT count(*) FROM aria_engine.chat_messages",
        ("engine_chat_message_archive", "view"),
    ),
    "a materialized view has the name of an archive": Impossible(
        "CREATE MATERIALIZED VIEW engine_chat_session_archive AS SELECT 1 AS id",
        ("engine_chat_session_archive",),
    ),
    "an empty table of the application has the name": Impossible(
        "CREATE TABLE engine_chat_message_archive (id integer)", ("engine_chat_message_archive",)
    ),
    "the id of a session is a number": Impossible(
        EMPTY_THE_TABLES + "ALTER TABLE aria_engine.chat_sessions"
        " ALTER id DROP DEFAULT, ALTER id TYPE integer USING 0",
        ("chat_sessions", "id", "integer", "uuid"),
    ),
    "a time is a text": Impossible(
        "ALTER TABLE aria_engine.chat_sessions ALTER updated_at DROP DEFAULT,"
        " ALTER updated_at TYPE text",
        ("chat_sessions", "updated_at", "text"),
    ),
    "an archive's column has another type": Impossible(
        "ALTER TABLE aria_engine.chat_messages_archive ALTER content TYPE varchar(10)"
        " USING left(content, 10)",
        ("chat_messages_archive", "content", "character varying(10)", "text"),
    ),
    "an archive's column is too short": Impossible(
        "ALTER TABLE aria_engine.chat_sessions_archive ALTER title TYPE varchar(200)",
        ("chat_sessions_archive", "title", "character varying(200)"),
    ),
    "an archive says when as a date": Impossible(
        "ALTER TABLE aria_engine.chat_sessions_archive ALTER archived_at TYPE date",
        ("chat_sessions_archive", "archived_at", "date"),
    ),
    "an archive does not say when": Impossible(
        "ALTER TABLE aria_engine.chat_sessions_archive DROP COLUMN archived_at",
        ("chat_sessions_archive", "archived_at"),
    ),
    "an archive has a column of its own": Impossible(
        "ALTER TABLE aria_engine.chat_sessions_archive ADD COLUMN archived_by text",
        ("chat_sessions_archive", "archived_by"),
    ),
    "a live table lacks a column": Impossible(
        "ALTER TABLE aria_engine.chat_sessions DROP COLUMN session_type",
        ("chat_sessions", "session_type"),
    ),
    "a live table and its archive lack a column": Impossible(
        "ALTER TABLE aria_engine.chat_messages DROP COLUMN thinking;"
        "ALTER TABLE aria_engine.chat_messages_archive DROP COLUMN thinking",
        ("chat_messages", "thinking"),
    ),
    "an archive is a view": Impossible(
        "DROP TABLE aria_engine.chat_messages_archive; CREATE VIEW"
        " aria_engine.chat_messages_archive AS SELECT *, now() AS archived_at"
        " FROM aria_engine.chat_messages",
        ("chat_messages_archive",),
    ),
    "messages do not refer to their sessions": Impossible(
        "ALTER TABLE aria_engine.chat_messages DROP CONSTRAINT chat_messages_session_id_fkey",
        ("chat_messages", "session_id"),
    ),
    "nothing keeps a session from being in the archive twice": Impossible(
        "ALTER TABLE aria_engine.chat_sessions_archive DROP CONSTRAINT"
        " chat_sessions_archive_pkey CASCADE",
        ("chat_sessions_archive", "unique"),
    ),
    "a crash would empty an archive": Impossible(
        "ALTER TABLE aria_engine.chat_messages_archive SET UNLOGGED",
        ("chat_messages_archive", "unlogged", "SET LOGGED"),
    ),
    "messages are partitioned by time": Impossible(
        EMPTY_THE_TABLES + "ALTER TABLE aria_engine.chat_messages RENAME TO old;"
        "CREATE TABLE aria_engine.chat_messages (LIKE aria_engine.old INCLUDING DEFAULTS,"
        " PRIMARY KEY (id, created_at), FOREIGN KEY (session_id)"
        " REFERENCES aria_engine.chat_sessions ON DELETE CASCADE) PARTITION BY RANGE (created_at)",
        ("chat_messages", "partitioned", "HASH"),
    ),
}

each_impossibility = pytest.mark.parametrize("case", IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())


@each_impossibility
def test_what_makes_an_adoption_impossible_is_named_and_nothing_is_changed(
    case: Impossible, database: Database, connection: psycopg.Connection
) -> None:
    connection.execute(case.change)
    before = whole_catalogue(connection)

    # Into the schema in which some of them are in the way.
    message = refusal(replace(database, schema="public"))

    assert "\n" not in message.partition("\n")[2]
    for name in case.names:
        assert name in message
    assert whole_catalogue(connection) == before


@pytest.mark.parametrize(
    ("kind", "name", "definition"),
    [
        ("VIEW", "engine_chat_session_list", "AS SELECT 1 AS answer"),
        ("TABLE", "engine_session_hold", "(id integer)"),
        ("FUNCTION", "restore_session", "(a uuid, b text) RETURNS text RETURN 'theirs'"),
    ],
)
def test_an_object_with_the_name_of_one_of_aria_db_is_named_and_not_replaced(
    kind: str, name: str, definition: str, database: Database, connection: psycopg.Connection
) -> None:
    connection.execute(f"CREATE {kind} public.{name} {definition}")
    before = whole_catalogue(connection)

    with pytest.raises(errors.NameTaken, match=name) as refused:
        adopt(replace(database, schema="public"))

    assert refused.value.hint is not None
    assert whole_catalogue(connection) == before


@pytest.mark.parametrize("case", ["the id of a session is a number", "a live table lacks a column"])
def test_the_plan_names_all_problems_and_what_to_do_about_each(
    case: str, database: Database, connection: psycopg.Connection
) -> None:
    connection.execute(IMPOSSIBLE[case].change)
    connection.execute(IMPOSSIBLE["an archive has a column of its own"].change)

    problems = [step for step in plan(database).steps if step.kind == "problem"]

    named = "\n".join(f"{step.object} {step.description}" for step in problems)
    for name in (*IMPOSSIBLE[case].names, "archived_by"):
        assert name in named
    assert all(step.remedy for step in problems)


def test_the_command_line_refuses_with_one_line_and_a_hint(
    cli: Cli, connection: psycopg.Connection
) -> None:
    case = IMPOSSIBLE["an archive has a column of its own"]
    connection.execute(case.change)
    before = whole_catalogue(connection)

    error, hint = cli_refusal(cli("adopt", "--json"))

    for name in case.names:
        assert name in error
    assert hint
    assert whole_catalogue(connection) == before


def test_a_dry_run_of_an_impossible_adoption_names_the_problem_and_fails(
    cli: Cli, connection: psycopg.Connection
) -> None:
    connection.execute(IMPOSSIBLE["an archive has a column of its own"].change)

    outcome = cli("adopt", "--dry-run")

    assert outcome.returncode == 1
    assert "archived_by" in outcome.stdout + outcome.stderr


def test_the_script_of_an_impossible_adoption_names_the_problem_and_changes_nothing(
    database: Database, connection: psycopg.Connection
) -> None:
    connection.execute(IMPOSSIBLE["an archive has a column of its own"].change)
    before = whole_catalogue(connection)

    done = psql(database, script("-x", "adopt=aria_engine", "upgrade", "head"), "-1")

    assert done.returncode != 0
    assert "archived_by" in done.stderr
    assert whole_catalogue(connection) == before


# Which tables


def test_a_schema_without_the_chat_tables_is_refused_by_name(
    database: Database, connection: psycopg.Connection
) -> None:
    before = whole_catalogue(connection)

    assert "nowhere" in refusal(database, "nowhere")
    assert "billing" in refusal(database, "billing")
    assert whole_catalogue(connection) == before


def test_of_two_schemas_with_chat_tables_none_is_chosen_and_both_are_named(
    database: Database, connection: psycopg.Connection
) -> None:
    for table in ("chat_sessions", "chat_messages"):
        connection.execute(
            f"CREATE SCHEMA IF NOT EXISTS staging;"
            f"CREATE TABLE staging.{table} (LIKE aria_engine.{table} INCLUDING ALL)"
        )
    before = whole_catalogue(connection)

    message = refusal(database)

    assert "aria_engine" in message
    assert "staging" in message
    assert whole_catalogue(connection) == before
    adopt(database, "aria_engine")


@pytest.fixture
def beside_empty_ones(connection: psycopg.Connection) -> psycopg.Connection:
    """Besides its full tables, the application has empty ones under the names of aria-db."""
    for name, original in (("sessions", "chat_sessions"), ("messages", "chat_messages")):
        connection.execute(
            f"CREATE TABLE public.engine_chat_{name} (LIKE aria_engine.{original} INCLUDING ALL);"
            f"ANALYZE aria_engine.{original}"
        )
    return connection


def test_empty_tables_under_our_names_beside_full_ones_are_not_chosen_but_asked_about(
    database: Database, beside_empty_ones: psycopg.Connection, cli: Cli
) -> None:
    before = whole_catalogue(beside_empty_ones)

    adopted = refusal(database)
    upgraded, hint = cli_refusal(cli("upgrade"))

    for told in (adopted, upgraded):
        assert "aria_engine.chat_sessions (about 2000 rows)" in told
        assert "public.engine_chat_sessions (empty)" in told
    assert "`aria-db adopt aria_engine` or `aria-db adopt public`" in adopted
    assert "aria-db adopt aria_engine" in hint
    assert "`aria-db upgrade --beside` uses engine_chat_sessions" in hint
    assert whole_catalogue(beside_empty_ones) == before


def test_the_full_tables_beside_empty_ones_under_our_names_are_adopted_when_they_are_named(
    database: Database, beside_empty_ones: psycopg.Connection, cli: Cli
) -> None:
    adopt(database, "aria_engine")

    assert lines(cli("archive", session(21)))[0].endswith(", 1 message")
    # What the application does at every start, and in its own migrations.
    beside_empty_ones.execute(
        "INSERT INTO aria_engine.chat_sessions SELECT * FROM public.engine_chat_sessions"
        " ON CONFLICT (id) DO NOTHING"
    )
    beside_empty_ones.execute("DROP TABLE public.engine_chat_messages, public.engine_chat_sessions")
    assert one(beside_empty_ones, "SELECT count(*) FROM aria_engine.chat_sessions_archive") > 0
    assert lines(cli("restore", session(21)))[0].startswith(str(session(21)))


def test_an_adopted_database_has_its_views_in_a_schema_that_every_client_finds(
    database: Database, connection: psycopg.Connection, cli: Cli
) -> None:
    adopt(database)

    laid = "SELECT count(*) FROM pg_views WHERE schemaname = 'aria_db'"
    assert one(connection, laid) > 4
    assert one(connection, "SELECT count(*) FROM pg_views WHERE schemaname = 'public'") == 0
    assert lines(cli("current"))[0].endswith("the newest")
    assert lines(cli("list", "--limit", 1))
    told, hint = cli_refusal(cli("archive", session(21), "--schema", "nosuch"))
    assert "not installed in the schema nosuch" in told
    assert "It is installed in aria_db." in hint


def test_the_refusal_of_a_database_without_chat_tables_names_the_upgrade(
    empty_database: Database,
) -> None:
    assert "aria-db upgrade" in refusal(empty_database)


# An upgrade without an adoption


@pytest.mark.parametrize("schema", ["public", "aria"])
def test_an_upgrade_alone_refuses_to_create_tables_beside_those_of_the_application(
    database: Database, connection: psycopg.Connection, cli: Cli, schema: str
) -> None:
    before = whole_catalogue(connection)

    with pytest.raises(errors.AdoptionRefused) as refused, errors.translated():
        upgrade(database, schema=schema)

    assert "aria_engine" in refused.value.message
    assert "aria-db adopt aria_engine" in (refused.value.hint or "")
    _, hint = cli_refusal(cli("upgrade", "--schema", schema))
    assert "aria-db adopt aria_engine" in hint
    assert whole_catalogue(connection) == before


def test_an_upgrade_creates_tables_beside_those_of_the_application_where_that_is_asked_for(
    database: Database, connection: psycopg.Connection, application: Application
) -> None:
    alembic("-x", "adopt=none", "upgrade", "head", DATABASE_URL=database.libpq_url())

    assert one(connection, "SELECT count(*) FROM engine_chat_sessions") == 0
    kind = "SELECT relkind FROM pg_class WHERE oid = 'engine_chat_sessions'::regclass"
    assert one(connection, kind) in ("r", b"r")
    application.work(connection)


def test_an_adopted_database_is_upgraded_like_any_other(
    database: Database, connection: psycopg.Connection, cli: Cli
) -> None:
    adopt(database, revision="0001_chat_tables")
    assert not lines(cli("current"))[0].endswith("the newest")
    upgrade(database)

    assert lines(cli("current"))[0].endswith("the newest")


# Privileges


@pytest.fixture
def owner(role: str, connection: psycopg.Connection, layout: Layout) -> str:
    """A role that owns the application's schema and tables and may do nothing else."""
    connection.execute(f"ALTER SCHEMA {layout.schema} OWNER TO {role}")
    existing = set(layout.tables) - {f"{layout.schema}.{name}" for name in layout.missing}
    for table in existing:
        connection.execute(f"ALTER TABLE {table} OWNER TO {role}")
    return role


def as_role(database: Database, role: str) -> Database:
    return replace(database, url=database.url.set(username=role))


every_need = pytest.mark.parametrize(
    "layout",
    [VARIANTS[name] for name in ("no archives", "archive lacks client_message_id", "jsonb")],
    ids=["create archives", "alter an archive", "views alone"],
    indirect=True,
)


@every_need
def test_the_owner_of_the_tables_adopts_them_without_being_a_superuser(
    owner: str,
    database: Database,
    connection: psycopg.Connection,
    layout: Layout,
    application: Application,
) -> None:
    connection.execute(f"GRANT CREATE ON DATABASE {connection.info.dbname} TO {owner}")
    own = as_role(database, owner)

    adopt(own)

    with psycopg.connect(own.libpq_url(), autocommit=True) as mine:
        session_id = application.insert_session(mine)
        application.insert_message(mine, session_id)
        assert one(mine, "SELECT message_count FROM archive_session(%s)", session_id) == 1
        assert one(mine, "SELECT message_count FROM restore_session(%s)", session_id) == 1
        application.work(mine)


@every_need
def test_a_role_that_may_not_create_in_the_target_is_refused(
    owner: str, database: Database, connection: psycopg.Connection, layout: Layout
) -> None:
    connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    before = whole_catalogue(connection)
    mine = as_role(database, owner)

    message = refusal(replace(mine, schema="public"))
    with pytest.raises(errors.PermissionDenied) as refused:
        adopt(mine)

    assert "public" in message
    assert owner in message
    assert owner in refused.value.message
    assert "GRANT CREATE ON DATABASE" in (refused.value.hint or "")
    assert whole_catalogue(connection) == before


@every_need
@pytest.mark.parametrize("may", ["nothing", "read and write"])
def test_a_role_that_does_not_own_the_tables_adopts_them_only_if_none_must_change(
    may: str,
    role: str,
    database: Database,
    connection: psycopg.Connection,
    layout: Layout,
) -> None:
    connection.execute(f"GRANT CREATE ON DATABASE {connection.info.dbname} TO {role}")
    if may == "read and write":
        connection.execute(f"GRANT USAGE ON SCHEMA {layout.schema} TO {role}")
        connection.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA {layout.schema} TO {role}")
    before = whole_catalogue(connection)
    if may == "read and write" and layout.archives == 2 and not layout.lacking:
        adopt(as_role(database, role))
        return

    assert layout.schema in refusal(as_role(database, role))
    assert whole_catalogue(connection) == before
