"""Where the database is: what people write, and what connects."""

import json
from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from aria_db.database import Database, configured_schema, configured_url, opened, parse_url
from aria_db.errors import InvalidConfiguration
from tests.support.installation import ODD_SCHEMA, connected, one, psql

VARIABLES = (
    *("DATABASE_URL", "ARIA_DB_EMBEDDED", "ARIA_DB_SCHEMA", "PGOPTIONS", "PGUSER", "PGPASSWORD"),
    *("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGSERVICE"),
)

SCHEMAS = [
    *("aria", "Aria", "select", "with space", "tab\tand\nnewline", 'double"quote', "single'quote"),
    *("back\\slash", "comma, dot.", "100%s", ":colon", "a+b&c=d#e?f/g", "größe", ODD_SCHEMA),
]

# Which database, which schema first of all, and a setting that is 0 if nobody changed it.
REACHED = """
    SELECT json_build_array(
        current_database(), current_schema(), current_setting('statement_timeout')
    )
"""


# The same, of the schema in which an engine has created a table without naming one.
PROBE = sa.Table("probe", sa.MetaData(), sa.Column("id", sa.Integer))
REACHED_BY_ENGINE = sa.text("""
    SELECT json_build_array(current_database(), nspname, current_setting('statement_timeout'))
    FROM pg_namespace JOIN pg_class ON pg_namespace.oid = relnamespace WHERE relname = 'probe'
""")


def reached_by_engine(database: Database) -> object:
    with connected(database) as connection:
        PROBE.create(connection)
        found = connection.scalar(REACHED_BY_ENGINE)
        connection.rollback()
        return found


def reached_by_psql(database: Database) -> object:
    done = psql(database, REACHED)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def reached_by_psycopg(database: Database) -> object:
    with psycopg.connect(database.libpq_url()) as connection:
        return one(connection, REACHED)


CLIENTS: dict[str, Callable[[Database], object]] = {
    "engine": reached_by_engine,
    "psql": reached_by_psql,
    "psycopg": reached_by_psycopg,
}

every_client = pytest.mark.parametrize("reached", CLIENTS.values(), ids=CLIENTS)


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what the environment says about a database."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_a_url_may_begin_in_each_of_the_ways_in_which_people_write_it(scheme: str) -> None:
    url = parse_url(f"{scheme}://user:p%40ss@host:6543/name?sslmode=require")

    assert url.drivername == "postgresql+psycopg"
    assert (url.username, url.password, url.host, url.port) == ("user", "p@ss", "host", 6543)
    assert (url.database, dict(url.query)) == ("name", {"sslmode": "require"})


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("postgresql://u@%2Frun%2Fpg/db", {"user": "u", "host": "/run/pg", "dbname": "db"}),
        ("postgresql://u@h1,h2/db", {"user": "u", "host": "h1,h2", "port": ",", "dbname": "db"}),
        ("postgresql://h1:1,h2:2/db?target_session_attrs=any", {"host": "h1,h2", "port": "1,2"}),
        ("postgresql:///db?host=/tmp&port=5", {"host": "/tmp", "port": "5", "dbname": "db"}),
        ("postgresql://[::1]:5432/db", {"host": "::1", "port": "5432", "dbname": "db"}),
        ("postgresql://u:p%25%40@h/d%20b", {"user": "u", "password": "p%@", "dbname": "d b"}),
        ("postgresql://", {}),
    ],
)
def test_every_form_that_libpq_reads_is_read(text: str, parts: dict[str, str]) -> None:
    url = parse_url(text)

    _, arguments = Database(url).engine().dialect.create_connect_args(url)

    assert {name: str(value) for name, value in arguments.items()}.items() >= parts.items()
    given = psycopg.conninfo.conninfo_to_dict(text)
    assert psycopg.conninfo.conninfo_to_dict(Database(url).libpq_url()) == given


@pytest.mark.parametrize(
    ("setting", "threshold"), [("prepare_threshold=none", None), ("prepare_threshold=0", 0)]
)
@pytest.mark.parametrize("place", ["{}", "{}&application_name=x", "application_name=x&{}"])
def test_a_url_may_say_when_statements_are_prepared(
    setting: str, threshold: int | None, place: str, database: Database
) -> None:
    plain = database.libpq_url()
    text = f"{plain}{'&' if '?' in plain else '?'}{place.format(setting)}"

    asked = Database(parse_url(text))
    with connected(asked) as connection:
        driver_connection = connection.connection.driver_connection
        assert driver_connection is not None
        assert driver_connection.prepare_threshold == threshold
    assert "prepare_threshold" not in asked.libpq_url()


