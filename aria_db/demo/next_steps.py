"""What to try after the demo: commands that work in the shell that ran it."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

from rich.console import Console

from aria_db.conversations import session_id_of
from aria_db.demo.steps import CLIENTS


def print_next_steps(console: Console, directory: Path) -> None:
    """Print the commands, each in a line of its own.

    :param console: where to print.
    :param directory: the data of the demo.
    """
    session_id = session_id_of(CLIENTS[-1][2])
    for arguments in (
        ["list", "--embedded", "--archived"],
        ["restore", "--embedded", str(session_id)],
        ["psql", "--embedded", "--", "--command", "TABLE engine_archive_event"],
        ["serve", "--embedded"],
    ):
        line = _command_line(directory, arguments)
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print("\nWhile it serves, http://127.0.0.1:8000/docs shows the API; Ctrl-C ends it.")


def _command_line(directory: Path, arguments: list[str]) -> str:
    variable = f"ARIA_DB_DATA={_from_here(directory)}"
    # The demo is installed in public.
    start = ["env", "-u", "ARIA_DB_SCHEMA"] if os.environ.get("ARIA_DB_SCHEMA") else []
    return shlex.join([*start, variable, *_program(), *arguments])


def _program() -> list[str]:
    """Return the words that start this program in the shell that did."""
    started = Path(sys.argv[0])
    if started.name != "aria-db":
        return [sys.executable, "-m", "aria_db"]
    found = shutil.which("aria-db")
    if found is not None and Path(found).resolve() == started.resolve():
        return ["aria-db"]
    return [_from_here(started)]


def _from_here(path: Path) -> str:
    """Return a path as short as it can be written here."""
    path = path.absolute()
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
