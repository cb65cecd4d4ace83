"""Options that say which sessions are meant."""

from __future__ import annotations

from typing import Annotated

import typer

from aria_db.cli.base import utf8

OfType = Annotated[
    str | None,
    typer.Option("--type", metavar="TYPE", callback=utf8, help="Only sessions of this type."),
]
Agent = Annotated[
    str | None,
    typer.Option("--agent", metavar="ID", callback=utf8, help="Only sessions of this agent."),
]
Search = Annotated[
    str | None,
    typer.Option(
        "--search",
        metavar="TEXT",
        callback=utf8,
        help="Only those with this text in the title or a message.",
    ),
]
