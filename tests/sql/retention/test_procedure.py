"""CALL prune_old_sessions(): a transaction per batch, ended in every way, from any path."""

import subprocess
from collections.abc import Iterator

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from aria_db import embedded
from aria_db.database import Database
from aria_db.install import migrate
from tests.support import Connect, Start, events, new_session, temporary_role, wait_until_blocked
from tests.support.retention import (
    LIVE,
    finish_run,
    forbid,
    forbid_a_title,
    left,
    old_sessions,
    one,
    place_hold,
    runs,
    session_of_age,
    stop_at_batch,
    stop_at_the_journal,
    wait_until_gone,
    where,
)

ODD_SCHEMA = 'My "odd" schema, 100% x.y'

# What a role needs that runs the prune and nothing else, besides USAGE on the schema.
NEEDED = (
    "PROCEDURE prune_old_sessions(interval, text, integer, interval, text)",
    "FUNCTION begin_archive_run(text, jsonb, text)",
    "FUNCTION finish_archive_run(bigint, text, text)",
    "FUNCTION end_zombie_sessions(integer)",
    "FUNCTION prune_sessions(interval, text, integer, bigint, text)",
)

# The signatures of the real ones, so that only the schema tells them apart.
DECOYS = """
CREATE SCHEMA decoy;
CREATE FUNCTION decoy.begin_archive_run(text, jsonb DEFAULT '{}', text DEFAULT NULL)
RETURNS bigint LANGUAGE sql AS 'SELECT 1/0';
CREATE FUNCTION decoy.prune_sessions(interval, text, integer, bigint, text)
RETURNS TABLE (sessions bigint, messages bigint, left_behind bigint)
LANGUAGE sql AS 'SELECT 1/0, 1/0, 1/0';
CREATE FUNCTION decoy.end_zombie_sessions(integer) RETURNS bigint LANGUAGE sql AS 'SELECT 1/0';
CREATE FUNCTION decoy.finish_archive_run(bigint, text, text) RETURNS void
LANGUAGE sql AS 'SELECT 1/0';
CREATE FUNCTION decoy._record_archive_batch(bigint, bigint, bigint, timestamptz) RETURNS void
LANGUAGE sql AS 'SELECT 1/0';
CREATE FUNCTION decoy._actor(text) RETURNS text LANGUAGE sql AS 'SELECT (1/0)::text';
CREATE PROCEDURE decoy.prune_old_sessions(interval, text, integer, interval, text)
LANGUAGE sql AS 'SELECT 1/0';
"""


def run_prune(
    connection: psycopg.Connection, schema: str | None = None, **arguments: object
) -> list[str]:
    """CALL the procedure; return its notices."""
    notices: list[str] = []
    connection.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
    procedure = sql.Identifier(*filter(None, [schema, "prune_old_sessions"]))
    named = sql.SQL(", ").join(
        sql.SQL("{} => {}").format(sql.Identifier(name), sql.Literal(value))
        for name, value in arguments.items()
    )
    connection.execute(sql.SQL("CALL {}({})").format(procedure, named))
    return notices


def counts(connection: psycopg.Connection) -> tuple[int, int]:
    """Count the sessions: live, archived."""
    row = connection.execute(
        """
        SELECT (SELECT count(*) FROM engine_chat_sessions),
            (SELECT count(*) FROM engine_chat_session_archive)
        """
    ).fetchone()
    assert row is not None
    return row


def upgrade(database: Database, schema: str, user: str | None = None) -> None:
    url = database.url.set(username=user) if user else database.url
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        migrate.upgrade(connection, schema)
    engine.dispose()


def use_schema(connection: psycopg.Connection, *schemas: str) -> None:
    connection.execute(
        sql.SQL("SET search_path = {}").format(sql.SQL(", ").join(map(sql.Identifier, schemas)))
    )


