"""Memory of the two processes that run long: the API while it serves, and the CLI's prune."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from threading import Event, Thread
from uuid import UUID

import psutil  # type: ignore[import-untyped]
import psycopg

from aria_db.database import Database
from bench import data, layouts
from bench.http_archive import PATH, Requester, at_once, requesting
from bench.measure import Figure, Result, Series, Setting, Target
from tests.support.processes import read, serving, start

TITLE = "Memory of the API and of the CLI's prune"

CLIENTS = 8

API, PRUNE = "API", "aria-db prune"
GROWTH = {
    name: Target(
        f"{name}: memory in the last third of the time, against the first",
        "at most",
        1.05,
        tolerance=0.05,
    )
    for name in (API, PRUNE)
}
PEAK = {name: Target(f"{name}: peak of its memory", "at most", 256, "MB") for name in (API, PRUNE)}

OLD, SERVED = "old", "served"
BETWEEN_LOOKS = 0.02
# It tells here how much it has done.
RUN_LOG = "SELECT coalesce(max(batches), 0) FROM engine_archive_run"


async def run(setting: Setting) -> Result:
    """Measure."""
    size = CLIENTS * setting.pick(50, 2)
    rounds, warm_up = setting.pick(12, 6), setting.pick(3, 1)
    groups = [
        data.Group(OLD, data.spread(setting.pick(20_000, 200)), is_old=True),
        data.Group(SERVED, data.spread(size)),
    ]
    setting.say("laying out sessions")
    history = data.spread(setting.pick(5_000, 20))
    with layouts.laid_out(setting.server, "memory", groups, archived=history) as (
        database,
        connection,
    ):
        expected = {name: layouts.OURS.live(connection, name) for name in (OLD, SERVED)}
        seen = {
            API: await serve(setting, database, data.ids(connection, SERVED), rounds, warm_up),
            PRUNE: prune(setting, database, connection),
        }
        layouts.OURS.check_moved(connection, OLD, expected[OLD])
        if layouts.OURS.live(connection, SERVED) != expected[SERVED]:
            raise layouts.WronglyMoved("what was archived and restored is not as it was")
    return Result(
        TITLE,
        {name: Series("MB", of) for name, of in seen.items()},
        [
            *(growth(GROWTH[name], of) for name, of in seen.items()),
            *(Figure(PEAK[name], max(of), min(of), max(of)) for name, of in seen.items()),
        ],
        {
            "clients of the API": CLIENTS,
            "requests": rounds * size * len(REQUESTS),
            "messages pruned": expected[OLD].messages,
        },
    )


REQUESTS = (
    ("GET", "{path}?limit=200"),
    ("GET", "{path}/archive?limit=200"),
    ("GET", "{path}/{id}/messages?limit=500"),
    ("POST", "{path}/{id}/archive"),
    ("GET", "{path}/archive/{id}/messages?limit=500"),
    ("POST", "{path}/{id}/restore"),
)
"""What a client asks for, for each of its sessions."""


async def serve(
    setting: Setting, database: Database, sessions: Sequence[UUID], rounds: int, warm_up: int
) -> list[float]:
    """Ask the API for lists and transcripts, and let it archive and restore.

    :param sessions: each of them once in a round.
    :param warm_up: how many rounds are not counted: it imports, and fills its pool.
    :return: megabytes, at every look.
    """
    with serving(database) as server, ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(CLIENTS))
        ask = at_once(
            pool,
            [
                asking(stack.enter_context(requesting(server.client.base_url)))
                for _ in range(CLIENTS)
            ],
        )
        for _ in range(warm_up):
            await ask(sessions)
        setting.say(f"{rounds} rounds of {len(sessions) * len(REQUESTS)} requests")
        with watched(server.process.pid) as seen:
            for _ in range(rounds):
                await ask(sessions)
    return seen


def asking(request: Requester) -> Callable[[UUID], object]:
    """Send all requests of a session."""

    def ask(session_id: UUID) -> None:
        for method, template in REQUESTS:
            path = template.format(path=PATH, id=session_id)
            status, body = request(method, path)
            if status != 200:
                raise layouts.WronglyMoved(f"{method} {path}: {status} {body!r}")

    return ask


def prune(setting: Setting, database: Database, connection: psycopg.Connection) -> list[float]:
    """Let the CLI prune all that is old.

    :return: megabytes, at every look after the first batch, until which it imports and connects.
    """
    words = ("prune", "--older-than", "30d", "--batch-size", str(setting.pick(100, 2)))
    setting.say(" ".join(words))
    with tempfile.TemporaryFile() as log:
        process = start(database, "-m", "aria_db", *words, "--sleep", "10ms", log=log)
        try:
            while not batches(connection):
                if process.poll() is not None:
                    raise layouts.WronglyMoved(read(log))
                time.sleep(BETWEEN_LOOKS)
            with watched(process.pid) as seen:
                # Not wait(): of a process that has been waited for, nothing is to be seen.
                os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            if process.wait():
                raise layouts.WronglyMoved(read(log))
        finally:
            process.kill()
            process.wait()
    return seen


def batches(connection: psycopg.Connection) -> int:
    """Count the batches of the prune that are done."""
    return int(connection.execute(RUN_LOG).fetchall()[0][0])


@contextmanager
def watched(process_id: int) -> Iterator[list[float]]:
    """Look at a process's resident memory over and over.

    :return: megabytes, at every look so far.
    """
    process = psutil.Process(process_id)
    over = Event()
    seen: list[float] = []

    def look() -> None:
        while not over.wait(BETWEEN_LOOKS):
            # None of a process that has ended and was not waited for.
            if resident := process.memory_info().rss:
                seen.append(resident / 2**20)

    watcher = Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


def growth(target: Target, seen: Sequence[float]) -> Figure:
    """Compare the last third with the first; the spread is from the lowest look to the highest."""
    third = len(seen) // 3
    first, last = statistics.median(seen[:third]), seen[-third:]
    return Figure(target, statistics.median(last) / first, min(last) / first, max(last) / first)
