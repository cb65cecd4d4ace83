"""The command that gives roles their privileges: grant."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from aria_db.cli.base import CONFIGURED, Where, app, examples, run, utf8


class Access(StrEnum):
    """What a role is to do."""

    app = "app"
    operator = "operator"
    reader = "reader"


@app.command(
    epilog=examples(
        "aria-db grant aria_app --as app",
        "aria-db grant aria_cron --as operator --dry-run",
        "aria-db grant aria_cron --as operator --revoke",
    )
)
def grant(
    role: Annotated[str, typer.Argument(callback=utf8, help="A role that exists.")],
    access: Annotated[Access, typer.Option("--as", help="What the role is to do.")],
    revoke: Annotated[
        bool, typer.Option("--revoke", help="Take the same privileges away again.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the statements; change nothing.")
    ] = False,
    where: Where = CONFIGURED,
) -> None:
    """Give a role the privileges that it needs, and no more. Safe to repeat.

    app: archive, restore, delete and list sessions. operator: also prune, purge, holds,
    policies, conflicts, runs and checks. reader: the views. The application needs
    privileges of its own for what it does with the live tables. Prints the statements
    that it runs.
    """
    for statement in run(
        where,
        lambda manager: manager.grant_access(role, access.value, revoke=revoke, dry_run=dry_run),
    ):
        typer.echo(statement)
