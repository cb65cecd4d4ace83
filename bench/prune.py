"""The prune of a million messages: aria-db, the baseline on both kinds of tables, the limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from aria_db import models
from aria_db.database import Database
from aria_db.session_manager import NativeSessionManager
from bench import data, layouts, limit
from bench.baseline import BaselineManager
from bench.measure import Figure, Result, Series, Setting, Target, p99, ratio

TITLE = "Prune a million messages in 20,000 sessions"

RATES = {
    "baseline": Target("messages a second, against the baseline", "at least", 3),
    "baseline on aria-db's own tables": Target(
        "messages a second, against the baseline on aria-db's own tables", "at least", 1.2
    ),
    "limit": Target("messages a second, against the limit in one statement", "at least", 0.85),
}
TWO_AGAINST_BASELINE = Target(
    "messages a second of two at once, against the baseline", "at least", 3
)
LONGEST = Target("p99 of a transaction's time", "at most", 150, "ms", tolerance=1)
PARALLEL = {
    "two at once": Target("messages a second of two prunes at once, against one", "at least", 1.5),
    "four at once": Target("of four at once, against one", "at least", 1.5),
}
ONE = "prune"

OLDER_THAN = timedelta(days=30)
GROUP = "old"


@dataclass
class Measured:
    """What has been measured of a subject.

    :param rates: messages a second, one per round.
    :param transactions: milliseconds of each transaction.
    """

    rates: list[float] = field(default_factory=list)
    transactions: list[float] = field(default_factory=list)


async def run(setting: Setting) -> Result:
    """Measure."""
    rounds = setting.pick(3, 1)
    groups = [
        data.Group(GROUP, data.spread(setting.pick(20_000, 60)), is_old=True),
        # What a prune leaves alone.
        data.Group("young", data.spread(setting.pick(5_000, 15))),
    ]
    subjects: dict[str, tuple[layouts.Layout, Subject]] = {
        ONE: (layouts.OURS, at_once(1)),
        "two at once": (layouts.OURS, at_once(2)),
        "four at once": (layouts.OURS, at_once(4)),
        "baseline": (layouts.DEPLOYED, by_baseline),
        "baseline on aria-db's own tables": (layouts.OURS, by_baseline_on_own_tables),
        "limit": (layouts.OURS, by_limit),
    }
    measured = {name: Measured() for name in subjects}
    setting.say("laying out sessions")
    history = data.spread(setting.pick(5_000, 20))
    with layouts.laid_out(setting.server, "prune", groups, archived=history, deployed=True) as (
        _,
        connection,
    ):
        expected = layouts.OURS.live(connection, GROUP)
        kept = layouts.OURS.live(connection, "young")
        connection.close()  # nobody may be connected to a database that is copied
        for number in range(rounds):
            names = list(subjects)
            setting.rng.shuffle(names)
            for name in names:
                layout, prune = subjects[name]
                with (
                    setting.server.copied("prune") as copy,
                    setting.server.connect(copy) as watching,
                ):
                    layout.warm(watching)
                    began = time.perf_counter()
                    transactions = await prune(setting.server.database(copy))
                    took = time.perf_counter() - began
                    layout.check_moved(watching, GROUP, expected)
                    if layout.live(watching, "young") != kept:
                        raise layouts.WronglyMoved(f"{name} moved sessions that are not old")
                measured[name].rates.append(expected.messages / took)
                measured[name].transactions += transactions
                setting.say(f"round {number + 1}: {name}: {took:.1f} s")

    rates = {name: of.rates for name, of in measured.items()}
    longest = measured[ONE].transactions
    return Result(
        TITLE,
        {
            **{name: Series("messages/s", of) for name, of in rates.items()},
            **{
                f"{name}: transactions": Series("ms", of.transactions)
                for name, of in measured.items()
            },
        },
        [
            *(ratio(target, rates[ONE], rates[of]) for of, target in RATES.items()),
            ratio(TWO_AGAINST_BASELINE, rates["two at once"], rates["baseline"]),
            Figure(LONGEST, p99(longest), min(longest), max(longest)),
            *(ratio(target, rates[of], rates[ONE]) for of, target in PARALLEL.items()),
        ],
        {
            "rounds": rounds,
            "sessions": expected.sessions,
            "messages": expected.messages,
            "younger messages, which stay": kept.messages,
            "messages in the archive before": sum(history),
        },
    )


Subject = Callable[[Database], Coroutine[Any, Any, list[float]]]
"""Prunes a database, and returns the milliseconds of each transaction."""


def at_once(count: int) -> Subject:
    """Prune with several managers that share the work."""

    async def prune(database: Database) -> list[float]:
        async with _manager(database) as manager:
            lists = await asyncio.gather(*(batches(manager) for _ in range(count)))
        return [one for several in lists for one in several]

    return prune


async def batches(manager: NativeSessionManager) -> list[float]:
    """Prune with the manager; return the milliseconds of each batch, its entry in the log included.

    The last step, which finds nothing left, is a transaction as well.
    """
    times = []
    async with aclosing(manager.prune_batches(older_than=OLDER_THAN)) as progress:
        began = time.perf_counter()
        async for _ in progress:
            times.append((time.perf_counter() - began) * 1000)
            began = time.perf_counter()
    return times


async def by_baseline(database: Database) -> list[float]:
    """Prune the application's tables with the baseline."""
    return await _baseline(database)


async def by_baseline_on_own_tables(database: Database) -> list[float]:
    """Run the same code on aria-db's own tables."""
    return await _baseline(
        database,
        models.EngineChatSession,
        models.EngineChatMessage,
        models.EngineChatSessionArchive,
        models.EngineChatMessageArchive,
    )


async def by_limit(database: Database) -> list[float]:
    """Prune with one statement."""
    engine = database.engine()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        began = time.perf_counter()
        connection.exec_driver_sql(limit.OLD)
        took = time.perf_counter() - began
    engine.dispose()
    return [took * 1000]


async def _baseline(database: Database, *classes: Any) -> list[float]:
    engine = database.async_engine()
    began = time.perf_counter()
    await BaselineManager(engine, *classes).prune_old_sessions()
    took = time.perf_counter() - began
    await engine.dispose()
    return [took * 1000]


@asynccontextmanager
async def _manager(database: Database) -> AsyncIterator[NativeSessionManager]:
    engine = database.async_engine()
    yield NativeSessionManager(engine)
    await engine.dispose()