def test_it_archives_batch_after_batch_with_a_notice_each_until_nothing_is_left(
    connection: psycopg.Connection,
) -> None:
    old_sessions(connection, 5)
    new_session(connection, status="archived")
    new_session(connection)

    assert run_prune(connection, batch_size=4) == [
        "batch 1: 4 sessions, 12 messages; 4 sessions, 12 messages in all",
        "batch 2: 2 sessions, 6 messages; 6 sessions, 18 messages in all",
    ]
    assert counts(connection) == (1, 6)
    (run,) = runs(connection)
    assert (run.stop_reason, run.batches, run.sessions, run.messages) == ("nothing left", 2, 6, 18)


def test_its_arguments_are_those_of_prune_sessions(connection: psycopg.Connection) -> None:
    young = session_of_age(connection, "2 hours", session_type="a")
    other_type = session_of_age(connection, "2 hours", session_type="b")

    run_prune(connection, older_than="1 hour", session_type="a")

    assert [place[0] for place in where(connection, [young, other_type])] == [0, 1]
    assert runs(connection)[0].arguments == {
        "older_than": "01:00:00",
        "session_type": "a",
        "batch_size": 500,
    }


def test_its_run_and_the_journal_name_the_actor_and_every_event_names_the_run(
    connection: psycopg.Connection,
) -> None:
    ids = old_sessions(connection, 3)

    run_prune(connection, batch_size=2, actor="ada")

    (run,) = runs(connection)
    assert (run.started_by, run.arguments) == ("ada", {"batch_size": 2})
    assert [(event.event, event.actor, event.run_id) for event in events(connection, *ids)] == [
        ("archived", "ada", run.id)
    ] * 3


def test_what_it_had_to_leave_names_its_run(connection: psycopg.Connection) -> None:
    forbid_a_title(connection)
    forbidden, *_ = old_sessions(connection, 3)
    forbid(connection, forbidden)

    run_prune(connection, batch_size=2)

    (run,) = runs(connection)
    assert (run.stop_reason, run.sessions) == ("nothing left", 2)
    assert {key: (row.run_id, row.sqlstate) for key, row in left(connection).items()} == {
        forbidden: (run.id, "AR007")
    }


def test_it_stops_when_max_runtime_is_over_after_finishing_the_current_batch(
    connection: psycopg.Connection,
) -> None:
    old_sessions(connection, 5)

    assert len(run_prune(connection, batch_size=2, max_runtime="1 microsecond")) == 1
    assert counts(connection) == (3, 2)
    assert runs(connection)[0].stop_reason == "max_runtime"

    run_prune(connection, batch_size=2, max_runtime="1 hour")
    assert counts(connection) == (0, 5)
    assert runs(connection)[1].stop_reason == "nothing left"


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_runtime": "0"},
        {"max_runtime": "-1 hour"},
        {"older_than": "0"},
        {"older_than": "5000 years"},
        {"session_type": "no such type"},
        {"batch_size": 0},
        {"batch_size": None},
    ],
    ids=str,
)
def test_arguments_that_cannot_be_meant_are_refused_and_nothing_is_moved(
    connection: psycopg.Connection, arguments: dict
) -> None:
    ids = old_sessions(connection, 1)

    with pytest.raises(psycopg.errors.InvalidParameterValue) as refusal:
        run_prune(connection, **arguments)

    assert refusal.value.diag.message_hint
    assert where(connection, ids) == [LIVE]
    assert {run.state for run in runs(connection)} <= {"failed"}


def test_in_a_transaction_block_it_is_refused_and_nothing_is_moved(
    connection: psycopg.Connection,
) -> None:
    ids = old_sessions(connection, 1)

    with (
        pytest.raises(psycopg.errors.InvalidTransactionTermination),
        connection.transaction(),
    ):
        run_prune(connection)

    assert where(connection, ids) == [LIVE]
    assert runs(connection) == []


# Ended in the middle


