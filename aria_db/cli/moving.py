"""The commands that move sessions: archive, restore; by their ids, by filters, by run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from aria_db.cli import intervals, output
from aria_db.cli.base import (
    CONFIGURED,
    Actor,
    IdPrefix,
    Json,
    SessionIds,
    Where,
    app,
    examples,
    find_id,
    run,
)
from aria_db.cli.batches import (
    BatchSize,
    Loop,
    MaxRuntime,
    MaxSessions,
    Sleep,
    Yes,
    confirm,
    limits_of,
    run_loop,
)
from aria_db.cli.filters import Agent, ArchivedAfter, ArchivedBefore, OfType, Search

if TYPE_CHECKING:
    from aria_db.cli.batches import Batches
    from aria_db.results import Archived, Restorable, Restored
    from aria_db.session_manager import (
        Limits,
        Matching,
        NativeSessionManager,
        SessionFilters,
    )

    Moved = Sequence[Archived] | Sequence[Restored]

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="With filters or --run: count; move nothing.")
]


@app.command(
    epilog=examples(
        "aria-db archive 453a4c8a-4a9a-5a16-acd3-a890a0f77b5b",
        "aria-db archive --type cron --older-than 30d --dry-run",
        "aria-db archive --type cron --older-than 30d --yes",
    )
)
def archive(
    session_ids: SessionIds = None,
    older_than: Annotated[
        timedelta | None,
        typer.Option(
            metavar="AGE",
            parser=intervals.age,
            help="Sessions last updated at least this long ago: 30d, '2 weeks', P30D.",
        ),
    ] = None,
    session_type: OfType = None,
    agent: Agent = None,
    search: Search = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    batch_size: BatchSize = 500,
    max_runtime: MaxRuntime = None,
    sleep: Sleep = None,
    max_sessions: MaxSessions = None,
    actor: Actor = None,
    where: Where = CONFIGURED,
    as_json: Json = False,
) -> None:
    """Move sessions with all their messages into the archive: by id, or all that filters find.

    Ids are one transaction: if one session must not be moved, none is, and the exit status is
    1. It reports an id that does not exist, archives the others, and exits with 1. Safe to
    repeat.

    With filters, it counts, asks, and then archives in batches, as a prune does. Sessions that
    cannot be archived, or are in use, stay, and it prints why. `aria-db restore --run` undoes it.
    """
    from aria_db.session_manager import SessionFilters

    filters = SessionFilters(
        agent_id=agent,
        session_type=session_type,
        search=search,
        updated_before=None if older_than is None else datetime.now(UTC) - older_than,
    )
    if not _is_by_filters(session_ids, filters, dry_run, yes):
        work = _by_id(session_ids or [], lambda manager, ids: manager.archive_sessions(ids))
        _show_moved(*run(where, work, actor), as_json, _archived)
        return

    limits = limits_of(batch_size, max_runtime, max_sessions)
    counted = run(where, lambda manager: manager.count_sessions(filters))
    if not _shall_go_on("archive", counted, dry_run, yes, as_json):
        return
    loop = Loop(
        "Archived",
        lambda manager: manager.archive_batches(filters, limits=limits),
        counted.sessions,
        limits,
        sleep,
        as_json,
        undo="restore --run {run_id}",
    )
    run_loop(loop, where, actor)


def _archived(row: Archived) -> str:
    done = "archived" if row.newly_archived else "archived before,"
    return (
        f"{done} {output.one_line(row.archived_at)}, {output.count(row.message_count, 'message')}"
    )


@app.command(
    epilog=examples(
        "aria-db restore 453a4c8a-4a9a-5a16-acd3-a890a0f77b5b",
        "aria-db restore --run 12 --dry-run",
        "aria-db restore --type cron --archived-after 2026-03-01 --yes",
    )
)
def restore(
    session_ids: SessionIds = None,
    run_id: Annotated[
        int | None,
        typer.Option(
            "--run",
            min=1,
            metavar="RUN",
            help="Undo this run: restore what it archived, unless it has changed since. "
            "`aria-db runs` lists the runs.",
        ),
    ] = None,
    archived_after: ArchivedAfter = None,
    archived_before: ArchivedBefore = None,
    session_type: OfType = None,
    agent: Agent = None,
    search: Search = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    batch_size: BatchSize = 500,
    max_runtime: MaxRuntime = None,
    sleep: Sleep = None,
    max_sessions: MaxSessions = None,
    actor: Actor = None,
    where: Where = CONFIGURED,
    as_json: Json = False,
) -> None:
    """Bring archived sessions back with all their messages: by id, by run, or by filters.

    Ids are one transaction: if one session must not be moved, none is, and the exit status is
    1. It reports an id that does not exist, restores the others, and exits with 1. Safe to
    repeat. It prints when the prune may archive each session again.

    With --run or filters, it counts, asks, and then restores in batches. Ctrl-C stops it after
    the current batch; run the same command again to continue. Sessions that cannot be restored
    stay in the archive. It prints why; with --run, `aria-db left` does.
    """
    from aria_db.session_manager import SessionFilters

    filters = SessionFilters(
        agent_id=agent,
        session_type=session_type,
        search=search,
        archived_after=archived_after,
        archived_before=archived_before,
    )
    limits = limits_of(batch_size, max_runtime, max_sessions)
    if run_id is not None:
        if session_ids or filters != SessionFilters():
            raise typer.BadParameter("give ids, --run or filters, not several of them")
        _undo(run_id, limits, sleep, dry_run, yes, actor, where, as_json)
        return
    if not _is_by_filters(session_ids, filters, dry_run, yes, other=", --run"):
        work = _by_id(session_ids or [], lambda manager, ids: manager.restore_sessions(ids))
        _show_moved(*run(where, work, actor), as_json, _restored)
        return

    counted = run(where, lambda manager: manager.count_archived_sessions(filters))
    if not _shall_go_on("restore", counted, dry_run, yes, as_json):
        return
    loop = Loop(
        "Restored",
        lambda manager: manager.restore_batches(filters, limits=limits),
        counted.sessions,
        limits,
        sleep,
        as_json,
    )
    run_loop(loop, where, actor)


def _undo(
    run_id: int,
    limits: Limits,
    sleep: timedelta | None,
    dry_run: bool,
    yes: bool,
    actor: str | None,
    where: Where,
    as_json: bool,
) -> None:
    counted = run(where, lambda manager: manager.count_restorable_sessions(run_id))
    if not as_json:
        _note_what_stays(counted)
    if not _shall_go_on("restore", counted, dry_run, yes, as_json):
        return

    def batches(manager: NativeSessionManager) -> Batches:
        return manager.undo_batches(run_id, limits=limits)

    loop = Loop("Restored", batches, counted.sessions, limits, sleep, as_json)
    run_loop(loop, where, actor)


def _note_what_stays(counted: Restorable) -> None:
    if counted.changed:
        sessions = output.count(counted.changed, "session")
        output.note(f"Not restored: {sessions} (restored, deleted or archived again since)")
    if counted.conflicting:
        sessions = output.count(counted.conflicting, "session")
        output.note(f"Not restored: {sessions} (live and archived; see `aria-db conflicts`)")


def _restored(row: Restored) -> str:
    done, again = ("restored", " again") if row.newly_restored else ("live already", "")
    text = f"{done}, {output.count(row.message_count, 'message')}"
    if row.due_from is not None:
        due_from = f"{row.due_from.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        text += f"; due for the prune{again} from {due_from}"
    return text


def _is_by_filters(
    session_ids: list[IdPrefix] | None,
    filters: SessionFilters,
    dry_run: bool,
    yes: bool,
    other: str = "",
) -> bool:
    """Return whether filters say which sessions; refuse what says it twice, or not at all."""
    from aria_db.session_manager import SessionFilters

    has_filters = filters != SessionFilters()
    if session_ids and has_filters:
        raise typer.BadParameter(f"give ids{other} or filters, not several of them")
    if not session_ids and not has_filters:
        raise typer.BadParameter(f"give ids of sessions{other} or filters such as --type")
    if session_ids and (dry_run or yes):
        raise typer.BadParameter(f"--dry-run and --yes are for filters{other}; ids are not asked")
    return has_filters


def _shall_go_on(
    verb: str, counted: Matching | Restorable, dry_run: bool, yes: bool, as_json: bool
) -> bool:
    """Say how much it would be, and ask; return whether to begin."""
    sessions = output.count(counted.sessions, "session")
    what = f"{sessions} with {output.count(counted.messages, 'message')}"
    if dry_run:
        if as_json:
            output.print_json({"dry_run": True, **asdict(counted)})
        else:
            typer.echo(f"Would {verb} {what}")
        return False
    confirm(f"{verb.capitalize()} {what}?", yes)
    return True


def _by_id(
    wanted: Sequence[IdPrefix],
    move: Callable[[NativeSessionManager, list[UUID]], Awaitable[Moved]],
) -> Callable[[NativeSessionManager], Awaitable[tuple[list[IdPrefix], list[UUID], Moved]]]:
    """Return work that moves sessions; it gives the unknown ids, the others, and what was done."""

    async def work(manager: NativeSessionManager) -> tuple[list[IdPrefix], list[UUID], Moved]:
        found = {one: await find_id(manager, one) for one in wanted}
        # Once each, in the order in which they were asked for.
        ids = list(dict.fromkeys(whole for whole in found.values() if whole is not None))
        moved = await move(manager, ids)
        known = {row.id for row in moved}
        return [one for one, whole in found.items() if whole not in known], ids, moved

    return work


def _show_moved(
    unknown: list[IdPrefix],
    ids: list[UUID],
    moved: Moved,
    as_json: bool,
    describe: Callable[[Any], str],
) -> None:
    """Print what became of each session; exit with 1 if one does not exist."""
    by_id = {row.id: row for row in moved}
    found = [by_id[session_id] for session_id in ids if session_id in by_id]
    if as_json:
        not_found = list(dict.fromkeys(map(str, unknown)))
        output.print_json({"sessions": [asdict(row) for row in found], "not_found": not_found})
    else:
        for row in found:
            typer.echo(f"{row.id}  {describe(row)}")
    for one in dict.fromkeys(map(str, unknown)):
        output.note(f"Error: session {one} not found")
    if unknown:
        raise typer.Exit(1)
