"""The commands for sessions in both places: conflicts, conflicts show, conflicts resolve."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from aria_db.cli import output
from aria_db.cli.base import (
    CONFIGURED,
    Actor,
    Commands,
    Json,
    SessionId,
    Where,
    app,
    examples,
    fail,
    refuse_options_before,
    run,
    with_id,
)

if TYPE_CHECKING:
    from aria_db.results import Difference, Resolved
    from aria_db.session_manager import NativeSessionManager


class Place(StrEnum):
    """Where a session, or one of its rows, is."""

    live = "live"
    archive = "archive"


conflicts = Commands(
    rich_markup_mode=None,
    epilog=examples(
        "aria-db conflicts",
        "aria-db conflicts show 453a4c8a-4a9a-5a16-acd3-a890a0f77b5b",
        "aria-db conflicts resolve 453a4c8a-4a9a-5a16-acd3-a890a0f77b5b --into archive",
    ),
)
app.add_typer(
    conflicts, name="conflicts", help="List and merge sessions that are live and archived at once."
)


@conflicts.callback(invoke_without_command=True)
def list_conflicts(
    context: typer.Context,
    where: Where = CONFIGURED,
    as_json: Json = False,
) -> None:
    """List the sessions that are live and in the archive as well; show and merge one.

    In a pipe: one line per session, with tabs between id, when it was archived, how its
    two rows compare, messages live, in the archive, equal in both, different in both, and
    title.
    """
    if context.invoked_subcommand is not None:
        refuse_options_before(context)
        return
    found = run(where, lambda manager: manager.list_conflicts())
    if as_json:
        output.print_json({"conflicts": [output.columns_of(conflict) for conflict in found]})
        return
    titles = (
        *("id", "archived_at (UTC)", "session's rows", "live", "archive", "equal", "different"),
        "title",
    )
    columns = (
        *("session_id", "archived_at", "session_rows", "messages_live", "messages_archive"),
        *("messages_equal", "messages_different", "title"),
    )
    output.print_rows(titles, ([getattr(row, column) for column in columns] for row in found))
    if not found:
        output.note("No conflicts")


@conflicts.command(
    "show",
    epilog=examples(
        "aria-db conflicts show 453a4c8a-4a9a-5a16-acd3-a890a0f77b5b",
        "aria-db conflicts show 453a4c8a-4a9a-5a16-acd3-a890a0f77b5b --json | jq .differences",
    ),
)
def show_conflict(
    session_id: SessionId,
    where: Where = CONFIGURED,
    as_json: Json = False,
) -> None:
    """Show what is not the same in both places of a session."""

    async def work(
        manager: NativeSessionManager, found: UUID
    ) -> tuple[UUID, list[Difference] | None]:
        return found, await manager.conflict_differences(found)

    found, differences = run(where, with_id(session_id, work))
    if differences is None:
        fail(f"session {found} is not live and archived at once")
    if as_json:
        output.print_json({"session_id": found, "differences": list(map(asdict, differences))})
    else:
        _print_differences(differences)


@conflicts.command(
    "resolve",
    epilog=examples(
        "aria-db conflicts resolve 453a4c8a-4a9a-5a16-acd3-a890a0f77b5b --into archive",
        "aria-db conflicts resolve 453a4c8a-4a9a-5a16-acd3-a890a0f77b5b --into live --keep live",
    ),
)
def resolve_conflict(
    session_id: SessionId,
    into: Annotated[Place, typer.Option(help="Where the session and all messages are to be.")],
    keep: Annotated[
        Place | None,
        typer.Option(help="Which row of the session to keep, where its two rows differ."),
    ] = None,
    actor: Actor = None,
    where: Where = CONFIGURED,
    as_json: Json = False,
) -> None:
    """Merge the two copies of a session into one place. Safe to repeat.

    Shows what differs, and then merges: messages that are in one place only are kept, and
    so are those that are equal in both, once. Where the same message differs nothing
    is changed, and the exit status is 1. The row of the session that --keep does not name
    goes to the table engine_conflict_resolution.
    """

    async def work(
        manager: NativeSessionManager, found: UUID
    ) -> tuple[list[Difference] | None, Resolved | None]:
        differences = await manager.conflict_differences(found)
        if differences and not as_json:
            # Before it is tried: a refusal is about what is shown.
            _print_differences(differences)
        resolved = await manager.resolve_conflict(
            found, into.value, None if keep is None else keep.value
        )
        return differences, resolved

    differences, resolved = run(where, with_id(session_id, work), actor)
    if resolved is None:
        fail(f"session {session_id} not found")
    if as_json:
        shown = list(map(asdict, differences or []))
        output.print_json({"differences": shown, "resolved": asdict(resolved)})
        return
    place = "in the archive" if resolved.place == Place.archive.value else "live"
    done = "is now" if resolved.newly_resolved else "was already"
    messages = output.count(resolved.message_count, "message")
    typer.echo(f"{resolved.id}  {done} {place}, {messages}")


def _print_differences(differences: list[Difference]) -> None:
    """Print a line per difference, with both values one below the other."""
    for found in differences:
        what = "session" if found.message_id is None else f"message {found.message_id}"
        column = "" if found.column_name is None else f", {output.one_line(found.column_name)}"
        typer.echo(f"{what}{column}: {found.difference}")
        for place, value in (("live", found.live_value), ("archive", found.archive_value)):
            if found.column_name is not None or value is not None:
                shown = "NULL" if value is None else output.one_line(value)
                typer.echo(f"  {place:<8} {shown}")
    if not differences:
        typer.echo("Both places hold the same")
