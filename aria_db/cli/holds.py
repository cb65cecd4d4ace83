"""The commands that keep a session where it is: hold, release."""

from __future__ import annotations

from typing import Annotated

import typer

from aria_db.cli import output
from aria_db.cli.base import (
    CONFIGURED,
    Actor,
    SessionId,
    Where,
    app,
    examples,
    fail,
    run,
    utf8,
    with_id,
)


@app.command(
    epilog=examples("aria-db hold 453a4c8a-4a9a-5a16-acd3-a890a0f77b5b --reason 'case 17'")
)
def hold(
    session_id: SessionId,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", callback=utf8, help="Why; replaces an earlier reason.")
    ],
    actor: Actor = None,
    where: Where = CONFIGURED,
) -> None:
    """Keep a session, live or archived, where it is: not archived, purged or deleted."""
    work = with_id(session_id, lambda manager, found: manager.place_hold(found, reason))
    placed = run(where, work, actor)
    if placed is None:
        fail(f"session {session_id} not found")
    by = output.one_line(placed.placed_by)
    since = output.one_line(placed.placed_at)
    typer.echo(f"{placed.id}  held by {by} since {since}: {output.one_line(placed.hold_reason)}")


@app.command(epilog=examples("aria-db release 453a4c8a-4a9a-5a16-acd3-a890a0f77b5b"))
def release(
    session_id: SessionId,
    actor: Actor = None,
    where: Where = CONFIGURED,
) -> None:
    """End the hold on a session."""
    work = with_id(session_id, lambda manager, found: manager.release_hold(found))
    if not run(where, work, actor):
        fail(f"session {session_id} is not on hold")
    typer.echo(f"{session_id}  released")
