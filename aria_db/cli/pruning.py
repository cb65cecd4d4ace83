"""The commands for what is old or empty: prune, purge, delete-empty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from aria_db.cli import intervals, output
from aria_db.cli.base import CONFIGURED, Actor, Json, Where, app, examples, run
from aria_db.cli.batches import (
    BatchSize,
    Loop,
    MaxRuntime,
    MaxSessions,
    Sleep,
    Yes,
    confirm,
    limits_of,
    print_reached,
    require_answer,
    run_loop,
)
from aria_db.cli.filters import OfType
from aria_db.cli.policies import is_short

if TYPE_CHECKING:
    from aria_db.cli.batches import Batches
    from aria_db.models import EngineArchivePolicy
    from aria_db.results import Prunable, Purgeable
    from aria_db.session_manager import NativeSessionManager


@app.command(
    epilog=examples(
        "aria-db prune --dry-run",
        "aria-db prune --max-runtime 10m --sleep 50ms",
        "aria-db prune --type cron --older-than 12h",
    )
)
def prune(
    older_than: Annotated[
        timedelta | None,
        typer.Option(
            metavar="AGE",
            parser=intervals.age,
            help="How long ago the last update must be: 30d, '2 weeks', P30D. By default what "
            "the policy of the session's type says.",
        ),
    ] = None,
    session_type: OfType = None,
    batch_size: BatchSize = 500,
    max_runtime: MaxRuntime = None,
    sleep: Sleep = None,
    max_sessions: MaxSessions = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count per type; move nothing.")
    ] = False,
    actor: Actor = None,
    where: Where = CONFIGURED,
    as_json: Json = False,
) -> None:
    """Archive sessions that are old or soft-deleted by the application, in batches.

    First it ends the zombies, unless --type is given: sessions of the types scoped and cron that
    are active two hours after their last update.

    Each batch is a transaction. Sessions in use and sessions on hold are left for the
    next run. A session that cannot be archived is counted as left behind; `aria-db left`
    says why, and what to do. Several prunes at once share the work. Ctrl-C or
    SIGTERM stops it after the current batch (exit status 130 or 143), a second one
    immediately. Committed batches stay archived.
    """
    limits = limits_of(batch_size, max_runtime, max_sessions)

    async def counted(manager: NativeSessionManager) -> list[Prunable]:
        return await manager.count_prunable_sessions(
            older_than=older_than, session_type=session_type
        )

    async def looked(manager: NativeSessionManager) -> tuple[list[Prunable], int]:
        zombies = 0 if session_type else await manager.count_zombie_sessions()
        return await counted(manager), zombies

    if dry_run:
        _show_counts(*run(where, looked), as_json)
        return

    async def total(manager: NativeSessionManager) -> int:
        return sum(of_type.sessions for of_type in await counted(manager))

    def batches(manager: NativeSessionManager) -> Batches:
        return manager.prune_batches(
            older_than=older_than, session_type=session_type, limits=limits
        )

    loop = Loop("Archived", batches, total, limits, sleep, as_json, undo="restore --run {run_id}")
    run_loop(loop, where, actor)


@app.command(
    epilog=examples(
        "aria-db purge --dry-run",
        "aria-db purge",
        "aria-db purge --yes --max-runtime 10m --sleep 50ms",
        "aria-db purge --yes --type cron",
    )
)
def purge(
    session_type: OfType = None,
    batch_size: BatchSize = 500,
    max_runtime: MaxRuntime = None,
    sleep: Sleep = None,
    max_sessions: MaxSessions = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count per type, with ages; delete nothing.")
    ] = False,
    yes: Yes = False,
    allow_short: Annotated[
        bool,
        typer.Option("--allow-short", help="Accept policies whose purge-after is below one day."),
    ] = False,
    actor: Actor = None,
    where: Where = CONFIGURED,
    as_json: Json = False,
) -> None:
    """Delete from the archive, for good, what the policies no longer keep.

    It deletes nothing unless a policy has a purge-after, and never a session on hold. Before
    it begins, it says how many sessions it will delete and how old they are, and asks. If a
    policy's purge-after is below one day, which may be a typo, it asks again; with --yes,
    pass --allow-short as well. Ctrl-C or SIGTERM stops it as it stops a prune.
    """
    limits = limits_of(batch_size, max_runtime, max_sessions)
    if not dry_run:
        require_answer(yes)

    async def look(
        manager: NativeSessionManager,
    ) -> tuple[list[Purgeable], Sequence[EngineArchivePolicy]]:
        # Only the question and the dry run need the figures.
        counts = (
            []
            if yes and not dry_run
            else await manager.count_purgeable_sessions(session_type=session_type)
        )
        return counts, await manager.list_policies()

    counts, policies = run(where, look)
    warning = _short_policies(policies, session_type)
    if dry_run:
        _show_purgeable(counts, warning, as_json)
        return
    if not yes and not any(of_type.sessions for of_type in counts):
        _show_nothing(counts, as_json)
        return
    if not yes:
        confirm(f"Delete {_what_goes(counts, max_sessions)}, for good?", yes)
    if warning and not allow_short:
        if yes:
            raise typer.BadParameter(
                f"{warning}; pass --allow-short if that is meant", param_hint="--allow-short"
            )
        confirm(f"{warning}. Is that meant?", allow_short)

    def batches(manager: NativeSessionManager) -> Batches:
        return manager.purge_batches(session_type=session_type, limits=limits)

    loop = Loop("Deleted", batches, None, limits, sleep, as_json)
    run_loop(loop, where, actor)


@app.command(
    "delete-empty",
    epilog=examples(
        "aria-db delete-empty --dry-run",
        "aria-db delete-empty --older-than 1h --yes",
    ),
)
def delete_empty(
    older_than: Annotated[
        timedelta,
        typer.Option(
            metavar="AGE",
            parser=intervals.age,
            help="How long ago the last update must be: 15m, 1h, P1D.",
        ),
    ] = "15m",  # type: ignore[assignment]
    batch_size: BatchSize = 500,
    max_runtime: MaxRuntime = None,
    sleep: Sleep = None,
    max_sessions: MaxSessions = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count; delete nothing.")] = False,
    yes: Yes = False,
    actor: Actor = None,
    where: Where = CONFIGURED,
    as_json: Json = False,
) -> None:
    """Delete live sessions without a message, for good, in batches.

    Sessions in use, on hold, soft-deleted, in the archive as well, or that rows of other tables
    refer to, stay. It asks before. Ctrl-C or SIGTERM stops it as it stops a prune.
    """
    limits = limits_of(batch_size, max_runtime, max_sessions)
    if not dry_run:
        require_answer(yes)
    found = None
    if dry_run or not yes:
        found = run(where, lambda manager: manager.count_empty_sessions(older_than))
    if dry_run and as_json:
        output.print_json({"dry_run": True, "sessions": found})
        return
    if dry_run:
        typer.echo(f"It would delete {output.count(found or 0, 'session')}")
        return
    if found is not None:
        confirm(f"Delete {output.count(found, 'session')} without a message, for good?", yes)

    def batches(manager: NativeSessionManager) -> Batches:
        return manager.delete_empty_batches(older_than, limits=limits)

    run_loop(Loop("Deleted", batches, found, limits, sleep, as_json), where, actor)


def _show_counts(counts: list[Prunable], zombies: int, as_json: bool) -> None:
    if as_json:
        types = [asdict(of_type) for of_type in counts]
        output.print_json({"dry_run": True, "zombies": zombies, "types": types})
        return
    titles = ("type", "sessions", "messages", "held", "conflicting", "referred")
    output.print_rows(titles, (list(asdict(of_type).values()) for of_type in counts))
    sessions = output.count(sum(of_type.sessions for of_type in counts), "session")
    messages = output.count(sum(of_type.messages for of_type in counts), "message")
    ending = f"end {output.count(zombies, 'zombie')}, and " if zombies else ""
    output.note(f"A prune would {ending}archive {sessions} with {messages}")
    if any(of_type.referred for of_type in counts):
        output.note("Rows of other tables refer to some: `aria-db dependents` lists these tables")


def _show_purgeable(counts: list[Purgeable], warning: str | None, as_json: bool) -> None:
    if as_json:
        output.print_json({"dry_run": True, "types": [asdict(of_type) for of_type in counts]})
        return
    titles = ("type", "sessions", "messages", "first archived (UTC)", "last archived (UTC)", "held")
    output.print_rows(titles, (list(asdict(of_type).values()) for of_type in counts))
    output.note(f"A purge would delete {_what_goes(counts)}")
    if warning:
        output.note(f"Warning: {warning}")


def _show_nothing(counts: list[Purgeable], as_json: bool) -> None:
    from aria_db.session_manager import Progress

    if as_json:
        print_reached(Progress(stop_reason="nothing left"))
        return
    held = sum(of_type.held for of_type in counts)
    stay = f"; {output.count(held, 'session')} on hold" if held else ""
    typer.echo(f"Nothing to delete{stay}")


def _what_goes(counts: list[Purgeable], at_most: int | None = None) -> str:
    """Return how much a purge deletes, and how old it is."""
    found = sum(of_type.sessions for of_type in counts)
    sessions = output.count(found, "session")
    messages = output.count(sum(of_type.messages for of_type in counts), "message")
    if not found:
        return f"{sessions} with {messages}"
    newest = max(of_type.newest_archived_at for of_type in counts if of_type.newest_archived_at)
    oldest = min(of_type.oldest_archived_at for of_type in counts if of_type.oldest_archived_at)
    some = "" if at_most is None or at_most >= found else f"the oldest {at_most} of "
    return f"{some}{sessions} with {messages}, archived {intervals.ages(newest, oldest)} ago"


def _short_policies(
    policies: Sequence[EngineArchivePolicy], session_type: str | None
) -> str | None:
    """Return a warning if a policy that the purge follows has a purge_after below one day."""
    from aria_db.session_manager import ALL_TYPES

    by_type = {policy.session_type: policy for policy in policies}
    if session_type is None:
        followed = list(policies)
    else:
        own = by_type.get(session_type, by_type.get(ALL_TYPES))
        followed = [] if own is None else [own]
    short = [policy for policy in followed if policy.enabled and is_short(policy.purge_after)]
    if not short:
        return None
    ages = ", ".join(
        f"{output.one_line(policy.session_type)} after {intervals.words(policy.purge_after)}"
        for policy in short
    )
    return f"purge-after is below one day ({ages})"
