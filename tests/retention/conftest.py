"""Rows that are due, connections that can be made to wait for each other, and a role."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import psycopg
import pytest

from tests.conftest import Connect
from tests.retention.support import StartBlocked
from tests.support import temporary_role, wait_until_blocked

# What hangs fails. Nothing here takes as long.
STATEMENT_TIMEOUT = "60s"


@pytest.fixture
def connect(connect: Connect) -> Connect:
    """Open connections as the outer fixture does, whose statements end."""

    def open_connection(options: str = "", **others: object) -> psycopg.Connection:
        options = f"-c statement_timeout={STATEMENT_TIMEOUT} {options}"
        return connect(options=options, **others)

    return open_connection


@pytest.fixture
def other(connect: Connect) -> psycopg.Connection:
    """A second connection, in autocommit mode."""
    return connect()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Threads for calls on several connections at once."""
    with ThreadPoolExecutor(max_workers=16) as executor:
        yield executor


@pytest.fixture
def start_blocked(threads: ThreadPoolExecutor, connect: Connect) -> StartBlocked:
    """Start ``call(connection, ...)`` in a thread; return once it waits for a lock."""
    observer = connect()

    def start(call: object, own: psycopg.Connection, *args: object, **named: object) -> Future:
        future = threads.submit(call, own, *args, **named)
        try:
            wait_until_blocked(observer, own.info.backend_pid)
        except AssertionError:
            own.cancel_safe()
            raise
        return future

    return start


@pytest.fixture
def role(connection: psycopg.Connection) -> Iterator[str]:
    """A role that calls."""
    with temporary_role(connection) as name:
        yield name


@pytest.fixture
def owner(connection: psycopg.Connection) -> Iterator[str]:
    """A role that owns what is called, and may do nothing else."""
    with temporary_role(connection) as name:
        yield name
