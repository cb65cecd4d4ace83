"""One who writes messages, in a process of its own, which imports no more than this."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier, Event
from uuid import UUID

import psycopg

# Messages a second: a busy chat, and not a server that has no time left.
RATE = 50.0
# Inserts before it is measured: the statement is prepared then.
WARM_UP = 20

INSERT = (
    "INSERT INTO engine_chat_messages (session_id, role, content, created_at)"
    " VALUES (%s, 'user', %s, clock_timestamp())"
)
CONTENT = "Could you look at the report again, please?"


@dataclass(frozen=True)
class Insert:
    """An insert, by the clock that all processes share.

    :param began: when it was sent, in seconds.
    :param took: until it was committed, in seconds.
    """

    began: float
    took: float


def write(
    url: str,
    sessions: Sequence[UUID],
    seed: int,
    ready: Barrier,
    stop: Event,
    sender: Connection,
) -> None:
    """Insert messages at random moments until the parent ends it; then send what was measured.

    :param url: of the database.
    :param sessions: where the messages go.
    :param seed: of the moments.
    :param ready: where to wait for the others before the first measured message.
    :param stop: tells to stop.
    :param sender: gets the list of inserts.
    """
    rng = random.Random(seed)
    inserts = []
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(WARM_UP):
            inserts.append(_insert(connection, rng.choice(sessions)))
        ready.wait(timeout=60)
        while not stop.is_set():
            # People do not write faster after a wait: what was late is not made up for.
            time.sleep(rng.expovariate(RATE))
            inserts.append(_insert(connection, rng.choice(sessions)))
    sender.send(inserts)
    sender.close()


def _insert(connection: psycopg.Connection, session_id: UUID) -> Insert:
    began = time.perf_counter()
    connection.execute(INSERT, [session_id, CONTENT])
    return Insert(began, time.perf_counter() - began)
