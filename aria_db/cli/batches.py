"""Bulk work in batches, which a signal ends in an orderly way."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aria_db.cli import intervals, output, progress
from aria_db.cli.base import Where, run

if TYPE_CHECKING:
    from aria_db.session_manager import Limits, NativeSessionManager, Progress

    Batches = AsyncGenerator[Progress]

_PATIENCE = 1.0
_LARGEST_BATCH = 2**31 - 1

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
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def limits_of(batch_size: int, max_runtime: timedelta | None, max_sessions: int | None) -> Limits:
    """Return the limits that the options say."""
    from aria_db.session_manager import Limits

    # Without the pause between batches: a signal must be able to end it, see Loop.
    return Limits(batch_size=batch_size, max_runtime=max_runtime, max_sessions=max_sessions)


def require_answer(yes: bool) -> None:
    """Check that --yes was given or that a terminal can ask.

    :param yes: whether it was given.
    :raises typer.BadParameter: neither.
    """
    if not yes and not sys.stdin.isatty():
        raise typer.BadParameter("not a terminal: pass --yes to confirm", param_hint="--yes")


def confirm(question: str, yes: bool) -> None:
    """Ask before bulk work.

    :param question: what is about to be done.
    :param yes: the answer, where it was given in advance.
    :raises typer.BadParameter: nobody can be asked.
    :raises typer.Exit: the answer is no.
    """
    require_answer(yes)
    if not yes and not typer.confirm(question, err=True):
        output.note("Nothing was done")
        raise typer.Exit(1)


@dataclass
class Loop:
    """Batches, until they end or a signal does.

    :param done: what they do, for the summary: Archived, Restored or Deleted.
    :param batches: begins them.
    :param total: how many sessions there are, if that is known; or asks for it, on a terminal.
    :param limits: what the batches keep to.
    :param sleep: how long to rest between two of them. Here and not where they are made,
        so that a signal ends the rest as well.
    :param as_json: print one JSON document, and no line per batch.
    :param undo: the arguments of the command that undoes it, if there is one.
    """

    done: str
    batches: Callable[[NativeSessionManager], Batches]
    total: Callable[[NativeSessionManager], Awaitable[int]] | int | None
    limits: Limits
    sleep: timedelta | None
    as_json: bool
    undo: str | None = None
    reached: Progress | None = None
    signal_number: int | None = None

    async def run(self, manager: NativeSessionManager) -> None:
        """Go through the batches, and keep how far they came."""
        total = None
        if progress.is_live() and self.total is not None:
            total = self.total if isinstance(self.total, int) else await self.total(manager)
            total = min(total, self.limits.max_sessions or total)
        with progress.batches(total, quiet=self.as_json) as show, _interruption() as interruption:
            try:
                async with aclosing(self.batches(manager)) as batches:
                    async for self.reached in batches:
                        show(self.reached)
                        has_ended = self.reached.stop_reason is not None
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


def run_loop(loop: Loop, where: Where, actor: str | None = None) -> None:
    """Run a loop on the database of the options, and say what it did.

    :raises typer.Exit: a signal ended it; with the status that a shell gives that signal.
    """
    from aria_db.errors import AriaError
    from aria_db.session_manager import Progress

    try:
        run(where, loop.run, actor)
    except AriaError:
        if loop.reached is not None:
            output.note(_summary(loop.done, replace(loop.reached, stop_reason="failed")))
        raise
    reached = loop.reached or Progress()
    if reached.stop_reason is None:
        reached = replace(reached, stop_reason="interrupted")
    if loop.as_json:
        print_reached(reached)
    else:
        typer.echo(_summary(loop.done, reached))
        for session_id, reason in (reached.left or {}).items():
            output.note(f"left: {session_id}: {output.one_line(reason.message)}")
        if loop.undo is not None and reached.sessions and progress.is_live():
            output.note(f"To undo it: aria-db {loop.undo.format(run_id=reached.run_id)}")
    if loop.signal_number is not None:
        raise typer.Exit(128 + loop.signal_number)


def print_reached(reached: Progress) -> None:
    """Print as JSON what the batches did."""
    document = {"dry_run": False, **asdict(replace(reached, left=None))}
    del document["left"]
    if reached.zombies is None:
        del document["zombies"]
    if reached.left is not None:
        document["left"] = [
            {
                "session_id": session_id,
                "code": reason.sqlstate,
                "message": reason.message,
                "hint": reason.hint,
            }
            for session_id, reason in reached.left.items()
        ]
    output.print_json(document)


def _summary(done: str, reached: Progress) -> str:
    sessions = output.count(reached.sessions, "session")
    messages = output.count(reached.messages, "message")
    batches = output.count(reached.batches, "batch")
    text = f"{done} {sessions} with {messages} in {batches}: {reached.stop_reason}"
    if reached.zombies:
        text += f"; ended {output.count(reached.zombies, 'zombie')}"
    if reached.left_behind:
        left = output.count(reached.left_behind, "session")
        text += f"; {left} left behind"
        # Bulk work by filters says why right here.
        text += "" if reached.left else ": see `aria-db left`"
    return text