def test_an_invalid_prepare_threshold_in_a_url_is_refused() -> None:
    with pytest.raises(InvalidConfiguration, match="prepare_threshold is 'often'"):
        Database(parse_url("postgresql:///db?prepare_threshold=often")).engine()


@pytest.mark.parametrize(
    "text", ["mysql://host/name", "sqlite://", "postgresql+pg8000://host/name", "http://host"]
)
def test_a_url_of_another_database_or_driver_is_refused_by_its_scheme(text: str) -> None:
    with pytest.raises(InvalidConfiguration, match=text.partition(":")[0].replace("+", r"\+")):
        parse_url(text)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("", {}),
        ("?ssl=require", {"sslmode": "require"}),
        ("?timeout=5&ssl=disable", {"connect_timeout": "5", "sslmode": "disable"}),
        ("?prepared_statement_cache_size=0", {"prepare_threshold": "none"}),
        ("?prepared_statement_cache_size=500", {}),
        ("?host=/tmp&sslmode=prefer", {"host": "/tmp", "sslmode": "prefer"}),
    ],
)
def test_a_url_for_asyncpg_is_read_with_the_names_of_libpq(
    given: str, taken: dict[str, str]
) -> None:
    host = "" if "host=" in given else "host"
    url = parse_url(f"postgresql+asyncpg://user:p%40ss@{host}/name{given}")

    assert url.drivername == "postgresql+psycopg"
    assert (url.username, url.password, url.database) == ("user", "p@ss", "name")
    assert url.host == (host or None) or dict(url.query)["host"] == "/tmp"
    assert {**url.query} == taken or url.host == taken["host"]


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg2", "psycopg"])
def test_a_parameter_that_libpq_does_not_know_is_named(driver: str) -> None:
    text = f"postgresql+{driver}://user:secret@host/name?command_timeout=5"

    with pytest.raises(InvalidConfiguration, match="has the parameter command_timeout") as refused:
        parse_url(text)

    assert refused.value.hint
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg2", "psycopg_async"])
def test_an_application_s_url_connects_whatever_driver_it_names(
    database: Database, driver: str
) -> None:
    text = database.libpq_url().replace("postgresql://", f"postgresql+{driver}://")

    with connected(Database(parse_url(text))) as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM engine_chat_sessions")) == 0


@pytest.mark.parametrize("text", ["nonsense", "postgresql://host:port/name", "host=a dbname=b", ""])
def test_what_is_no_url_is_refused_with_the_form_of_one(text: str) -> None:
    with pytest.raises(InvalidConfiguration) as error:
        parse_url(text)

    assert error.value.hint is not None
    assert "postgresql://" in error.value.hint


def test_a_refusal_does_not_repeat_the_password() -> None:
    with pytest.raises(InvalidConfiguration) as error:
        parse_url("mysql://user:secret@host/name")

    assert "secret" not in f"{error.value} {error.value.hint}"


def test_the_environment_names_the_database_by_url_before_libpqs_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGUSER", "somebody")
    with pytest.raises(InvalidConfiguration, match="no database is configured"):
        configured_url()
    monkeypatch.setenv("PGHOST", "elsewhere")
    assert configured_url() == sa.make_url("postgresql+psycopg://")
    monkeypatch.setenv("DATABASE_URL", "postgres://here/name")
    assert configured_url() == sa.make_url("postgresql+psycopg://here/name")


def test_an_empty_variable_of_libpqs_is_none_and_an_empty_url_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in VARIABLES:
        monkeypatch.setenv(variable, "")

    assert configured_schema() is None
    with pytest.raises(InvalidConfiguration, match="DATABASE_URL is empty"):
        configured_url()
    monkeypatch.delenv("DATABASE_URL")
    with pytest.raises(InvalidConfiguration, match="no database is configured"):
        configured_url()


