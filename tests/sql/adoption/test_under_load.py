"""An adoption while the application works: only the adoption may fail, and nobody waits long."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, permutations

import psycopg
import pytest

from aria_db import errors
from aria_db.database import Database
from tests.support import Connect, wait_until_blocked
from tests.support.adoption import adopt, whole_catalogue
from tests.support.application import Application
from tests.support.deployed import LACKING, OLDER_SHAPE, STANDARD, Layout
from tests.support.installation import one

pytestmark = pytest.mark.slow

# How long the adoption may wait in all, and so make others wait. A statement of the application
# that waits longer fails in these tests.
ITS_TIMEOUT = "5s"

# The adoption must give up before PostgreSQL finds a deadlock with it; where it does not, the
# test fails soon.
SETTINGS = f"-c lock_timeout={ITS_TIMEOUT} -c deadlock_timeout=200ms"


@dataclass
class Writer:
    """A connection of the application that works until it is told to stop."""

    application: Application
    connection: psycopg.Connection
    stop: threading.Event
    rounds: int = 0
    pruned: int = 0

    def work(self) -> None:
        for number in count():
            if self.stop.is_set():
                return
            self.round(number)
            self.rounds += 1

    def round(self, number: int) -> None:
        application, connection = self.application, self.connection
        session_id = application.insert_session(connection, title=f"under load {number}")
        for _ in range(3):
            application.insert_message(connection, session_id)
            application.count_message(connection, session_id)
        assert len(application.transcript(connection, session_id)) == 3
        if number % 3 == 0:
            with connection.transaction():
                application.copy(connection, [session_id], messages=True)
                application.delete(connection, session_id)
            assert len(application.archived(connection, session_id)[1]) == 3
            self.pruned += 1


@contextmanager
def writing(
    application: Application, connect: Connect, threads: ThreadPoolExecutor
) -> Iterator[list[Writer]]:
    """Let 4 connections of the application work; fail if one of them has failed."""
    stop = threading.Event()
    writers = [Writer(application, connect(options=SETTINGS), stop) for _ in range(4)]
    working = [threads.submit(writer.work) for writer in writers]
    try:
        wait_for_rounds(writers, working)
        yield writers
        wait_for_rounds(writers, working)
    finally:
        stop.set()
        for work in working:
            work.result()


def wait_for_rounds(writers: list[Writer], working: list[Future[None]], rounds: int = 4) -> None:
    """Return when each writer has done some more rounds, or one has failed."""
    wanted = [writer.rounds + rounds for writer in writers]
    pause = threading.Event()
    while any(writer.rounds < enough for writer, enough in zip(writers, wanted, strict=True)):
        if any(work.done() for work in working):
            return  # the caller asks for its result
        pause.wait(0.01)


def adopt_in_the_end(database: Database) -> int:
    """Adopt as often as it takes; return how often it gave up."""
    for attempts in range(10):
        try:
            adopt(database)
        except errors.Retryable:
            continue
        return attempts
    raise AssertionError("10 attempts at the adoption gave up")


@pytest.mark.parametrize(
    "layout",
    [STANDARD, LACKING, OLDER_SHAPE],
    ids=["lay views", "alter an archive", "replace the archives"],
    indirect=True,
)
def test_a_database_is_adopted_while_four_connections_write_and_none_of_them_fails(
    database: Database,
    connect: Connect,
    connection: psycopg.Connection,
    application: Application,
    threads: ThreadPoolExecutor,
    layout: Layout,
) -> None:
    with writing(application, connect, threads) as writers:
        adopt_in_the_end(database)
        # Once more: an adoption that has nothing to do must not disturb either.
        adopt_in_the_end(database)

    pruned = sum(writer.pruned for writer in writers)
    title = "title LIKE 'under load %'"
    assert pruned > 0
    archived = f"SELECT count(*) FROM {layout.tables.session_archive} WHERE {title}"
    assert one(connection, archived) == pruned
    live = f"SELECT count(*) FROM {layout.tables.sessions} WHERE {title}"
    assert one(connection, live) == sum(writer.rounds for writer in writers) - pruned
    assert one(connection, "SELECT count(*) FROM archive_column_drift()") == 0


@pytest.mark.parametrize(
    "layout",
    [LACKING, OLDER_SHAPE],
    ids=["alter an archive", "replace the archives"],
    indirect=True,
)
def test_behind_a_long_transaction_an_adoption_gives_up_in_time_and_others_go_on(
    database: Database,
    connect: Connect,
    connection: psycopg.Connection,
    application: Application,
    threads: ThreadPoolExecutor,
    layout: Layout,
) -> None:
    before = whole_catalogue(connection)
    with connect(autocommit=False) as long_transaction:
        long_transaction.execute(f"DELETE FROM {layout.tables.message_archive} WHERE id IS NULL")
        with (
            writing(application, connect, threads),
            pytest.raises(errors.Retryable, match=r"could not lock .*archive within 5s") as gave_up,
        ):
            adopt(database)

    assert gave_up.value.hint
    assert whole_catalogue(connection) == before
    adopt(database)


def test_an_adoption_that_only_lays_views_does_not_wait_for_a_long_transaction(
    database: Database, connect: Connect, layout: Layout
) -> None:
    with connect(autocommit=False) as long_transaction:
        for table in layout.tables:
            long_transaction.execute(f"DELETE FROM {table} WHERE id IS NULL")
        adopt(database)


def test_an_adoption_waits_for_a_migration_of_the_application_and_sees_its_column(
    database: Database,
    connect: Connect,
    connection: psycopg.Connection,
    threads: ThreadPoolExecutor,
    layout: Layout,
) -> None:
    """The migration is still open when the adoption begins."""
    with connect(autocommit=False) as migration:
        migration.execute(f"ALTER TABLE {layout.tables.messages} ADD COLUMN mood text")
        adopting = threads.submit(adopt, database)
        wait_until_blocked(connection, backend_waiting_for(connection, migration))
        migration.commit()

    adopting.result()
    assert one(connection, "SELECT count(*) FROM archive_column_drift()") == 0
    assert one(connection, f"SELECT count(mood) FROM {layout.tables.message_archive}") == 0


def backend_waiting_for(observer: psycopg.Connection, holder: psycopg.Connection) -> int:
    """Wait until a backend waits for this one; return its pid."""
    pause = threading.Event()
    for _ in range(1000):
        waiting = one(
            observer,
            "SELECT pid FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))",
            holder.info.backend_pid,
        )
        if isinstance(waiting, int):
            return waiting
        pause.wait(0.01)
    raise AssertionError("no backend waits")


def writes(table: str) -> Callable[[psycopg.Connection], object]:
    """Return a function that locks a table for writing."""
    return lambda connection: connection.execute(f"DELETE FROM {table} WHERE id IS NULL")


# The moves and the application's prune take the tables in their own order; other transactions in
# any order. Only the archives, here 2 and 3, make anyone wait for an adoption.
ORDERS = [order for order in permutations(range(4), 2) if max(order) > 1 and sum(order) != 3]


@pytest.mark.parametrize("layout", [LACKING, OLDER_SHAPE], ids=["A", "B"], indirect=True)
@pytest.mark.parametrize(
    "order", ORDERS, ids=[f"{first} then {second}" for first, second in ORDERS]
)
def test_a_transaction_that_uses_one_table_and_then_another_is_not_the_victim_of_an_adoption(
    order: tuple[int, int],
    database: Database,
    connect: Connect,
    connection: psycopg.Connection,
    threads: ThreadPoolExecutor,
    layout: Layout,
) -> None:
    if layout == LACKING:  # now both archives lack a column, and must be altered
        connection.execute(f"ALTER TABLE {layout.tables.sessions} ADD COLUMN mood text")
    first, second = (layout.tables[place] for place in order)
    with connect(autocommit=False, options=SETTINGS) as transaction:
        writes(first)(transaction)
        adopting = threads.submit(adopt, database)
        wait_until_it_waits_or_is_done(connection, transaction, adopting)
        writes(second)(transaction)
        transaction.commit()

    try:
        adopting.result()
    except errors.Retryable:
        adopt(database)


def wait_until_it_waits_or_is_done(
    observer: psycopg.Connection, holder: psycopg.Connection, adopting: Future[None]
) -> None:
    pause = threading.Event()
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))"
    while not adopting.done() and not one(observer, waiting, holder.info.backend_pid):
        pause.wait(0.01)


@pytest.mark.parametrize("layout", [LACKING], ids=["both archives"], indirect=True)
def test_nobody_waits_long_behind_an_adoption_that_cannot_get_its_locks(
    database: Database,
    connect: Connect,
    connection: psycopg.Connection,
    threads: ThreadPoolExecutor,
    layout: Layout,
) -> None:
    # So that both archives must be altered, and one of them cannot be locked.
    connection.execute(f"ALTER TABLE {layout.tables.sessions} ADD COLUMN mood text")
    holder = connect(autocommit=False)
    writes(layout.tables.message_archive)(holder)
    writer = connect(options="-c lock_timeout=2s")

    adopting = threads.submit(adopt, database)
    while not adopting.done():
        writes(layout.tables.session_archive)(writer)
        writes(layout.tables.message_archive)(writer)

    with pytest.raises(errors.Retryable, match=r"could not lock .* within 5s"):
        adopting.result()
    holder.commit()
