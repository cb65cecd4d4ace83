"""Whether those who write feel a prune: the time of a message's insert, with one and without."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import aclosing, contextmanager
from datetime import timedelta
from uuid import UUID

from aria_db.database import Database
from aria_db.session_manager import Limits, NativeSessionManager
from bench import data, layouts
from bench.measure import Figure, Result, Series, Setting, Target, p99
from bench.writer import RATE, Insert, write

TITLE = "A message's insert by four writers while a prune runs"

WRITERS = 4

DEFAULT = Limits()
GENTLE = Limits(batch_size=5, sleep=timedelta(seconds=1))

WITHOUT, BESIDE, BESIDE_GENTLE = "no prune", "prune, default", "prune, gentle"
BESIDE_DEFAULT = Target("p99 with the default settings, against no prune", "at most", 2, "", 0.5)
BESIDE_GENTLE_ONE = Target(
    f"p99 with batches of {GENTLE.batch_size} and {GENTLE.sleep.total_seconds():g} s between"
    " them, against no prune",
    "at most",
    1.2,
    "",
    0.5,
)

OLD, YOUNG = "old", "young"


async def run(setting: Setting) -> Result:
    """Measure."""
    rounds = setting.pick(4, 1)
    seconds = 20.0 if not setting.quick else 1.0
    subjects = {WITHOUT: None, BESIDE: DEFAULT, BESIDE_GENTLE: GENTLE}
    groups = [
        data.Group(OLD, data.spread(setting.pick(30_000, 100)), is_old=True),
        data.Group(YOUNG, data.spread(setting.pick(5_000, 20))),
    ]
    # One list per round, so that the spread between rounds is seen.
    times: dict[str, list[list[float]]] = {name: [] for name in subjects}
    moved: dict[str, int] = dict.fromkeys(subjects, 0)
    setting.say("laying out sessions")
    with layouts.laid_out(setting.server, "writers", groups) as (_, connection):
        young = data.ids(connection, YOUNG)
        total = layouts.OURS.live(connection, OLD).messages
        connection.close()  # nobody may be connected to a database that is copied
        for number in range(rounds):
            names = list(subjects)
            setting.rng.shuffle(names)
            for name in names:
                with (
                    setting.server.copied("writers") as copy,
                    setting.server.connect(copy) as watching,
                ):
                    layouts.OURS.warm(watching)
                    before = layouts.OURS.live(watching, YOUNG).messages
                    database = setting.server.database(copy)
                    with writing(database, young) as inserts:
                        began = time.perf_counter()
                        await prune(database, subjects[name], seconds)
                        ended = time.perf_counter()
                    if layouts.OURS.live(watching, YOUNG).messages != before + len(inserts):
                        raise layouts.WronglyMoved("a message that was written is not there")
                    left = layouts.OURS.live(watching, OLD).messages
                    if left + layouts.OURS.archived(watching, OLD).messages != total:
                        raise layouts.WronglyMoved("messages are lost, or in both places")
                meanwhile = [
                    insert.took * 1000 for insert in inserts if began <= insert.began <= ended
                ]
                times[name].append(meanwhile)
                moved[name] += total - left
                setting.say(
                    f"round {number + 1}: {name}: {ended - began:.0f} s, {len(meanwhile)} inserts,"
                    f" {total - left} messages pruned"
                )
    return Result(
        TITLE,
        {
            name: Series("ms", [took for of_round in of for took in of_round])
            for name, of in times.items()
        },
        [
            against_none(BESIDE_DEFAULT, times[BESIDE], times[WITHOUT]),
            against_none(BESIDE_GENTLE_ONE, times[BESIDE_GENTLE], times[WITHOUT]),
        ],
        {
            "rounds": rounds,
            "seconds of each at most": seconds,
            "inserts a second": WRITERS * RATE,
            **{f"messages pruned, {name}": count for name, count in moved.items() if count},
        },
    )


def against_none(
    target: Target, with_prune: Sequence[Sequence[float]], without: Sequence[Sequence[float]]
) -> Figure:
    """Compare the p99 of all rounds; the spread is that of the rounds."""

    def of_all(rounds: Sequence[Sequence[float]]) -> float:
        return p99([took for of_round in rounds for took in of_round])

    ratios = [p99(one) / p99(other) for one, other in zip(with_prune, without, strict=True)]
    return Figure(target, of_all(with_prune) / of_all(without), min(ratios), max(ratios))


async def prune(database: Database, limits: Limits | None, seconds: float) -> None:
    """Prune for so long, or until nothing is left; or wait for so long."""
    if limits is None:
        await asyncio.sleep(seconds)
        return
    engine = database.async_engine()
    until = time.perf_counter() + seconds
    batches = NativeSessionManager(engine).prune_batches(
        older_than=timedelta(days=30), limits=limits
    )
    async with aclosing(batches):
        async for _ in batches:
            if time.perf_counter() >= until:
                break
    await engine.dispose()


@contextmanager
def writing(database: Database, sessions: Sequence[UUID]) -> Iterator[list[Insert]]:
    """Let the writers write, each in a process of its own.

    :param sessions: where they write to.
    :return: a list that is empty until the end, and then has all that they inserted.
    """
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    ready = context.Barrier(WRITERS + 1)
    pipes, processes = [], []
    for number in range(WRITERS):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(
            target=write,
            args=(database.libpq_url(), sessions[number::WRITERS], number, ready, stop, sender),
            daemon=True,
        )
        process.start()
        sender.close()  # the writer has its own: if it dies, there is an end of the file
        pipes.append(receiver)
        processes.append(process)
    ready.wait(timeout=60)
    inserts: list[Insert] = []
    try:
        yield inserts
    finally:
        stop.set()
        for receiver, process in zip(pipes, processes, strict=True):
            inserts += receiver.recv()
            process.join()