def test_the_embedded_postgresql_is_used_only_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ARIA_DB_EMBEDDED", "1")
    assert configured_url() is None
    monkeypatch.setenv("DATABASE_URL", "postgres://here/name")
    with pytest.raises(InvalidConfiguration, match="DATABASE_URL and ARIA_DB_EMBEDDED"):
        configured_url()
    monkeypatch.setenv("ARIA_DB_EMBEDDED", "0")
    assert configured_url() == sa.make_url("postgresql+psycopg://here/name")


def test_a_bad_url_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://host/name")

    with pytest.raises(InvalidConfiguration), opened():
        pass


def test_libpqs_variables_lead_to_the_database_and_to_the_schema(
    empty_database: Database, empty_connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = empty_connection.info
    for variable, value in {
        **{"PGHOST": info.host, "PGPORT": str(info.port), "PGUSER": info.user},
        **{"PGDATABASE": info.dbname, "ARIA_DB_SCHEMA": "aria"},
    }.items():
        monkeypatch.setenv(variable, value)

    empty_connection.execute("CREATE SCHEMA aria")

    with opened() as database:
        assert database.schema == "aria"
        for client, reached in CLIENTS.items():
            assert reached(database) == [empty_database.url.database, "aria", "0"], client


def test_an_explicit_url_and_schema_stand_before_the_environment(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere/name")
    monkeypatch.setenv("ARIA_DB_SCHEMA", "elsewhere")

    with opened(empty_database.url, "here") as database:
        assert database == replace(empty_database, schema="here")


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_client_finds_a_schema_of_any_name(
    schema: str, empty_database: Database, empty_connection: psycopg.Connection
) -> None:
    empty_connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    database = replace(empty_database, schema=schema)

    for client, reached in CLIENTS.items():
        assert reached(database) == [empty_database.url.database, schema, "0"], client


@every_client
def test_without_a_schema_the_search_path_is_the_roles(
    reached: Callable[[Database], object],
    empty_database: Database,
    empty_connection: psycopg.Connection,
) -> None:
    empty_connection.execute("CREATE SCHEMA postgres")

    assert reached(empty_database) == [empty_database.url.database, "postgres", "0"]


@every_client
@pytest.mark.parametrize("schema", [None, "with space"])
@pytest.mark.parametrize("place", ["url", "PGOPTIONS"])
def test_other_options_are_kept_beside_the_schema(
    reached: Callable[[Database], object],
    schema: str | None,
    place: str,
    empty_database: Database,
    empty_connection: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    empty_connection.execute('CREATE SCHEMA "with space"')
    options, url = "-c statement_timeout=7s -c jit=off", empty_database.url
    if place == "url":
        url = url.update_query_dict({"options": options})
    else:
        monkeypatch.setenv("PGOPTIONS", options)

    assert reached(Database(url, schema)) == [empty_database.url.database, schema or "public", "7s"]


@pytest.mark.anyio
async def test_an_asynchronous_engine_finds_the_schema_too(
    empty_database: Database, empty_connection: psycopg.Connection
) -> None:
    empty_connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(ODD_SCHEMA)))
    engine = replace(empty_database, schema=ODD_SCHEMA).async_engine()

    async with engine.connect() as connection:
        await connection.run_sync(PROBE.create)
        assert await connection.scalar(REACHED_BY_ENGINE) == [
            empty_database.url.database,
            ODD_SCHEMA,
            "0",
        ]
    await engine.dispose()


def test_the_url_for_libpq_keeps_what_url_syntax_is_made_of() -> None:
    url = sa.URL.create(
        "postgresql+psycopg",
        *("us er+@/", "p+ ?&=%:/#", "host", 6543, "data base+?"),
        query={"application_name": "b c+d"},
    )

    text = Database(url).libpq_url()

    assert psycopg.conninfo.conninfo_to_dict(text) == {
        **{"user": "us er+@/", "password": "p+ ?&=%:/#", "host": "host", "port": "6543"},
        **{"dbname": "data base+?", "application_name": "b c+d"},
    }


def test_an_error_in_the_environment_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("nonsense", "mysql://somewhere", "postgresql://\udcff/aria"):
        monkeypatch.setenv("DATABASE_URL", url)
        with pytest.raises(InvalidConfiguration, match=r"^DATABASE_URL "):
            configured_url()
    monkeypatch.setenv("ARIA_DB_SCHEMA", "\udcff")
    with pytest.raises(InvalidConfiguration, match=r"^ARIA_DB_SCHEMA "):
        configured_schema()
