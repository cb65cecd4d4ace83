"""The commands for those who watch: runs, check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aria_db.cli import intervals, output, revisions
from aria_db.cli.base import CONFIGURED, Json, Where, app, examples, opened, run, run_on
from aria_db.cli.hazards import DANGERS, print_hazards

if TYPE_CHECKING:
    from aria_db.models import EngineArchiveHealth
    from aria_db.results import Finding, Hazard
    from aria_db.session_manager import NativeSessionManager

# of each kind, for people
_FINDINGS_SHOWN = 10


@app.command(epilog=examples("aria-db runs", "aria-db runs --json | jq '.runs[0]'"))
def runs(
    limit: Annotated[int, typer.Option(min=1, help="How many to list at most.")] = 20,
    where: Where = CONFIGURED,
    as_json: Json = False,
) -> None:
    """List the bulk runs, newest first: prune, purge and the like.

    In a pipe: one line per run, with tabs between id, kind, state, start, end, sessions,
    messages and why it stopped. A run that was killed is listed as such.
    """
    found = run(where, lambda manager: manager.list_runs(limit))
    if as_json:
        output.print_json({"runs": [output.columns_of(row) for row in found]})
        return
    columns = ("id", "kind", "state", "started_at", "finished_at", "sessions", "messages")
    titles = (*columns, "why it stopped")
    output.print_rows(
        titles,
        (
            [*(getattr(row, column) for column in columns), row.error or row.stop_reason]
            for row in found
        ),
    )
    if not found:
        output.note("No runs")


@app.command(epilog=examples("aria-db left", "aria-db left --json | jq '.left[].remedy'"))
def left(
    limit: Annotated[int, typer.Option(min=1, help="How many to list at most.")] = 100,
    where: Where = CONFIGURED,
    as_json: Json = False,
) -> None:
    """List the sessions that the last prune or undo could not move, with why and what to do.

    In a pipe: one line per session, with tabs between id, run, SQLSTATE, when, why and what
    to do. A session disappears from the list when it moves, and when a prune no longer has
    to leave it.
    """
    found = run(where, lambda manager: manager.list_left(limit))
    if as_json:
        output.print_json({"left": [output.columns_of(row) for row in found]})
        return
    columns = ("session_id", "run_id", "sqlstate", "at", "message", "remedy")
    titles = ("id", "run", "code", "at (UTC)", "why", "what to do")
    output.print_rows(titles, ([getattr(row, column) for column in columns] for row in found))
    if not found:
        output.note("No session was left")


@app.command(
    epilog=examples(
        "aria-db check", "aria-db check --json", "aria-db check --deep", "aria-db check --since 2d"
    )
)
def check(
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Also verify that everything is in exactly one place."),
    ] = False,
    since: Annotated[
        timedelta | None,
        typer.Option(
            metavar="AGE",
            parser=intervals.age,
            help="As --deep, of what was archived no longer ago than this: 2d, 12h.",
        ),
    ] = None,
    where: Where = CONFIGURED,
    as_json: Json = False,
) -> None:
    """Say whether the archive needs attention, and what to do.

    For monitoring: the exit status is 0 if all is well, and 1 if somebody should act.
    Hazards are what the catalogue says would make a move refuse, lose rows, be unsafe or
    be slow; those that lose rows or are unsafe need attention. --deep reads the live tables
    and the archive as a whole.
    """
    deep = deep or since is not None

    async def work(
        manager: NativeSessionManager,
    ) -> tuple[Sequence[EngineArchiveHealth], list[Hazard], list[Finding]]:
        figures = await manager.check_health()
        hazards = await manager.list_hazards()
        if not deep:
            return figures, hazards, []
        after = None if since is None else datetime.now(UTC) - since
        return figures, hazards, await manager.verify_archive(after)

    with opened(where) as database:
        # Its health would be read as that of another version.
        revisions.refuse_unreleased_database(database)
        figures, hazards, findings = run_on(database, work)
    red = [figure for figure in figures if not figure.is_ok]
    dangers = [hazard for hazard in hazards if hazard.effect in DANGERS]
    if as_json:
        document: dict[str, Any] = {
            "is_ok": not red and not dangers and not findings,
            "figures": [output.columns_of(figure) for figure in figures],
            "hazards": list(map(asdict, hazards)),
        }
        if deep:
            document["findings"] = [asdict(found) for found in findings]
        output.print_json(document)
    else:
        typer.echo(f"{len(red)} of {output.count(len(figures), 'figure')} need attention")
        for figure in figures:
            parts = (figure.figure, figure.subject, figure.reading)
            name, subject, reading = map(output.one_line, parts)
            typer.echo(f"{'ok ' if figure.is_ok else 'RED'}  {name} {subject}: {reading}")
            if figure.remedy is not None:
                typer.echo(f"     {output.one_line(figure.remedy)}")
        print_hazards(hazards)
        if deep:
            _print_findings(findings)
    if red or dangers or findings:
        raise typer.Exit(1)


def _print_findings(findings: list[Finding]) -> None:
    """Print the findings by kind, with what to do about it once."""
    typer.echo(f"verified: {output.count(len(findings), 'finding')}")
    for (name, remedy), group in groupby(findings, lambda found: (found.finding, found.remedy)):
        found_here = list(group)
        typer.echo(f"RED  {name}: {len(found_here)}")
        typer.echo(f"     {remedy}")
        for found in found_here[:_FINDINGS_SHOWN]:
            parts = (
                None if found.session_id is None else f"session {found.session_id}",
                None if found.messages is None else output.count(found.messages, "message"),
                output.one_line(found.detail),
            )
            typer.echo("     " + ", ".join(filter(None, parts)))
        if len(found_here) > _FINDINGS_SHOWN:
            typer.echo(f"     and {len(found_here) - _FINDINGS_SHOWN} more: --json lists all")
