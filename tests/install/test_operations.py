"""The operations that install a version of a file in sql/, and their inverses."""

import shutil
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

from aria_db.database import Database
from aria_db.install import resources
from aria_db.install.operations import (
    CreateSqlObject,
    DropSqlObject,
    ReplaceSqlObject,
    SqlObjectOperation,
)
from aria_db.install.sql_objects import find, newest
from tests.support.installation import NOTHING, catalogue, connected, one, run_script

# What SQLAlchemy, psycopg, psql or Python's formatting would each read in its own way.
HARD = r":name::text :=: 100% %s %(name)s %% %I {0} $1 \ \\ \: \:name \d:\n 12:30:45 ''"

FILES: dict[str, str] = {
    "function": f"""
-- hard_function: {HARD}
CREATE OR REPLACE FUNCTION hard_function(number integer DEFAULT '7'::integer)
RETURNS text
LANGUAGE plpgsql
AS $body$
DECLARE
    v_numbers integer [] := ARRAY[1, 2, number];
    v_first integer := 1;
BEGIN
    -- {HARD}
    RETURN format('%s %%', v_numbers[v_first:number::integer]) || E' \\x3a\\072' || ' {HARD}';
END;
$body$;

COMMENT ON FUNCTION hard_function(integer) IS
'version 1: {HARD}';
""",
    "procedure": f"""
CREATE OR REPLACE PROCEDURE hard_procedure(INOUT number integer)
LANGUAGE plpgsql
AS $body$
BEGIN
    number := number % 10; -- {HARD}
END;
$body$;

COMMENT ON PROCEDURE hard_procedure(integer) IS
'version 1: {HARD}';
""",
    "view": f"""
CREATE OR REPLACE VIEW hard_view AS
SELECT
    ' {HARD}' AS text,
    7 % 4 AS remainder,
    (ARRAY[1, 2, 3])[1:2]::text AS numbers;

COMMENT ON VIEW hard_view IS
'version 1: {HARD}';
""",
}

COMMENTS = {
    "function": "SELECT obj_description('hard_function(integer)'::regprocedure, 'pg_proc')",
    "procedure": "SELECT obj_description('hard_procedure(integer)'::regprocedure, 'pg_proc')",
    "view": "SELECT obj_description('hard_view'::regclass, 'pg_class')",
}

Invoke = Callable[..., None]

every_kind = pytest.mark.parametrize("kind", FILES)


