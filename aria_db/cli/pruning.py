"""The commands for what is old: prune, purge."""

from __future__ import annotations

import sys
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
    run_loop,
)
from aria_db.cli.filters import OfType

if TYPE_CHECKING:
    from aria_db.cli.batches import Batches
    from aria_db.models import EngineArchivePolicy
    from aria_db.results import Prunable
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

    if dry_run:
        _show_counts(run(where, counted), as_json)
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
    yes: Yes = False,
    actor: Actor = None,
    where: Where = CONFIGURED,
    as_json: Json = False,
) -> None:
    """Delete from the archive, for good, what the policies no longer keep.

    It deletes nothing unless a policy says purge-after, and never a session on hold. It
    asks before it begins. Ctrl-C or SIGTERM stops it as it stops a prune.
    """
    limits = limits_of(batch_size, max_runtime, max_sessions)
    if not yes and sys.stdin.isatty():
        _show_policies(run(where, lambda manager: manager.list_policies()))
    confirm("Delete these sessions for good?", yes)

    def batches(manager: NativeSessionManager) -> Batches:
        return manager.purge_batches(session_type=session_type, limits=limits)

    loop = Loop("Deleted", batches, None, limits, sleep, as_json)
    run_loop(loop, where, actor)


def _show_counts(counts: list[Prunable], as_json: bool) -> None:
    if as_json:
        output.print_json({"dry_run": True, "types": [asdict(of_type) for of_type in counts]})
        return
    titles = ("type", "sessions", "messages", "held", "conflicting", "referred")
    output.print_rows(titles, (list(asdict(of_type).values()) for of_type in counts))
    sessions = output.count(sum(of_type.sessions for of_type in counts), "session")
    messages = output.count(sum(of_type.messages for of_type in counts), "message")
    output.note(f"A prune would archive {sessions} with {messages}")
    if any(of_type.referred for of_type in counts):
        output.note("Rows of other tables refer to some: `aria-db dependents` lists these tables")


def _show_policies(policies: Sequence[EngineArchivePolicy]) -> None:
    for policy in policies:
        if policy.enabled and policy.purge_after is not None:
            after = intervals.words(policy.purge_after)
            output.note(f"{output.one_line(policy.session_type)}: archived {after} ago")
