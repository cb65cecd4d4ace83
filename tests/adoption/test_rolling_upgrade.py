"""A deploy rolls: programs of the first release call its functions while the newest is installed.

The statements are frozen as the first release sends them.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from uuid import UUID, uuid4

import psycopg
import pytest

from aria_db import migrate
from aria_db.database import Database
from tests.migrations.support import connected, one, upgrade
from tests.support import is_blocked, new_session

ARCHIVE = """
    SELECT id, archived_at, message_count, newly_archived
    FROM archive_session(%(id)s::UUID)
"""
ARCHIVE_SEVERAL = """
    SELECT id, archived_at, message_count, newly_archived
    FROM archive_sessions(%(ids)s::UUID[])
"""
RESTORE = """
    SELECT id, restored_at, message_count, newly_restored
    FROM restore_session(%(id)s::UUID)
"""
DRIFT = "SELECT live_table, column_name, problem FROM archive_column_drift()"
LIST = """
    SELECT id, agent_id, session_type, title, system_prompt, model, temperature, max_tokens,
        context_window, status, message_count, total_tokens, total_cost, metadata, created_at,
        updated_at, ended_at
    FROM engine_chat_session_list ORDER BY updated_at DESC, id DESC LIMIT 20
"""
ARCHIVE_LIST = """
    SELECT archived_at, id, agent_id, session_type, title, system_prompt, model, temperature,
        max_tokens, context_window, status, message_count, total_tokens, total_cost, metadata,
        created_at, updated_at, ended_at
    FROM engine_chat_session_archive_list ORDER BY archived_at DESC, id DESC LIMIT 20
"""
ALL = "SELECT archived_at, id, status FROM engine_chat_session_all WHERE id = %(id)s::UUID"

# Those of revision 0003.
PRUNE = """
    SELECT sessions, messages
    FROM prune_sessions(%(older_than)s::INTERVAL, %(session_type)s::TEXT, 500::INTEGER)
"""
COUNT = """
    SELECT of_type, sessions, messages, held, conflicting
    FROM count_prunable_sessions(%(older_than)s::INTERVAL, %(session_type)s::TEXT)
"""
HOLD = """
    SELECT id, hold_reason, placed_by, placed_at FROM place_hold(%(id)s::UUID, 'asked'::TEXT)
