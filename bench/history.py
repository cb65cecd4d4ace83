"""Whether archiving a session takes longer as the archive grows."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import psycopg

from bench import data, layouts
from bench.measure import Result, Series, Setting, Target, blocking, by_turns, ratio

TITLE = "Archive one session of 20 messages beside a growing history"

AGAINST_EMPTY = Target(
    "time of the function with 10 million messages in the archive, against none", "at most", 1.15
)
AGAINST_EMPTY_MIDDLE = Target("with 1 million, against none", "at most", 1.15)

FUNCTION = "SELECT * FROM archive_session(%s)"
GROUP = "measured"


async def run(setting: Setting) -> Result:
    """Measure."""
    rounds, warm_up = setting.pick(1000, 10), setting.pick(50, 3)
    histories = (0, setting.pick(1_000_000, 1000), setting.pick(10_000_000, 10_000))
    names = tuple(f"{messages:,} messages archived" for messages in histories)
    groups = [
        data.Group("background", data.spread(setting.pick(2000, 20))),
        data.Group(GROUP, [20] * (rounds + warm_up)),
    ]
    with ExitStack() as stack:
        connections = []
        for name, messages in zip(names, histories, strict=True):
            setting.say(f"a database with {name}")
            _, connection = stack.enter_context(
                layouts.laid_out(
                    setting.server,
                    f"history_{messages}",
                    groups,
                    archived=data.spread(messages // 50),
                )
            )
            layouts.OURS.warm(connection)
            connections.append(connection)
        expected = layouts.OURS.live(connections[0], GROUP)
        items = data.ids(connections[0], GROUP)

        def archive(connection: psycopg.Connection) -> Any:
            return lambda item: connection.execute(FUNCTION, [item]).fetchall()

        subjects = {
            name: blocking(archive(connection))
            for name, connection in zip(names, connections, strict=True)
        }
        setting.say(f"{rounds} rounds")
        times = await by_turns(setting, subjects, dict.fromkeys(names, items), warm_up)
        for connection in connections:
            layouts.OURS.check_moved(connection, GROUP, expected)

    none, middle, most = (times[name] for name in names)
    return Result(
        TITLE,
        {name: Series("ms", values) for name, values in times.items()},
        [ratio(AGAINST_EMPTY, most, none), ratio(AGAINST_EMPTY_MIDDLE, middle, none)],
        {"rounds": rounds},
    )
