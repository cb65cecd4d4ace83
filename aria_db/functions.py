"""The SQL functions as SQLAlchemy statements.

Each function returns a statement that works in a ``Session`` and in an
``AsyncSession`` alike; what it did becomes visible when the transaction commits::

    with Session(engine) as session, session.begin():
        archived = session.execute(functions.archive_session(session_id)).one_or_none()
    if archived is None:
        print("no such session")

The files in ``sql/`` say at their top what each function promises and which errors it raises;
:mod:`aria_db.errors` has an exception for each error.

``actor`` is who is on record for the change; None for the setting ``aria_db.actor``, or else
the database role. ``run_id`` names the open run that the call is a batch of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    Boolean,
    DateTime,
    Function,
    Integer,
    Interval,
    MetaData,
    Select,
    String,
    Table,
    Text,
    Uuid,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from aria_db.results import (
    Archived,
    Deleted,
    Dependent,
    Difference,
    Drift,
    Emptied,
    Finding,
    Hazard,
    HistoryEvent,
    Hold,
    LastMessage,
    Prunable,
    Pruned,
    Purgeable,
    Purged,
    Resolved,
    Restorable,
    Restored,
    Undone,
    columns_of,
)

_TIMESTAMP = DateTime(timezone=True)


class InstalledFunction(Function[Any]):
    """A call of a function of this package, qualified with the schema of the engine.

    SQLAlchemy applies ``schema_translate_map`` to tables only; this applies it to the call.
    """

    inherit_cache = True


_ANY_TABLE = Table("engine_chat_sessions", MetaData())


@compiles(InstalledFunction)
def _in_schema(call: InstalledFunction, compiler: SQLCompiler, **options: Any) -> str:
    schema = compiler.preparer.schema_for_object(_ANY_TABLE)
    rendered = compiler.visit_function(call, **options)
    return f"{compiler.preparer.quote_schema(schema)}.{rendered}" if schema else rendered


class _Installed:
    def __getattr__(self, name: str) -> Callable[..., InstalledFunction]:
        return partial(InstalledFunction, name)


_installed = _Installed()


def _rows(call: Function[Any], result: type) -> Select[Any]:
    """Return ``SELECT <columns of the result> FROM <call>``.

    Not with table_valued(), which copies the columns: building the statement would take three
    times as long.
    """
    return select(*columns_of(result)).select_from(call)


def archive_session(
    session_id: UUID | BindParameter[UUID],
    actor: str | BindParameter[str] | None = None,
) -> Select[UUID, datetime, int, bool]:
    """Archive one session with all its messages.

    :param session_id: the session; or a parameter, for a statement that is built once.
    :param actor: who is on record for it; or a parameter.
    :return: a statement that gives 0 or 1 row ``(id, archived_at, message_count,
        newly_archived)``: none if there is no such session; with ``newly_archived``
        false and the first ``archived_at`` if it was archived before.
        ``message_count`` counts its messages in the archive.
    :raises aria_db.errors.SessionConflict: when executed: it is live and archived,
        with different rows.
    :raises aria_db.errors.SessionHeld: when executed: it is on hold.
    :raises aria_db.errors.ColumnDrift: when executed: a column would be lost.
    :raises aria_db.errors.DependentRows: when executed: rows of other tables refer to it.
    :raises aria_db.errors.RowsChanged: when executed: a trigger or rule would change rows.
    :raises aria_db.errors.RowRefused: when executed: a constraint of the archive refuses a row.
    """
    if not isinstance(session_id, BindParameter):
        session_id = literal(session_id, Uuid())
    if not isinstance(actor, BindParameter):
        actor = literal(actor, Text())
    return _rows(_installed.archive_session(session_id, actor), Archived)


def archive_sessions(
    session_ids: Iterable[UUID], run_id: int | None = None, actor: str | None = None
) -> Select[UUID, datetime, int, bool]:
    """Archive several sessions with all their messages: all of them, or none.

    :param session_ids: the sessions.
    :param run_id: an open run of the kind ``archive`` or ``prune``; None for no run.
    :param actor: who is on record for it.
    :return: a statement that gives a row as :func:`archive_session` does for each
        session that exists, in no particular order.
    :raises aria_db.errors.SessionConflict: when executed, as :func:`archive_session`.
    :raises aria_db.errors.SessionHeld: when executed, as :func:`archive_session`.
    :raises aria_db.errors.ColumnDrift: when executed, as :func:`archive_session`.
    """
    return _rows(_installed.archive_sessions(*_several(session_ids, run_id, actor)), Archived)


def restore_session(
    session_id: UUID, actor: str | None = None
) -> Select[UUID, datetime | None, int, bool, datetime | None]:
    """Bring an archived session and all its messages back.

    :param session_id: the session.
    :param actor: who is on record for it.
    :return: a statement that gives 0 or 1 row ``(id, restored_at, message_count,
        newly_restored, due_from)``: none if there is no such session; with
        ``newly_restored`` false and ``restored_at`` None if it was live already.
        ``due_from`` is when the prune may archive it again; None for never.
    :raises aria_db.errors.SessionConflict: when executed: its id, or the id of one
        of its messages, is live.
    :raises aria_db.errors.ColumnDrift: when executed: a column would be lost.
    :raises aria_db.errors.RowsChanged: when executed: a trigger or rule would change rows.
    :raises aria_db.errors.RowRefused: when executed: a constraint of the live tables refuses a
        row.
    """
    call = _installed.restore_session(literal(session_id, Uuid()), literal(actor, Text()))
    return _rows(call, Restored)


def restore_sessions(
    session_ids: Iterable[UUID], run_id: int | None = None, actor: str | None = None
) -> Select[UUID, datetime | None, int, bool, datetime | None]:
    """Bring several archived sessions back with all their messages: all of them, or none.

    :param session_ids: the sessions.
    :param run_id: an open run of the kind ``restore`` or ``undo``; None for no run.
    :param actor: who is on record for it.
    :return: a statement that gives a row as :func:`restore_session` does for each
        session that exists, in no particular order.
    :raises aria_db.errors.SessionConflict: when executed, as :func:`restore_session`.
    :raises aria_db.errors.ColumnDrift: when executed, as :func:`restore_session`.
    """
    return _rows(_installed.restore_sessions(*_several(session_ids, run_id, actor)), Restored)


def restore_run(
    run_id: int, batch_size: int = 500, undo_run_id: int | None = None, actor: str | None = None
) -> Select[int, int, int]:
    """Undo one batch of a run: restore what it archived and nobody has touched since.

    A session comes back together with the sessions of the run that it refers to.

    :param run_id: a run of the kind ``prune`` or ``archive`` that has ended.
    :param batch_size: how many sessions at most, beside those that they refer to.
    :param undo_run_id: an open run of the kind ``undo``; None for no run.
    :param actor: who is on record for it.
    :return: a statement that gives 1 row ``(sessions, messages, left_behind)``: how many were
        restored, 0 when nothing is left that can be restored now; and how many sessions could
        not be restored, which :class:`aria_db.models.EngineArchiveLeft` lists.
    :raises aria_db.errors.InvalidArgument: when executed: there is no such run, or it is of
        another kind.
    :raises aria_db.errors.WrongState: when executed: the run is still running.
    """
    call = _installed.restore_run(
        literal(run_id, BigInteger()),
        literal(batch_size, Integer()),
        literal(undo_run_id, BigInteger()),
        literal(actor, Text()),
    )
    return _rows(call, Undone)


def count_restorable_sessions(run_id: int) -> Select[int, int, int, int]:
    """Count what :func:`restore_run` would restore. Locks and moves nothing.

    :param run_id: as :func:`restore_run`.
    :return: a statement that gives 1 row ``(sessions, messages, conflicting, changed)``; the last
        two count the sessions of the run that are live as well, and those that somebody has
        restored, deleted or purged since, or archived again.
    :raises aria_db.errors.InvalidArgument: when executed, as :func:`restore_run`.
    :raises aria_db.errors.WrongState: when executed, as :func:`restore_run`.
    """
    return _rows(_installed.count_restorable_sessions(literal(run_id, BigInteger())), Restorable)


def archive_history(
    session_id: UUID,
) -> Select[datetime, str, str, str, int | None, int | None, dict[str, Any] | None]:
    """List what has happened to a session, also to one that is gone.

    :param session_id: the session.
    :return: a statement that gives a row ``(at, event, actor, role, run_id, message_count,
        detail)`` for each event, oldest first; none if nothing is on record.
    """
    return _rows(_installed.archive_history(literal(session_id, Uuid())), HistoryEvent)


def _several(
    session_ids: Iterable[UUID], run_id: int | None, actor: str | None
) -> tuple[BindParameter[Any], ...]:
    """Return the arguments of the functions that move several sessions."""
    return (
        literal(list(session_ids), ARRAY(Uuid())),
        literal(run_id, BigInteger()),
        literal(actor, Text()),
    )


def delete_chat_session(session_id: UUID, actor: str | None = None) -> Select[UUID, datetime, int]:
    """Delete a live session and its messages for good. The archive is not touched.

    :param session_id: the session.
    :param actor: who is on record for it.
    :return: a statement that gives 0 or 1 row ``(id, deleted_at, message_count)``: none if
        there is no such live session.
    :raises aria_db.errors.SessionHeld: when executed: it is on hold.
    """
    call = _installed.delete_chat_session(literal(session_id, Uuid()), literal(actor, Text()))
    return _rows(call, Deleted)


def delete_chat_message(
    session_id: UUID, message_id: UUID, actor: str | None = None
) -> Select[bool]:
    """Delete a message of a live session for good; the session counts one less.

    :param session_id: the session.
    :param message_id: the message.
    :param actor: who is on record for it.
    :return: a statement that gives whether that live session had such a message.
    :raises aria_db.errors.SessionHeld: when executed: the session is on hold.
    :raises aria_db.errors.RowsChanged: when executed: a trigger or rule kept the message.
    """
    call = _installed.delete_chat_message(
        literal(session_id, Uuid()),
        literal(message_id, Uuid()),
        literal(actor, Text()),
        type_=Boolean(),
    )
    return select(call)


def delete_archived_session(
    session_id: UUID, actor: str | None = None
) -> Select[UUID, datetime, int]:
    """Delete an archived session and its messages for good.

    :param session_id: the session.
    :param actor: who is on record for it.
    :return: a statement that gives 0 or 1 row ``(id, deleted_at, message_count)``: none if
        there is no such archived session.
    :raises aria_db.errors.SessionHeld: when executed: it is on hold.
    :raises aria_db.errors.SessionConflict: when executed: it is live as well.
    """
    call = _installed.delete_archived_session(literal(session_id, Uuid()), literal(actor, Text()))
    return _rows(call, Deleted)


def archive_column_drift() -> Select[str, str, str]:
    """List the columns that would not be archived faithfully.

    :return: a statement that gives a row ``(live_table, column_name, problem)`` for
        each; none when all is well.
    """
    return _rows(_installed.archive_column_drift(), Drift)


def archive_dependents() -> Select[str, str, str, str, str, bool, str, int]:
    """List the foreign keys through which rows of other tables hang on chat rows.

    :return: a statement that gives a row ``(schema_name, table_name, constraint_name, refers_to,
        on_delete, is_indexed, handling, estimated_rows)`` for each key.
    """
    return _rows(_installed.archive_dependents(), Dependent)


def set_archive_dependent(schema_name: str, table_name: str, handling: str) -> Select[Any]:
    """Say what becomes of the rows of a table that refer to chat rows. For the owner.

    :param schema_name: the schema of the table.
    :param table_name: the table.
    :param handling: ``move``, ``delete``, ``detach`` or ``refuse``.
    :raises aria_db.errors.InvalidArgument: when executed: the handling is none of these, does not
        fit the foreign key, or no foreign key of the table refers to chat rows.
    :raises aria_db.errors.NameTaken: when executed: another table has the name of the archive.
    """
    return select(
        _installed.set_archive_dependent(
            literal(schema_name, Text()), literal(table_name, Text()), literal(handling, Text())
        )
    )


def archive_hazards() -> Select[str, str, str, str, str]:
    """List what would make a move refuse, lose rows, be unsafe or be slow.

    :return: a statement that gives a row ``(hazard, object, effect, detail, remedy)`` for each;
        ``effect`` is ``refuses``, ``loses``, ``unsafe`` or ``slow``.
    """
    return _rows(_installed.archive_hazards(), Hazard)


def prune_sessions(
    older_than: timedelta | None = None,
    session_type: str | None = None,
    batch_size: int = 500,
    run_id: int | None = None,
    actor: str | None = None,
) -> Select[int, int, int]:
    """Archive one batch of sessions that are soft-deleted or old, oldest first.

    Sessions in use, held, or in the archive as well are left for a later run.

    :param older_than: how long ago the last update must be; None for what the policy of
        the session's type says.
    :param session_type: only sessions of this type; None for all.
    :param batch_size: how many sessions at most.
    :param run_id: an open run of the kind ``prune``; None for no run.
    :param actor: who is on record for it.
    :return: a statement that gives 1 row ``(sessions, messages, left_behind)``: how many
        were moved, 0 when nothing is left that can be moved now; and how many sessions
        could not be moved, which :class:`aria_db.models.EngineArchiveLeft` lists.
    :raises aria_db.errors.InvalidArgument: when executed: an argument is out of range, the
        type is unknown, or no policy says an age.
    """
    call = _installed.prune_sessions(
        literal(older_than, Interval()),
        literal(session_type, Text()),
        literal(batch_size, Integer()),
        literal(run_id, BigInteger()),
        literal(actor, Text()),
    )
    return _rows(call, Pruned)


def count_prunable_sessions(
    older_than: timedelta | None = None, session_type: str | None = None
) -> Select[str, int, int, int, int, int]:
    """Count what :func:`prune_sessions` would archive. Locks and moves nothing.

    :param older_than: as :func:`prune_sessions`.
    :param session_type: as :func:`prune_sessions`.
    :return: a statement that gives a row per type ``(of_type, sessions, messages, held,
        conflicting, referred)``; the last three count the sessions that wait behind a hold,
        because they are in the archive as well, or because rows of other tables refer to them.
    :raises aria_db.errors.InvalidArgument: when executed, as :func:`prune_sessions`.
    """
    call = _installed.count_prunable_sessions(
        literal(older_than, Interval()), literal(session_type, Text())
    )
    return _rows(call, Prunable)


def end_zombie_sessions(batch_size: int = 500) -> Select[int]:
    """End one batch of zombies: active sessions of the types scoped and cron whose job is gone.

    They are last updated two hours ago or earlier, and stay last updated then.

    :param batch_size: how many sessions at most.
    :return: a statement that gives how many were ended; 0 when nothing is left.
    :raises aria_db.errors.InvalidArgument: when executed: the batch size is below 1.
    """
    return select(
        _installed.end_zombie_sessions(literal(batch_size, Integer()), type_=BigInteger())
    )


def count_zombie_sessions() -> Select[int]:
    """Count what :func:`end_zombie_sessions` would end. Locks and ends nothing.

    :return: a statement that gives how many.
    """
    return select(_installed.count_zombie_sessions(type_=BigInteger()))


def delete_empty_sessions(
    older_than: timedelta,
    batch_size: int = 500,
    run_id: int | None = None,
    actor: str | None = None,
) -> Select[int, int]:
    """Delete for good one batch of live sessions without a message.

    Sessions in use, held, soft-deleted, in the archive as well, or that rows of other tables
    refer to, stay.

    :param older_than: how long ago the last update, or the last restore, must be.
    :param batch_size: how many sessions at most.
    :param run_id: an open run of the kind ``empty``; None for no run.
    :param actor: who is on record for it.
    :return: a statement that gives 1 row ``(sessions, left_behind)``: how many were deleted, 0
        when nothing is left that can be deleted now; and how many could not be deleted, which
        :class:`aria_db.models.EngineArchiveLeft` lists.
    :raises aria_db.errors.InvalidArgument: when executed: an argument is out of range.
    """
    call = _installed.delete_empty_sessions(
        literal(older_than, Interval()),
        literal(batch_size, Integer()),
        literal(run_id, BigInteger()),
        literal(actor, Text()),
    )
    return _rows(call, Emptied)


def count_empty_sessions(older_than: timedelta) -> Select[int]:
    """Count what :func:`delete_empty_sessions` would delete. Locks and deletes nothing.

    :param older_than: as :func:`delete_empty_sessions`.
    :return: a statement that gives how many.
    :raises aria_db.errors.InvalidArgument: when executed, as :func:`delete_empty_sessions`.
    """
    return select(
        _installed.count_empty_sessions(literal(older_than, Interval()), type_=BigInteger())
    )


def purge_archive(
    session_type: str | None = None,
    batch_size: int = 500,
    run_id: int | None = None,
    actor: str | None = None,
) -> Select[int, int]:
    """Delete for good one batch of archived sessions that their policy no longer keeps.

    :param session_type: only sessions of this type; None for all.
    :param batch_size: how many sessions at most.
    :param run_id: an open run of the kind ``purge``; None for no run.
    :param actor: who is on record for it.
    :return: a statement that gives 1 row ``(sessions, messages)``, how many were deleted.
    :raises aria_db.errors.InvalidArgument: when executed: the batch size is below 1, or
        the type is unknown.
    """
    call = _installed.purge_archive(
        literal(session_type, Text()),
        literal(batch_size, Integer()),
        literal(run_id, BigInteger()),
        literal(actor, Text()),
    )
    return _rows(call, Purged)


def count_purgeable_sessions(
    session_type: str | None = None,
) -> Select[str, int, int, datetime | None, datetime | None, int]:
    """Count what :func:`purge_archive` would delete. Locks and deletes nothing.

    :param session_type: as :func:`purge_archive`.
    :return: a statement that gives a row per type ``(of_type, sessions, messages,
        oldest_archived_at, newest_archived_at, held)``: when the first and the last of these
        sessions were archived, and how many more wait behind a hold.
    :raises aria_db.errors.InvalidArgument: when executed: the type is unknown.
    """
    return _rows(_installed.count_purgeable_sessions(literal(session_type, Text())), Purgeable)


def place_hold(
    session_id: UUID, reason: str, actor: str | None = None
) -> Select[UUID, str, str, datetime]:
    """Keep a session, live or archived, from being archived, pruned, purged or deleted.

    :param session_id: the session.
    :param reason: why; replaces the reason of a hold that is there.
    :param actor: who is on record for it.
    :return: a statement that gives 0 or 1 row ``(id, hold_reason, placed_by, placed_at)``:
        none if there is no such session.
    :raises aria_db.errors.InvalidArgument: when executed: the reason is empty.
    """
    call = _installed.place_hold(
        literal(session_id, Uuid()), literal(reason, Text()), literal(actor, Text())
    )
    return _rows(call, Hold)


def release_hold(session_id: UUID, actor: str | None = None) -> Select[bool]:
    """End the hold on a session.

    :param session_id: the session.
    :param actor: who is on record for it.
    :return: a statement that gives whether there was one.
    """
    call = _installed.release_hold(
        literal(session_id, Uuid()), literal(actor, Text()), type_=Boolean()
    )
    return select(call)


def begin_archive_run(
    kind: str, arguments: dict[str, Any], actor: str | None = None
) -> Select[int]:
    """Open a row of the run log. Commit before the first batch.

    :param kind: ``prune``, ``purge``, ``archive``, ``restore``, ``undo`` or ``empty``.
    :param arguments: what the run was asked for.
    :param actor: who is on record for it.
    :return: a statement that gives the run's id, for the ``run_id`` of its batches.
    :raises aria_db.errors.InvalidArgument: when executed: there is no such kind.
    """
    call = _installed.begin_archive_run(
        literal(kind, Text()),
        literal(arguments, JSONB()),
        literal(actor, Text()),
        type_=BigInteger(),
    )
    return select(call)


def finish_archive_run(run_id: int, stop_reason: str, error: str | None = None) -> Select[Any]:
    """Close the row of a run.

    :param run_id: what :func:`begin_archive_run` gave.
    :param stop_reason: ``nothing left``, ``max_runtime``, ``max_sessions``,
        ``interrupted`` or ``failed``.
    :param error: what failed.
    :raises InvalidArgument: ``stop_reason`` is another.
    """
    return select(
        _installed.finish_archive_run(
            literal(run_id, BigInteger()), literal(stop_reason, Text()), literal(error, Text())
        )
    )


def session_conflict_differences(
    session_id: UUID,
) -> Select[UUID | None, str, str | None, str | None, str | None]:
    """List what is not the same in both places of a session.

    :param session_id: the session.
    :return: a statement that gives a row ``(message_id, difference, column_name, live_value,
        archive_value)`` for each column that differs, ``message_id`` None for those of the
        session's own row; and for each row that is ``only live`` or ``only archive``, with
        ``column_name`` None and the row as JSON. No row if the session is not in both
        places, or all is equal.
    :raises aria_db.errors.ColumnDrift: when executed: the tables have not the same columns.
    """
    return _rows(_installed.session_conflict_differences(literal(session_id, Uuid())), Difference)


def resolve_session_conflict(
    session_id: UUID, destination: str, keep: str | None = None, actor: str | None = None
) -> Select[UUID, str, int, bool]:
    """Merge a session that is in both places into one.

    :param session_id: the session.
    :param destination: ``live`` or ``archive``: where it and all its messages are to be.
    :param keep: ``live`` or ``archive``: which row of the session to keep if the two differ.
        The other one goes to :class:`aria_db.models.EngineConflictResolution`.
    :param actor: who is on record for it.
    :return: a statement that gives 0 or 1 row ``(id, place, message_count,
        newly_resolved)``: none if there is no such session; with ``newly_resolved`` false
        if it was in that place alone already.
    :raises aria_db.errors.SessionConflict: when executed: a message differs, or the session's
        row does and ``keep`` is None.
    :raises aria_db.errors.SessionHeld: when executed: the session is on hold, and was to be
        archived.
    :raises aria_db.errors.InvalidArgument: when executed: an argument is out of range, or the
        session is in the other place alone.
    :raises aria_db.errors.ColumnDrift: when executed: a column would be lost.
    """
    call = _installed.resolve_session_conflict(
        literal(session_id, Uuid()),
        literal(destination, Text()),
        literal(keep, Text()),
        literal(actor, Text()),
    )
    return _rows(call, Resolved)


def verify_archive(
    since: datetime | None = None,
) -> Select[str, UUID | None, int | None, str, str]:
    """List what contradicts that every session and message is in exactly one place.

    :param since: look only at the sessions that were archived since then; None for all.
    :return: a statement that gives a row ``(finding, session_id, messages, detail, remedy)``
        for each finding; none when all is well.
    """
    return _rows(_installed.verify_archive(literal(since, _TIMESTAMP)), Finding)


def estimate_sessions(
    place: str,
    agent_id: str | None = None,
    session_type: str | None = None,
    created_from: datetime | None = None,
    created_before: datetime | None = None,
) -> Select[int]:
    """Estimate how many sessions a list has, without reading them.

    :param place: ``live`` for the main list, or ``archive``.
    :param agent_id: only this agent's; None for all.
    :param session_type: only of this type; None for all.
    :param created_from: only those created at this time or later; None for all.
    :param created_before: only those created before this time; None for all.
    :return: a statement that gives the planner's estimate, as good as its statistics.
    :raises aria_db.errors.InvalidArgument: when executed: the place is neither.
    """
    call = _installed.estimate_sessions(
        literal(place, Text()),
        literal(agent_id, Text()),
        literal(session_type, Text()),
        literal(created_from, _TIMESTAMP),
        literal(created_before, _TIMESTAMP),
        type_=BigInteger(),
    )
    return select(call)


def last_message_times(place: str, session_ids: Iterable[UUID]) -> Select[UUID, datetime | None]:
    """Tell when the last message of some sessions was written.

    :param place: ``live`` or ``archive``: where to look.
    :param session_ids: the sessions.
    :return: a statement that gives a row ``(session_id, last_message_at)`` for each session that
        has messages there.
    :raises aria_db.errors.InvalidArgument: when executed: the place is neither.
    """
    call = _installed.last_message_times(
        literal(place, Text()), literal(list(session_ids), ARRAY(Uuid()))
    )
    return _rows(call, LastMessage)


def grant_archive_access(
    role_name: str, access: str, *, revoking: bool = False, dry_run: bool = False
) -> Select[str]:
    """Give a role what a reader, a support, an app or an operator needs, or take it away.

    :param role_name: the role.
    :param access: ``reader``, ``support``, ``app`` or ``operator``.
    :param revoking: whether to take it away.
    :param dry_run: whether only to return what it would run.
    :return: a ``SELECT`` that returns the GRANT and REVOKE statements, one per row.
    :raises aria_db.errors.InvalidArgument: when executed: the access is none of these, or
        the role that is to lose it is the owner.
    :raises aria_db.errors.PermissionDenied: when executed: the caller may not grant.
    :raises aria_db.errors.DatabaseError: when executed: there is no such role.
    """
    call = _installed.grant_archive_access(
        literal(role_name, Text()),
        literal(access, Text()),
        literal(revoking, Boolean()),
        literal(dry_run, Boolean()),
        type_=String(),
    )
    return select(call)


def repair_archive_access(*, dry_run: bool = False) -> Select[str]:
    """Revoke privileges on aria-db's objects that :func:`grant_archive_access` never grants.

    :param dry_run: return the statements without running them.
    :return: a ``SELECT`` that returns the REVOKE statements, one per row.
    :raises aria_db.errors.PermissionDenied: when executed: the caller may not revoke.
    """
    return select(_installed.repair_archive_access(literal(dry_run, Boolean()), type_=String()))
