"""POST /archive: 16 clients of the API, against 16 that call the function over bare psycopg."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from typing import Any
from uuid import UUID

import httpx
import psycopg

from aria_db.database import Database
from bench import data, layouts
from bench.measure import Result, Run, Series, Setting, Target, blocking, by_turns, ratio
from tests.support.processes import serving

TITLE = "Archive sessions of 20 messages through the API, 16 clients at once"

CLIENTS = 16

AGAINST_BARE = Target(
    "sessions a second through POST /archive, against the function over bare psycopg",
    "at least",
    0.4,
)

PATH = "/api/engine/sessions"
FUNCTION = "SELECT archive_session(%s)"
HTTP, BARE = "POST /archive", "function"

Answer = tuple[int, bytes]
Requester = Callable[[str, str], Answer]
"""Sends a method and a path; gives the status and the body."""


async def run(setting: Setting) -> Result:
    """Measure."""
    rounds, warm_up = setting.pick(30, 3), setting.pick(3, 1)
    size = CLIENTS * setting.pick(20, 2)
    groups = [
        data.Group("background", data.spread(setting.pick(5_000, 50))),
        *(data.Group(name, [20] * ((rounds + warm_up) * size)) for name in (HTTP, BARE)),
    ]
    setting.say("laying out sessions")
    with layouts.laid_out(setting.server, "http_archive", groups) as (database, connection):
        layouts.OURS.warm(connection)
        expected = {name: layouts.OURS.live(connection, name) for name in (HTTP, BARE)}
        ids = {name: data.ids(connection, name) for name in expected}
        items = {
            name: [of[begin : begin + size] for begin in range(0, len(of), size)]
            for name, of in ids.items()
        }
        with serving(database) as server, ExitStack() as stack:
            pool = stack.enter_context(ThreadPoolExecutor(CLIENTS))
            subjects = {
                HTTP: at_once(
                    pool,
                    [
                        over_http(stack.enter_context(requesting(server.client.base_url)))
                        for _ in range(CLIENTS)
                    ],
                ),
                BARE: at_once(
                    pool, [bare(stack.enter_context(connected(database))) for _ in range(CLIENTS)]
                ),
            }
            setting.say(f"{rounds} rounds of {size} sessions each")
            times = await by_turns(setting, subjects, items, warm_up)
        for name in expected:
            layouts.OURS.check_moved(connection, name, expected[name])
    return Result(
        TITLE,
        {
            name: Series("sessions/s", [size * 1000 / took for took in of])
            for name, of in times.items()
        },
        # Times are the other way round than rates.
        [ratio(AGAINST_BARE, times[BARE], times[HTTP])],
        {"rounds": rounds, "sessions of a round": size, "clients": CLIENTS},
    )


def at_once(pool: ThreadPoolExecutor, clients: Sequence[Callable[[UUID], object]]) -> Run:
    """Let clients share the sessions of a round, each in a thread of its own.

    :param pool: has a thread for each.
    :param clients: what each does with a session.
    :return: takes the sessions.
    """

    def work(number: int, sessions: Sequence[UUID]) -> None:
        for session_id in sessions[number :: len(clients)]:
            clients[number](session_id)

    def round_of(sessions: Sequence[UUID]) -> None:
        jobs = [pool.submit(work, number, sessions) for number in range(len(clients))]
        for job in jobs:
            job.result()

    return blocking(round_of)


@contextmanager
def requesting(base_url: httpx.URL) -> Iterator[Requester]:
    """Give a client that keeps its connection.

    It is the standard library's: what the client computes, the server cannot, on the same cores.
    """
    with closing(HTTPConnection(base_url.host, base_url.port, timeout=60)) as connection:

        def request(method: str, path: str) -> Answer:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read()

        yield request


def over_http(request: Requester) -> Callable[[UUID], object]:
    """Archive through the API."""

    def archive(session_id: UUID) -> None:
        status, body = request("POST", f"{PATH}/{session_id}/archive")
        if status != 200:
            raise layouts.WronglyMoved(f"{session_id}: {status} {body!r}")

    return archive


def connected(database: Database) -> psycopg.Connection[Any]:
    """Connect without the API."""
    return psycopg.connect(database.libpq_url(), autocommit=True)


def bare(connection: psycopg.Connection[Any]) -> Callable[[UUID], object]:
    """Archive without the API."""
    return lambda session_id: connection.execute(FUNCTION, [session_id]).fetchall()
