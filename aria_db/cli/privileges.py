"""The command that gives roles their privileges: grant."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from aria_db.cli import output
from aria_db.cli.base import CONFIGURED, Where, app, examples, run, utf8

if TYPE_CHECKING:
    from aria_db.session_manager import NativeSessionManager


class Access(StrEnum):
    """What a role is to do."""

    app = "app"
    operator = "operator"
    reader = "reader"
    support = "support"


@app.command(
    epilog=examples(
        "aria-db grant aria_app --as app",
        "aria-db grant aria_cron --as operator --dry-run",
        "aria-db grant aria_cron --as operator --revoke",
        "aria-db grant --repair --dry-run",
    )
)
def grant(
    role: Annotated[str | None, typer.Argument(callback=utf8, help="A role that exists.")] = None,
    access: Annotated[Access | None, typer.Option("--as", help="What the role is to do.")] = None,
    revoke: Annotated[
        bool, typer.Option("--revoke", help="Take the same privileges away again.")
    ] = False,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Revoke from all roles what no --as grants. Takes no role."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the statements; change nothing.")
    ] = False,
    where: Where = CONFIGURED,
) -> None:
    """Give a role the privileges that it needs, and no more. Safe to repeat.

    app: archive, restore, delete and list sessions. operator: also prune, purge, holds,
    policies, conflicts, runs and checks. reader: the views. support: lists, transcripts and
    history of both places. The application needs privileges of its own for what it does with
    the live tables. --repair revokes what pg_restore --no-acl or a GRANT has opened: EXECUTE
    for everybody, and write privileges on the archive and aria-db's own tables. Prints the
    statements that it runs.
    """
    if repair:
        if role is not None or access is not None or revoke:
            raise typer.BadParameter(
                "it takes no role, no --as and no --revoke", param_hint="--repair"
            )
        statements = run(where, lambda manager: manager.repair_access(dry_run=dry_run))
    elif role is None or access is None:
        raise typer.BadParameter("give a role and --as, or --repair")
    else:
        statements = run(where, _granting(role, access, revoke=revoke, dry_run=dry_run))
    for statement in statements:
        typer.echo(statement)
    if repair and not statements:
        output.note("Nothing to revoke")


def _granting(
    role: str, access: Access, *, revoke: bool, dry_run: bool
) -> Callable[[NativeSessionManager], Awaitable[Sequence[str]]]:
    return lambda manager: manager.grant_access(role, access.value, revoke=revoke, dry_run=dry_run)
