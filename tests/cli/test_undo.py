"""restore --run, history, and bulk work by filters."""

import getpass
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import UUID

import psycopg
import pytest

from aria_db.database import Database
from tests.support import events, new_session, places, wait_until_something_is_blocked
from tests.support.command_line import UNKNOWN, Cli, document, finish, lines, refusal, start
from tests.support.retention import ARCHIVED, LIVE, old_sessions, where
from tests.support.rows import delete_archived, live

ME = f"{getpass.getuser()}@{socket.gethostname()}"


def test_a_prune_is_counted_and_undone_by_its_number(
    cli: Cli, connection: psycopg.Connection
) -> None:
    ids = old_sessions(connection, 5)
    before = live(connection)
    run_id = document(cli("prune", "--json"))["run_id"]
    delete_archived(connection, ids[0])

    counted = document(cli("restore", "--run", run_id, "--dry-run", "--json"))
    assert counted == {
        "dry_run": True,
        "sessions": 4,
        "messages": 12,
        "conflicting": 0,
        "changed": 1,
    }
    assert lines(cli("restore", "--run", run_id, "--dry-run")) == [
        "Would restore 4 sessions with 12 messages"
    ]
    assert where(connection, ids[1:]) == [ARCHIVED] * 4

    undone = cli("restore", "--run", run_id, "--yes", "--batch-size", 3, "--actor", "ada")

    assert "Not restored: 1 session (restored, deleted or archived again since)" in undone.stderr
    assert lines(undone) == [
        "batch 1: 3 sessions, 9 messages",
        "batch 2: 4 sessions, 12 messages",
        "Restored 4 sessions with 12 messages in 2 batches: nothing left",
    ]
    assert live(connection) == [row for row in before if row.session_id != ids[0]]
    restored = [event for event in events(connection) if event.event == "restored"]
    assert {event.actor for event in restored} == {"ada"}
    assert document(cli("restore", "--run", run_id, "--yes", "--json"))["sessions"] == 0


def test_an_undo_asks_and_refuses_what_is_no_such_run(
    cli: Cli, connection: psycopg.Connection
) -> None:
    (session_id,) = old_sessions(connection, 1)
    run_id = document(cli("prune", "--json"))["run_id"]

    unasked = cli("restore", "--run", run_id)
    assert (unasked.returncode, "pass --yes" in unasked.stderr) == (2, True)
    assert "there is no run 999" in refusal(cli("restore", "--run", 999, "--yes"))[0]
    for also in ([session_id], ["--type", "cron"]):
        assert cli("restore", "--run", run_id, *also).returncode == 2

    assert places(connection, session_id) == ARCHIVED


def test_history_shows_what_happened_to_a_session_even_after_it_is_gone(
    cli: Cli, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection)
    assert "Nothing is on record" in cli("history", session_id).stderr
    cli("archive", session_id)
    cli("hold", session_id, "--reason", "case 17", "--actor", "alice")
    cli("release", session_id, "--actor", "bob")
    delete_archived(connection, session_id, "carol")

    told = document(cli("history", session_id, "--json"))["events"]
    printed = cli("history", session_id)

    assert [(event["event"], event["actor"]) for event in told] == [
        ("archived", ME),
        ("held", "alice"),
        ("released", "bob"),
        ("deleted", "carol"),
    ]
    assert [line.split("\t")[1] for line in lines(printed)] == [event["event"] for event in told]
    assert "The session is gone: deleted on " in printed.stderr
    assert "by carol, 3 messages" in printed.stderr
    assert "not found" in refusal(cli("history", UNKNOWN))[0]


# By filters


def test_all_sessions_that_filters_find_are_archived_in_a_run_and_come_back(
    cli: Cli, connection: psycopg.Connection
) -> None:
    old = [new_session(connection, session_type="cron", updated_at="2020-01-01") for _ in range(3)]
    recent = new_session(connection, session_type="cron")
    other = new_session(connection, updated_at="2020-01-01")
    filters = ("--type", "cron", "--older-than", "30d")

    assert lines(cli("archive", *filters, "--dry-run")) == [
        "Would archive 3 sessions with 9 messages"
    ]
    assert cli("archive", *filters).returncode == 2
    done = document(cli("archive", *filters, "--yes", "--json", "--batch-size", 2))

    assert (done["batches"], done["sessions"], done["messages"], done["left"]) == (2, 3, 9, [])
    assert where(connection, old) == [ARCHIVED] * 3
    assert where(connection, [recent, other]) == [LIVE, LIVE]
    run = document(cli("runs", "--json"))["runs"][0]
    assert (run["kind"], run["sessions"], run["state"]) == ("archive", 3, "finished")
    assert run["arguments"]["session_type"] == "cron"

    restored = lines(cli("restore", "--type", "cron", "--archived-after", "1h", "--yes"))
    assert restored[-1] == "Restored 3 sessions with 9 messages in 1 batch: nothing left"
    assert where(connection, old) == [LIVE] * 3


