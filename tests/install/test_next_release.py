"""A deploy rolls: programs of 0.1.0 work on while a made-up next release comes and goes.

Their statements are frozen as 0.1.0 sends them. As the manager does, they repeat a batch of the
prune or the purge that met a lock for 100 ms.
"""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from uuid import uuid4

import psycopg
import pytest

from aria_db.database import Database
from aria_db.install import sql_objects
from tests.support import new_session
from tests.support.installation import REVISIONS, Catalogue, catalogue, one
from tests.support.next_release import (
    GROWN_FUNCTION,
    GROWN_TABLE,
    GROWN_VIEW,
    REVISION,
    NextRelease,
)

pytestmark = pytest.mark.slow

ARCHIVE = """
    SELECT id, archived_at, message_count, newly_archived
    FROM archive_session(%(id)s::UUID, %(actor)s::TEXT)
"""
ARCHIVE_SEVERAL = """
    SELECT id, archived_at, message_count, newly_archived
    FROM archive_sessions(%(ids)s::UUID[], %(run)s::BIGINT, %(actor)s::TEXT)
"""
RESTORE = """
    SELECT id, restored_at, message_count, newly_restored, due_from
    FROM restore_session(%(id)s::UUID, %(actor)s::TEXT)
"""
RESTORE_SEVERAL = """
    SELECT id, restored_at, message_count, newly_restored, due_from
    FROM restore_sessions(%(ids)s::UUID[], NULL::BIGINT, %(actor)s::TEXT)
"""
DELETE = """
    SELECT id, deleted_at, message_count FROM delete_chat_session(%(id)s::UUID, NULL::TEXT)
"""
DELETE_ARCHIVED = """
    SELECT id, deleted_at, message_count FROM delete_archived_session(%(id)s::UUID, NULL::TEXT)
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
ESTIMATE = """
    SELECT estimate_sessions('archive'::TEXT, NULL::TEXT, NULL::TEXT, NULL::TIMESTAMPTZ,
        NULL::TIMESTAMPTZ)
"""
PRUNE = """
    SELECT sessions, messages, left_behind
    FROM prune_sessions(%(older_than)s::INTERVAL, %(session_type)s::TEXT, 500::INTEGER,
        %(run)s::BIGINT, NULL::TEXT)
"""
COUNT = """
    SELECT of_type, sessions, messages, held, conflicting
    FROM count_prunable_sessions(%(older_than)s::INTERVAL, %(session_type)s::TEXT)
"""
HOLD = """
    SELECT id, hold_reason, placed_by, placed_at
    FROM place_hold(%(id)s::UUID, 'asked'::TEXT, %(actor)s::TEXT)
"""
RELEASE = "SELECT release_hold(%(id)s::UUID, NULL::TEXT)"
PURGE = """
    SELECT sessions, messages
    FROM purge_archive(NULL::TEXT, 500::INTEGER, NULL::BIGINT, NULL::TEXT)
"""
BEGIN_RUN = "SELECT begin_archive_run(%(kind)s::TEXT, '{}'::JSONB, %(actor)s::TEXT)"
FINISH_RUN = "SELECT finish_archive_run(%(run)s::BIGINT, 'nothing left'::TEXT, NULL::TEXT)"
RUNS = """
    SELECT id, kind, started_by, role, started_at, last_batch_at, finished_at, batches, sessions,
        messages, stop_reason, error, arguments, state
    FROM engine_archive_run_list WHERE id = %(run)s::BIGINT
"""
HEALTH = """
    SELECT figure, subject, value, unit, is_ok, reading, remedy FROM engine_archive_health
"""
CONFLICTS = """
    SELECT session_id, title, archived_at, session_rows, messages_live, messages_archive,
        messages_equal, messages_different
    FROM engine_session_conflict WHERE session_id = %(id)s::UUID
"""
DIFFERENCES = """
    SELECT message_id, difference, column_name, live_value, archive_value
    FROM session_conflict_differences(%(id)s::UUID)
"""
RESOLVE = """
    SELECT id, place, message_count, newly_resolved
    FROM resolve_session_conflict(%(id)s::UUID, 'live'::TEXT, NULL::TEXT, NULL::TEXT)
"""
VERIFY = "SELECT finding FROM verify_archive(now()::TIMESTAMPTZ)"
PRUNE_NOTHING = """
    SELECT sessions, messages, left_behind
    FROM prune_sessions('100 years'::INTERVAL, NULL::TEXT, 500::INTEGER, NULL::BIGINT, NULL::TEXT)
"""
CALL_PRUNE = "CALL prune_old_sessions(INTERVAL '100 years', NULL::TEXT, 500)"

# Those of the next release.
ARCHIVE_WITH_NOTE = """
    SELECT id, archived_at, message_count, newly_archived
    FROM archive_session(%(id)s::UUID, %(actor)s::TEXT, 'a note'::TEXT)
