"""The functions of this package do not deadlock with each other, whatever the order of ids.

``test_orders.py`` shows it for two and three at a time, in every order of their steps: no client
may be answered 40P01 there. Here many call at once, and anything may meet within the statements.
"""

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from tests.proofs.isolation.isolationtester import Laboratory
from tests.support import new_session
from tests.support.layouts import BOTH_LAYOUTS

pytestmark = pytest.mark.slow

CLIENTS = 8
SESSIONS = 12
# How often they begin again, at most, until every function has done something.
ROUNDS = 10

# A function's part in the crowd, and how often it is called. Sessions are taken away for good, and
# new ones take their places.
CALLS = {
    "archive": ("SELECT FROM archive_sessions(%(some)s, actor => %(actor)s)", 4),
    "restore": ("SELECT FROM restore_session(%(one)s, %(actor)s)", 4),
    "restore_both": ("SELECT FROM restore_sessions(%(some)s, actor => %(actor)s)", 4),
    "prune": ("SELECT FROM prune_sessions(batch_size => 4, actor => %(actor)s)", 2),
    "purge": ("SELECT FROM purge_archive(batch_size => 2, actor => %(actor)s)", 1),
    "delete_chat": ("SELECT FROM delete_chat_session(%(one)s, %(actor)s)", 1),
    "delete_archived": ("SELECT FROM delete_archived_session(%(one)s, %(actor)s)", 1),
    "hold": ("SELECT FROM place_hold(%(one)s, 'asked', %(actor)s)", 1),
    "release": ("SELECT release_hold(%(one)s, %(actor)s)", 2),
    "create": (None, 4),
}

# Told to try again, or that the session is on hold.
ANSWERS = {"40001", "55P03", "AR003"}


@BOTH_LAYOUTS
@pytest.mark.parametrize("seconds", [4, pytest.param(60, marks=pytest.mark.deep)])
def test_eight_clients_that_call_every_function_with_overlapping_ids_never_deadlock(
    laboratory: Laboratory, seconds: int
) -> None:
    def old_session(connection: psycopg.Connection) -> UUID:
        updated_at = datetime.now(UTC) - timedelta(days=random.randint(100, 200))
        with connection.transaction():
            return new_session(connection, 3, system_prompt="first", updated_at=updated_at)

    with psycopg.connect(laboratory.conninfo, autocommit=True) as connection:
        connection.execute("SET application_name = 'create'")
        ids = [old_session(connection) for _ in range(SESSIONS)]

    def work(number: int, until: float) -> Counter[tuple[str, str]]:
        answers: Counter[tuple[str, str]] = Counter()
        chance = chances[number]
        with psycopg.connect(laboratory.conninfo, autocommit=True) as connection:
            connection.execute("SET lock_timeout = '10s'")
            while time.monotonic() < until:
                (name,) = chance.choices(list(CALLS), [often for _, often in CALLS.values()])
                actor = f"{name}_{number}"
                connection.execute(f"SET application_name = {actor}")
                statement, _ = CALLS[name]
                try:
                    if statement is None:
                        ids[chance.randrange(SESSIONS)] = old_session(connection)
                    else:
                        some = chance.sample(ids, chance.randint(2, SESSIONS))
                        values = {"some": some, "one": some[0], "actor": actor}
                        connection.execute(statement, values)
                except psycopg.Error as error:
                    answers[name, str(error.sqlstate)] += 1
                else:
                    answers[name, "done"] += 1
        return answers

    chances = [random.Random(number) for number in range(CLIENTS)]
    answers: Counter[tuple[str, str]] = Counter()
    for _ in range(ROUNDS):
        until = time.monotonic() + seconds
        with ThreadPoolExecutor(CLIENTS) as threads:
            for counts in threads.map(work, range(CLIENTS), [until] * CLIENTS):
                answers += counts
        # On a busy machine some function may not have found anything yet.
        acting = set(laboratory.ask("SELECT DISTINCT role FROM ledger"))
        if acting == set(CALLS):
            break

    assert {sqlstate for _, sqlstate in answers} <= ANSWERS | {"done"}, answers
    assert {name for name, answer in answers if answer == "done"} == set(CALLS), answers
    assert laboratory.deadlocks() == 0
    assert laboratory.violations() == []
    assert acting == set(CALLS)