def test_what_cannot_be_archived_stays_with_the_reason_and_stops_nothing(
    cli: Cli, connection: psycopg.Connection
) -> None:
    ids = [new_session(connection, session_type="cron") for _ in range(3)]
    cli("hold", ids[1], "--reason", "case 17")

    done = cli("archive", "--type", "cron", "--yes", "--json")

    [left] = document(done)["left"]
    assert (left["session_id"], left["code"]) == (str(ids[1]), "AR003")
    assert "case 17" in left["message"]
    assert document(done)["left_behind"] == 1
    assert where(connection, ids) == [ARCHIVED, LIVE, ARCHIVED]
    assert f"left: {ids[1]}" in cli("archive", "--type", "cron", "--yes").stderr


def test_sessions_that_refer_to_each_other_move_whatever_the_order_of_their_ids(
    cli: Cli, connection: psycopg.Connection
) -> None:
    connection.execute(
        """
        ALTER TABLE engine_chat_sessions ADD parent_id uuid REFERENCES engine_chat_sessions;
        ALTER TABLE engine_chat_session_archive ADD parent_id uuid;
        """
    )
    ids = [UUID(int=number) for number in (1, 2, 3)]
    new_session(connection, id=ids[1], session_type="cron")
    for number in (0, 2):
        new_session(connection, id=ids[number], session_type="cron", parent_id=ids[1])

    for command in ("archive", "restore"):
        done = document(cli(command, "--type", "cron", "--yes", "--json", "--batch-size", 1))
        assert (done["sessions"], done["left"]) == (3, [])

    assert where(connection, ids) == [LIVE] * 3


@pytest.mark.parametrize("command", ["archive", "restore"])
def test_ids_and_filters_are_not_given_together_nor_neither(command: str, cli: Cli) -> None:
    for arguments in ([], ["--yes"], [UNKNOWN, "--type", "cron"], [UNKNOWN, "--dry-run"]):
        assert cli(command, *arguments).returncode == 2


def test_a_session_that_changes_before_it_is_locked_stays(
    database: Database, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection, session_type="cron", updated_at="2020-01-01")
    url = database.libpq_url()
    arguments = ("archive", "--type", "cron", "--older-than", "30d", "--yes", "--json")
    with psycopg.connect(url) as user:
        # It is old when the command picks it, and locked then.
        user.execute("UPDATE engine_chat_sessions SET updated_at = now()")
        with start(*arguments, DATABASE_URL=url) as process:
            wait_until_something_is_blocked(connection)
            user.commit()
            done = finish(process)

    # By then, the command may have given up waiting for it.
    assert document(done)["sessions"] == 0
    assert places(connection, session_id) == LIVE
    assert events(connection) == []


# Lists and prefixes


def test_a_pipe_gets_all_sessions_in_the_order_that_was_asked_for(
    cli: Cli, connection: psycopg.Connection
) -> None:
    connection.execute(
        """
        INSERT INTO engine_chat_sessions (id, title, created_at)
        SELECT lpad(to_hex(number), 32, '0')::uuid, 'title ' || lpad(number::text, 4, '0'),
            timestamptz '2026-01-01 00:00Z' + number * interval '1 hour'
        FROM generate_series(1, 1200) AS number
        """
    )
    archived = [UUID(int=number) for number in (1, 2)]
    cli("archive", *archived)

    titles = [line.split("\t")[-1] for line in lines(cli("list", "--sort", "title"))]
    everywhere = lines(cli("list", "--all-places", "--sort", "created", "--reverse"))
    day = document(cli("list", "--json", "--from", "2026-01-02", "--to", "2026-01-02"))

    assert titles == [f"title {number:04}" for number in range(3, 1201)]
    assert [UUID(line.split("\t")[0]).int for line in everywhere] == list(range(1, 1201))
    assert [bool(line.split("\t")[2]) for line in everywhere[:4]] == [True, True, False, False]
    assert len(day["sessions"]) == 24
    assert (day["limit"], day["next_cursor"], day["total"]) == (None, None, 24)
    assert len(lines(cli("list", "--limit", 7))) == 7
    for wrong in (["--archived", "--all-places"], ["--sort", "archived"], ["--from", "soon"]):
        assert cli("list", *wrong).returncode == 2


