"""prune, purge, policy, hold, release, runs and check."""

import getpass
import json
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import dict_row

from aria_db.database import Database
from tests.support import command_line, new_session, places, wait_until_something_is_blocked
from tests.support.command_line import UNKNOWN, Cli, document, finish, lines, refusal

NOBODY_HOME = "postgresql://127.0.0.1:1/nowhere"
LIVE, ARCHIVED, GONE = (1, 3, 0, 0), (0, 0, 1, 3), (0, 0, 0, 0)


def aged(
    connection: psycopg.Connection, days: int, count: int = 1, **columns: object
) -> list[UUID]:
    """Insert live sessions whose last update was so many days ago."""
    (moment,) = connection.execute("SELECT now() - %s * interval '1 day'", (days,)).fetchone()
    return [new_session(connection, updated_at=moment, **columns) for _ in range(count)]


def archived(connection: psycopg.Connection, count: int, **columns: object) -> list[UUID]:
    """Insert sessions that were archived ten days ago."""
    session_ids = [new_session(connection, **columns) for _ in range(count)]
    connection.execute("SELECT FROM archive_sessions(%s)", [session_ids])
    connection.execute(
        "UPDATE engine_chat_session_archive SET archived_at = now() - interval '10 days'"
    )
    return session_ids


def runs(connection: psycopg.Connection) -> list[dict[str, object]]:
    """Return the run log, oldest first."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute("SELECT * FROM engine_archive_run_list ORDER BY id").fetchall()


def where(connection: psycopg.Connection, session_ids: list[UUID]) -> list[tuple[int, ...]]:
    """Tell the place of each session."""
    return [places(connection, session_id) for session_id in session_ids]


def how_many(
    connection: psycopg.Connection, session_ids: list[UUID], place: tuple[int, ...]
) -> int:
    """Count the sessions that are in this place, and check that no other is in two."""
    found = [places(connection, session_id) for session_id in session_ids]
    assert set(found) <= {LIVE, ARCHIVED, GONE}
    return found.count(place)


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


# The prune


def test_a_dry_run_counts_per_type_and_moves_nothing(
    cli: Cli, connection: psycopg.Connection
) -> None:
    due = aged(connection, 40, 2) + aged(connection, 2, session_type="cron")
    held, conflicting = aged(connection, 40, 2)
    aged(connection, 1)
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
    assert printed.stderr == "A prune would archive 3 sessions with 9 messages\n"
    assert how_many(connection, due, LIVE) == 3
    assert runs(connection) == []


def test_a_prune_prints_a_line_per_batch_and_what_it_did(
    cli: Cli, connection: psycopg.Connection
) -> None:
    due, young = aged(connection, 40, 5), aged(connection, 1, 1)

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
    session_ids = aged(connection, 40, 2)
    connection.execute("CREATE TABLE favourite (session_id uuid REFERENCES engine_chat_sessions)")
    connection.execute("INSERT INTO favourite SELECT unnest(%s::uuid[])", [session_ids])
    return session_ids


def test_a_prune_says_how_many_sessions_it_had_to_leave_behind_and_where_to_look(
    cli: Cli, connection: psycopg.Connection, immovable: list[UUID]
) -> None:
    due = aged(connection, 40, 2)

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
    assert {row[1:3] for row in left} == {(run["id"], "AR005")}
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
    aged(connection, 40, 4)
    aged(connection, 2, session_type="cron")

    done = document(cli("prune", "--json", *options))

    assert (done["dry_run"], done["sessions"], done["messages"]) == (False, sessions, 3 * sessions)
    assert done["stop_reason"] == stop_reason
    (run,) = runs(connection)
    assert (run["sessions"], run["stop_reason"]) == (sessions, stop_reason)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_rest_between_two_batches(
    start: partial[subprocess.Popen[bytes]], connection: psycopg.Connection, number: signal.Signals
) -> None:
    due = aged(connection, 40, 5)
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
    assert (run["state"], run["stop_reason"], run["sessions"]) == ("finished", "interrupted", 2)


def test_a_signal_in_the_middle_of_a_batch_lets_it_end(
    start: partial[subprocess.Popen[bytes]], database: Database, connection: psycopg.Connection
) -> None:
    due = aged(connection, 40, 5)
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
    assert (run["stop_reason"], run["sessions"]) == ("interrupted", 4)


def test_a_second_signal_ends_at_once_and_undoes_the_batch_in_hand(
    start: partial[subprocess.Popen[bytes]], database: Database, connection: psycopg.Connection
) -> None:
    due = aged(connection, 40, 5)
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
        if [run[column] for run in runs(connection)[:1]] == [value]:
            return
        time.sleep(0.01)
    raise AssertionError(f"the first run's {column} was not {value} within 30 s")


def test_two_prunes_at_once_share_the_work(
    start: partial[subprocess.Popen[bytes]],
    cli: Cli,
    database: Database,
    connection: psycopg.Connection,
) -> None:
    due = aged(connection, 40, 10)
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
    due = aged(connection, 40, 5)
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
    due = aged(connection, 40, 2)
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
    aged(connection, 40, 3)
    with start("prune", "--batch-size", 1, "--sleep", "1s") as process:
        process.stdout.readline()
        connection.execute("ALTER TABLE engine_chat_sessions ADD COLUMN mood text")
        done = finish(process)

    assert done.returncode == 1
    summary, error, *_ = done.stderr.splitlines()
    assert summary == "Archived 1 session with 3 messages in 1 batch: failed"
    assert error.startswith("Error: ")
    (run,) = runs(connection)
    assert (run["state"], run["sessions"]) == ("failed", 1)
    assert lines(cli("check"), 1)[1].startswith("RED  ")


def test_a_prune_on_a_terminal_shows_how_far_it_is(
    database: Database, connection: psycopg.Connection
) -> None:
    aged(connection, 40, 4)

    printed = command_line.run_in_terminal(
        ["prune", "--batch-size", 1, "--sleep", "150ms"], 100, DATABASE_URL=database.libpq_url()
    )

    printed = re.sub(r"\x1b\[[\d;]*m", "", printed)
    assert re.search(r"[1-4]/4 sessions, \d+ messages, \d+/s", printed)
    assert "batch 1" not in printed
    assert "Archived 4 sessions with 12 messages in 4 batches: nothing left\r\n" in printed


def test_runs_are_listed_with_who_started_them_and_the_role(
    cli: Cli, connection: psycopg.Connection
) -> None:
    connection.execute("SELECT begin_archive_run('restore', '{}', 'alice')")
    cli("prune")

    pruned, restored = document(cli("runs", "--json"))["runs"]
    printed = [line.split("\t")[1:3] for line in lines(cli("runs"))]

    user = connection.info.user
    assert (restored["kind"], restored["started_by"], restored["role"]) == (
        *("restore", "alice"),
        user,
    )
    assert (pruned["kind"], pruned["role"]) == ("prune", user)
    assert pruned["started_by"] == f"{getpass.getuser()}@{socket.gethostname()}"
    assert printed == [["prune", "finished"], ["restore", "running"]]


def test_an_unknown_type_is_refused(cli: Cli, connection: psycopg.Connection) -> None:
    for command in (
        *(["prune"], ["prune", "--dry-run"]),
        *(["purge", "--yes"], ["purge", "--dry-run"]),
    ):
        assert "no-such-type" in refusal(cli(*command, "--json", "--type", "no-such-type"))[0]


# The purge


def test_a_purge_deletes_what_the_policy_says_and_no_held_session(
    cli: Cli, connection: psycopg.Connection
) -> None:
    old, kept = archived(connection, 3), archived(connection, 1, session_type="cron")
    cli("hold", old[0], "--reason", "a case")

    before = document(cli("purge", "--yes", "--json"))
    cli("policy", "set", "default", "--purge-after", "7d")
    after = document(cli("purge", "--yes", "--json", "--batch-size", 1))

    assert (before["sessions"], after["sessions"], after["messages"]) == (0, 2, 6)
    assert [places(connection, session_id) for session_id in old] == [ARCHIVED, GONE, GONE]
    assert how_many(connection, kept, ARCHIVED) == 1
    assert [run["kind"] for run in runs(connection)] == ["purge", "purge"]


def archived_for(connection: psycopg.Connection, session_id: UUID, age: str) -> UUID:
    """Let a session be archived so long ago; return it."""
    connection.execute(
        "UPDATE engine_chat_session_archive SET archived_at = now() - %s::interval WHERE id = %s",
        (age, session_id),
    )
    return session_id


def test_a_dry_run_of_a_purge_counts_per_type_with_ages_and_deletes_nothing(
    cli: Cli, connection: psycopg.Connection
) -> None:
    due = archived(connection, 3) + archived(connection, 1, session_type="cron")
    held, _ = archived(connection, 2, session_type="cron")
    archived_for(connection, due[0], "400 days")
    connection.execute("SELECT place_hold(%s, 'a case')", (held,))
    nothing = cli("purge", "--dry-run")
    cli("policy", "set", "default", "--purge-after", "7d")
    cli("policy", "set", "cron", "--purge-after", "1 week")
    moments = {
        name: (oldest, newest)
        for name, oldest, newest in connection.execute(
            "SELECT session_type, min(archived_at), max(archived_at)"
            " FROM engine_chat_session_archive WHERE id <> %s GROUP BY session_type",
            [held],
        )
    }

    counted = document(cli("purge", "--dry-run", "--json"))
    printed = cli("purge", "--dry-run")
    of_one = cli("purge", "--dry-run", "--type", "cron")

    assert (lines(nothing), nothing.stderr) == (
        [],
        "A purge would delete 0 sessions with 0 messages\n",
    )
    assert counted["dry_run"] is True
    assert [
        (
            of_type.pop("of_type"),
            datetime.fromisoformat(of_type.pop("oldest_archived_at")),
            datetime.fromisoformat(of_type.pop("newest_archived_at")),
            of_type,
        )
        for of_type in counted["types"]
    ] == [
        ("cron", *moments["cron"], {"sessions": 2, "messages": 6, "held": 1}),
        ("interactive", *moments["interactive"], {"sessions": 3, "messages": 9, "held": 0}),
    ]
    cells = [line.split("\t") for line in lines(printed)]
    assert [(*row[:3], row[5]) for row in cells] == [
        ("cron", "2", "6", "1"),
        ("interactive", "3", "9", "0"),
    ]
    assert [datetime.fromisoformat(cell) for cell in cells[1][3:5]] == [
        moment.replace(microsecond=0) for moment in moments["interactive"]
    ]
    assert printed.stderr == (
        "A purge would delete 5 sessions with 15 messages, archived 10 to 400 days ago\n"
    )
    assert len(lines(of_one)) == 1
    assert "2 sessions with 6 messages, archived 10 days ago" in of_one.stderr
    assert how_many(connection, due, ARCHIVED) == 4
    assert runs(connection) == []


def test_a_purge_says_how_much_and_how_old_and_asks_before_it_deletes(
    cli: Cli, database: Database, connection: psycopg.Connection
) -> None:
    old, older = archived(connection, 2)
    archived_for(connection, older, "400 days")
    cli("policy", "set", "default", "--purge-after", "P1W")
    url = database.libpq_url()

    refused = command_line.run_in_terminal(["purge"], 80, typed="n\n", DATABASE_URL=url)
    some = command_line.run_in_terminal(
        ["purge", "--max-sessions", 1], 80, typed="n\n", DATABASE_URL=url
    )
    assert where(connection, [old, older]) == [ARCHIVED, ARCHIVED]
    agreed = command_line.run_in_terminal(["purge"], 80, typed="y\n", DATABASE_URL=url)

    what = "2 sessions with 6 messages, archived 10 to 400 days ago, for good?"
    assert f"Delete {what}" in refused
    assert "Nothing was done" in refused
    assert f"Delete the oldest 1 of {what}" in some
    assert "Deleted 2 sessions with 6 messages in 1 batch: nothing left" in agreed
    assert "below one day" not in agreed
    assert where(connection, [old, older]) == [GONE, GONE]


def test_a_purge_with_nothing_to_delete_says_so_and_does_not_ask(
    cli: Cli, database: Database, connection: psycopg.Connection
) -> None:
    (held,) = archived(connection, 1)
    url = database.libpq_url()

    nothing = command_line.run_in_terminal(["purge"], 80, DATABASE_URL=url)
    cli("policy", "set", "default", "--purge-after", "1h")
    connection.execute("SELECT place_hold(%s, 'a case')", (held,))
    on_hold = command_line.run_in_terminal(["purge"], 80, DATABASE_URL=url)
    for_programs = command_line.run_in_terminal(["purge", "--json"], 80, DATABASE_URL=url)

    assert nothing == "Nothing to delete\r\n"
    assert on_hold == "Nothing to delete; 1 session on hold\r\n"
    told = json.loads(for_programs)
    assert (told["dry_run"], told["sessions"], told["stop_reason"]) == (False, 0, "nothing left")
    assert places(connection, held) == ARCHIVED
    assert runs(connection) == []


def test_a_purge_asks_again_where_purge_after_is_below_one_day(
    cli: Cli, database: Database, connection: psycopg.Connection
) -> None:
    (session_id,) = archived(connection, 1)
    cli("policy", "set", "default", "--purge-after", "6m")
    url = database.libpq_url()

    refused = command_line.run_in_terminal(["purge"], 80, typed="y\nn\n", DATABASE_URL=url)
    assert places(connection, session_id) == ARCHIVED
    agreed = command_line.run_in_terminal(["purge"], 80, typed="y\ny\n", DATABASE_URL=url)

    question = "purge-after is below one day (* after 6 minutes). Is that meant?"
    assert question in refused
    assert "Nothing was done" in refused
    assert question in agreed
    assert "Deleted 1 session with 3 messages" in agreed
    assert places(connection, session_id) == GONE


def test_yes_alone_deletes_nothing_where_purge_after_is_below_one_day(
    cli: Cli, connection: psycopg.Connection
) -> None:
    (session_id,) = archived(connection, 1)
    cli("policy", "set", "default", "--purge-after", "23h")

    refused = cli("purge", "--yes")
    told = " ".join(refused.stderr.replace("│", " ").split())
    dry = cli("purge", "--dry-run")

    assert (refused.returncode, refused.stdout) == (2, "")
    assert "purge-after is below one day (* after 23 hours); pass --allow-short" in told
    assert "Warning: purge-after is below one day (* after 23 hours)\n" in dry.stderr
    assert places(connection, session_id) == ARCHIVED
    assert runs(connection) == []
    assert document(cli("purge", "--yes", "--allow-short", "--json"))["sessions"] == 1
    assert places(connection, session_id) == GONE


@pytest.mark.parametrize(
    ("short", "options", "status"),
    [
        ("cron", ("--type", "cron"), 2),
        ("cron", (), 2),
        ("default", ("--type", "interactive"), 2),
        # cron has a policy of its own
        ("default", ("--type", "cron"), 0),
        ("cron", ("--type", "interactive"), 0),
    ],
    ids=repr,
)
def test_a_short_purge_after_of_a_policy_that_does_not_apply_needs_no_consent(
    cli: Cli,
    connection: psycopg.Connection,
    short: str,
    options: tuple[str, ...],
    status: int,
) -> None:
    archived(connection, 1)
    archived(connection, 1, session_type="cron")
    for name in ("default", "cron"):
        cli("policy", "set", name, "--purge-after", "1m" if name == short else "1d")

    assert cli("purge", "--yes", *options).returncode == status


def test_a_short_purge_after_of_a_disabled_policy_needs_no_consent(cli: Cli) -> None:
    cli("policy", "set", "default", "--purge-after", "1m", "--disable")

    assert cli("purge", "--yes").returncode == 0


def test_a_purge_in_a_pipe_needs_yes() -> None:
    outcome = command_line.run("purge", stdin="y\n", DATABASE_URL=NOBODY_HOME)

    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert "not a terminal: pass --yes to confirm" in outcome.stderr.replace("\n", " ")


# Policies and holds


def test_policies_are_set_in_part_and_unset(cli: Cli) -> None:
    first = lines(cli("policy", "list"))
    lines(cli("policy", "set", "default", "--purge-after", "1y"))
    lines(cli("policy", "set", "import", "--archive-after", "2 weeks"))
    lines(cli("policy", "set", "cron", "--disable"))
    lines(cli("policy", "set", "cron", "--archive-after", "never"))
    changed = document(cli("policy", "list", "--json"))["policies"]
    lines(cli("policy", "unset", "import"))
    again = refusal(cli("policy", "unset", "import"))

    assert first == ["*\t30 days\tnever\tenabled", "cron\t1 day\tnever\tenabled"]
    assert [tuple(policy.values()) for policy in changed] == [
        ("*", "P30D", "P1Y", True),
        ("cron", None, None, False),
        ("import", "P14D", "P1Y", True),
    ]
    assert again == ["Error: import has no policy"]


@pytest.mark.parametrize(
    ("age", "reading"),
    [
        ("6m", "6m is 6 minutes"),
        ("PT12H", "PT12H is 12 hours"),
        ("1s", "1s is 1 second"),
        ("23h 59m", "23h 59m is 23 hours 59 minutes"),
        ("1d", None),
        ("6mo", None),
        ("never", None),
    ],
)
def test_policy_set_warns_about_a_purge_after_below_one_day(
    cli: Cli, age: str, reading: str | None
) -> None:
    done = cli("policy", "set", "cron", "--purge-after", age)
    archiving = cli("policy", "set", "cron", "--archive-after", "6m")

    assert (done.returncode, archiving.returncode, archiving.stderr) == (0, 0, "")
    assert done.stderr == (
        f"Warning: {reading}: a purge deletes sessions less than one day after they were archived\n"
        if reading
        else ""
    )


def test_a_held_session_is_kept_until_it_is_released(
    cli: Cli, connection: psycopg.Connection
) -> None:
    (session_id,) = aged(connection, 40)

    (held,) = lines(cli("hold", session_id, "--reason", "a case"))
    skipped = document(cli("prune", "--json"))
    lines(cli("release", session_id))
    again = refusal(cli("release", session_id))
    moved = document(cli("prune", "--json"))

    assert held.startswith(f"{session_id}  held by ")
    assert held.endswith(": a case")
    assert (skipped["sessions"], moved["sessions"]) == (0, 1)
    assert again == [f"Error: session {session_id} is not on hold"]


def test_a_hold_on_nothing_is_refused(cli: Cli, connection: psycopg.Connection) -> None:
    session_id = new_session(connection)

    unknown = refusal(cli("hold", UNKNOWN, "--reason", "a case"))
    refusal(cli("hold", session_id, "--reason", " "))

    assert unknown == [f"Error: session {UNKNOWN} not found"]
    assert document(cli("check", "--json"))["is_ok"] is True


# The check


def figures_of(outcome: command_line.Outcome, status: int = 0) -> dict[tuple[str, str], dict]:
    """Return the figures of ``check --json`` by name and subject."""
    figures = document(outcome, status)["figures"]
    by_name = {(figure.pop("figure"), figure.pop("subject")): figure for figure in figures}
    assert len(by_name) == len(figures)
    return by_name


def test_check_prints_a_remedy_only_where_there_is_something_to_do(
    cli: Cli, connection: psycopg.Connection
) -> None:
    well = cli("check"), figures_of(cli("check", "--json"))
    new_session(connection, status="archived")
    told = cli("check"), figures_of(cli("check", "--json"))

    assert all(line.startswith("ok ") for line in lines(well[0])[1:])
    assert {figure["remedy"] for figure in well[1].values()} == {None}
    printed = lines(told[0])
    soft_deleted = printed.index("ok   soft_deleted engine_chat_sessions: 1 sessions")
    remedy = "Run `aria-db prune`: it archives them, whatever their age."
    assert [line for line in printed if line.startswith("  ")] == [f"     {remedy}"]
    assert printed[soft_deleted + 1] == f"     {remedy}"
    assert told[1]["soft_deleted", "engine_chat_sessions"] == {
        "value": 1,
        "unit": "sessions",
        "is_ok": True,
        "reading": "1 sessions",
        "remedy": remedy,
    }


def test_check_gives_programs_identifiers_and_numbers(
    cli: Cli, connection: psycopg.Connection
) -> None:
    empty = figures_of(cli("check", "--json"))
    archived(connection, 1)
    cli("prune")

    figures = figures_of(cli("check", "--json"))

    assert all(re.fullmatch("[a-z_]+", name) for name, _ in figures)
    assert empty["oldest_archived", "engine_chat_session_archive"]["value"] is None
    in_archive = figures["oldest_archived", "engine_chat_session_archive"]
    assert 0 <= in_archive["value"] - 10 * 24 * 3600 < 300
    assert in_archive["unit"] == "seconds"
    assert figures["size", "engine_chat_messages"]["unit"] == "bytes"
    assert figures["size", "engine_chat_messages"]["value"] >= 8192
    assert figures["held", "engine_session_hold"]["value"] == 0
    assert figures["last_run", "prune"]["unit"] == "seconds"
    assert all(isinstance(figure["value"], int) for figure in figures.values())


def test_check_exits_with_1_while_something_needs_attention(
    cli: Cli, connection: psycopg.Connection
) -> None:
    well = lines(cli("check"))
    aged(connection, 40)
    red = lines(cli("check"), 1)
    figures = document(cli("check", "--json"), 1)
    cli("prune")
    mended = document(cli("check", "--json"))

    assert well[0].startswith("0 of ")
    assert red[1:3] == [
        "RED  backlog *: 1 sessions are due",
        "     Run `aria-db prune`, and check that it is scheduled.",
    ]
    assert all(line.startswith("ok ") for line in red[3:])
    assert [figure["is_ok"] for figure in figures["figures"]].index(True) == 1
    assert (figures["is_ok"], mended["is_ok"]) == (False, True)


# Wrong usage


@pytest.mark.parametrize(
    "arguments",
    [
        ["prune", "--older-than", "30"],
        ["prune", "--max-runtime", "2y"],
        ["prune", "--sleep", "-1s"],
        ["prune", "--batch-size", "0"],
        ["prune", "--batch-size", "99999999999"],
        ["purge", "--yes", "--max-sessions", "0"],
        ["policy", "set", "cron"],
        ["policy", "set", "cron", "--purge-after", "0d"],
        ["hold", UNKNOWN],
    ],
    ids=repr,
)
def test_wrong_usage_exits_with_2_before_the_database_is_asked(arguments: list[object]) -> None:
    done = command_line.run(*arguments, DATABASE_URL=NOBODY_HOME)

    assert (done.returncode, done.stdout) == (2, "")
    assert "\nError: " in done.stderr
