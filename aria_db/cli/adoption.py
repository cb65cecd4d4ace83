"""The command that takes over the chat tables of a database: adopt."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from aria_db.cli import output, revisions
from aria_db.cli.base import CONFIGURED, Json, Where, app, connected, examples, utf8
from aria_db.cli.hazards import print_hazards

if TYPE_CHECKING:
    from aria_db.install.adoption import AdoptionPlan

_TITLES = {
    "untouched": "Stays as it is:",
    "lock": "Locked for a moment:",
    "step": "To do:",
    "advice": "Advice:",
    "problem": "In the way:",
}


@app.command(
    epilog=examples(
        "aria-db adopt --dry-run",
        "aria-db adopt aria_engine",
        "aria-db adopt aria_engine --schema archive",
    )
)
def adopt(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[SOURCE]",
            callback=utf8,
            help="The schema of the application's tables. By default the only one that has some.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what was found and what would be done.")
    ] = False,
    where: Where = CONFIGURED,
    as_json: Json = False,
) -> None:
    """Take over the chat tables that a database has, and upgrade it.

    All in one transaction, which waits for locks no longer than five seconds in all. No
    live table is changed. Run it again when the application has added columns. Hazards are
    what would make a move refuse, lose rows, be unsafe or be slow; `aria-db check` lists them
    later.
    """
    from aria_db.errors import AdoptionRefused
    from aria_db.install import adoption, migrate

    with connected(where) as (connection, target):
        revisions.refuse_unreleased(migrate.status(connection, target))
        # The plan begins a transaction of its own.
        connection.rollback()
        plan = adoption.plan(connection, source, target)
        if not as_json:
            _print_plan(plan)
        if plan.problems:
            first, *others = plan.problems
            raise AdoptionRefused(
                f"{first.object}: {first.description}",
                sqlstate="AR004",
                detail="; ".join(f"{other.object}: {other.description}" for other in others),
                hint=f"Nothing was changed. {first.remedy}",
            )
        if not dry_run:
            adoption.adopt(connection, source, target)
        status = migrate.status(connection, target)
    if as_json:
        output.print_json(
            {
                "adopted": not dry_run,
                "revision": status.current,
                "plan": [asdict(step) for step in plan.steps],
                "hazards": [asdict(hazard) for hazard in plan.hazards],
            }
        )
    elif dry_run:
        typer.echo("Nothing was changed: a dry run")
    else:
        typer.echo(f"Adopted: the database is at revision {status.current}")


def _print_plan(plan: AdoptionPlan) -> None:
    if plan.layout:
        found = [step.description for step in plan.steps if step.kind in {"layout", "source"}]
        typer.echo(f"Layout {plan.layout}: {'; '.join(found)}")
    for kind, title in _TITLES.items():
        # Each once; a lock that only keeps the columns from changing is nobody's concern.
        lines = dict.fromkeys(
            f"  {step.object}: {(kind == 'advice' and step.statement) or step.description}"
            for step in plan.steps
            if step.kind == kind and "ACCESS SHARE" not in (step.statement or "")
        )
        if lines:
            typer.echo(title)
            for line in lines:
                typer.echo(output.clean(line))
    if plan.hazards:
        typer.echo("Hazards after the adoption:")
        print_hazards(plan.hazards)
