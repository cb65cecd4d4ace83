"""How far the work has come: bars on a terminal."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

import typer

from aria_db.cli.output import count

if TYPE_CHECKING:
    from aria_db.conversations import Line
    from aria_db.session_manager import Progress

    Track = Callable[[str, Iterable[Line]], Iterable[Line]]

_LINES_BETWEEN_UPDATES = 100
_A_MOMENT = 0.001


@contextmanager
def reading(file: BinaryIO) -> Iterator[Track]:
    """Show on a terminal how far the lines of a file have been read; nothing in a pipe.

    :param file: the file, which may be read several times.
    :return: a function that takes what is being done and the lines, and passes them on.
    """
    if not sys.stderr.isatty():
        yield lambda _, lines: lines
        return
    from rich.console import Console
    from rich.progress import Progress

    def track(what: str, lines: Iterable[Line]) -> Iterator[Line]:
        task = bar.add_task(what, total=size)
        for number, line in enumerate(lines):
            if number % _LINES_BETWEEN_UPDATES == 0:
                bar.update(task, completed=file.tell())
            yield line
        bar.update(task, completed=size)

    size = file.seek(0, os.SEEK_END)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        yield track


def is_live() -> bool:
    """Return whether somebody sees how something goes on, at a terminal."""
    return sys.stderr.isatty()


@contextmanager
def batches(total: int | None, *, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """Show how far a run has come: in a bar on a terminal, else in one line per batch.

    :param total: how many sessions there are; None where that is not known.
    :param quiet: print no lines.
    :return: a function that takes how far it has come, after each batch.
    """
    shown = 0

    def print_batch(progress: Progress) -> None:
        nonlocal shown
        if progress.batches > shown and not quiet:
            sessions = count(progress.sessions, "session")
            typer.echo(
                f"batch {progress.batches}: {sessions}, {count(progress.messages, 'message')}"
            )
        shown = progress.batches

    if not is_live():
        yield print_batch
        return
    from rich import progress as rich
    from rich.console import Console

    def update(progress: Progress) -> None:
        seconds = max(time.monotonic() - started, _A_MOMENT)
        bar.update(
            task,
            completed=progress.sessions,
            messages=count(progress.messages, "message"),
            rate=f"{progress.sessions / seconds:.0f}/s",
        )

    columns = (
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TextColumn("sessions, {task.fields[messages]}, {task.fields[rate]}"),
        rich.TimeRemainingColumn(),
    )
    with rich.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        started = time.monotonic()
        task = bar.add_task("", total=total, messages="0 messages", rate="")
        yield update
