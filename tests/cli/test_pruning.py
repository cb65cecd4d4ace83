"""prune: what it archives, prints and leaves, alone, beside others and when it is stopped."""

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from uuid import UUID

import psycopg
import pytest

from aria_db.database import Database
from tests.support import command_line, wait_until_something_is_blocked
from tests.support.command_line import Cli, document, finish, lines, refusal
from tests.support.retention import ARCHIVED, LIVE, how_many, runs, sessions_of_age


@pytest.fixture
def start(database: Database) -> partial[subprocess.Popen[bytes]]:
    """Start ``aria-db`` on the test's database."""
    return partial(command_line.start, DATABASE_URL=database.libpq_url())


# A batch of the prune waits for no row lock longer than 100 ms, but here for a test.
WAIT_AT_THE_END_OF_A_BATCH = """
    CREATE FUNCTION wait_for_the_test() RETURNS trigger LANGUAGE plpgsql
    SET lock_timeout = 0
    AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(NEW.id); RETURN NEW; END; $$;
    CREATE TRIGGER wait_for_the_test BEFORE UPDATE ON engine_archive_run
    FOR EACH ROW EXECUTE FUNCTION wait_for_the_test();
"""


@contextmanager
def run_log_locked(database: Database) -> Iterator[None]:
    """Let the batches of the runs that there are wait before their end."""
    with psycopg.connect(database.libpq_url(), autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(id) FROM engine_archive_run")
        connection.execute(WAIT_AT_THE_END_OF_A_BATCH)
        yield


def test_a_dry_run_counts_per_type_and_moves_nothing(
    cli: Cli, connection: psycopg.Connection
) -> None:
    due = sessions_of_age(connection, 2, "40 days") + sessions_of_age(
        connection, 1, "2 days", session_type="cron"
    )
    held, conflicting = sessions_of_age(connection, 2, "40 days")
    sessions_of_age(connection, 1, "1 days")
    connection.execute("SELECT place_hold(%s, 'a case')", (held,))
    connection.execute(
        "INSERT INTO engine_chat_session_archive"
        " (archived_at, id, agent_id, session_type, status)"
        " VALUES (now(), %s, 'other', 'chat', 'active')",
        [conflicting],
    )

    counted = document(cli("prune", "--dry-run", "--json"))
    printed = cli("prune", "--dry-run")

    figures = {tuple(of_type.values())[1:] for of_type in counted["types"]}
    assert counted["dry_run"] is True
    assert figures == {(1, 3, 0, 0, 0), (2, 6, 1, 1, 0)}
    assert "cron\t1\t3\t0\t0\t0" in lines(printed)
    told = "A prune would end 1 zombie, and archive 3 sessions with 9 messages\n"
    assert printed.stderr == told
    assert how_many(connection, due, LIVE) == 3
    assert runs(connection) == []


def test_a_prune_prints_a_line_per_batch_and_what_it_did(
    cli: Cli, connection: psycopg.Connection
) -> None:
    due, young = sessions_of_age(connection, 5, "40 days"), sessions_of_age(connection, 1, "1 days")

    outcome = cli("prune", "--batch-size", 2)

    assert lines(outcome) == [
        "batch 1: 2 sessions, 6 messages",
        "batch 2: 4 sessions, 12 messages",
        "batch 3: 5 sessions, 15 messages",
        "Archived 5 sessions with 15 messages in 3 batches: nothing left",
    ]
    assert outcome.stderr == ""
    assert how_many(connection, due, ARCHIVED) == 5
    assert how_many(connection, young, LIVE) == 1


@pytest.fixture
def immovable(connection: psycopg.Connection) -> list[UUID]:
    """Two due sessions that tables of the application refer to, so that no prune may move them."""
    session_ids = sessions_of_age(connection, 2, "40 days")
    connection.execute("CREATE TABLE favourite (session_id uuid REFERENCES engine_chat_sessions)")
    connection.execute("INSERT INTO favourite SELECT unnest(%s::uuid[])", [session_ids])
    return session_ids


def test_a_prune_says_how_many_sessions_it_had_to_leave_behind_and_where_to_look(
    cli: Cli, connection: psycopg.Connection, immovable: list[UUID]
) -> None:
    due = sessions_of_age(connection, 2, "40 days")

    first = lines(cli("prune", "--batch-size", 3))
    counted = document(cli("prune", "--json"))
    connection.execute("DELETE FROM favourite WHERE session_id = %s", immovable[:1])
    second = lines(cli("prune"))
    connection.execute("DROP TABLE favourite")
    last = lines(cli("prune"))

    assert first[-1].startswith("Archived 2 sessions with 6 messages in ")
    assert first[-1].endswith(": nothing left; 2 sessions left behind: see `aria-db left`")
    assert how_many(connection, due, ARCHIVED) == 2
    assert (counted["sessions"], counted["left_behind"]) == (0, 2)
    assert counted["stop_reason"] == "nothing left"
    assert second[-1] == (
        "Archived 1 session with 3 messages in 1 batch: nothing left;"
        " 1 session left behind: see `aria-db left`"
    )
    assert last[-1] == "Archived 1 session with 3 messages in 1 batch: nothing left"


def test_what_a_prune_had_to_leave_is_in_the_table_that_it_names(
    cli: Cli, connection: psycopg.Connection, immovable: list[UUID]
) -> None:
    cli("prune")

    left = connection.execute(
        "SELECT session_id, run_id, sqlstate, message FROM engine_archive_left"
    ).fetchall()
    (run,) = runs(connection)
    assert {row[0] for row in left} == set(immovable)
    assert {row[1:3] for row in left} == {(run.id, "AR005")}
    assert all("favourite" in row[3] for row in left)


@pytest.mark.parametrize(
    ("options", "sessions", "stop_reason"),
    [
        ((), 5, "nothing left"),
        (("--type", "cron"), 1, "nothing left"),
        (("--older-than", "2 weeks"), 4, "nothing left"),
        (("--older-than", "PT36H"), 5, "nothing left"),
        (("--batch-size", 2, "--max-sessions", 3), 3, "max_sessions"),
        (("--max-sessions", 3, "--sleep", "1h"), 3, "max_sessions"),
        (("--batch-size", 2, "--max-runtime", "1ms"), 2, "max_runtime"),
        (("--batch-size", 2, "--max-runtime", "1s", "--sleep", "1500ms"), 2, "max_runtime"),
    ],
    ids=repr,
)
def test_a_prune_keeps_to_what_it_was_asked(
    cli: Cli,
    connection: psycopg.Connection,
    options: tuple[object, ...],
    sessions: int,
    stop_reason: str,
) -> None:
    sessions_of_age(connection, 4, "40 days")
    sessions_of_age(connection, 1, "2 days", session_type="cron")

    done = document(cli("prune", "--json", *options))

    assert (done["dry_run"], done["sessions"], done["messages"]) == (False, sessions, 3 * sessions)
    assert done["stop_reason"] == stop_reason
    (run,) = runs(connection)
    assert (run.sessions, run.stop_reason) == (sessions, stop_reason)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_rest_between_two_batches(
    start: partial[subprocess.Popen[bytes]], connection: psycopg.Connection, number: signal.Signals
) -> None:
    due = sessions_of_age(connection, 5, "40 days")
    with start("prune", "--batch-size", 2, "--sleep", "1h") as process:
        assert process.stdout.readline().startswith(b"batch 1: ")
        process.send_signal(number)
        done = finish(process)

    assert lines(done, 128 + number) == [
        "Archived 2 sessions with 6 messages in 1 batch: interrupted"
    ]
    assert how_many(connection, due, ARCHIVED) == 2
    assert how_many(connection, due, LIVE) == 3
    (run,) = runs(connection)
    assert (run.state, run.stop_reason, run.sessions) == ("finished", "interrupted", 2)


def test_a_signal_in_the_middle_of_a_batch_lets_it_end(
    start: partial[subprocess.Popen[bytes]], database: Database, connection: psycopg.Connection
) -> None:
    due = sessions_of_age(connection, 5, "40 days")
    with start("prune", "--json", "--batch-size", 2, "--sleep", "500ms") as process:
        with run_log_locked_after_a_batch(database, connection):
            process.send_signal(signal.SIGINT)
            told = process.stderr.readline()
            assert told == b"Finishing the current batch; press Ctrl-C again to stop now\n"
            assert how_many(connection, due, ARCHIVED) == 2
        done = finish(process)

    assert document(done, 130)["sessions"] == 4
    assert how_many(connection, due, ARCHIVED) == 4
    (run,) = runs(connection)
    assert (run.stop_reason, run.sessions) == ("interrupted", 4)


def test_a_second_signal_ends_at_once_and_undoes_the_running_batch(
    start: partial[subprocess.Popen[bytes]], database: Database, connection: psycopg.Connection
) -> None:
    due = sessions_of_age(connection, 5, "40 days")
    with (
        start("prune", "--batch-size", 2, "--sleep", "500ms") as process,
        run_log_locked_after_a_batch(database, connection),
    ):
        process.send_signal(signal.SIGINT)
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        done = finish(process)

    assert lines(done, 130)[-1].endswith(": interrupted")
    assert how_many(connection, due, ARCHIVED) == 2
    assert how_many(connection, due, LIVE) == 3


@contextmanager
def run_log_locked_after_a_batch(
    database: Database, connection: psycopg.Connection
) -> Iterator[None]:
    """Wait for the first batch; give while a later one is in the middle."""
    wait_for_state(connection, "batches", 1)
    with run_log_locked(database):
        wait_until_something_is_blocked(connection)
        yield


def wait_for_state(connection: psycopg.Connection, column: str, value: object) -> None:
    """Return when the first run has this value; fail after 30 s."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if [getattr(run, column) for run in runs(connection)[:1]] == [value]:
            return
        time.sleep(0.01)
    raise AssertionError(f"the first run's {column} was not {value} within 30 s")


def test_two_prunes_at_once_share_the_work(
    start: partial[subprocess.Popen[bytes]],
    cli: Cli,
    database: Database,
    connection: psycopg.Connection,
) -> None:
    due = sessions_of_age(connection, 10, "40 days")
    with start("prune", "--json", "--batch-size", 1, "--sleep", "500ms") as first:
        with run_log_locked_after_a_batch(database, connection):
            second = document(cli("prune", "--json", "--batch-size", 3))
        done = document(finish(first))

    assert (done["sessions"], second["sessions"]) == (2, 8)
    assert how_many(connection, due, ARCHIVED) == 10


def test_a_killed_prune_is_listed_as_such_and_the_next_one_goes_on(
    start: partial[subprocess.Popen[bytes]],
    cli: Cli,
    database: Database,
    connection: psycopg.Connection,
) -> None:
    due = sessions_of_age(connection, 5, "40 days")
    with (
        start("prune", "--batch-size", 2, "--sleep", "500ms") as process,
        run_log_locked_after_a_batch(database, connection),
    ):
        process.kill()
        process.communicate()
        assert how_many(connection, due, ARCHIVED) == 2
    wait_for_state(connection, "state", "killed")
    # The batch that PostgreSQL had begun: its client need not be there at the end.
    assert how_many(connection, due, ARCHIVED) == 4
    assert how_many(connection, due, LIVE) == 1

    checked = cli("check")
    assert document(cli("prune", "--json"))["sessions"] == 1
    first, second = document(cli("runs", "--json"))["runs"]

    assert any(line.startswith("RED  last_run prune: killed") for line in lines(checked, 1))
    assert (first["state"], first["sessions"]) == ("finished", 1)
    assert (second["state"], second["sessions"], second["finished_at"]) == ("killed", 4, None)
    assert how_many(connection, due, ARCHIVED) == 5
    assert [line.split("\t")[:3] for line in lines(cli("runs", "--limit", 1))] == [
        [str(first["id"]), "prune", "finished"]
    ]


def test_a_batch_that_collides_with_other_work_is_tried_again(
    start: partial[subprocess.Popen[bytes]], database: Database, connection: psycopg.Connection
) -> None:
    due = sessions_of_age(connection, 2, "40 days")
    attempts = set()
    with start("prune", "--json") as process:
        with psycopg.connect(database.libpq_url()) as altering:
            altering.execute("LOCK TABLE engine_chat_sessions IN ACCESS EXCLUSIVE MODE")
            while len(attempts) < 2:
                assert process.poll() is None, "it gave up"
                attempts |= set(
                    connection.execute(
                        "SELECT xact_start FROM pg_stat_activity WHERE datname = current_database()"
                        " AND cardinality(pg_blocking_pids(pid)) > 0"
                    )
                )
                time.sleep(0.005)
        done = finish(process)

    assert document(done)["sessions"] == 2
    assert how_many(connection, due, ARCHIVED) == 2


def test_a_prune_that_fails_says_what_it_did_before(
    start: partial[subprocess.Popen[bytes]], cli: Cli, connection: psycopg.Connection
) -> None:
    sessions_of_age(connection, 3, "40 days")
    with start("prune", "--batch-size", 1, "--sleep", "1s") as process:
        process.stdout.readline()
        connection.execute("ALTER TABLE engine_chat_sessions ADD COLUMN mood text")
        done = finish(process)

    assert done.returncode == 1
    summary, error, *_ = done.stderr.splitlines()
    assert summary == "Archived 1 session with 3 messages in 1 batch: failed"
    assert error.startswith("Error: ")
    (run,) = runs(connection)
    assert (run.state, run.sessions) == ("failed", 1)
    assert lines(cli("check"), 1)[1].startswith("RED  ")


def test_a_prune_on_a_terminal_shows_how_far_it_is(
    database: Database, connection: psycopg.Connection
) -> None:
    sessions_of_age(connection, 4, "40 days")

    printed = command_line.run_in_terminal(
        ["prune", "--batch-size", 1, "--sleep", "150ms"], 100, DATABASE_URL=database.libpq_url()
    )

    printed = re.sub(r"\x1b\[[\d;]*m", "", printed)
    assert re.search(r"[1-4]/4 sessions, \d+ messages, \d+/s", printed)
    assert "batch 1" not in printed
    assert "Archived 4 sessions with 12 messages in 4 batches: nothing left\r\n" in printed


def test_an_unknown_type_is_refused(cli: Cli, connection: psycopg.Connection) -> None:
    for command in (
        *(["prune"], ["prune", "--dry-run"]),
        *(["purge", "--yes"], ["purge", "--dry-run"]),
    ):
        assert "no-such-type" in refusal(cli(*command, "--json", "--type", "no-such-type"))[0]
