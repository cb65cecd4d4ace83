"""The demo: what it prints, and whose data it replaces."""

import subprocess
from pathlib import Path

from tests.support import command_line
from tests.support.command_line import SCRIPT, lines

ROOT = Path(__file__).resolve().parents[2]
NOWHERE = "postgresql://127.0.0.1:1/nowhere"


def test_what_the_demo_prints_works_when_pasted_and_the_demo_can_be_repeated(data: Path) -> None:
    # As in a shell that is set up for another database.
    environment = command_line.environment(
        ARIA_DB_DATA=str(data), DATABASE_URL=NOWHERE, ARIA_DB_SCHEMA="elsewhere"
    )

    def in_the_shell(line: str) -> str:
        done = subprocess.run(
            line, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    printed = in_the_shell(f"{SCRIPT} demo")
    pasted = [line for line in printed.splitlines() if "ARIA_DB_DATA=" in line]
    *commands, serve = pasted
    listed, restored, journal = map(in_the_shell, commands)

    assert "All checks passed." in printed
    assert len(listed.splitlines()) == 5
    assert "restored, 6 messages" in restored
    assert journal.count("archived") == 6
    assert serve.endswith(" serve --embedded")
    # Not one of the sessions is where the first run found it.
    assert "All checks passed." in in_the_shell(f"{SCRIPT} demo")


def test_the_demo_does_not_replace_data_that_no_demo_created(data: Path) -> None:
    variables = {"ARIA_DB_DATA": str(data), "ARIA_DB_EMBEDDED": "1"}
    assert lines(command_line.run("upgrade", **variables))

    told = command_line.run("demo", **variables)

    assert told.returncode == 2
    assert "holds data that no demo created" in told.stderr
    assert "the newest" in lines(command_line.run("current", **variables))[0]
