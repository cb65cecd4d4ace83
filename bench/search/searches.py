"""A search for a rare word and for a common one, over HTTP and by the baseline."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import astuple
from itertools import product
from typing import Any
from uuid import UUID

import httpx
import psycopg
from sqlalchemy import and_, or_, select, true
from sqlalchemy.orm import aliased

from aria_db.database import Database
from aria_db.session_manager import COUNTED
from bench import layouts
from bench.baseline import BaselineManager
from bench.measure import Figure, Series, Setting, Target, by_turns, quantile, ratio
from bench.search.indexes import INDEXED, PLAIN, Part
from tests.support.processes import serving

PAGE = 50

LIVE, ARCHIVE = "/api/engine/sessions", "/api/engine/sessions/archive"
PLACES = {"live": LIVE, "archive": ARCHIVE}
RARE, COMMON = "zirconium", "please"
WORDS = {"rare": RARE, "common": COMMON}
# Where the rare word is, in each table.
RARE_MESSAGES, RARE_TITLES = 10, 2

BASELINE = "baseline"
# So often a connection searches for both words before the rare one is measured, as in life: a
# statement is prepared after five runs, and after five more it may have one plan for all words.
BOTH_WORDS = 6

Search = Callable[[object], Awaitable[tuple[list[UUID], int]]]
"""Gives the ids of the first page of what is found, and how many there are."""


class SearchingBaseline(BaselineManager):
    """The baseline with a search: in the title, or in any of the messages."""

    async def search(self, path: str, text: str, limit: int) -> tuple[list[UUID], int]:
        """Return the first page of what is found, and how many there are.

        :param path: the list, by its path in the API.
        """
        session: Any
        message: Any
        if path == LIVE:
            session, message = self._session, self._message
            shown, order = session.status != "archived", session.updated_at
        else:
            session, message = self._session_archive, self._message_archive
            shown, order = true(), session.archived_at
        any_message = aliased(message)  # the list joins them all
        found = or_(
            session.title.icontains(text, autoescape=True),
            select(any_message.id)
            .where(
                any_message.session_id == session.id,
                any_message.content.icontains(text, autoescape=True),
            )
            .exists(),
        )
        page, total = await self._list(
            session, message, and_(shown, found), order.desc(), limit, offset=0
        )
        return [session.id for session, _count in page], total


def hide_rare_word(connection: psycopg.Connection, layout: layouts.Layout) -> None:
    """Put the rare word into few messages and titles: in each layout into the same ones."""
    sessions, messages, session_archive, message_archive = astuple(layout)
    for table, column, count in (
        (sessions, "title", RARE_TITLES),
        (messages, "content", RARE_MESSAGES),
        (session_archive, "title", RARE_TITLES),
        (message_archive, "content", RARE_MESSAGES),
    ):
        connection.execute(
            f"UPDATE {table} SET {column} = {column} || ' {RARE}'"
            f" WHERE id IN (SELECT id FROM {table} ORDER BY id LIMIT {count})"
        )


async def run(setting: Setting, databases: dict[str, Database]) -> Part:
    """Search for a rare word and for a common one, in both lists and in all three ways."""
    rounds, warm_up = setting.pick(200, 3), setting.pick(10, 1)
    slow_rounds = setting.pick(3, 1)  # seconds each
    engine = databases[PLAIN].async_engine()
    baseline = SearchingBaseline(engine)
    subjects: dict[str, Search] = {}
    async with AsyncExitStack() as stack:
        clients = {}
        for how, database in databases.items():
            server = stack.enter_context(serving(database))
            client = httpx.AsyncClient(base_url=server.client.base_url, timeout=None)
            clients[how] = await stack.enter_async_context(client)

        def over_http(how: str, path: str, word: str) -> Search:
            async def search(_: object) -> tuple[list[UUID], int]:
                query: dict[str, str | int] = {"search": word, "limit": PAGE}
                answer = await clients[how].get(path, params=query)
                page = answer.raise_for_status().json()
                return [UUID(one["id"]) for one in page["sessions"]], page["total"]

            return search

        def by_baseline(path: str, word: str) -> Search:
            async def search(_: object) -> tuple[list[UUID], int]:
                return await baseline.search(path, word, PAGE)

            return search

        searched = {
            f"{place}, {kind} word": (path, word)
            for (place, path), (kind, word) in product(PLACES.items(), WORDS.items())
        }
        setting.say(f"{slow_rounds} rounds with the baseline's search and without the indexes")
        for name, (path, word) in searched.items():
            of: dict[str, Search] = {
                f"{name}, {how}": over_http(how, path, word) for how in databases
            }
            of[f"{name}, {BASELINE}"] = by_baseline(path, word)
            await check_same(of, at_least=PAGE if word == COMMON else RARE_TITLES + 1)
            subjects |= of
        times = await by_turns(setting, subjects, dict.fromkeys(subjects, [None] * slow_rounds))
        slow = dict(times)
        for name in [name for name in subjects if name.endswith(INDEXED)] * BOTH_WORDS:
            await subjects[name](None)
        setting.say(f"{rounds} rounds with the indexes, rare word")
        rare = {
            name: subjects[name] for name in (f"{place}, rare word, {INDEXED}" for place in PLACES)
        }
        items = dict.fromkeys(rare, [None] * (rounds + warm_up))
        times |= await by_turns(setting, rare, items, warm_up)
    await engine.dispose()
    return Part(
        {name: Series("ms", values) for name, values in times.items()},
        [
            *(
                Figure(
                    Target(f"{name} over HTTP, median", "at most", 50, "ms", tolerance=1),
                    statistics.median(times[name]),
                    quantile(times[name], 0.05),
                    quantile(times[name], 0.95),
                )
                for name in rare
            ),
            *(
                ratio(
                    Target(
                        f"{name}, {how}: how many times faster than the baseline",
                        "at least",
                        20 if (how, word) == (INDEXED, RARE) else 1,
                        tolerance=1,
                    ),
                    slow[f"{name}, {BASELINE}"],
                    slow[f"{name}, {how}"],
                )
                for (name, (_, word)), how in product(searched.items(), databases)
            ),
        ],
        {"rounds of the search": rounds, "rounds with the baseline": slow_rounds},
    )


async def check_same(searches: dict[str, Search], at_least: int) -> None:
    """Check that all find the same, and not less than is there.

    :param searches: each gives ids, and how many there are: beyond what is counted, any number.
    :raises layouts.WronglyMoved: they do not.
    """
    found: dict[str, tuple[list[UUID], int]] = {}
    for name, search in searches.items():
        ids, total = await search(None)
        found[name] = ids, min(total, COUNTED + 1)
    expected, *others = found.values()
    if any(other != expected for other in others) or len(expected[0]) < at_least:
        raise layouts.WronglyMoved(f"not the same, or too little, is found: {found}")