def test_the_first_digits_of_an_id_are_enough_if_no_other_id_has_them(
    cli: Cli, connection: psycopg.Connection
) -> None:
    first = new_session(connection, id=UUID("abcd1111-0000-4000-8000-000000000000"))
    second = new_session(connection, id=UUID("abcd2222-0000-4000-8000-000000000000"))

    assert lines(cli("archive", "ABCD1", "abcd-2222"))
    assert where(connection, [first, second]) == [ARCHIVED, ARCHIVED]
    assert document(cli("show", "abcd1111-0", "--json"))["session"]["id"] == str(first)
    both = refusal(cli("restore", "abcd"))[0]
    assert str(first) in both
    assert str(second) in both
    assert "not found" in refusal(cli("show", "abcd3"))[0]
    assert cli("show", "abc").returncode == 2
    assert cli("show", "xyz12").returncode == 2
    partly = cli("restore", "abcd1", "abcd3", "--json")
    assert partly.returncode == 1
    assert json.loads(partly.stdout)["not_found"] == ["abcd3"]


def test_an_undo_that_is_killed_goes_on_when_it_is_run_again(
    cli: Cli, database: Database, connection: psycopg.Connection
) -> None:
    ids = old_sessions(connection, 12)
    before = live(connection)
    run_id = document(cli("prune", "--json"))["run_id"]
    arguments = ("restore", "--run", run_id, "--yes", "--batch-size", 1)
    with start(*arguments, "--sleep", "200ms", DATABASE_URL=database.libpq_url()) as process:
        # Before the batch after it, the process sleeps.
        while where(connection, ids).count(LIVE) < 2:
            assert process.poll() is None
        process.kill()
    assert ARCHIVED in where(connection, ids)
    killed = document(cli("runs", "--json"))["runs"][0]
    assert (killed["kind"], killed["state"]) == ("undo", "killed")

    assert cli("restore", "--run", run_id, "--yes").returncode == 0

    assert live(connection) == before


@pytest.mark.slow
def test_a_large_prune_is_undone_while_others_write_though_the_undo_is_killed(
    cli: Cli, database: Database, connection: psycopg.Connection
) -> None:
    connection.execute(
        """
        INSERT INTO engine_chat_sessions (title, updated_at, metadata)
        SELECT 'session ' || number, timestamptz '2020-01-01' + number * interval '1 s',
            jsonb_build_object('number', number)
        FROM generate_series(1, 20000) AS number;
        INSERT INTO engine_chat_messages (session_id, role, content)
        SELECT id, role, title || ' by ' || role
        FROM engine_chat_sessions, unnest('{user,assistant}'::text[]) AS role;
        """
    )
    before = live(connection)
    ids = {row.session_id for row in before}
    url = database.libpq_url()
    run_id = document(cli("prune", "--json"))["run_id"]
    assert live(connection) == []
    arguments = ("restore", "--run", run_id, "--yes", "--json", "--batch-size", 250)

    with writing(url) as written:
        with start(*arguments, DATABASE_URL=url) as process:
            while not 0 < restored(connection, run_id) < 20_000:
                assert process.poll() is None
            process.kill()
        assert 0 < restored(connection, run_id) < 20_000
        done = document(cli(*arguments))

    assert (done["stop_reason"], done["left_behind"]) == ("nothing left", 0)
    after = live(connection)
    assert [row for row in after if row.session_id in ids] == before
    assert {row.session_id for row in after} - ids == set(written)
    assert len(written) > 10


@contextmanager
def writing(url: str) -> Iterator[list[UUID]]:
    """Create, archive and restore other sessions meanwhile; give their ids."""
    written: list[UUID] = []
    is_over = threading.Event()

    def write() -> None:
        with psycopg.connect(url, autocommit=True) as own:
            while not is_over.is_set():
                session_id = new_session(own, 2)
                own.execute("SELECT archive_session(%s)", (session_id,))
                own.execute("SELECT restore_session(%s)", (session_id,))
                written.append(session_id)

    with ThreadPoolExecutor() as pool:
        writer = pool.submit(write)
        try:
            yield written
        finally:
            is_over.set()
            writer.result()


def restored(connection: psycopg.Connection, run_id: int) -> int:
    """Return how many sessions undos of a run have restored."""
    row = connection.execute(
        """
        SELECT coalesce(sum(sessions), 0) FROM engine_archive_run
        WHERE kind = 'undo' AND arguments -> 'run_id' = to_jsonb(%s::bigint)
        """,
        (run_id,),
    ).fetchone()
    assert row is not None
    return int(row[0])