def test_a_run_whose_backend_is_terminated_keeps_what_it_committed_and_the_next_goes_on(
    connection: psycopg.Connection, other: psycopg.Connection, start_blocked: Start
) -> None:
    old_sessions(other, 10)
    stop_at_batch(other, 3)
    other.execute("SELECT pg_advisory_lock(1)")

    running = start_blocked(run_prune, connection, batch_size=2)
    assert [run.state for run in runs(other)] == ["running"]
    other.execute("SELECT pg_terminate_backend(%s, 10000)", (connection.info.backend_pid,))
    with pytest.raises(psycopg.OperationalError):
        running.result()

    assert counts(other) == (6, 4)
    (run,) = runs(other)
    assert (run.state, run.batches, run.sessions, run.messages) == ("killed", 2, 4, 12)
    assert (run.finished_at, run.stop_reason) == (None, None)
    run_prune(other, batch_size=2)
    assert counts(other) == (0, 10)
    assert [(run.state, run.sessions) for run in runs(other)] == [("killed", 4), ("finished", 6)]


def test_a_run_whose_psql_is_killed_has_logged_exactly_what_it_moved(
    connection: psycopg.Connection, other: psycopg.Connection, database: Database
) -> None:
    old_sessions(connection, 40)
    stop_at_batch(connection, 3)
    connection.execute("SELECT pg_advisory_lock(1)")
    psql = subprocess.Popen(
        [
            *(embedded.program("psql"), "--no-psqlrc", f"--dbname={database.libpq_url()}"),
            *("--command", "CALL prune_old_sessions(batch_size => 2)"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    while not (pid := one(other, "SELECT max(backend_pid) FROM engine_archive_run")):
        assert psql.poll() is None
    wait_until_blocked(other, pid)
    psql.kill()
    psql.communicate()
    connection.execute("SELECT pg_advisory_unlock(1)")
    wait_until_gone(other, pid)

    (run,) = runs(other)
    assert run.state == "killed"
    assert counts(other) == (40 - run.sessions, run.sessions)
    assert 4 <= run.sessions == 2 * run.batches < 40
    run_prune(other)
    assert counts(other) == (0, 40)


def test_a_run_that_is_cancelled_ends_as_interrupted_with_its_last_batch_undone(
    connection: psycopg.Connection, other: psycopg.Connection, start_blocked: Start
) -> None:
    old_sessions(other, 10)
    stop_at_batch(other, 3)
    other.execute("SELECT pg_advisory_lock(1)")

    running = start_blocked(run_prune, connection, batch_size=2)
    connection.cancel_safe()
    with pytest.raises(psycopg.errors.QueryCanceled):
        running.result()

    assert counts(other) == (6, 4)
    (run,) = runs(other)
    assert (run.state, run.stop_reason, run.batches) == ("finished", "interrupted", 2)
    assert run.error == "canceling statement due to user request"


def test_a_run_that_somebody_else_finishes_ends_with_its_last_batch_undone(
    connection: psycopg.Connection, other: psycopg.Connection, start_blocked: Start
) -> None:
    old_sessions(other, 10)
    stop_at_the_journal(other, after=4)
    other.execute("SELECT pg_advisory_lock(1)")

    running = start_blocked(run_prune, connection, batch_size=2)
    (run,) = runs(other)
    finish_run(other, run.id, "interrupted")
    other.execute("SELECT pg_advisory_unlock(1)")
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=str(run.id)):
        running.result()

    assert counts(other) == (6, 4)
    (run,) = runs(other)
    assert (run.state, run.stop_reason, run.batches, run.sessions) == (
        *("finished", "interrupted"),
        *(2, 4),
    )


def test_a_run_that_fails_tells_why_to_its_caller_and_in_the_log(
    connection: psycopg.Connection,
) -> None:
    ids = old_sessions(connection, 1)
    connection.execute("ALTER TABLE engine_chat_messages ADD COLUMN surplus text")

    with pytest.raises(psycopg.Error) as failure:
        run_prune(connection)

    assert failure.value.sqlstate == "AR002"
    assert failure.value.diag.message_hint
    (run,) = runs(connection)
    assert (run.state, run.stop_reason, run.sessions) == ("failed", "failed", 0)
    assert run.error == failure.value.diag.message_primary
    assert where(connection, ids) == [LIVE]


def test_sessions_in_use_or_held_do_not_keep_it_from_ending(
    connection: psycopg.Connection, other: psycopg.Connection
) -> None:
    in_use, held, *_ = old_sessions(connection, 6)
    place_hold(connection, held)

    with other.transaction():
        other.execute(
            "UPDATE engine_chat_messages SET content = '' WHERE session_id = %s", (in_use,)
        )
        run_prune(connection, batch_size=1)

    assert counts(connection) == (2, 4)
    run_prune(connection, batch_size=1)
    assert counts(connection) == (1, 5)


# From any path, by any role


@pytest.mark.parametrize("schema", ["aria", ODD_SCHEMA])
@pytest.mark.parametrize("path", [["decoy", "public"], ["decoy"], None])
def test_it_works_in_its_own_schema_however_it_is_found(
    connection: psycopg.Connection, database: Database, schema: str, path: list[str] | None
) -> None:
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    upgrade(database, schema)
    connection.execute(DECOYS)
    bystanders = old_sessions(connection, 2)
    use_schema(connection, schema)
    old_sessions(connection, 3)

    use_schema(connection, *(path or [schema, "decoy"]))
    run_prune(connection, schema=schema if path else None, batch_size=2)

    use_schema(connection, schema)
    assert counts(connection) == (0, 3)
    assert [run.sessions for run in runs(connection)] == [3]
    use_schema(connection, "public")
    assert where(connection, bystanders) == [LIVE] * 2
    assert runs(connection) == []


@pytest.fixture
def owner(connection: psycopg.Connection) -> Iterator[str]:
    """A role that owns what is called, and may do nothing else."""
    with temporary_role(connection) as name:
        yield name


def test_a_role_needs_execute_on_it_and_on_the_functions_it_calls_and_nothing_else(
    connection: psycopg.Connection,
    connect: Connect,
    database: Database,
    owner: str,
    role: str,
) -> None:
    connection.execute(f'CREATE SCHEMA aria AUTHORIZATION "{owner}"')
    upgrade(database, "aria", owner)
    use_schema(connection, "aria")
    old_sessions(connection, 3)
    connection.execute(f'GRANT USAGE ON SCHEMA aria TO "{role}"')
    caller = connect(user=role)
    use_schema(caller, "aria")

    for needed in NEEDED:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            run_prune(caller)
        connection.execute(f'GRANT EXECUTE ON {needed} TO "{role}"')
    run_prune(caller)

    assert counts(connection) == (0, 3)
    run = runs(connection)[-1]
    assert (run.started_by, run.state, run.sessions) == (role, "finished", 3)
    assert {(event.actor, event.role) for event in events(connection)} == {(role, role)}
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        caller.execute("SELECT 1 FROM engine_chat_session_archive")


def test_a_statement_timeout_of_the_role_is_a_failure_and_not_an_interruption(
    connection: psycopg.Connection, connect: Connect
) -> None:
    """It would end each night's prune, and the log would say that all is well."""
    old_sessions(connection, 2)
    stop_at_the_journal(connection)
    other = connect("-c statement_timeout=300ms")
    connection.execute("SELECT pg_advisory_lock(1)")

    with pytest.raises(psycopg.errors.QueryCanceled):
        other.execute("CALL prune_old_sessions()")

    (run,) = runs(connection)
    assert (run.state, run.stop_reason) == ("failed", "failed")
    assert "statement timeout" in run.error


@pytest.mark.parametrize("arguments", ["session_type => 'typo'", "batch_size => 0"])
def test_arguments_that_cannot_be_meant_are_no_run(
    connection: psycopg.Connection, arguments: str
) -> None:
    old_sessions(connection, 1)
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        connection.execute(f"CALL prune_old_sessions({arguments})")
    assert runs(connection) == []
