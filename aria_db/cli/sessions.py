"""The commands for sessions: list, show, archive, restore."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from aria_db.cli import output
from aria_db.cli.base import (
    DatabaseUrl,
    Json,
    Schema,
    SessionId,
    SessionIds,
    app,
    examples,
    fail,
    run,
    utf8,
)

if TYPE_CHECKING:
    from aria_db.results import Archived, Restored
    from aria_db.session_manager import NativeSessionManager, Page


@app.command(
    "list",
    epilog=examples(
        "aria-db list --search invoice",
        "aria-db list --archived --limit 10",
        "aria-db list --archived --json | jq -r '.sessions[].id'",
    ),
)
def list_(
    archived: Annotated[
        bool, typer.Option("--archived", help="List the archive, newest archived first.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=2**31, help="How many to list at most.")] = 50,
    offset: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="How many to pass over.")] = 0,
    cursor: Annotated[
        str | None,
        typer.Option(
            callback=utf8,
            help="The next_cursor that --json gave: lists what follows, however far it is, "
            "as fast as the first page.",
        ),
    ] = None,
    search: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            callback=utf8,
            help="Only those with this text in the title or a message.",
        ),
    ] = None,
    agent: Annotated[
        str | None, typer.Option(metavar="ID", callback=utf8, help="Only this agent's.")
    ] = None,
    session_type: Annotated[
        str | None,
        typer.Option("--type", metavar="TYPE", callback=utf8, help="Only of this type."),
    ] = None,
    database_url: DatabaseUrl = None,
    schema: Schema = None,
    as_json: Json = False,
) -> None:
    """List sessions: live ones, last updated first, or the archive.

    In a pipe: one line per session, with tabs between id, time, type, agent, messages
    and title.
    """
    from aria_db.session_manager import SessionFilters

    filters = SessionFilters(agent_id=agent, session_type=session_type, search=search)

    def listed(manager: NativeSessionManager) -> Awaitable[Page[Any]]:
        if archived:
            return manager.list_archived_sessions(limit, offset, cursor=cursor, filters=filters)
        return manager.list_sessions(limit=limit, offset=offset, cursor=cursor, filters=filters)

    page = run(database_url, schema, listed)
    if as_json:
        sessions = [output.columns_of(row) for row in page.sessions]
        names = ("total", "total_is_estimate", "limit", "offset", "has_more", "next_cursor")
        figures = {name: getattr(page, name) for name in names}
        output.print_json({"sessions": sessions, **figures})
        return
    time = "archived_at" if archived else "updated_at"
    titles = ("id", f"{time} (UTC)", "type", "agent", "messages", "title")
    columns = ("id", time, "session_type", "agent_id", "message_count", "title")
    output.print_rows(
        titles, ([getattr(row, column) for column in columns] for row in page.sessions)
    )
    if not page.total:
        output.note("No such sessions")
    elif page.has_more:
        following = offset + len(page.sessions)
        total = f"about {page.total}" if page.total_is_estimate else page.total
        go_on = f"--cursor {page.next_cursor}" if cursor else f"--offset {following}"
        shown = len(page.sessions) if cursor else following
        output.note(f"{shown} of {total}; {go_on} lists what follows")


@app.command(
    epilog=examples(
        "aria-db show 453a4c8a-4a9a-5a16-acd3-a890a0f77b5b",
        "aria-db show --json 453a4c8a-4a9a-5a16-acd3-a890a0f77b5b | jq .messages",
    )
)
def show(
    session_id: SessionId,
    database_url: DatabaseUrl = None,
    schema: Schema = None,
    as_json: Json = False,
) -> None:
    """Show a session, live or archived, with its transcript."""
    found = run(database_url, schema, lambda manager: manager.get_transcript(session_id))
    if found is None:
        fail(f"session {session_id} not found")
    session = {"archived_at": None, **output.columns_of(found.session)}
    messages = [output.columns_of(message) for message in found.messages]
    if as_json:
        output.print_json({"session": session, "messages": messages})
    else:
        output.print_transcript(session, messages)


@app.command(
    epilog=examples(
        "aria-db archive 453a4c8a-4a9a-5a16-acd3-a890a0f77b5b",
        "aria-db list --type cron | cut -f 1 | xargs aria-db archive",
    )
)
def archive(
    session_ids: SessionIds,
    database_url: DatabaseUrl = None,
    schema: Schema = None,
    as_json: Json = False,
) -> None:
    """Move sessions with all their messages into the archive. Safe to repeat.

    It is one transaction: when one session must not be moved, none is, and the exit
    status is 1. An id that does not exist stops nothing: the others are archived, it is
    reported, and the exit status is 1.
    """
    archived = run(database_url, schema, lambda manager: manager.archive_sessions(session_ids))
    _show_moved(session_ids, archived, as_json, _archived)


def _archived(row: Archived) -> str:
    done = "archived" if row.newly_archived else "archived before,"
    return (
        f"{done} {output.one_line(row.archived_at)}, {output.count(row.message_count, 'message')}"
    )


@app.command(epilog=examples("aria-db restore 453a4c8a-4a9a-5a16-acd3-a890a0f77b5b"))
def restore(
    session_ids: SessionIds,
    database_url: DatabaseUrl = None,
    schema: Schema = None,
    as_json: Json = False,
) -> None:
    """Bring archived sessions back with all their messages. Safe to repeat.

    It is one transaction: when one session must not be moved, none is, and the exit
    status is 1. An id that does not exist stops nothing: the others are restored, it is
    reported, and the exit status is 1. Says from when the prune may archive a session
    again, by the policy of its type.
    """
    restored = run(database_url, schema, lambda manager: manager.restore_sessions(session_ids))
    _show_moved(session_ids, restored, as_json, _restored)


def _restored(row: Restored) -> str:
    done, again = ("restored", " again") if row.newly_restored else ("live already", "")
    text = f"{done}, {output.count(row.message_count, 'message')}"
    if row.due_from is not None:
        due_from = f"{row.due_from.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        text += f"; due for the prune{again} from {due_from}"
    return text


def _show_moved(
    session_ids: list[UUID],
    moved: list[Archived] | list[Restored],
    as_json: bool,
    describe: Callable[[Any], str],
) -> None:
    """Print what became of each session; exit with 1 if one does not exist."""
    by_id = {row.id: row for row in moved}
    # Once each, in the order in which they were asked for.
    wanted = dict.fromkeys(session_ids)
    found = [by_id[session_id] for session_id in wanted if session_id in by_id]
    unknown = [session_id for session_id in wanted if session_id not in by_id]
    if as_json:
        output.print_json({"sessions": [asdict(row) for row in found], "not_found": unknown})
    else:
        for row in found:
            typer.echo(f"{row.id}  {describe(row)}")
    for session_id in unknown:
        output.note(f"Error: session {session_id} not found")
    if unknown:
        raise typer.Exit(1)
