"""The lists over HTTP: first and last pages of live and of archived sessions."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx

from bench import data, layouts
from bench.baseline import BaselineManager
from bench.measure import Figure, Result, Run, Series, Setting, Target, by_turns, quantile, ratio
from tests.support.processes import serving

TITLE = "Lists over 100,000 sessions with 2 million messages, live and archived"

PAGE = 50
# With this sigma and the median of 12, a session has 20 messages in the mean.
SIGMA = 1.01

LIVE, ARCHIVE = "/api/engine/sessions", "/api/engine/sessions/archive"


def at_most(what: str) -> Target:
    """Return the target of a page over HTTP."""
    return Target(f"{what} over HTTP, median", "at most", 15, "ms", tolerance=1)


def against_baseline(what: str) -> Target:
    """Return the target of a page against the baseline's list."""
    return Target(f"{what}: how many times faster than the baseline", "at least", 100, tolerance=1)


async def run(setting: Setting) -> Result:
    """Measure."""
    rounds, warm_up = setting.pick(200, 3), setting.pick(10, 1)
    baseline_rounds = setting.pick(5, 1)  # seconds each
    sizes = data.spread(setting.pick(100_000, 200), SIGMA)
    last = len(sizes) - PAGE
    far = f"page {last // PAGE + 1:,}"
    setting.say("laying out sessions")
    with layouts.laid_out(
        setting.server, "lists", [data.Group("live", sizes)], archived=sizes, deployed=True
    ) as (database, _):
        engine = database.async_engine()
        manager = BaselineManager(engine)
        with serving(database) as server:
            async with httpx.AsyncClient(base_url=server.client.base_url) as client:

                async def page(path: str, **query: Any) -> dict[str, Any]:
                    answer = await client.get(path, params={"limit": PAGE, **query})
                    return dict(answer.raise_for_status().json())

                async def cursor_of(path: str, offset: int) -> str:
                    """Return the cursor of the page after so many sessions."""
                    return str((await page(path, limit=1, offset=offset - 1))["next_cursor"])

                def over_http(path: str, **query: Any) -> Run:
                    async def get(_: object) -> list[UUID]:
                        return [UUID(one["id"]) for one in (await page(path, **query))["sessions"]]

                    return get

                def by_baseline(path: str, offset: int) -> Run:
                    method = {LIVE: manager.list_sessions, ARCHIVE: manager.list_archived_sessions}

                    async def get(_: object) -> list[UUID]:
                        page, _total = await method[path](PAGE, offset)
                        return [session.id for session, _count in page]

                    return get

                pages = {
                    "first page": (LIVE, 0, {}),
                    far: (LIVE, last, {"cursor": await cursor_of(LIVE, last)}),
                    "archive, first page": (ARCHIVE, 0, {}),
                    f"archive, {far}": (ARCHIVE, last, {"cursor": await cursor_of(ARCHIVE, last)}),
                }
                subjects: dict[str, Run] = {
                    # for who has no cursor
                    f"{far} by offset": over_http(LIVE, offset=last),
                    f"archive, {far} by offset": over_http(ARCHIVE, offset=last),
                }
                for name, (path, offset, query) in pages.items():
                    subjects |= {
                        name: over_http(path, **query),
                        f"baseline, {name}": by_baseline(path, offset),
                    }
                    if await subjects[name](None) != await subjects[f"baseline, {name}"](None):
                        raise layouts.WronglyMoved(f"{name} is not what the baseline lists")
                setting.say(f"{baseline_rounds} rounds with the baseline's lists")
                items = dict.fromkeys(subjects, [None] * baseline_rounds)
                together = await by_turns(setting, subjects, items)
                setting.say(f"{rounds} rounds without")
                ours = {name: subjects[name] for name in pages}
                items = dict.fromkeys(ours, [None] * (rounds + warm_up))
                times = await by_turns(setting, ours, items, warm_up)
        await engine.dispose()
    return Result(
        TITLE,
        {name: Series("ms", values) for name, values in (together | times).items()},
        [
            *(
                Figure(
                    at_most(name),
                    Series("ms", times[name]).median,
                    quantile(times[name], 0.05),
                    quantile(times[name], 0.95),
                )
                for name in pages
            ),
            *(
                ratio(against_baseline(name), together[f"baseline, {name}"], together[name])
                for name in pages
            ),
        ],
        {
            "rounds": rounds,
            "rounds with the baseline": baseline_rounds,
            "messages, live and as many archived": sum(sizes),
        },
    )
