"""The command for conversations in files: import."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from aria_db.cli import output, progress
from aria_db.cli.base import CONFIGURED, Json, Where, app, examples, run

# Nobody corrects so many, and a megabyte of gzip holds half a billion.
_MOST_BAD_LINES = 10_000


def _readable(path: Path) -> Path:
    if str(path) != "-" and (path.is_dir() or not os.access(path, os.R_OK)):
        raise typer.BadParameter(f"'{path}' is not a file that can be read")
    return path


@app.command(
    "import",
    epilog=examples(
        "aria-db import conversations.jsonl",
        "aria-db import --skip-bad-lines conversations.jsonl.gz",
        "curl --silent https://example.org/conversations.jsonl | aria-db import -",
    ),
)
def import_(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", callback=_readable, help="The file; - for standard input."),
    ],
    skip_bad_lines: Annotated[
        bool, typer.Option("--skip-bad-lines", help="Import the good lines of a bad file.")
    ] = False,
    where: Where = CONFIGURED,
    as_json: Json = False,
) -> None:
    """Import conversations as live sessions. Safe to repeat.

    FILE is JSON Lines, also compressed with gzip: one object per line with source_id,
    messages and, where known, title, session_type and agent_id. A message has role,
    content and, where known, agent_id, tool_calls and tool_results (any JSON).

    It is one transaction. A file with bad lines is not imported, unless
    --skip-bad-lines says so; each is reported, and the exit status is 1. A session's id
    follows from its source_id: what is there already, live or archived, stays as it is.
    """
    from aria_db import conversations
    from aria_db.errors import AriaError
    from aria_db.session_manager import Imported

    imported = Imported(sessions=0, already_there=0, messages=0)
    with conversations.opened(file) as content, progress.reading(content) as tracked:
        bad: dict[int, str] = {}
        for line in tracked("Checking", conversations.read(content)):
            if line.conversation is None:
                bad[line.number] = line.problem
                if len(bad) > _MOST_BAD_LINES and not skip_bad_lines:
                    raise AriaError(
                        f"more than {_MOST_BAD_LINES} lines are bad: is it JSON Lines?",
                        hint="Nothing was imported. --skip-bad-lines imports the others.",
                    )
                if not as_json:
                    output.note(f"line {line.number}: {output.one_line(line.problem)}")
        is_to_import = skip_bad_lines or not bad
        if is_to_import:
            lines = tracked("Importing", conversations.read(content))
            batches = conversations.batches(lines, bad)
            imported = run(where, lambda manager: manager.import_sessions(batches))
    bad_lines = output.count(len(bad), "bad line")
    if as_json:
        figures = asdict(imported)
        output.print_json(
            {
                "imported": figures.pop("sessions"),
                **figures,
                "bad_lines": [{"line": line, "reason": reason} for line, reason in bad.items()],
            }
        )
    elif is_to_import:
        sessions = output.count(imported.sessions, "session")
        messages = output.count(imported.messages, "message")
        there = f"{imported.already_there} already there"
        typer.echo(f"Imported {sessions} with {messages}; {there}; {bad_lines}")
    else:
        output.note(f"Error: {bad_lines}, so nothing was imported")
        output.note("Hint: --skip-bad-lines imports the others.")
    if bad:
        raise typer.Exit(1)