@pytest.fixture(autouse=True)
def sql_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory in the place of sql/, with versions 1 to 3 of one object of each kind."""
    shutil.copytree(resources.SQL / "installation", tmp_path / "installation")
    monkeypatch.setattr(resources, "SQL", tmp_path)
    for kind, text in FILES.items():
        # A topic has objects of every kind.
        topic = tmp_path / ("topic" if kind == "view" else "another_topic")
        topic.mkdir(exist_ok=True)
        for version in (1, 2, 3):
            (topic / f"hard_{kind}_v{version:02}.sql").write_text(
                text.replace("version 1", f"version {version}"), "utf-8"
            )
    return tmp_path


@pytest.fixture(params=["online", "script"])
def invoke(request: pytest.FixtureRequest, empty_database: Database) -> Invoke:
    """Return what runs operations, on a connection or through a script for psql."""

    def online(*steps: SqlObjectOperation) -> None:
        with connected(empty_database) as connection, connection.begin():
            operations = Operations(MigrationContext.configure(connection))
            for step in steps:
                operations.invoke(step)

    def by_script(*steps: SqlObjectOperation) -> None:
        script = StringIO()
        context = MigrationContext.configure(
            dialect_name="postgresql",
            dialect_opts={"paramstyle": "named"},
            opts={"as_sql": True, "output_buffer": script},
        )
        for step in steps:
            Operations(context).invoke(step)
        run_script(empty_database, script.getvalue())

    return online if request.param == "online" else by_script


def comment(connection: psycopg.Connection, kind: str) -> object:
    return one(connection, COMMENTS[kind])


def test_the_body_of_a_function_is_installed_as_the_file_has_it_and_works(
    invoke: Invoke, empty_connection: psycopg.Connection
) -> None:
    invoke(CreateSqlObject("hard_function", 1))

    body = FILES["function"].split("$body$")[1]
    assert (
        one(empty_connection, "SELECT prosrc FROM pg_proc WHERE proname = 'hard_function'") == body
    )
    expected = "{1,2,3} % ::" + " " + HARD.replace("''", "'")
    assert one(empty_connection, "SELECT hard_function(3)") == expected


def test_the_body_of_a_procedure_is_installed_as_the_file_has_it_and_works(
    invoke: Invoke, empty_connection: psycopg.Connection
) -> None:
    invoke(CreateSqlObject("hard_procedure", 1))

    body = FILES["procedure"].split("$body$")[1]
    assert one(empty_connection, "SELECT prosrc FROM pg_proc WHERE prokind = 'p'") == body
    assert one(empty_connection, "CALL hard_procedure(42)") == 2


def test_a_view_shows_what_the_file_says(
    invoke: Invoke, empty_connection: psycopg.Connection
) -> None:
    invoke(CreateSqlObject("hard_view", 1))

    row = empty_connection.execute("SELECT * FROM hard_view").fetchone()
    assert row == (" " + HARD.replace("''", "'"), 3, "{1,2}")


@every_kind
def test_what_an_operation_does_its_reverse_undoes(
    kind: str, invoke: Invoke, empty_connection: psycopg.Connection
) -> None:
    create = CreateSqlObject(f"hard_{kind}", 1)
    replace = ReplaceSqlObject(f"hard_{kind}", 2)

    invoke(create)
    created = catalogue(empty_connection)
    assert comment(empty_connection, kind) == "version 1: " + HARD.replace("''", "'")

    invoke(replace)
    replaced = catalogue(empty_connection)
    assert comment(empty_connection, kind) == "version 2: " + HARD.replace("''", "'")

    invoke(replace.reverse())
    assert catalogue(empty_connection) == created
    invoke(replace.reverse().reverse())
    assert catalogue(empty_connection) == replaced

    drop = DropSqlObject(f"hard_{kind}", 2)
    invoke(drop)
    assert catalogue(empty_connection) == NOTHING
    invoke(drop.reverse())
    assert catalogue(empty_connection) == replaced
    invoke(replace.reverse(), create.reverse())
    assert catalogue(empty_connection) == NOTHING


def test_the_reverse_of_a_reverse_is_the_operation() -> None:
    for operation in (
        CreateSqlObject("hard_view", 1),
        DropSqlObject("hard_procedure", 2),
        ReplaceSqlObject("hard_function", 2),
        ReplaceSqlObject("hard_function", 3, replaces=1),
    ):
        assert operation.reverse() != operation
        assert operation.reverse().reverse() == operation


def test_a_version_that_skips_one_goes_back_to_the_one_it_replaced(
    invoke: Invoke, empty_connection: psycopg.Connection
) -> None:
    replace = ReplaceSqlObject("hard_view", 3, replaces=1)

    invoke(CreateSqlObject("hard_view", 1), replace)
    assert str(comment(empty_connection, "view")).startswith("version 3")
    invoke(replace.reverse())
    assert str(comment(empty_connection, "view")).startswith("version 1")


@every_kind
def test_a_replacement_keeps_what_was_granted(
    kind: str, invoke: Invoke, empty_connection: psycopg.Connection
) -> None:
    invoke(CreateSqlObject(f"hard_{kind}", 1))
    privilege = {"view": "SELECT ON hard_view"}.get(kind, f"EXECUTE ON {kind} hard_{kind}")
    empty_connection.execute(f"GRANT {privilege} TO pg_monitor")
    acl = "SELECT relacl::text FROM pg_class WHERE relname = 'hard_view' "
    acl += "UNION ALL SELECT proacl::text FROM pg_proc WHERE proname LIKE 'hard%'"
    granted = one(empty_connection, acl)

    invoke(ReplaceSqlObject(f"hard_{kind}", 2))

    assert "pg_monitor" in str(granted)
    assert one(empty_connection, acl) == granted


def test_an_operation_whose_file_is_missing_names_the_file(
    invoke: Invoke, empty_connection: psycopg.Connection
) -> None:
    with pytest.raises(FileNotFoundError, match=r"hard_function_v04\.sql"):
        invoke(ReplaceSqlObject("hard_function", 4))


def test_the_newest_version_is_the_highest_number_and_not_the_last_word(
    sql_directory: Path,
) -> None:
    for name in ("hard_view_v99.sql", "hard_view_v100.sql", "hard_view_v2_v01.sql"):
        (sql_directory / "topic" / name).touch()

    versions = {name: sql_object.version for name, sql_object in newest().items()}
    assert versions == {
        "hard_view": 100,
        "hard_view_v2": 1,
        "hard_function": 3,
        "hard_procedure": 3,
    }


@pytest.mark.parametrize("name", ["hard.sql", "hard_v1.sql", "hard_2.sql", "hard_v01_old.sql"])
def test_a_misnamed_file_is_reported_by_its_path(sql_directory: Path, name: str) -> None:
    misnamed = sql_directory / "topic" / name
    misnamed.touch()

    with pytest.raises(ValueError, match=r"is not named <object>_v<NN>\.sql") as error:
        newest()

    assert str(misnamed) in str(error.value)


def test_a_version_that_two_topics_have_is_reported(sql_directory: Path) -> None:
    shutil.copy(
        sql_directory / "topic" / "hard_view_v01.sql",
        sql_directory / "another_topic" / "hard_view_v01.sql",
    )

    with pytest.raises(ValueError, match="are the same version of one object"):
        newest()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("SELECT 1;", "creates no function, procedure, table or view"),
        ("CREATE VIEW hard_view AS SELECT 1;", "needs a COMMENT ON"),
    ],
)
def test_a_file_that_does_not_say_what_it_creates_is_refused(
    sql_directory: Path, text: str, problem: str
) -> None:
    (sql_directory / "topic" / "hard_view_v04.sql").write_text(text)

    with pytest.raises(ValueError, match=problem):
        assert find("hard_view", 4).kind + str(find("hard_view", 4).signatures)


def write_function(directory: Path, version: int, *signatures: str) -> None:
    """Write a version of the function `grown`, with one body for each list of arguments."""
    text = ""
    for arguments in signatures:
        types = ", ".join(one_of.split()[1] for one_of in arguments.split(", "))
        text += f"""