"""
RELEASE = "SELECT release_hold(%(id)s::UUID)"
PURGE = "SELECT sessions, messages FROM purge_archive('nothing'::TEXT, 500::INTEGER)"
BEGIN_RUN = "SELECT begin_archive_run('prune'::TEXT, '{}'::JSONB)"
RECORD_BATCH = "SELECT record_archive_batch(%(run)s::BIGINT, 1::BIGINT, 3::BIGINT)"
FINISH_RUN = "SELECT finish_archive_run(%(run)s::BIGINT, 'nothing left'::TEXT, NULL::TEXT)"
HEALTH = "SELECT figure, subject, reading, is_ok, remedy FROM engine_archive_health"
CALL_PRUNE = "CALL prune_old_sessions(INTERVAL '100 years', NULL::TEXT, 500)"


class Client:
    """A program of the first release, on a connection of its own."""

    def __init__(self, database: Database, revision: str, stop: threading.Event) -> None:
        self.connection = psycopg.connect(
            database.libpq_url(), autocommit=True, options="-c lock_timeout=5s"
        )
        self.knows_retention = revision != "0002"
        self.stop = stop
        self.rounds = 0

    def work(self) -> None:
        with self.connection:
            while not self.stop.is_set():
                self.archive_and_restore()
                if self.knows_retention:
                    self.prune_and_hold()
                self.rounds += 1

    def ask(self, statement: str, **arguments: object) -> list[tuple]:
        return self.connection.execute(statement, arguments).fetchall()

    def archive_and_restore(self) -> None:
        session_id = new_session(self.connection)
        other_id = new_session(self.connection)
        ((found, first, messages, is_new),) = self.ask(ARCHIVE, id=session_id)
        assert (found, messages, is_new) == (session_id, 3, True)
        ((_, again, _, is_new),) = self.ask(ARCHIVE, id=session_id)
        assert (again, is_new) == (first, False)
        assert len(self.ask(ARCHIVE_SEVERAL, ids=[session_id, other_id, uuid4()])) == 2
        self.ask(LIST)
        assert self.ask(ARCHIVE_LIST)
        ((archived_at, *_),) = self.ask(ALL, id=session_id)
        assert archived_at == first
        for each in (session_id, other_id):
            ((_, _, messages, is_new),) = self.ask(RESTORE, id=each)
            assert (messages, is_new) == (3, True)
        assert self.ask(DRIFT) == []
        self.delete(session_id, other_id)

    def prune_and_hold(self) -> None:
        session_id = new_session(
            self.connection, session_type=f"{self.connection.info.backend_pid}"
        )
        wanted = {"older_than": "0.001 ms", "session_type": str(self.connection.info.backend_pid)}
        ((_, reason, *_),) = self.ask(HOLD, id=session_id)
        assert reason == "asked"
        ((_, sessions, _, held, _),) = self.ask(COUNT, **wanted)
        assert (sessions, held) == (0, 1)
        assert self.ask(RELEASE, id=session_id) == [(True,)]
        ((run,),) = self.ask(BEGIN_RUN)
        assert self.ask(PRUNE, **wanted) == [(1, 3)]
        self.ask(RECORD_BATCH, run=run)
        self.ask(FINISH_RUN, run=run)
        assert self.ask(HEALTH)
        self.connection.execute(CALL_PRUNE)
        self.ask(RESTORE, id=session_id)
        self.delete(session_id)

    def delete(self, *ids: UUID) -> None:
        for session_id in ids:
            self.connection.execute("DELETE FROM engine_chat_sessions WHERE id = %s", [session_id])


@contextmanager
def calling(database: Database, revision: str) -> Iterator[tuple[list[Client], list[Future]]]:
    """Let three programs of a revision work; in the end, no call may have failed."""
    stop = threading.Event()
    clients = [Client(database, revision, stop) for _ in range(3)]
    with ThreadPoolExecutor(max_workers=len(clients)) as threads:
        working = [threads.submit(client.work) for client in clients]
        try:
            yield clients, working
        finally:
            stop.set()
    for work in working:
        work.result()


def wait_for_rounds(
    clients: list[Client],
    working: list[Future],
    observer: psycopg.Connection,
    rounds: int,
    or_blocked: bool = False,
) -> None:
    """Return when each client has done more rounds (or waits for a lock), or one has failed."""
    pause = threading.Event()
    for client, work in zip(clients, working, strict=True):
        wanted = client.rounds + rounds
        pid = client.connection.info.backend_pid
        while client.rounds < wanted and not work.done():
            if or_blocked and is_blocked(observer, pid):
                break
            pause.wait(0.01)


@pytest.mark.parametrize("revision", ["0002", "0003"])
def test_no_call_of_a_client_of_the_first_release_fails_while_the_newest_is_installed(
    revision: str, empty_database: Database, postgresql_empty: psycopg.Connection
) -> None:
    postgresql_empty.autocommit = True
    observer = postgresql_empty
    upgrade(empty_database, revision)
    ids = [new_session(observer) for _ in range(300)]
    observer.execute("SELECT archive_sessions(%s)", [ids[:100]])

    with calling(empty_database, revision) as (clients, working):
        # Long enough for statements to be prepared, and for the functions to keep their plans.
        wait_for_rounds(clients, working, observer, rounds=8)
        with connected(empty_database) as connection, connection.begin():
            migrate.upgrade(connection)
            # They meet what is not committed yet, wait for it or go on with what was before.
            wait_for_rounds(clients, working, observer, rounds=2, or_blocked=True)
        wait_for_rounds(clients, working, observer, rounds=8)

    with connected(empty_database) as connection:
        assert migrate.status(connection).is_newest
    assert one(observer, "SELECT count(*) FROM engine_chat_sessions") == 200
    assert one(observer, "SELECT count(*) FROM engine_chat_messages") == 600
    assert one(observer, "SELECT count(*) FROM engine_chat_session_archive") == 100
    assert one(observer, "SELECT count(*) FROM engine_chat_message_archive") == 300


@pytest.mark.parametrize("revision", ["0002", "0003"])
def test_a_client_of_the_first_release_goes_on_after_the_upgrade_with_what_it_had_prepared(
    revision: str, empty_database: Database, postgresql_empty: psycopg.Connection
) -> None:
    postgresql_empty.autocommit = True
    upgrade(empty_database, revision)
    client = Client(empty_database, revision, threading.Event())
    with client.connection:
        for target in (revision, "head"):
            upgrade(empty_database, target)
            for _ in range(7):
                client.archive_and_restore()
                if client.knows_retention:
                    client.prune_and_hold()
