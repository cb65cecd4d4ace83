"""Search in titles and texts over HTTP, with trigram indexes and without, and what these cost."""

from __future__ import annotations

from bench import data, layouts
from bench.measure import Result, Setting
from bench.search import inserts, prunes, searches
from bench.search.indexes import INDEXED, PLAIN, indexed_copy

TITLE = "Search over 100,000 sessions with 2 million messages, live and archived"

# As in the lists: 20 messages a session in the mean.
SIGMA = 1.01


async def run(setting: Setting) -> Result:
    """Measure."""
    parts = []
    sizes = data.spread(setting.pick(100_000, 300), SIGMA)
    setting.say("laying out sessions")
    with layouts.laid_out(
        setting.server, "search", [data.Group("live", sizes)], archived=sizes, deployed=True
    ) as (plain, connection):
        for layout in (layouts.OURS, layouts.DEPLOYED):
            searches.hide_rare_word(connection, layout)
        layouts.settle(connection)
        connection.close()  # nobody may be connected to a database that is copied
        with indexed_copy(setting, "search") as name:
            databases = {INDEXED: setting.server.database(name), PLAIN: plain}
            parts.append(await searches.run(setting, databases))
            parts.append(await inserts.run(setting, databases))
    parts.append(await prunes.run(setting))
    return Result(
        TITLE,
        {name: of for part in parts for name, of in part.series.items()},
        [figure for part in parts for figure in part.figures],
        {
            "messages, live and as many archived": sum(sizes),
            **{what: value for part in parts for what, value in part.facts.items()},
        },
    )
