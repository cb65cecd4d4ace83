"""The commands of the retention: prune, purge, policy, hold, release, runs, check."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from aria_db.cli import intervals, output, revisions
from aria_db.cli.base import (
    DatabaseUrl,
    Json,
    Schema,
    app,
    examples,
    opened,
    run,
    run_on,
    session_id_of,
    utf8,
)

if TYPE_CHECKING:
    from aria_db.models import EngineArchiveHealth, EngineArchivePolicy
    from aria_db.results import Finding, Prunable
    from aria_db.session_manager import Limits, NativeSessionManager, Progress

    Batches = AsyncGenerator[Progress]

_LARGEST_BATCH = 2**31 - 1
_PATIENCE = 1.0
# of each kind, for people
_FINDINGS_SHOWN = 10

SessionId = Annotated[
    UUID, typer.Argument(metavar="ID", parser=session_id_of, help="The id of a session.")
]
OfType = Annotated[
    str | None,
    typer.Option("--type", metavar="TYPE", callback=utf8, help="Only sessions of this type."),
]
BatchSize = Annotated[
    int,
    typer.Option(min=1, max=_LARGEST_BATCH, help="How many sessions a transaction may take."),
]
MaxRuntime = Annotated[
    timedelta | None,
    typer.Option(
        metavar="TIME", parser=intervals.time, help="After how long no further batch begins."
    ),
]
Sleep = Annotated[
    timedelta | None,
    typer.Option(metavar="TIME", parser=intervals.time, help="How long to rest between batches."),
]
MaxSessions = Annotated[int | None, typer.Option(min=1, help="How many sessions to take at most.")]


# The prune and the purge


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
    database_url: DatabaseUrl = None,
    schema: Schema = None,
    as_json: Json = False,
) -> None:
    """Archive sessions that are old or soft-deleted by the application, in batches.

    Each batch is a transaction. Sessions in use and sessions on hold are left for the
    next run. A session that cannot be archived is counted as left behind; the table
    engine_archive_left says why. Several prunes at once share the work. Ctrl-C or
    SIGTERM stops it after the current batch (exit status 130 or 143), a second one
    immediately. Committed batches stay archived.
    """
    limits = _limits(batch_size, max_runtime, max_sessions)

    async def counted(manager: NativeSessionManager) -> list[Prunable]:
        return await manager.count_prunable_sessions(
            older_than=older_than, session_type=session_type
        )

    if dry_run:
        _show_counts(run(database_url, schema, counted), as_json)
        return

    async def total(manager: NativeSessionManager) -> int:
        return sum(of_type.sessions for of_type in await counted(manager))

    def batches(manager: NativeSessionManager) -> Batches:
        return manager.prune_batches(
            older_than=older_than, session_type=session_type, limits=limits
        )

    loop = _Loop(batches, total, limits, sleep, quiet=as_json)
    _finish("Archived", loop, database_url, schema, as_json)


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
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    database_url: DatabaseUrl = None,
    schema: Schema = None,
    as_json: Json = False,
) -> None:
    """Delete from the archive, for good, what the policies no longer keep.

    It deletes nothing unless a policy says purge-after, and never a session on hold. It
    asks before it begins. Ctrl-C or SIGTERM stops it as it stops a prune.
    """
    limits = _limits(batch_size, max_runtime, max_sessions)
    if not yes:
        if not sys.stdin.isatty():
            raise typer.BadParameter("not a terminal: pass --yes to confirm", param_hint="--yes")
        _ask(run(database_url, schema, lambda manager: manager.list_policies()))

    def batches(manager: NativeSessionManager) -> Batches:
        return manager.purge_batches(session_type=session_type, limits=limits)

    loop = _Loop(batches, None, limits, sleep, quiet=as_json)
    _finish("Deleted", loop, database_url, schema, as_json)


def _limits(batch_size: int, max_runtime: timedelta | None, max_sessions: int | None) -> Limits:
    from aria_db.session_manager import Limits

    # Without the pause between batches: a signal must be able to end it, see _Loop.
    return Limits(batch_size=batch_size, max_runtime=max_runtime, max_sessions=max_sessions)


def _show_counts(counts: list[Prunable], as_json: bool) -> None:
    if as_json:
        output.print_json({"dry_run": True, "types": [asdict(of_type) for of_type in counts]})
        return
    titles = ("type", "sessions", "messages", "held", "conflicting")
    output.print_rows(titles, (list(asdict(of_type).values()) for of_type in counts))
    sessions = output.count(sum(of_type.sessions for of_type in counts), "session")
    messages = output.count(sum(of_type.messages for of_type in counts), "message")
    output.note(f"A prune would archive {sessions} with {messages}")


def _ask(policies: Sequence[EngineArchivePolicy]) -> None:
    for policy in policies:
        if policy.enabled and policy.purge_after is not None:
            after = intervals.words(policy.purge_after)
            output.note(f"{output.one_line(policy.session_type)}: archived {after} ago")
    if not typer.confirm("Delete these sessions for good?", err=True):
        output.note("Nothing was deleted")
        raise typer.Exit(1)


@dataclass
class _Loop:
    """Batches, until they end or a signal does.

    :param batches: begins them.
    :param total: how many sessions there are, if that can be known; asked on a terminal.
    :param limits: what the batches keep to.
    :param sleep: how long to rest between two of them. Here and not where they are made,
        so that a signal ends the rest as well.
    :param quiet: print no line per batch.
    """

    batches: Callable[[NativeSessionManager], Batches]
    total: Callable[[NativeSessionManager], Awaitable[int]] | None
    limits: Limits
    sleep: timedelta | None
    quiet: bool
    progress: Progress | None = None
    signal_number: int | None = None

    async def run(self, manager: NativeSessionManager) -> None:
        """Go through the batches, and keep how far they came."""
        total = None
        if output.is_live() and self.total is not None:
            total = await self.total(manager)
            total = min(total, self.limits.max_sessions or total)
        with output.batches(total, quiet=self.quiet) as show, _interruption() as interruption:
            try:
                async with aclosing(self.batches(manager)) as batches:
                    async for self.progress in batches:
                        show(self.progress)
                        has_ended = self.progress.stop_reason is not None
                        if await interruption.comes_within(None if has_ended else self.sleep):
                            break
            except asyncio.CancelledError:
                if interruption.number is None:
                    raise
            finally:
                self.signal_number = interruption.number


@dataclass
class _Interruption:
    """A signal: the first stops the loop after the current batch, a second one immediately.

    Immediately, but for a moment in which the run log gets its end.
    """

    task: asyncio.Task[Any] | None
    number: int | None = None
    timer: asyncio.TimerHandle | None = None
    has_come: asyncio.Event = field(default_factory=asyncio.Event)

    def receive(self, number: int) -> None:
        if self.number is None:
            self.number = number
            self.has_come.set()
            output.note("Finishing the current batch; press Ctrl-C again to stop now")
        elif self.task is not None:
            self.task.cancel()
            self.timer = self.timer or asyncio.get_running_loop().call_later(
                _PATIENCE, self.task.cancel
            )

    async def comes_within(self, rest: timedelta | None) -> bool:
        if rest is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.has_come.wait(), rest.total_seconds())
        return self.has_come.is_set()


@contextmanager
def _interruption() -> Iterator[_Interruption]:
    """Handle SIGINT, SIGTERM and SIGHUP here; restore the old handlers afterwards."""
    interruption = _Interruption(asyncio.current_task())
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    # One that is ignored, as under nohup, stays ignored.
    before = {
        number: handler
        for number in numbers
        if (handler := signal.getsignal(number)) is not signal.SIG_IGN
    }
    for number in before:
        loop.add_signal_handler(number, interruption.receive, number)
    try:
        yield interruption
    finally:
        if interruption.timer is not None:
            interruption.timer.cancel()
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


def _finish(
    done: str, loop: _Loop, database_url: str | None, schema: str | None, as_json: bool
) -> None:
    """Run a loop, and say what it did."""
    from aria_db.errors import AriaError
    from aria_db.session_manager import Progress

    def summary(progress: Progress) -> str:
        figures = [
            output.count(number, thing)
            for number, thing in (
                (progress.sessions, "session"),
                (progress.messages, "message"),
                (progress.batches, "batch"),
            )
        ]
        text = "{} {} with {} in {}: {}".format(done, *figures, progress.stop_reason)
        if progress.left_behind:
            left = output.count(progress.left_behind, "session")
            text += f"; {left} left behind, see engine_archive_left"
        return text

    try:
        run(database_url, schema, loop.run)
    except AriaError:
        if loop.progress is not None:
            output.note(summary(replace(loop.progress, stop_reason="failed")))
        raise
    progress = loop.progress or Progress()
    if progress.stop_reason is None:
        progress = replace(progress, stop_reason="interrupted")
    if as_json:
        output.print_json({"dry_run": False, **asdict(progress)})
    else:
        typer.echo(summary(progress))
    if loop.signal_number is not None:
        raise typer.Exit(128 + loop.signal_number)


# Policies

policies = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=examples(
        "aria-db policy list",
        "aria-db policy set cron --archive-after 1d --purge-after 1y",
        "aria-db policy set default --archive-after 30d",
        "aria-db policy unset cron",
    ),
)
app.add_typer(policies, name="policy", help="List and change at which age sessions go.")


@dataclass(frozen=True)
class PolicyAge:
    """An age of a policy that was given.

    :param span: the age; None for never.
    """

    span: timedelta | None


def _policy_age(text: str) -> PolicyAge:
    return PolicyAge(None if text == "never" else intervals.age(text))


def _policy_type(text: str) -> str:
    """Return the type that a policy is for. ``*`` is a wildcard to shells: it has a name."""
    utf8(text)
    return "*" if text == "default" else text


PolicyType = Annotated[
    str,
    typer.Argument(
        metavar="TYPE",
        parser=_policy_type,
        help="A session type; default (or '*') for all types that have no policy of their own.",
    ),
]


@policies.command("list", epilog=examples("aria-db policy list", "aria-db policy list --json"))
def list_policies(
    database_url: DatabaseUrl = None, schema: Schema = None, as_json: Json = False
) -> None:
    """List the policies: when sessions are archived, and deleted from the archive."""
    found = run(database_url, schema, lambda manager: manager.list_policies())
    if as_json:
        output.print_json({"policies": [_policy(policy) for policy in found]})
        return
    titles = ("type", "archived after", "purged after", "state")
    output.print_rows(
        titles,
        (
            (
                policy.session_type,
                intervals.words(policy.archive_after),
                intervals.words(policy.purge_after),
                "enabled" if policy.enabled else "disabled",
            )
            for policy in found
        ),
    )
    if not found:
        output.note("No policies")


def _policy(policy: EngineArchivePolicy) -> dict[str, Any]:
    ages = {
        name: intervals.iso_8601(getattr(policy, name)) for name in ("archive_after", "purge_after")
    }
    return {**output.columns_of(policy), **ages}


@policies.command(
    "set",
    epilog=examples(
        "aria-db policy set cron --archive-after 1d",
        "aria-db policy set default --purge-after 1y",
        "aria-db policy set interactive --archive-after never",
        "aria-db policy set cron --disable",
    ),
)
def set_policy(
    session_type: PolicyType,
    archive_after: Annotated[
        PolicyAge | None,
        typer.Option(
            metavar="AGE",
            parser=_policy_age,
            help="How long after its last update a session is archived: 30d, '2 weeks', P30D; "
            "never.",
        ),
    ] = None,
    purge_after: Annotated[
        PolicyAge | None,
        typer.Option(
            metavar="AGE",
            parser=_policy_age,
            help="How long after it was archived a session is deleted for good; never.",
        ),
    ] = None,
    enabled: Annotated[
        bool | None,
        typer.Option("--enable/--disable", help="Whether prune and purge follow it."),
    ] = None,
    database_url: DatabaseUrl = None,
    schema: Schema = None,
) -> None:
    """Set the policy of a session type. What is not given stays as it is.

    A type that has no policy yet begins with that of default, which held for it.
    """
    if (archive_after, purge_after, enabled) == (None, None, None):
        raise typer.BadParameter(
            "give what to set", param_hint="--archive-after, --purge-after, --enable or --disable"
        )

    async def work(manager: NativeSessionManager) -> EngineArchivePolicy:
        from aria_db.session_manager import KEEP

        return await manager.set_policy(
            session_type,
            archive_after=KEEP if archive_after is None else archive_after.span,
            purge_after=KEEP if purge_after is None else purge_after.span,
            enabled=KEEP if enabled is None else enabled,
        )

    policy = run(database_url, schema, work)
    typer.echo(
        f"{output.one_line(policy.session_type)}: "
        f"archived after: {intervals.words(policy.archive_after)}, "
        f"purged after: {intervals.words(policy.purge_after)}, "
        + ("enabled" if policy.enabled else "disabled")
    )


@policies.command("unset", epilog=examples("aria-db policy unset cron"))
def unset_policy(
    session_type: PolicyType, database_url: DatabaseUrl = None, schema: Schema = None
) -> None:
    """Remove the policy of a session type; that of default holds for it then."""
    shown = output.one_line(session_type)
    if not run(database_url, schema, lambda manager: manager.unset_policy(session_type)):
        output.note(f"Error: {shown} has no policy")
        raise typer.Exit(1)
    typer.echo(f"{shown}: no policy")


# Holds


@app.command(
    epilog=examples("aria-db hold 453a4c8a-4a9a-5a16-acd3-a890a0f77b5b --reason 'case 17'")
)
def hold(
    session_id: SessionId,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", callback=utf8, help="Why; replaces an earlier reason.")
    ],
    database_url: DatabaseUrl = None,
    schema: Schema = None,
) -> None:
    """Keep a session, live or archived, where it is: not archived, purged or deleted."""
    placed = run(database_url, schema, lambda manager: manager.place_hold(session_id, reason))
    if placed is None:
        output.note(f"Error: session {session_id} not found")
        raise typer.Exit(1)
    by = output.one_line(placed.placed_by)
    since = output.one_line(placed.placed_at)
    typer.echo(f"{placed.id}  held by {by} since {since}: {output.one_line(placed.hold_reason)}")


@app.command(epilog=examples("aria-db release 453a4c8a-4a9a-5a16-acd3-a890a0f77b5b"))
def release(session_id: SessionId, database_url: DatabaseUrl = None, schema: Schema = None) -> None:
    """End the hold on a session."""
    if not run(database_url, schema, lambda manager: manager.release_hold(session_id)):
        output.note(f"Error: session {session_id} is not on hold")
        raise typer.Exit(1)
    typer.echo(f"{session_id}  released")


# Looking


@app.command(epilog=examples("aria-db runs", "aria-db runs --json | jq '.runs[0]'"))
def runs(
    limit: Annotated[int, typer.Option(min=1, help="How many to list at most.")] = 20,
    database_url: DatabaseUrl = None,
    schema: Schema = None,
    as_json: Json = False,
) -> None:
    """List the bulk runs, newest first: prune, purge and the like.

    In a pipe: one line per run, with tabs between id, kind, state, start, end, sessions,
    messages and why it stopped. A run that was killed is listed as such.
    """
    found = run(database_url, schema, lambda manager: manager.list_runs(limit))
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
    database_url: DatabaseUrl = None,
    schema: Schema = None,
    as_json: Json = False,
) -> None:
    """Say whether the archive needs attention, and what to do.

    For monitoring: the exit status is 0 if all is well, and 1 if somebody should act.
    --deep reads the live tables and the archive as a whole.
    """
    deep = deep or since is not None

    async def work(
        manager: NativeSessionManager,
    ) -> tuple[Sequence[EngineArchiveHealth], list[Finding]]:
        figures = await manager.check_health()
        if not deep:
            return figures, []
        after = None if since is None else datetime.now(UTC) - since
        return figures, await manager.verify_archive(after)

    with opened(database_url, schema) as database:
        # Its health would be read as that of another version.
        revisions.refuse_unreleased_database(database)
        figures, findings = run_on(database, work)
    red = [figure for figure in figures if not figure.is_ok]
    if as_json:
        document: dict[str, Any] = {
            "is_ok": not red and not findings,
            "figures": [output.columns_of(figure) for figure in figures],
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
        if deep:
            _print_findings(findings)
    if red or findings:
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