"""
RUN_NOTES = "SELECT id, note FROM engine_archive_run_list ORDER BY id DESC LIMIT 1"

# A role belongs to the server, which other workers use, too.
CLIENT_ROLE = f"rolling_client_{os.getpid()}"


class Client:
    """A program of 0.1.0, on a connection of its own, with no privilege but what was granted."""

    def __init__(self, database: Database, stop: threading.Event) -> None:
        self.connection = psycopg.connect(
            database.libpq_url(), autocommit=True, options="-c lock_timeout=10s"
        )
        self.connection.execute(f"SET ROLE {CLIENT_ROLE}")
        self.stop = stop
        self.rounds = 0

    def work(self) -> None:
        with self.connection:
            while not self.stop.is_set():
                self.round()
                self.rounds += 1

    def round(self) -> None:
        self.archive_and_restore()
        self.prune_and_hold()
        self.look()

    def ask(self, statement: str, **arguments: object) -> list[tuple]:
        return self.connection.execute(statement, {"actor": "client", **arguments}).fetchall()

    def retry(self, statement: str, **arguments: object) -> list[tuple]:
        """Ask as the manager does for a batch: a prune or a purge waits 100 ms for a lock."""
        for _ in range(100):
            try:
                return self.ask(statement, **arguments)
            except psycopg.errors.LockNotAvailable:
                self.stop.wait(0.1)
        raise AssertionError("a lock was held for more than 10 s")

    def archive_and_restore(self) -> None:
        session_id = new_session(self.connection)
        other_id = new_session(self.connection)
        ((found, first, messages, is_new),) = self.ask(ARCHIVE, id=session_id)
        assert (found, messages, is_new) == (session_id, 3, True)
        ((_, again, _, is_new),) = self.ask(ARCHIVE, id=session_id)
        assert (again, is_new) == (first, False)
        ((run,),) = self.ask(BEGIN_RUN, kind="archive")
        assert len(self.ask(ARCHIVE_SEVERAL, ids=[session_id, other_id, uuid4()], run=run)) == 2
        self.ask(FINISH_RUN, run=run)
        ((_, _, by, *_, sessions, moved, _, _, _, state),) = self.ask(RUNS, run=run)
        assert (by, sessions, moved, state) == ("client", 1, 3, "finished")
        ((_, _, messages, is_new, _),) = self.ask(RESTORE, id=session_id)
        assert (messages, is_new) == (3, True)
        restored = self.ask(RESTORE_SEVERAL, ids=[session_id, other_id])
        assert {row[0]: row[3] for row in restored} == {session_id: False, other_id: True}
        self.ask(ARCHIVE, id=other_id)
        assert len(self.ask(DELETE, id=session_id)) == 1
        assert len(self.ask(DELETE_ARCHIVED, id=other_id)) == 1

    def prune_and_hold(self) -> None:
        session_type = f"{self.connection.info.backend_pid}"
        session_id = new_session(self.connection, session_type=session_type)
        wanted = {"older_than": "0.001 ms", "session_type": session_type}
        ((_, reason, by, _),) = self.ask(HOLD, id=session_id)
        assert (reason, by) == ("asked", "client")
        ((_, sessions, _, held, _),) = self.ask(COUNT, **wanted)
        assert (sessions, held) == (0, 1)
        assert self.ask(RELEASE, id=session_id) == [(True,)]
        ((run,),) = self.ask(BEGIN_RUN, kind="prune")
        assert self.retry(PRUNE, run=run, **wanted) == [(1, 3, 0)]
        self.ask(FINISH_RUN, run=run)
        assert len(self.ask(DELETE_ARCHIVED, id=session_id)) == 1

    def look(self) -> None:
        assert self.retry(PRUNE_NOTHING) == [(0, 0, 0)]
        assert self.retry(PURGE) == [(0, 0)]
        assert self.ask(DRIFT) == []
        assert self.ask(VERIFY) == []
        assert self.ask(HEALTH)
        self.ask(LIST)
        self.ask(ARCHIVE_LIST)
        self.ask(ESTIMATE)
        assert self.ask(CONFLICTS, id=uuid4()) == []
        assert self.ask(DIFFERENCES, id=uuid4()) == []
        assert self.ask(RESOLVE, id=uuid4()) == []


class NewClient(Client):
    """A program of the next release: it also uses what has grown."""

    def round(self) -> None:
        super().round()
        session_id = new_session(self.connection)
        ((_, _, messages, is_new),) = self.ask(ARCHIVE_WITH_NOTE, id=session_id)
        assert (messages, is_new) == (3, True)
        assert self.ask(DELETE_ARCHIVED, id=session_id)
        ((_, note),) = self.ask(RUN_NOTES)
        assert note is None


@contextmanager
def calling(
    database: Database, kind: type[Client], count: int
) -> Iterator[tuple[list[Client], list[Future]]]:
    """Let programs work; in the end, no call may have failed."""
    stop = threading.Event()
    clients = [kind(database, stop) for _ in range(count)]
    with ThreadPoolExecutor(max_workers=count) as threads:
        working = [threads.submit(client.work) for client in clients]
        try:
            yield clients, working
        finally:
            stop.set()
    for work in working:
        work.result()


def wait_for_rounds(clients: list[Client], working: list[Future], rounds: int) -> None:
    """Return when each client has done more rounds, or one has failed."""
    pause = threading.Event()
    for client, work in zip(clients, working, strict=True):
        wanted = client.rounds + rounds
        while client.rounds < wanted and not work.done():
            pause.wait(0.01)


@pytest.fixture(scope="module")
def next_release(tmp_path_factory: pytest.TempPathFactory) -> NextRelease:
    return NextRelease(tmp_path_factory.mktemp("next_release"), REVISIONS[-1])


@pytest.fixture
def granted(connection: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """The test's database with a role that is an operator and uses the live tables."""
    connection.execute(f"CREATE ROLE {CLIENT_ROLE}")
    try:
        connection.execute(f"SELECT grant_archive_access('{CLIENT_ROLE}', 'operator')")
        connection.execute(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON engine_chat_sessions, engine_chat_messages"
            f" TO {CLIENT_ROLE}"
        )
        yield connection
    finally:
        connection.execute(f"DROP OWNED BY {CLIENT_ROLE}")
        connection.execute(f"DROP ROLE {CLIENT_ROLE}")


