"""The sessions and messages that are moved: their sizes, their texts, their order on disk."""

from __future__ import annotations

import gzip
import json
import math
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import NormalDist
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

CONVERSATIONS = os.environ.get("ARIA_CONVERSATIONS")

# Messages of a session: log-normal, as the lengths of chats are; with this sigma and the cut
# the mean is 50.
MEDIAN = 12
SIGMA = 1.7
LONGEST = 5000

# Characters of a text, of the JSON of tool calls and of their results: quantiles measured in
# the 3,766 messages of Taskmaster-4, files data_00 and data_01 (Google, CC BY 4.0). Users'
# turns call tools there, and assistants' do not.
QUANTILES = (0, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1)
CONTENT = (3, 8, 26, 43, 64, 99, 141, 566)
CALLS = (42, 67, 68, 73, 418, 591, 763, 782)
RESULTS = (56, 59, 59, 122, 843, 1265, 1375, 1395)
SAMPLES = 4000

WORDS = (
    *("could", "you", "look", "at", "the", "report", "again", "and", "tell", "me", "which", "of"),
    *("yes", "please", "order", "two", "large", "coffees", "for", "Friday", "afternoon", "thanks"),
)

FIRST = datetime(2024, 1, 1, tzinfo=UTC)
# A session begins every half minute and its messages come a minute apart, so that on average
# a hundred sessions write at the same time, and their messages lie between one another.
BETWEEN_SESSIONS = timedelta(seconds=30)

Sample = tuple[str, str, Any, Any]


@dataclass(frozen=True)
class Group:
    """The sessions that one subject works with.

    :param name: its name.
    :param sizes: how many messages each session has.
    :param is_old: whether the last update is so long ago that a prune takes it.
    """

    name: str
    sizes: Sequence[int]
    is_old: bool = False


@dataclass(frozen=True)
class Contents:
    """What a group holds, wherever it is.

    :param sessions: how many.
    :param messages: how many.
    :param digest: of ids and texts of the messages, in any order.
    """

    sessions: int
    messages: int
    digest: int


def spread(sessions: int, sigma: float = SIGMA) -> list[int]:
    """Return the messages of each session: the same spread for every number of them."""
    normal = NormalDist(math.log(MEDIAN), sigma)
    sizes = (normal.inv_cdf((place + 0.5) / sessions) for place in range(sessions))
    return [min(LONGEST, max(1, round(math.exp(size)))) for size in sizes]


def source() -> str:
    """Say where the texts come from."""
    return "real conversations" if CONVERSATIONS else "generated texts of the same lengths"


def plan(connection: psycopg.Connection, groups: Sequence[Group], seed: int = 1) -> None:
    """Lay out sessions and sample texts in the schema bench; layouts are filled from there.

    :param connection: a connection in autocommit.
    :param groups: the sessions. They begin in random order, whatever group they are of.
    :param seed: of ids and order.
    """
    rng = random.Random(seed)
    connection.execute(
        """
        CREATE SCHEMA bench;
        CREATE TABLE bench.sample (
            number integer, role text, content text, tool_calls jsonb, tool_results jsonb
        );
        CREATE TABLE bench.session (
            id uuid PRIMARY KEY, owner text, place integer, messages integer,
            created_at timestamptz, is_old boolean
        );
        """
    )
    with connection.cursor().copy("COPY bench.sample FROM STDIN") as copy:
        for number, (role, content, *tools) in enumerate(_samples(rng)):
            json_or_null = (None if tool is None else Jsonb(tool) for tool in tools)
            copy.write_row([number, role, content, *json_or_null])
    copy_sessions(connection, "bench.session", groups, seed)
    connection.execute("ANALYZE bench.sample, bench.session")


def copy_sessions(
    connection: psycopg.Connection, table: str, groups: Sequence[Group], seed: int
) -> None:
    """Write a plan: which sessions there are, in random order, and when each begins.

    :param table: where to.
    """
    rng = random.Random(seed)
    sessions = [(group, place, size) for group in groups for place, size in enumerate(group.sizes)]
    rng.shuffle(sessions)
    with connection.cursor().copy(f"COPY {table} FROM STDIN") as copy:
        for number, (group, place, size) in enumerate(sessions):
            session_id = UUID(int=rng.getrandbits(128), version=4)
            begins = FIRST + number * BETWEEN_SESSIONS
            copy.write_row([session_id, group.name, place, size, begins, group.is_old])


def ids(connection: psycopg.Connection, group: str) -> list[UUID]:
    """Return the sessions of a group, in its order."""
    rows = connection.execute(
        "SELECT id FROM bench.session WHERE owner = %s ORDER BY place", [group]
    )
    return [row[0] for row in rows]


def contents(connection: psycopg.Connection, sessions: str, messages: str, group: str) -> Contents:
    """Look what of a group is in a pair of tables.

    :param sessions: the table of the sessions, with its schema.
    :param messages: the table of the messages.
    :param group: its name.
    """
    planned = "JOIN bench.session AS planned ON planned.owner = %(group)s AND planned.id"
    row = connection.execute(
        f"""
        SELECT
            (SELECT count(*) FROM {sessions} AS session {planned} = session.id),
            count(*),
            coalesce(sum(hashtextextended(message.id::text || message.content, 0)), 0)
        FROM {messages} AS message {planned} = message.session_id
        """,
        {"group": group},
    ).fetchall()[0]
    return Contents(row[0], row[1], int(row[2]))


def _samples(rng: random.Random) -> Iterator[Sample]:
    if CONVERSATIONS:
        with gzip.open(CONVERSATIONS, "rt", encoding="utf-8") as file:
            for line in file:
                for message in json.loads(line)["messages"]:
                    tools = (message.get(name) for name in ("tool_calls", "tool_results"))
                    yield message["role"], message["content"], *tools
        return
    for number in range(SAMPLES):
        content = _text(rng, _length(rng, CONTENT))
        if number % 2:
            yield "assistant", content, None, None
            continue
        calls = [{"name": "look_up", "arguments": _text(rng, _length(rng, CALLS) - 36)}]
        results = [{"name": "look_up", "content": _text(rng, _length(rng, RESULTS) - 34)}]
        yield "user", content, calls, results


def _length(rng: random.Random, lengths: Sequence[int]) -> int:
    """Draw from the distribution whose quantiles these are."""
    place = rng.random()
    upper = next(i for i, quantile in enumerate(QUANTILES) if quantile > place)
    part = (place - QUANTILES[upper - 1]) / (QUANTILES[upper] - QUANTILES[upper - 1])
    return round(lengths[upper - 1] + part * (lengths[upper] - lengths[upper - 1]))


def _text(rng: random.Random, length: int) -> str:
    words = " ".join(rng.choices(WORDS, k=length // 3 + 1))
    return words[:length]
