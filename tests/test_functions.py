"""The SQL functions as statements: what they return, and whom and what the journal names."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from aria_db import functions
from aria_db.database import Database
from aria_db.errors import InvalidArgument, SessionConflict, SessionHeld, translated
from tests.support import new_session, places, temporary_role

MONTH = timedelta(days=30)
# but undo, which names the run that it undoes
KINDS = ("prune", "purge", "archive", "restore", "empty")

Run = Callable[..., Sequence[sa.Row[Any]]]


def _runner(database: Database) -> Run:
    engine = database.engine(poolclass=sa.NullPool)

    def run(statement: sa.Select[Any], setting: str = "") -> Sequence[sa.Row[Any]]:
        with translated(), Session(engine) as session, session.begin():
            session.execute(sa.select(sa.func.set_config("aria_db.actor", setting, True)))
            return session.execute(statement).all()

    return run


@pytest.fixture
def run(database: Database) -> Run:
    """Execute a statement in a transaction of its own, where ``aria_db.actor`` may be set."""
    return _runner(database)


def _archived(connection: psycopg.Connection, messages: int = 3, **columns: object) -> UUID:
    session_id = new_session(connection, messages, **columns)
    connection.execute("SELECT archive_session(%s)", (session_id,))
    return session_id


def _old(connection: psycopg.Connection) -> UUID:
    return new_session(connection, updated_at="2020-01-01")


def _held(connection: psycopg.Connection) -> UUID:
    session_id = new_session(connection)
    connection.execute("SELECT place_hold(%s, 'an audit')", (session_id,))
    return session_id


def _in_both_places(connection: psycopg.Connection) -> UUID:
    """Return a session whose live and archived rows differ, and which has messages in both."""
    session_id = _archived(connection, title="archived")
    return new_session(connection, id=session_id, title="live")


def _due_for_the_purge(connection: psycopg.Connection) -> UUID:
    connection.execute(
        "UPDATE engine_archive_policy SET purge_after = '30 days' WHERE session_type = '*'"
    )
    session_id = _archived(connection)
    for table, key in (
        ("engine_chat_session_archive", "id"),
        ("engine_chat_message_archive", "session_id"),
    ):
        connection.execute(
            f"UPDATE {table} SET archived_at = '2020-01-01' WHERE {key} = %s", (session_id,)
        )
    return session_id


# restore_sessions


def test_several_sessions_are_restored_and_each_says_when_it_is_due(
    run: Run, connection: psycopg.Connection
) -> None:
    interactive = _archived(connection, 2, updated_at="2020-01-01")
    cron = _archived(connection, 1, session_type="cron", updated_at="2020-01-01")
    live = new_session(connection, 0, updated_at="2020-01-01 00:00+00")

    rows = run(functions.restore_sessions([live, cron, uuid4(), interactive]))

    restored = {row.id: row for row in rows}
    assert restored.keys() == {interactive, cron, live}
    restored_at = restored[cron].restored_at
    assert restored_at is not None
    assert restored[interactive] == (interactive, restored_at, 2, True, restored_at + MONTH)
    assert restored[cron] == (cron, restored_at, 1, True, restored_at + timedelta(days=1))
    assert restored[live][:4] == (live, None, 0, False)
    assert restored[live].due_from.isoformat() == "2020-01-31T00:00:00+00:00"
    assert places(connection, interactive) == (1, 2, 0, 0)
    assert places(connection, cron) == (1, 1, 0, 0)


def test_when_one_of_several_sessions_is_in_conflict_none_is_restored(
    run: Run, connection: psycopg.Connection
) -> None:
    archived, conflicting = _archived(connection), _in_both_places(connection)

    with pytest.raises(SessionConflict, match=str(conflicting)):
        run(functions.restore_sessions([archived, conflicting]))

    assert places(connection, archived) == (0, 0, 1, 3)
    assert places(connection, conflicting) == (1, 3, 1, 3)


def test_a_restored_session_is_due_only_when_its_restore_is_old_enough(
    run: Run, connection: psycopg.Connection
) -> None:
    session_id = _archived(connection, updated_at="2020-01-01")
    run(functions.restore_sessions([session_id]))

    for older_than in (None, MONTH):
        assert run(functions.count_prunable_sessions(older_than)) == []
        assert run(functions.prune_sessions(older_than)) == [(0, 0, 0)]
    assert places(connection, session_id) == (1, 3, 0, 0)

    connection.execute(
        "UPDATE engine_archive_event SET at = at - %s WHERE event = 'restored'", (MONTH,)
    )
    assert run(functions.count_prunable_sessions()) == [("interactive", 1, 3, 0, 0, 0)]
    assert run(functions.prune_sessions()) == [(1, 3, 0)]
    assert places(connection, session_id) == (0, 0, 1, 3)


# delete_chat_session, delete_archived_session


@dataclass(frozen=True)
class Deletion:
    """One of the two functions that delete a session.

    :param place: where it deletes.
    :param delete: the function.
    :param prepare: makes a session in that place.
    :param elsewhere: makes a session in the other place.
    :param before: how many rows of the first session there are, as ``places`` counts.
    """

    place: str
    delete: Callable[..., sa.Select[Any]]
    prepare: Callable[[psycopg.Connection], UUID]
    elsewhere: Callable[[psycopg.Connection], UUID]
    before: tuple[int, int, int, int]


DELETIONS = [
    Deletion("live", functions.delete_chat_session, new_session, _archived, (1, 3, 0, 0)),
    Deletion("archive", functions.delete_archived_session, _archived, new_session, (0, 0, 1, 3)),
]
both_deletions = pytest.mark.parametrize(
    "deletion", DELETIONS, ids=[deletion.place for deletion in DELETIONS]
)


@both_deletions
def test_a_deleted_session_is_gone_with_its_messages_and_is_in_the_journal(
    deletion: Deletion, run: Run, connection: psycopg.Connection
) -> None:
    session_id, other = deletion.prepare(connection), deletion.prepare(connection)

    [deleted] = run(deletion.delete(session_id))

    assert (deleted.id, deleted.message_count) == (session_id, 3)
    assert places(connection, session_id) == (0, 0, 0, 0)
    assert places(connection, other) == deletion.before
    assert connection.execute(
        "SELECT session_id, at, message_count, detail FROM engine_archive_event"
        " WHERE event = 'deleted'"
    ).fetchall() == [(session_id, deleted.deleted_at, 3, {"place": deletion.place})]


@both_deletions
def test_nothing_is_deleted_where_there_is_no_such_session(
    deletion: Deletion, run: Run, connection: psycopg.Connection
) -> None:
    elsewhere = deletion.elsewhere(connection)
    before = places(connection, elsewhere)

    for nothing in (elsewhere, uuid4()):
        assert run(deletion.delete(nothing)) == []

    assert places(connection, elsewhere) == before
    assert connection.execute(
        "SELECT count(*) FROM engine_archive_event WHERE event = 'deleted'"
    ).fetchone() == (0,)


@both_deletions
def test_a_session_on_hold_is_not_deleted(
    deletion: Deletion, run: Run, connection: psycopg.Connection
) -> None:
    session_id = deletion.prepare(connection)
    run(functions.place_hold(session_id, "an audit"))

    with pytest.raises(SessionHeld, match="an audit") as refusal:
        run(deletion.delete(session_id))

    assert refusal.value.sqlstate == "AR003"
    assert (refusal.value.hint or "").startswith("Nothing was deleted.")
    assert places(connection, session_id) == deletion.before
    run(functions.release_hold(session_id))
    assert len(run(deletion.delete(session_id))) == 1


def test_a_session_in_both_places_is_not_deleted_from_the_archive(
    run: Run, connection: psycopg.Connection
) -> None:
    session_id = _in_both_places(connection)

    with pytest.raises(SessionConflict, match=f"session {session_id} is live and archived"):
        run(functions.delete_archived_session(session_id))

    assert places(connection, session_id) == (1, 3, 1, 3)
    assert run(functions.delete_chat_session(session_id))[0].message_count == 3
    assert places(connection, session_id) == (0, 0, 1, 3)
    assert run(functions.delete_archived_session(session_id))[0].message_count == 3
    assert places(connection, session_id) == (0, 0, 0, 0)


# actor


@dataclass(frozen=True)
class Change:
    """A function that changes a session.

    :param prepare: makes a session for it.
    :param call: the call of it, for a session and an actor.
    :param events: what it writes into the journal.
    """

    prepare: Callable[[psycopg.Connection], UUID]
    call: Callable[[UUID, str | None], sa.Select[Any]]
    events: tuple[str, ...]


CHANGES = {
    "archive_session": Change(new_session, functions.archive_session, ("archived",)),
    "archive_sessions": Change(
        new_session,
        lambda session_id, actor: functions.archive_sessions([session_id], actor=actor),
        ("archived",),
    ),
    "restore_session": Change(_archived, functions.restore_session, ("restored",)),
    "restore_sessions": Change(
        _archived,
        lambda session_id, actor: functions.restore_sessions([session_id], actor=actor),
        ("restored",),
    ),
    "delete_chat_session": Change(new_session, functions.delete_chat_session, ("deleted",)),
    "delete_archived_session": Change(_archived, functions.delete_archived_session, ("deleted",)),
    "prune_sessions": Change(
        _old, lambda _, actor: functions.prune_sessions(actor=actor), ("archived",)
    ),
    "purge_archive": Change(
        _due_for_the_purge, lambda _, actor: functions.purge_archive(actor=actor), ("purged",)
    ),
    "place_hold": Change(
        new_session,
        lambda session_id, actor: functions.place_hold(session_id, "an audit", actor),
        ("held",),
    ),
    "release_hold": Change(_held, functions.release_hold, ("released",)),
    "resolve_session_conflict": Change(
        _in_both_places,
        lambda session_id, actor: functions.resolve_session_conflict(
            session_id, "live", "live", actor
        ),
        ("resolved",),
    ),
    "resolve_session_conflict into the archive": Change(
        _in_both_places,
        lambda session_id, actor: functions.resolve_session_conflict(
            session_id, "archive", "live", actor
        ),
        ("archived", "resolved"),
    ),
}
every_change = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


@every_change
def test_the_actor_is_the_argument_or_else_the_setting_or_else_the_database_role(
    change: Change, run: Run, connection: psycopg.Connection
) -> None:
    role = connection.info.user
    for actor, setting, recorded in (
        ("alice", "", "alice"),
        ("alice", "bob", "alice"),
        (None, "bob", "bob"),
        ("", "bob", "bob"),
        (None, "", role),
        ("", "", role),
    ):
        session_id = change.prepare(connection)
        [last] = connection.execute(
            "SELECT coalesce(max(id), 0) FROM engine_archive_event"
        ).fetchone() or (0,)

        run(change.call(session_id, actor), setting)

        written = connection.execute(
            "SELECT session_id, event, actor, role, run_id FROM engine_archive_event"
            " WHERE id > %s ORDER BY id",
            (last,),
        ).fetchall()
        assert written == [(session_id, event, recorded, role, None) for event in change.events]


def test_a_run_records_who_began_it_beside_the_database_role(
    run: Run, connection: psycopg.Connection
) -> None:
    role = connection.info.user
    for actor, setting, recorded in (
        ("alice", "bob", "alice"),
        (None, "bob", "bob"),
        (None, "", role),
    ):
        [(run_id,)] = run(functions.begin_archive_run("archive", {}, actor), setting)

        assert connection.execute(
            "SELECT started_by, role FROM engine_archive_run WHERE id = %s", (run_id,)
        ).fetchone() == (recorded, role)


def test_a_hold_and_a_resolution_record_the_actor_in_their_own_tables_too(
    run: Run, connection: psycopg.Connection
) -> None:
    held, conflicting = new_session(connection), _in_both_places(connection)

    [hold] = run(functions.place_hold(held, "an audit", "alice"))
    run(functions.resolve_session_conflict(conflicting, "live", "live", "alice"))

    assert hold.placed_by == "alice"
    assert connection.execute(
        "SELECT session_id, resolved_by FROM engine_conflict_resolution"
    ).fetchall() == [(conflicting, "alice")]


def test_the_journal_names_the_role_that_connected_whoever_owns_the_functions(
    database: Database, connection: psycopg.Connection
) -> None:
    archived_by_actor, archived_by_role = new_session(connection), new_session(connection)
    with temporary_role(connection) as role:
        connection.execute("SELECT grant_archive_access(%s, 'app')", (role,))
        run = _runner(replace(database, url=database.url.set(username=role)))

        run(functions.archive_session(archived_by_actor, "alice"))
        run(functions.archive_session(archived_by_role))

        written = connection.execute(
            "SELECT session_id, actor, role FROM engine_archive_event ORDER BY id"
        ).fetchall()
    assert written == [(archived_by_actor, "alice", role), (archived_by_role, role, role)]


# run_id


@dataclass(frozen=True)
class Batch:
    """A function that can be a batch of a run.

    :param prepare: makes a session that it moves or deletes.
    :param call: the call of it, for a session and a run.
    :param event: what it writes into the journal.
    :param kinds: the kinds of runs that it can be a batch of.
    :param step_of: the one in which another function counts the batch.
    """

    prepare: Callable[[psycopg.Connection], UUID]
    call: Callable[[UUID, int], sa.Select[Any]]
    event: str
    kinds: tuple[str, ...]
    step_of: str | None = None


BATCHES = {
    "archive_sessions": Batch(
        new_session,
        lambda session_id, run_id: functions.archive_sessions([session_id], run_id),
        "archived",
        ("archive", "prune"),
        step_of="prune",
    ),
    "restore_sessions": Batch(
        _archived,
        lambda session_id, run_id: functions.restore_sessions([session_id], run_id),
        "restored",
        ("restore",),
    ),
    "prune_sessions": Batch(
        _old, lambda _, run_id: functions.prune_sessions(run_id=run_id), "archived", ("prune",)
    ),
    "purge_archive": Batch(
        _due_for_the_purge,
        lambda _, run_id: functions.purge_archive(run_id=run_id),
        "purged",
        ("purge",),
    ),
}
every_batch = pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)


def _figures(connection: psycopg.Connection, run_id: int) -> tuple[int, int, int]:
    row = connection.execute(
        "SELECT batches, sessions, messages FROM engine_archive_run WHERE id = %s", (run_id,)
    ).fetchone()
    assert row is not None
    return row


@every_batch
def test_a_batch_is_counted_in_its_run_and_the_journal_names_the_run(
    batch: Batch, run: Run, connection: psycopg.Connection
) -> None:
    for kind in batch.kinds:
        [(run_id,)] = run(functions.begin_archive_run(kind, {}))
        for number in (1, 2):
            session_id = batch.prepare(connection)

            run(batch.call(session_id, run_id))

            counted = 0 if kind == batch.step_of else number
            assert _figures(connection, run_id) == (counted, counted, 3 * counted)
            assert connection.execute(
                "SELECT run_id, message_count FROM engine_archive_event"
                " WHERE session_id = %s AND event = %s",
                (session_id, batch.event),
            ).fetchall() == [(run_id, 3)]


@every_batch
def test_a_batch_of_an_unknown_run_is_refused_and_nothing_moves(
    batch: Batch, run: Run, connection: psycopg.Connection
) -> None:
    session_id = batch.prepare(connection)
    before = places(connection, session_id)

    with pytest.raises(InvalidArgument, match="there is no run 4711"):
        run(batch.call(session_id, 4711))

    assert places(connection, session_id) == before


@every_batch
def test_a_batch_of_a_finished_run_is_refused_and_nothing_moves(
    batch: Batch, run: Run, connection: psycopg.Connection
) -> None:
    session_id = batch.prepare(connection)
    before = places(connection, session_id)
    [(run_id,)] = run(functions.begin_archive_run(batch.kinds[0], {}))
    run(functions.finish_archive_run(run_id, "interrupted"))

    with pytest.raises(InvalidArgument, match=f"run {run_id} has finished"):
        run(batch.call(session_id, run_id))

    assert places(connection, session_id) == before
    assert _figures(connection, run_id) == (0, 0, 0)


@every_batch
def test_a_batch_of_a_run_of_another_kind_is_refused_and_nothing_moves(
    batch: Batch, run: Run, connection: psycopg.Connection
) -> None:
    session_id = batch.prepare(connection)
    before = places(connection, session_id)
    for kind in KINDS:
        if kind in batch.kinds:
            continue
        [(run_id,)] = run(functions.begin_archive_run(kind, {}))

        with pytest.raises(InvalidArgument, match=f"run {run_id} is of the kind {kind}"):
            run(batch.call(session_id, run_id))

        assert places(connection, session_id) == before
        assert _figures(connection, run_id) == (0, 0, 0)


def test_a_run_of_no_kind_is_refused(run: Run, connection: psycopg.Connection) -> None:
    with pytest.raises(InvalidArgument, match="kind is 'tidy', and must be prune, purge, archive"):
        run(functions.begin_archive_run("tidy", {}))

    assert connection.execute("SELECT count(*) FROM engine_archive_run").fetchone() == (0,)


@pytest.mark.parametrize("reason", ["tired", None])
def test_a_run_does_not_end_for_an_unknown_reason(
    reason: str, run: Run, connection: psycopg.Connection
) -> None:
    [(run_id,)] = run(functions.begin_archive_run("prune", {}))

    with pytest.raises(InvalidArgument, match=r"stop_reason is .*, and must be nothing left"):
        run(functions.finish_archive_run(run_id, reason))

    assert connection.execute("SELECT finished_at FROM engine_archive_run").fetchone() == (None,)
