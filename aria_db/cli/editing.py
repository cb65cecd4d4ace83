"""The commands that change one session: edit, delete."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from aria_db.cli import output
from aria_db.cli.base import (
    CONFIGURED,
    Actor,
    Json,
    SessionId,
    Where,
    app,
    examples,
    fail,
    run,
    utf8,
    with_id,
)
from aria_db.cli.batches import Yes, confirm

_LONGEST_TITLE = 500
_LONGEST_MODEL = 200


def _object(text: str) -> dict[str, Any]:
    """Return a JSON object that PostgreSQL can hold."""
    from aria_db.validation import storable_json

    try:
        found = storable_json(json.loads(text))
    except ValueError as error:
        raise typer.BadParameter(f"it is no JSON that can be stored: {error}") from None
    if not isinstance(found, dict):
        raise typer.BadParameter("it must be a JSON object, such as {}")
    return found


@app.command(
    epilog=examples(
        "aria-db edit 453a4c8a-4a9a-5a16-acd3-a890a0f77b5b --title 'Plans for spring'",
        """aria-db edit 453a4c8a-4a9a-5a16-acd3-a890a0f77b5b --metadata '{"pinned": true}'""",
    )
)
def edit(
    session_id: SessionId,
    title: Annotated[
        str | None,
        typer.Option(metavar="TEXT", callback=utf8, help="The new title; '' for none."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", callback=utf8, help="The new language model; '' for none."),
    ] = None,
    metadata: Annotated[
        str | None,
        typer.Option(
            metavar="JSON", callback=utf8, help="The new metadata, an object; replaces the old."
        ),
    ] = None,
    where: Where = CONFIGURED,
    as_json: Json = False,
) -> None:
    """Change the title, the model or the metadata of a live session.

    The session counts as updated now.
    """
    from aria_db.session_manager import SessionChanges

    changes = SessionChanges()
    for option, text, longest in (
        ("--title", title, _LONGEST_TITLE),
        ("--model", model, _LONGEST_MODEL),
    ):
        if len(text or "") > longest:
            raise typer.BadParameter(f"it is longer than {longest} characters", param_hint=option)
    if title is not None:
        changes["title"] = title or None
    if model is not None:
        changes["model"] = model or None
    if metadata is not None:
        changes["metadata"] = _object(metadata)
    if not changes:
        raise typer.BadParameter("give --title, --model or --metadata")

    work = with_id(session_id, lambda manager, found: manager.update_session(found, **changes))
    changed = run(where, work)
    if changed is None:
        fail(f"session {session_id} not found among the live ones")
    if as_json:
        output.print_json({"session": output.columns_of(changed)})
    else:
        typer.echo(f"{changed.id}  changed: {', '.join(changes)}")


@app.command(
    epilog=examples(
        "aria-db delete 453a4c8a-4a9a-5a16-acd3-a890a0f77b5b",
        "aria-db delete 453a4c8a-4a9a-5a16-acd3-a890a0f77b5b --archived --yes",
    )
)
def delete(
    session_id: SessionId,
    archived: Annotated[
        bool, typer.Option("--archived", help="Delete it from the archive.")
    ] = False,
    yes: Yes = False,
    actor: Actor = None,
    where: Where = CONFIGURED,
    as_json: Json = False,
) -> None:
    """Delete a live session and its messages for good, or an archived one.

    It asks before. A session on hold is not deleted, nor is an archived one that is live as well.
    """
    from aria_db.session_manager import ARCHIVE, LIVE

    confirm(f"Delete session {session_id} with its messages, for good?", yes)
    place = ARCHIVE if archived else LIVE
    work = with_id(session_id, lambda manager, found: manager.delete_session(found, place))
    deleted = run(where, work, actor)
    if deleted is None:
        there = "in the archive" if archived else "among the live ones"
        fail(f"session {session_id} not found {there}")
    if as_json:
        output.print_json(vars(deleted))
    else:
        typer.echo(f"{deleted.id}  deleted, {output.count(deleted.message_count, 'message')}")