def counts(connection: psycopg.Connection) -> list[object]:
    tables = (
        *("engine_chat_sessions", "engine_chat_messages"),
        *("engine_chat_session_archive", "engine_chat_message_archive"),
    )
    return [one(connection, f"SELECT count(*) FROM {table}") for table in tables]


def test_no_call_of_a_client_fails_while_the_next_release_is_installed_used_and_taken_away(
    next_release: NextRelease, database: Database, granted: psycopg.Connection
) -> None:
    ids = [new_session(granted) for _ in range(30)]
    granted.execute("SELECT archive_sessions(%s)", [ids[:10]])
    before: Catalogue = catalogue(granted)

    with calling(database, Client, 2) as (clients, working):
        # Long enough for statements to be prepared, and for the functions to keep their plans.
        wait_for_rounds(clients, working, 8)
        next_release.run(database, "upgrade", "head")
        grown = catalogue(granted)
        with calling(database, NewClient, 1) as (new_clients, new_working):
            wait_for_rounds(new_clients, new_working, 6)
            wait_for_rounds(clients, working, 6)
        next_release.run(database, "downgrade", REVISIONS[-1])
        wait_for_rounds(clients, working, 6)

    assert counts(granted) == [20, 60, 10, 30]
    assert grown != before
    assert catalogue(granted) == before


def test_the_next_release_replaces_every_object_and_grows_one_of_each_kind(
    next_release: NextRelease, database: Database, granted: psycopg.Connection
) -> None:
    next_release.run(database, "upgrade", "head")

    assert one(granted, "SELECT version_num FROM aria_db_version") == REVISION
    held = catalogue(granted)
    comments = {
        name.partition("(")[0]: str(description[-1])
        for kind in ("functions", "relations")
        for name, description in held[kind].items()
    }
    for name, sql_object in sql_objects.newest().items():
        if sql_object.kind != "table":
            assert comments[name].endswith("Next release."), name
    assert f"{GROWN_FUNCTION}(uuid,text,text)" in held["functions"]
    assert f"{GROWN_FUNCTION}(uuid,text)" in held["functions"]
    assert f"{GROWN_VIEW}.note" in held["columns"]
    assert f"{GROWN_TABLE}.note" in held["columns"]


def test_no_grant_is_lost_to_the_next_release_and_back(
    next_release: NextRelease, database: Database, granted: psycopg.Connection
) -> None:
    privileges = """
        SELECT oid::regprocedure::text, has_function_privilege(%(role)s, oid, 'EXECUTE')
        FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL
        SELECT relname, has_table_privilege(%(role)s, oid, 'SELECT')
        FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')
    """

    def held() -> dict[str, bool]:
        return dict(granted.execute(privileges, {"role": CLIENT_ROLE}).fetchall())

    before = held()
    next_release.run(database, "upgrade", "head")
    grown = held()
    next_release.run(database, "downgrade", REVISIONS[-1])

    assert grown == before | {f"{GROWN_FUNCTION}(uuid,text,text)": True}
    assert held() == before


def test_a_client_goes_on_after_the_upgrade_with_what_it_had_prepared(
    next_release: NextRelease, database: Database, granted: psycopg.Connection
) -> None:
    client = Client(database, threading.Event())
    with client.connection:
        for arguments in (("upgrade", "head"), ("downgrade", REVISIONS[-1])):
            for _ in range(7):
                client.round()
                client.connection.execute(CALL_PRUNE)
            next_release.run(database, *arguments)
        client.round()
        client.connection.execute(CALL_PRUNE)


def test_an_upgrade_behind_a_long_transaction_gives_up_and_no_call_of_others_fails(
    next_release: NextRelease, database: Database, granted: psycopg.Connection
) -> None:
    before = catalogue(granted)
    with psycopg.connect(database.libpq_url()) as reader:
        reader.execute("SELECT FROM engine_archive_health")
        with calling(database, Client, 2) as (clients, working):
            wait_for_rounds(clients, working, 2)
            with pytest.raises(AssertionError, match="could not lock"):
                next_release.run(database, "upgrade", "head")
            wait_for_rounds(clients, working, 2)

    assert catalogue(granted) == before
