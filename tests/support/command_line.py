"""Running ``aria-db`` as others do: as a process, with an environment, in a pipe or a terminal."""

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from aria_db.database import Database
from tests.support import forked

SCRIPT = Path(sys.executable).with_name("aria-db")
UNKNOWN = "00000000-0000-4000-8000-000000000000"

Outcome = subprocess.CompletedProcess[str]
Cli = Callable[..., Outcome]


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment with nothing in it about a database but ``variables``."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PG", "ARIA_"))
    }
    kept.pop("DATABASE_URL", None)
    return {**kept, **variables}


def command(*arguments: object) -> list[str]:
    """Return the words that run ``aria-db``."""
    return [sys.executable, "-m", "aria_db", *map(str, arguments)]


def on(database: Database) -> Cli:
    """Return :func:`run` for a database."""
    schema = {} if database.schema is None else {"ARIA_DB_SCHEMA": database.schema}
    return partial(run, DATABASE_URL=replace(database, schema=None).libpq_url(), **schema)


def run(
    *arguments: object, stdin: str | bytes = b"", pass_fds: Sequence[int] = (), **variables: str
) -> Outcome:
    """Run ``aria-db`` in a pipe, with these variables about a database; wait for it."""
    if not pass_fds and variables.keys() <= {"DATABASE_URL", "ARIA_DB_SCHEMA"}:
        given = stdin.encode() if isinstance(stdin, str) else stdin
        return _checked(
            forked.run([str(word) for word in arguments], environment(**variables), given, 60)
        )
    with start(*arguments, stdin=subprocess.PIPE, pass_fds=pass_fds, **variables) as process:
        return finish(process, stdin)


def start(*arguments: object, **options: Any) -> subprocess.Popen[bytes]:
    """Start ``aria-db`` in a pipe. Options in capitals are variables about a database."""
    variables = {name: options.pop(name) for name in list(options) if name.isupper()}
    return subprocess.Popen(
        command(*arguments),
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def finish(process: subprocess.Popen[bytes], stdin: str | bytes | None = None) -> Outcome:
    """Wait for a process; check that it told no traceback."""
    try:
        printed = process.communicate(stdin.encode() if isinstance(stdin, str) else stdin, 60)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    out, err = (text.decode() for text in printed)
    return _checked(Outcome(process.args, process.returncode, out, err))


def _checked(outcome: Outcome) -> Outcome:
    assert "Traceback" not in outcome.stderr, outcome.stderr
    return outcome


def document(outcome: Outcome, status: int = 0) -> Any:
    """Return the JSON document that is all of the output, of a command with this exit status."""
    assert outcome.returncode == status, outcome.stderr
    return json.loads(outcome.stdout)


def lines(outcome: Outcome, status: int = 0) -> list[str]:
    """Return the lines of the output, of a command with this exit status."""
    assert outcome.returncode == status, outcome.stderr
    return outcome.stdout.splitlines()


def refusal(outcome: Outcome, status: int = 1) -> list[str]:
    """Check that a command printed nothing but one line on what is wrong, and at most a hint."""
    assert outcome.returncode == status, outcome
    assert outcome.stdout == ""
    told = outcome.stderr.splitlines()
    assert told[0].startswith("Error: "), told
    assert len(told) == 1 or (len(told) == 2 and told[1].startswith("Hint: ")), told
    return told


def run_in_terminal(
    arguments: Sequence[object], columns: int, *, typed: str = "", **variables: str
) -> str:
    """Run ``aria-db`` in a terminal of this width, and type; return all that it printed."""
    terminal, its_end = pty.openpty()
    fcntl.ioctl(its_end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    variables = {"TERM": "xterm", **variables}
    with subprocess.Popen(
        command(*arguments),
        env=environment(**variables),
        stdin=its_end,
        stdout=its_end,
        stderr=its_end,
    ):
        os.close(its_end)
        os.write(terminal, typed.encode())
        printed = b""
        with suppress(OSError):  # how Linux says that the last process has closed it
            while chunk := os.read(terminal, 65536):
                printed += chunk
        os.close(terminal)
    return printed.decode()
