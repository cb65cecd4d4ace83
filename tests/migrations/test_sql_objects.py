"""The operations that install a version of a file in sql/, and their inverses."""

from collections.abc import Callable
from io import StringIO
from pathlib import Path

import psycopg
import pytest
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

from aria_db import resources
from aria_db.database import Database
from aria_db.sql_objects import (
    CreateSqlObject,
    DropSqlObject,
    Kind,
    ReplaceSqlObject,
    SqlObjectOperation,
    newest,
)
from tests.migrations.support import NOTHING, catalogue, connected, one, run_script

# What SQLAlchemy, psycopg, psql or Python's formatting would each read in its own way.
HARD = r":name::text :=: 100% %s %(name)s %% %I {0} $1 \ \\ \: \:name \d:\n 12:30:45 ''"

FILES: dict[str, str] = {
    "function": f"""
-- hard: {HARD}
CREATE OR REPLACE FUNCTION hard(number integer DEFAULT '7'::integer)
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

COMMENT ON FUNCTION hard(integer) IS
'version 1: {HARD}';
""",
    "procedure": f"""
CREATE OR REPLACE PROCEDURE hard(INOUT number integer)
LANGUAGE plpgsql
AS $body$
BEGIN
    number := number % 10; -- {HARD}
END;
$body$;

COMMENT ON PROCEDURE hard(integer) IS
'version 1: {HARD}';
""",
    "view": f"""
CREATE OR REPLACE VIEW hard AS
SELECT
    ' {HARD}' AS text,
    7 % 4 AS remainder,
    (ARRAY[1, 2, 3])[1:2]::text AS numbers;

COMMENT ON VIEW hard IS
'version 1: {HARD}';
""",
}

COMMENTS = {
    "function": "SELECT obj_description('hard(integer)'::regprocedure, 'pg_proc')",
    "procedure": "SELECT obj_description('hard(integer)'::regprocedure, 'pg_proc')",
    "view": "SELECT obj_description('hard'::regclass, 'pg_class')",
}

Invoke = Callable[..., None]

every_kind = pytest.mark.parametrize("kind", FILES)


@pytest.fixture(autouse=True)
def sql_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory in the place of sql/, with versions 1 to 3 of one object of each kind."""
    monkeypatch.setattr(resources, "SQL", tmp_path)
    for kind, text in FILES.items():
        directory = tmp_path / f"{kind}s"
        directory.mkdir()
        for version in (1, 2, 3):
            (directory / f"hard_v{version:02}.sql").write_text(
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
    invoke(CreateSqlObject("function", "hard", 1))

    body = FILES["function"].split("$body$")[1]
    assert one(empty_connection, "SELECT prosrc FROM pg_proc WHERE proname = 'hard'") == body
    expected = "{1,2,3} % ::" + " " + HARD.replace("''", "'")
    assert one(empty_connection, "SELECT hard(3)") == expected


def test_the_body_of_a_procedure_is_installed_as_the_file_has_it_and_works(
    invoke: Invoke, empty_connection: psycopg.Connection
) -> None:
    invoke(CreateSqlObject("procedure", "hard", 1))

    body = FILES["procedure"].split("$body$")[1]
    assert one(empty_connection, "SELECT prosrc FROM pg_proc WHERE proname = 'hard'") == body
    assert one(empty_connection, "CALL hard(42)") == 2


def test_a_view_shows_what_the_file_says(
    invoke: Invoke, empty_connection: psycopg.Connection
) -> None:
    invoke(CreateSqlObject("view", "hard", 1))

    row = empty_connection.execute("SELECT * FROM hard").fetchone()
    assert row == (" " + HARD.replace("''", "'"), 3, "{1,2}")


@every_kind
def test_what_an_operation_does_its_reverse_undoes(
    kind: Kind, invoke: Invoke, empty_connection: psycopg.Connection
) -> None:
    create = CreateSqlObject(kind, "hard", 1)
    replace = ReplaceSqlObject(kind, "hard", 2)

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

    drop = DropSqlObject(kind, "hard", 2)
    invoke(drop)
    assert catalogue(empty_connection) == NOTHING
    invoke(drop.reverse())
    assert catalogue(empty_connection) == replaced
    invoke(replace.reverse(), create.reverse())
    assert catalogue(empty_connection) == NOTHING


def test_the_reverse_of_a_reverse_is_the_operation() -> None:
    for operation in (
        CreateSqlObject("view", "hard", 1),
        DropSqlObject("procedure", "hard", 2),
        ReplaceSqlObject("function", "hard", 2),
        ReplaceSqlObject("function", "hard", 3, replaces=1),
    ):
        assert operation.reverse() != operation
        assert operation.reverse().reverse() == operation


def test_a_version_that_skips_one_goes_back_to_the_one_it_replaced(
    invoke: Invoke, empty_connection: psycopg.Connection
) -> None:
    replace = ReplaceSqlObject("view", "hard", 3, replaces=1)

    invoke(CreateSqlObject("view", "hard", 1), replace)
    assert str(comment(empty_connection, "view")).startswith("version 3")
    invoke(replace.reverse())
    assert str(comment(empty_connection, "view")).startswith("version 1")


@every_kind
def test_a_replacement_keeps_what_was_granted(
    kind: Kind, invoke: Invoke, empty_connection: psycopg.Connection
) -> None:
    invoke(CreateSqlObject(kind, "hard", 1))
    privilege = {"view": "SELECT ON hard"}.get(kind, f"EXECUTE ON {kind} hard")
    empty_connection.execute(f"GRANT {privilege} TO pg_monitor")
    acl = "SELECT relacl::text FROM pg_class WHERE relname = 'hard' "
    acl += "UNION ALL SELECT proacl::text FROM pg_proc WHERE proname = 'hard'"
    granted = one(empty_connection, acl)

    invoke(ReplaceSqlObject(kind, "hard", 2))

    assert "pg_monitor" in str(granted)
    assert one(empty_connection, acl) == granted


def test_an_operation_whose_file_is_missing_names_the_file(
    invoke: Invoke, empty_connection: psycopg.Connection
) -> None:
    with pytest.raises(FileNotFoundError, match=r"hard_v04\.sql"):
        invoke(ReplaceSqlObject("function", "hard", 4))


def test_the_newest_version_is_the_highest_number_and_not_the_last_word(
    sql_directory: Path,
) -> None:
    for name in ("hard_v99.sql", "hard_v100.sql", "hard_v2_v01.sql"):
        (sql_directory / "views" / name).touch()

    assert newest("view") == {"hard": 100, "hard_v2": 1}
    assert newest("function") == {"hard": 3}


@pytest.mark.parametrize("name", ["hard.sql", "hard_v1.sql", "hard_2.sql", "hard_v01_old.sql"])
def test_a_misnamed_file_is_reported_by_its_path(sql_directory: Path, name: str) -> None:
    misnamed = sql_directory / "functions" / name
    misnamed.touch()

    with pytest.raises(ValueError, match=r"is not named <object>_v<NN>\.sql") as error:
        newest("function")

    assert str(misnamed) in str(error.value)
