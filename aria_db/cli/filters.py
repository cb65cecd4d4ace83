"""Options that say which sessions are meant."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from aria_db.cli import intervals
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
ArchivedAfter = Annotated[
    datetime | None,
    typer.Option(
        "--archived-after",
        metavar="TIME",
        parser=intervals.moment,
        help="Sessions archived at this time or later: 2026-03-01, 2026-03-01T09:30Z, 2d ago.",
    ),
]
ArchivedBefore = Annotated[
    datetime | None,
    typer.Option(
        "--archived-before",
        metavar="TIME",
        parser=intervals.moment,
        help="Sessions archived before this time.",
    ),
]
