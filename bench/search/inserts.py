"""The price of the indexes: inserts of messages, one in a transaction and many."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from uuid import UUID

import psycopg

from aria_db.database import Database
from bench import data, layouts
from bench.measure import Series, Setting, Target, blocking, by_turns, ratio
from bench.search.indexes import (
    INDEXED,
    PLAIN,
    Part,
    number,
    sort_in,
    trigram_megabytes,
    wal_position,
)

# Prices: beyond 1.15, the indexes are for who searches a lot, and not for everybody.
INSERT_ONE = Target(
    "time of a message's insert with the indexes, against without, mean", "at most", None
)
INSERT_MANY = Target("time of 1,000 inserts in a transaction, the same", "at most", None)

BATCH = 1000
INSERT = f"INSERT INTO {layouts.OURS.messages} (session_id, role, content) VALUES (%s, %s, %s)"

New = tuple[UUID, str, str]
"""Session, role and content of a new message."""


async def run(setting: Setting, databases: dict[str, Database]) -> Part:
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


def live_messages(connection: psycopg.Connection) -> int:
    """Count the live messages."""
    return number(connection, f"SELECT count(*) FROM {layouts.OURS.messages}")