CREATE OR REPLACE FUNCTION grown({arguments})
RETURNS text LANGUAGE sql
AS $body$ SELECT 'version {version}: ' || concat_ws(' ', {
            ", ".join(one_of.split()[0] for one_of in arguments.split(", "))
        }) $body$;
COMMENT ON FUNCTION grown({types}) IS 'version {version}';
REVOKE ALL ON FUNCTION grown({types}) FROM public;
"""
    (directory / "topic" / f"grown_v{version:02}.sql").write_text(text)


def test_a_function_that_grows_has_both_signatures_with_the_same_grants_until_it_is_reverted(
    sql_directory: Path, invoke: Invoke, empty_connection: psycopg.Connection
) -> None:
    write_function(sql_directory, 1, "number integer, actor text DEFAULT 'somebody'")
    write_function(
        *(sql_directory, 2, "number integer, actor text, note text"),
        "number integer, actor text DEFAULT 'somebody'",
    )
    replace = ReplaceSqlObject("grown", 2)
    invoke(CreateSqlObject("grown", 1))
    empty_connection.execute(
        "GRANT EXECUTE ON FUNCTION grown TO pg_monitor, pg_read_all_data WITH GRANT OPTION"
    )
    empty_connection.execute("GRANT EXECUTE ON FUNCTION grown TO pg_write_all_data")
    empty_connection.execute(
        "ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO pg_signal_backend"
    )
    before = catalogue(empty_connection)

    invoke(replace)

    assert one(empty_connection, "SELECT grown(1)") == "version 2: 1 somebody"
    assert one(empty_connection, "SELECT grown(1, 'me')") == "version 2: 1 me"
    assert one(empty_connection, "SELECT grown(1, 'me', 'why')") == "version 2: 1 me why"
    privileges = empty_connection.execute(
        "SELECT proacl::text FROM pg_proc WHERE proname = 'grown'"
    )
    (older,), (longer,) = privileges.fetchall()
    assert older == longer
    assert "pg_write_all_data=X/" in longer
    invoke(replace.reverse())
    assert catalogue(empty_connection) == before


def test_a_view_that_grows_goes_back_with_what_reads_it_and_what_was_granted(
    sql_directory: Path, invoke: Invoke, empty_connection: psycopg.Connection
) -> None:
    grown = "CREATE OR REPLACE VIEW hard_view AS SELECT {};\nCOMMENT ON VIEW hard_view IS 'it';"
    for version, columns in (
        (1, "1 AS first, 2 AS second"),
        (2, "3 AS first, 4 AS second, 5 AS third"),
    ):
        (sql_directory / "topic" / f"hard_view_v{version:02}.sql").write_text(grown.format(columns))
    replace = ReplaceSqlObject("hard_view", 2)
    invoke(CreateSqlObject("hard_view", 1))
    for statement in (
        "CREATE VIEW reader WITH (security_barrier) AS SELECT second FROM hard_view",
        "CREATE VIEW reader_of_reader AS"
        " SELECT second, first FROM reader JOIN hard_view USING (second)",
        "COMMENT ON VIEW reader IS 'of the application'",
        "GRANT SELECT ON hard_view, reader TO pg_monitor WITH GRANT OPTION",
        "GRANT SELECT (first) ON hard_view TO pg_read_all_data",
        "GRANT SELECT ON reader_of_reader TO PUBLIC",
    ):
        empty_connection.execute(statement)
    empty_connection.execute("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO pg_signal_backend")
    before = catalogue(empty_connection)

    invoke(replace)
    assert one(empty_connection, "SELECT third FROM hard_view") == 5
    assert one(empty_connection, "SELECT second FROM reader_of_reader") == 4
    invoke(replace.reverse())

    assert catalogue(empty_connection) == before
    assert one(empty_connection, "SELECT second FROM reader_of_reader") == 2


def test_a_function_of_the_application_with_other_arguments_is_left_alone(
    sql_directory: Path, invoke: Invoke, empty_connection: psycopg.Connection
) -> None:
    write_function(sql_directory, 1, "number integer")
    write_function(sql_directory, 2, "number integer, note text", "number integer")
    empty_connection.execute("CREATE FUNCTION grown(x text) RETURNS text LANGUAGE sql RETURN x")
    before = catalogue(empty_connection)
    create, replace = CreateSqlObject("grown", 1), ReplaceSqlObject("grown", 2)

    invoke(create, replace)
    assert one(empty_connection, "SELECT grown('its own')") == "its own"
    assert one(empty_connection, "SELECT grown(1, 'why')") == "version 2: 1 why"
    invoke(replace.reverse(), create.reverse())

    assert catalogue(empty_connection) == before


@pytest.mark.parametrize("taken", ["number integer", "number integer, note text"])
def test_a_function_of_the_application_with_the_same_arguments_is_never_replaced(
    taken: str,
    sql_directory: Path,
    empty_database: Database,
    empty_connection: psycopg.Connection,
) -> None:
    write_function(sql_directory, 1, "number integer")
    write_function(sql_directory, 2, "number integer, note text", "number integer")
    empty_connection.execute(
        f"CREATE FUNCTION grown({taken}) RETURNS text LANGUAGE sql RETURN 'its'"
    )
    before = catalogue(empty_connection)

    steps = [CreateSqlObject("grown", 1), ReplaceSqlObject("grown", 2)]
    with connected(empty_database) as connection, connection.begin():
        operations = Operations(MigrationContext.configure(connection))
        with pytest.raises(sa.exc.ProgrammingError, match="already exists"):
            operations.apply_sql_objects(steps)

    assert catalogue(empty_connection) == before


def test_the_operations_are_those_of_alembics_op(
    empty_database: Database, empty_connection: psycopg.Connection
) -> None:
    with connected(empty_database) as connection, connection.begin():
        operations = Operations(MigrationContext.configure(connection))
        operations.create_sql_object("hard_view", 1)
        operations.replace_sql_object("hard_view", 2)
        operations.apply_sql_objects([CreateSqlObject("hard_function", 1)])
    assert str(comment(empty_connection, "view")).startswith("version 2")
    assert str(comment(empty_connection, "function")).startswith("version 1")

    with connected(empty_database) as connection, connection.begin():
        operations = Operations(MigrationContext.configure(connection))
        operations.revert_sql_objects([CreateSqlObject("hard_function", 1)])
        operations.drop_sql_object("hard_view", 2)
    assert catalogue(empty_connection) == NOTHING
