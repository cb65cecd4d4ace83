"""Search in titles and texts over HTTP, with trigram indexes and without, and what these cost."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import astuple, dataclass
from itertools import product
from typing import Any
from uuid import UUID

import httpx
import psycopg
from sqlalchemy import and_, or_, select, true
from sqlalchemy.orm import aliased

from aria_db.database import Database
from aria_db.session_manager import COUNTED
from bench import data, layouts
from bench.baseline import BaselineManager
from bench.measure import (
    Figure,
    Result,
    Series,
    Setting,
    Target,
    blocking,
    by_turns,
    quantile,
    ratio,
)
from bench.prune import at_once
from tests.support.processes import serving

TITLE = "Search over 100,000 sessions with 2 million messages, live and archived"

PAGE = 50
# As in the lists: 20 messages a session in the mean.
SIGMA = 1.01

LIVE, ARCHIVE = "/api/engine/sessions", "/api/engine/sessions/archive"
PLACES = {"live": LIVE, "archive": ARCHIVE}
RARE, COMMON = "zirconium", "please"
WORDS = {"rare": RARE, "common": COMMON}
# Where the rare word is, in each table.
RARE_MESSAGES, RARE_TITLES = 10, 2

INDEXED, PLAIN, BASELINE = "with indexes", "without indexes", "baseline"
# So often a connection searches for both words before the rare one is measured, as in life: a
# statement is prepared after five runs, and after five more it may have one plan for all words.
BOTH_WORDS = 6
# A server has to be asked for them: they are no part of what aria-db installs.
INDEXES = f"""
CREATE EXTENSION pg_trgm;
CREATE INDEX ON {layouts.OURS.sessions} USING gin (title gin_trgm_ops);
CREATE INDEX ON {layouts.OURS.session_archive} USING gin (title gin_trgm_ops);
CREATE INDEX ON {layouts.OURS.messages} USING gin (content gin_trgm_ops);
CREATE INDEX ON {layouts.OURS.message_archive} USING gin (content gin_trgm_ops);
"""

# Prices: beyond 1.15, the indexes are for who searches a lot, and not for everybody.
INSERT_ONE = Target(
    "time of a message's insert with the indexes, against without, mean", "at most", None
)
INSERT_MANY = Target("time of 1,000 inserts in a transaction, the same", "at most", None)
PRUNE = Target("time of a prune with the indexes, against without", "at most", None)

BATCH = 1000
INSERT = f"INSERT INTO {layouts.OURS.messages} (session_id, role, content) VALUES (%s, %s, %s)"
TRIGRAM = """
SELECT index.oid FROM pg_class AS index JOIN pg_am ON pg_am.oid = index.relam
WHERE index.relkind = 'i' AND pg_am.amname = 'gin'
"""
GROUP = "old"

Search = Callable[[object], Awaitable[tuple[list[UUID], int]]]
"""Gives the ids of the first page of what is found, and how many there are."""

New = tuple[UUID, str, str]
"""Session, role and content of a new message."""


@dataclass(frozen=True)
class Part:
    """A part of the outcome, as it stands in a Result."""

    series: dict[str, Series]
    figures: list[Figure]
    facts: dict[str, Any]


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


async def run(setting: Setting) -> Result:
    """Measure."""
    parts = []
    sizes = data.spread(setting.pick(100_000, 300), SIGMA)
    setting.say("laying out sessions")
    with layouts.laid_out(
        setting.server, "search", [data.Group("live", sizes)], archived=sizes, deployed=True
    ) as (plain, connection):
        for layout in (layouts.OURS, layouts.DEPLOYED):
            hide_rare_word(connection, layout)
        layouts.settle(connection)
        connection.close()  # nobody may be connected to a database that is copied
        with indexed_copy(setting, "search") as name:
            databases = {INDEXED: setting.server.database(name), PLAIN: plain}
            parts.append(await searches(setting, databases))
            parts.append(await inserts(setting, databases))
    parts.append(await prunes(setting))
    return Result(
        TITLE,
        {name: of for part in parts for name, of in part.series.items()},
        [figure for part in parts for figure in part.figures],
        {
            "messages, live and as many archived": sum(sizes),
            **{what: value for part in parts for what, value in part.facts.items()},
        },
    )


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


@contextmanager
def indexed_copy(setting: Setting, template: str) -> Iterator[str]:
    """Give the name of a copy of a database that has the indexes."""
    with setting.server.copied(template) as name:
        setting.say("making the indexes")
        with setting.server.connect(name) as connection:
            connection.execute(INDEXES)
            layouts.settle(connection)
        yield name


async def searches(setting: Setting, databases: dict[str, Database]) -> Part:
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


async def inserts(setting: Setting, databases: dict[str, Database]) -> Part:
    """Insert messages: one in a transaction, and a thousand in one.

    A GIN index puts what is new on a list, and sorts it in when the list is 4 MB long; who makes
    it so long waits for that. Hence many rounds, and means.
    """
    rounds, warm_up = setting.pick(10_000, 20), setting.pick(100, 2)
    batch_rounds = setting.pick(50, 2)
    wal: dict[str, float] = {}
    megabytes: dict[str, int] = {}
    with ExitStack() as stack:
        connections = {
            how: stack.enter_context(psycopg.connect(database.libpq_url(), autocommit=True))
            for how, database in databases.items()
        }
        before = {how: live_messages(connection) for how, connection in connections.items()}
        for how, connection in connections.items():
            layouts.OURS.warm(connection)
            megabytes[how] = trigram_megabytes(connection)
        sessions = data.ids(connections[PLAIN], "live")
        texts = connections[PLAIN].execute("SELECT role, content FROM bench.sample").fetchall()
        new = [(setting.rng.choice(sessions), *setting.rng.choice(texts)) for _ in range(BATCH)]
        one_by_one = [new[number % BATCH] for number in range(warm_up + rounds)]
        setting.say(f"{rounds} rounds of an insert, {batch_rounds} of {BATCH:,} inserts")
        ones = await by_turns(
            setting,
            {how: blocking(inserting_one(of)) for how, of in connections.items()},
            dict.fromkeys(connections, one_by_one),
            warm_up,
        )
        many = {how: blocking(inserting_many(of)) for how, of in connections.items()}
        batches = await by_turns(setting, many, dict.fromkeys(connections, [new] * batch_rounds))
        setting.say("the same by their WAL")
        for how, connection in connections.items():
            sort_in(connection)
            position = wal_position(connection)
            for _ in range(batch_rounds):
                await many[how](new)
            sort_in(connection)
            wal[how] = (wal_position(connection) - position) / (batch_rounds * BATCH)
            inserted = live_messages(connection) - before[how]
            if inserted != warm_up + rounds + 2 * batch_rounds * BATCH:
                raise layouts.WronglyMoved(f"{how}: {inserted} messages were inserted")
    return Part(
        {
            **{f"insert of a message, {how}": Series("ms", of) for how, of in ones.items()},
            **{f"insert of {BATCH:,}, {how}": Series("ms", of) for how, of in batches.items()},
            **{f"WAL of an insert, {how}": Series("bytes", [of]) for how, of in wal.items()},
        },
        [
            ratio(INSERT_ONE, ones[INDEXED], ones[PLAIN], statistics.mean),
            ratio(INSERT_MANY, batches[INDEXED], batches[PLAIN], statistics.mean),
        ],
        {
            "rounds of an insert": rounds,
            f"rounds of {BATCH:,} inserts": batch_rounds,
            "MB of the indexes": megabytes[INDEXED],
        },
    )


def inserting_one(connection: psycopg.Connection) -> Callable[[New], object]:
    """Insert a message, in a transaction of its own."""
    return lambda new: connection.execute(INSERT, new)


def inserting_many(connection: psycopg.Connection) -> Callable[[Sequence[New]], object]:
    """Insert messages, in one transaction."""

    def insert(new: Sequence[New]) -> None:
        with connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(INSERT, new)

    return insert


async def prunes(setting: Setting) -> Part:
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


def live_messages(connection: psycopg.Connection) -> int:
    """Count the live messages."""
    return number(connection, f"SELECT count(*) FROM {layouts.OURS.messages}")


def sort_in(connection: psycopg.Connection) -> None:
    """Do what has been put off: sort the lists of new entries into the indexes."""
    connection.execute(f"SELECT gin_clean_pending_list(id) FROM ({TRIGRAM}) AS _ (id)")


def trigram_megabytes(connection: psycopg.Connection) -> int:
    """Measure the indexes."""
    total = f"SELECT coalesce(sum(pg_relation_size(id)), 0) FROM ({TRIGRAM}) AS _ (id)"
    return round(number(connection, total) / 2**20)


def wal_position(connection: psycopg.Connection) -> int:
    """Return how many bytes of WAL there are."""
    return number(connection, "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")


def number(connection: psycopg.Connection, query: str) -> int:
    """Return the one number that a query gives."""
    return int(connection.execute(query).fetchall()[0][0])
