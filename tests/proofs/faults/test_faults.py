"""Nothing is lost, whatever is killed. The long run is ``python -m tests.proofs.faults``."""

import os
import random
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.proofs.faults.faults import FAULTS
from tests.proofs.faults.supervisor import Supervisor

pytestmark = pytest.mark.slow


@pytest.fixture
def seed() -> int:
    """The seed of the random choices: ``ARIA_FAULTS_SEED``, to repeat those of a run."""
    chosen = int(os.environ.get("ARIA_FAULTS_SEED") or random.randrange(2**32))
    print(f"ARIA_FAULTS_SEED={chosen}")
    return chosen


def test_whatever_is_killed_each_session_and_message_is_in_one_place(seed: int) -> None:
    with Supervisor(seed, report=print) as supervisor:
        assert supervisor.run(faults=20) == []

    assert supervisor.struck.keys() == FAULTS.keys()
    assert all(struck.times for struck in supervisor.struck.values())
    assert supervisor.struck["kill -9 of the postmaster"].recoveries > 0
    assert supervisor.struck["kill -9 of a backend"].recoveries > 0


# The law must be able to fail, and the kills must be able to hurt.


def test_an_archive_in_two_transactions_breaks_the_law(seed: int) -> None:
    roles, kinds = ["sql-writer", "breaks-the-law"], ["kill -9 of a client", "pg_terminate_backend"]
    with Supervisor(seed, roles, kinds, report=print) as supervisor:
        broken = supervisor.run(faults=20)

    # Before the delete it is in both places; what is written meanwhile goes with the delete, or
    # is archived beside a row of its session that does not know of it.
    consequences = ("live and archived", "and is gone", "and its messages are")
    assert any(consequence in line for line in broken for consequence in consequences), broken


def test_a_commit_that_is_not_durable_breaks_the_law(seed: int) -> None:
    kills = ["kill -9 of a backend", "kill -9 of the postmaster"]
    with Supervisor(seed, kinds=kills, report=print) as supervisor:
        supervisor.server.execute("ALTER SYSTEM SET synchronous_commit = off")
        supervisor.server.execute("SELECT pg_reload_conf()")
        broken = supervisor.run(faults=20)

    assert any("was acknowledged" in line for line in broken), broken


def test_a_deadlock_breaks_the_law(seed: int) -> None:
    lock = "SELECT pg_advisory_xact_lock(%s)"
    with Supervisor(seed, roles=[], report=print) as supervisor:
        transaction = supervisor.server.transaction
        with transaction() as one, transaction() as other, ThreadPoolExecutor() as pool:
            one.execute(lock, [1])
            other.execute(lock, [2])
            waiting = [pool.submit(one.execute, lock, [2]), pool.submit(other.execute, lock, [1])]
            errors = [type(ended.exception()) for ended in waiting]
        broken = supervisor.run(faults=0)

    assert psycopg.errors.DeadlockDetected in errors
    assert "there were 1 deadlocks" in broken
