"""The price of the indexes: a prune of databases of which one has them."""

from __future__ import annotations

import time

from bench import data, layouts
from bench.measure import Series, Setting, Target, ratio
from bench.prune import at_once
from bench.search.indexes import INDEXED, PLAIN, Part, indexed_copy, sort_in, wal_position

# As for the inserts: beyond 1.15, the indexes are for who searches a lot.
PRUNE = Target("time of a prune with the indexes, against without", "at most", None)

GROUP = "old"


async def run(setting: Setting) -> Part:
    """Prune databases of which one has the indexes."""
    rounds = setting.pick(3, 1)
    groups = [
        data.Group(GROUP, data.spread(setting.pick(5_000, 60)), is_old=True),
        data.Group("young", data.spread(setting.pick(2_000, 20))),
    ]
    prune = at_once(1)
    times: dict[str, list[float]] = {INDEXED: [], PLAIN: []}
    wal: dict[str, list[float]] = {INDEXED: [], PLAIN: []}
    setting.say("laying out sessions to prune")
    history = data.spread(setting.pick(5_000, 20))
    with layouts.laid_out(setting.server, "search_prune", groups, archived=history) as (
        _,
        connection,
    ):
        expected = layouts.OURS.live(connection, GROUP)
        connection.close()
        with indexed_copy(setting, "search_prune") as indexed:
            templates = {INDEXED: indexed, PLAIN: "search_prune"}
            for number in range(rounds):
                names = list(templates)
                setting.rng.shuffle(names)
                for how in names:
                    with (
                        setting.server.copied(templates[how]) as copy,
                        setting.server.connect(copy) as watching,
                    ):
                        layouts.OURS.warm(watching)
                        position = wal_position(watching)
                        began = time.perf_counter()
                        await prune(setting.server.database(copy))
                        times[how].append(time.perf_counter() - began)
                        sort_in(watching)
                        written = wal_position(watching) - position
                        wal[how].append(written / expected.messages)
                        layouts.OURS.check_moved(watching, GROUP, expected)
                    setting.say(f"round {number + 1}: prune {how}: {times[how][-1]:.1f} s")
    return Part(
        {
            **{
                f"prune, {how}": Series("messages/s", [expected.messages / took for took in of])
                for how, of in times.items()
            },
            **{f"WAL of a pruned message, {how}": Series("bytes", of) for how, of in wal.items()},
        },
        [ratio(PRUNE, times[INDEXED], times[PLAIN])],
        {"rounds of the prune": rounds, "messages pruned": expected.messages},
    )
