"""The commands that show sessions: list, show, history."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aria_db.cli import intervals, output
from aria_db.cli.base import (
    CONFIGURED,
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
from aria_db.cli.filters import Agent, ArchivedAfter, ArchivedBefore, OfType, Search

if TYPE_CHECKING:
    from aria_db.results import HistoryEvent
    from aria_db.session_manager import NativeSessionManager, Page

    ReadPage = Callable[[int, str | None], Awaitable[Page[Any]]]

# of a list on a terminal, and of what is read at a time where all is wanted
_SHOWN = 50
_READ_AT_ONCE = 5000

# of the column message_count
_LARGEST_COUNT = 2**31 - 1

# events after which a session is nowhere
_ENDS = ("purged", "deleted")


def _all_utf8(texts: list[str] | None) -> list[str]:
    return [text for text in texts or () if utf8(text) is not None]


class Sort(StrEnum):
    """What a list is sorted by."""

    UPDATED = "updated"
    CREATED = "created"
    ARCHIVED = "archived"
    TITLE = "title"

    @property
    def column(self) -> str:
        """The column of that name."""
        return "title" if self is Sort.TITLE else f"{self.value}_at"


@app.command(
    "list",
    epilog=examples(
        "aria-db list --search invoice",
        "aria-db list --archived --limit 10",
        "aria-db list --type cron --from 2026-03-01 --to 2026-03-31 --sort created",
        "aria-db list --archived --json | jq -r '.sessions[].id'",
    ),
)
def list_(
    archived: Annotated[
        bool, typer.Option("--archived", help="List the archive, newest archived first.")
    ] = False,
    all_places: Annotated[
        bool, typer.Option("--all-places", help="List both places, soft-deleted sessions too.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=2**31,
            help="How many to list at most.",
            show_default=f"{_SHOWN} on a terminal, all in a pipe",
        ),
    ] = None,
    offset: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="How many to pass over.")] = 0,
    cursor: Annotated[
        str | None,
        typer.Option(
            callback=utf8,
            help="The next_cursor that --json gave: lists what follows, however far it is, "
            "as fast as the first page.",
        ),
    ] = None,
    search: Search = None,
    agent: Agent = None,
    session_type: OfType = None,
    exclude_types: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude-type",
            metavar="TYPE",
            callback=_all_utf8,
            help="No sessions of this type. May be given several times.",
        ),
    ] = None,
    status: Annotated[
        str | None,
        typer.Option(metavar="STATUS", callback=utf8, help="Only sessions with this status."),
    ] = None,
    min_messages: Annotated[
        int | None,
        typer.Option(
            min=0, max=_LARGEST_COUNT, help="Only sessions with as many messages or more."
        ),
    ] = None,
    max_messages: Annotated[
        int | None,
        typer.Option(
            min=0, max=_LARGEST_COUNT, help="Only sessions with as many messages or fewer."
        ),
    ] = None,
    created_from: Annotated[
        datetime | None,
        typer.Option(
            "--from",
            metavar="TIME",
            parser=intervals.moment,
            help="Only those created at this time or later: 2026-03-01, 2026-03-01T09:30Z, 2d ago.",
        ),
    ] = None,
    created_to: Annotated[
        datetime | None,
        typer.Option(
            "--to",
            metavar="TIME",
            parser=intervals.end_of,
            help="Only those created before this time; a date is included as a whole.",
        ),
    ] = None,
    archived_after: ArchivedAfter = None,
    archived_before: ArchivedBefore = None,
    sort: Annotated[
        Sort | None,
        typer.Option(
            help="What to sort by: the newest first, titles from A to Z.",
            show_default="updated; of the archive, archived",
        ),
    ] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="Reverse the order.")] = False,
    where: Where = CONFIGURED,
    as_json: Json = False,
) -> None:
    """List sessions: live ones, last updated first, or the archive.

    In a pipe: one line per session, with tabs between id, time, type, agent, messages
    and title, and all sessions unless --limit is given.
    """
    from aria_db.session_manager import SessionFilters

    if (archived_after or archived_before) and not archived:
        raise typer.BadParameter(
            "only archived sessions have such a time: add --archived",
            param_hint="--archived-after" if archived_after else "--archived-before",
        )
    if archived and all_places:
        raise typer.BadParameter("--archived and --all-places are two different lists")
    sort = sort or (Sort.ARCHIVED if archived else Sort.UPDATED)
    if sort is Sort.ARCHIVED and not archived:
        raise typer.BadParameter("only --archived can be sorted by it", param_hint="--sort")
    filters = SessionFilters(
        agent_id=agent,
        session_type=session_type,
        search=search,
        date_from=created_from,
        date_to=created_to,
        archived_after=archived_after,
        archived_before=archived_before,
        exclude_types=tuple(exclude_types or ()),
        status=status,
        message_count_min=min_messages,
        message_count_max=max_messages,
    )

    most = limit or (_SHOWN if sys.stdout.isatty() else None)

    async def listed(manager: NativeSessionManager) -> Page[Any]:
        read: Callable[..., Awaitable[Page[Any]]]
        if archived:
            read = manager.list_archived_sessions
        else:
            read = manager.list_all_sessions if all_places else manager.list_sessions
        options: dict[str, Any] = {
            "filters": filters,
            "sort": sort.column,
            "descending": (sort is not Sort.TITLE) != reverse,
        }
        if most is not None:
            return await read(limit=most, offset=offset, cursor=cursor, **options)
        return await _whole(
            lambda begin, after: read(limit=_READ_AT_ONCE, offset=begin, cursor=after, **options),
            offset,
            cursor,
        )

    page = run(where, listed)
    if as_json:
        sessions = [output.columns_of(row) for row in page.sessions]
        names = ("total", "total_is_estimate", "offset", "has_more", "next_cursor")
        figures = {name: getattr(page, name) for name in names}
        output.print_json({"sessions": sessions, "limit": most, **figures})
        return
    _print_page(page, sort, all_places, offset, cursor)


async def _whole(read: ReadPage, offset: int, cursor: str | None) -> Page[Any]:
    """Read pages to the end; return them as one."""
    from dataclasses import replace

    first = page = await read(offset, cursor)
    sessions = list(page.sessions)
    while page.next_cursor is not None:
        page = await read(0, page.next_cursor)
        sessions += page.sessions
    return replace(first, sessions=sessions, next_cursor=None)


def _print_page(
    page: Page[Any], sort: Sort, all_places: bool, offset: int, cursor: str | None
) -> None:
    time = sort.column if sort is not Sort.TITLE else "updated_at"
    titles = ["id", f"{time} (UTC)", "type", "agent", "messages", "title"]
    columns = ["id", time, "session_type", "agent_id", "message_count", "title"]
    if all_places:
        titles.insert(2, "archived_at (UTC)")
        columns.insert(2, "archived_at")
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
        "aria-db show 453a4c8a-4a9a-5a16-acd3-a890a0f77b5b --role user --since '2h ago'",
        "aria-db show --json 453a4c8a-4a9a-5a16-acd3-a890a0f77b5b | jq .messages",
    )
)
def show(
    session_id: SessionId,
    since: Annotated[
        datetime | None,
        typer.Option(
            metavar="TIME",
            parser=intervals.moment,
            help="Only messages written after this time: 2026-03-01T09:30Z, 2h ago.",
        ),
    ] = None,
    role: Annotated[
        str | None,
        typer.Option(
            metavar="ROLE",
            callback=utf8,
            help="Only messages of this speaker: user, assistant, system, tool.",
        ),
    ] = None,
    where: Where = CONFIGURED,
    as_json: Json = False,
) -> None:
    """Show a session, live or archived, with its transcript."""
    work = with_id(
        session_id,
        lambda manager, found: manager.get_transcript(found, since=since, role=role),
    )
    found = run(where, work)
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
        "aria-db history 453a4c8a-4a9a-5a16-acd3-a890a0f77b5b",
        "aria-db history --json 453a4c8a-4a9a-5a16-acd3-a890a0f77b5b | jq '.events[-1].actor'",
    )
)
def history(
    session_id: SessionId,
    where: Where = CONFIGURED,
    as_json: Json = False,
) -> None:
    """Show what has happened to a session, oldest first, even if it is gone.

    For a session that is gone, give the whole id. In a pipe: one line per event, with tabs
    between when, what, the actor, the database role, the run, messages and detail.
    """
    work = with_id(session_id, lambda manager, found: manager.get_history(found))
    events = run(where, work)
    if events is None:
        fail(f"session {session_id} not found")
    if as_json:
        output.print_json({"events": list(map(asdict, events))})
        return
    titles = ("at (UTC)", "event", "actor", "role", "run", "messages", "detail")
    output.print_rows(titles, ([*asdict(event).values()] for event in events))
    if not events:
        output.note("Nothing is on record")
    elif events[-1].event in _ENDS:
        output.note(_ended(events[-1]))


def _ended(last: HistoryEvent) -> str:
    messages = output.count(last.message_count or 0, "message")
    by = output.one_line(last.actor)
    return f"The session is gone: {last.event} on {output.one_line(last.at)} by {by}, {messages}"
