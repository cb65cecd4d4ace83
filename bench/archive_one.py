"""One session at a time: the manager, the baseline, the bare function and the limit."""

from __future__ import annotations

import psycopg

from aria_db.session_manager import NativeSessionManager
from bench import data, layouts, limit
from bench.baseline import BaselineManager
from bench.measure import Result, Run, Series, Setting, Target, blocking, by_turns, p99, ratio

TITLE = "Archive one session"

AGAINST_BASELINE = Target(
    "20 messages: how many times faster than the baseline the manager is, median", "at least", 4
)
AGAINST_BASELINE_P99 = Target("20 messages: the same at p99", "at least", 3, tolerance=0.5)
AGAINST_BARE = Target(
    "20 messages: time of the manager, against the function over bare psycopg", "at most", 1.6
)
AGAINST_LIMIT = Target("20 messages: time of the function, against the limit", "at most", 1.35)
AGAINST_LIMIT_LONG = Target(
    "2,000 messages: time of the function, against the limit", "at most", 1.10
)

FUNCTION = "SELECT * FROM archive_session(%s)"
SHORT = ("manager", "baseline", "function", "function, asyncio", "limit")
LONG = ("function, 2,000 messages", "limit, 2,000 messages")


async def run(setting: Setting) -> Result:
    """Measure."""
    rounds, warm_up = setting.pick(1000, 20), setting.pick(20, 3)
    long_rounds, long_warm_up = setting.pick(60, 2), setting.pick(3, 1)
    background = data.spread(setting.pick(10_000, 100))
    groups = [
        data.Group("background", background),
        *(data.Group(name, [20] * (rounds + warm_up)) for name in SHORT),
        *(data.Group(name, [2000] * (long_rounds + long_warm_up)) for name in LONG),
    ]
    setting.say("laying out sessions")
    with layouts.laid_out(setting.server, "archive_one", groups, deployed=True) as (
        database,
        connection,
    ):
        engine = database.async_engine()
        for layout in (layouts.OURS, layouts.DEPLOYED):
            layout.warm(connection)
        layout_of = {
            group.name: layouts.DEPLOYED if group.name == "baseline" else layouts.OURS
            for group in groups[1:]
        }
        expected = {of: layout.live(connection, of) for of, layout in layout_of.items()}
        items = {of: data.ids(connection, of) for of in layout_of}

        manager, baseline = NativeSessionManager(engine), BaselineManager(engine)
        bare = await psycopg.AsyncConnection.connect(database.libpq_url(), autocommit=True)
        function, by_hand = (
            blocking(lambda item: connection.execute(FUNCTION, [item]).fetchall()),
            blocking(lambda item: connection.execute(limit.ONE, {"session_id": item})),
        )

        async def over_asyncio(item: object) -> object:
            return await (await bare.execute(FUNCTION, [item])).fetchall()

        short: dict[str, Run] = dict(
            zip(
                SHORT,
                (
                    manager.archive_session,
                    baseline.archive_session,
                    function,
                    over_asyncio,
                    by_hand,
                ),
                strict=True,
            )
        )
        setting.say(f"{rounds} rounds of sessions with 20 messages")
        times = await by_turns(setting, short, items, warm_up)
        setting.say(f"{long_rounds} rounds of sessions with 2,000 messages")
        long = dict(zip(LONG, (function, by_hand), strict=True))
        times |= await by_turns(setting, long, items, long_warm_up)

        for of, layout in layout_of.items():
            layout.check_moved(connection, of, expected[of])
        await bare.close()
        await engine.dispose()

    return Result(
        TITLE,
        {of: Series("ms", values) for of, values in times.items()},
        [
            ratio(AGAINST_BASELINE, times["baseline"], times["manager"]),
            ratio(AGAINST_BASELINE_P99, times["baseline"], times["manager"], p99),
            ratio(AGAINST_BARE, times["manager"], times["function"]),
            ratio(AGAINST_LIMIT, times["function"], times["limit"]),
            ratio(AGAINST_LIMIT_LONG, times[LONG[0]], times[LONG[1]]),
        ],
        {
            "rounds, 20 messages": rounds,
            "rounds, 2,000 messages": long_rounds,
            "live messages at the start": sum(sum(group.sizes) for group in groups),
        },
    )
