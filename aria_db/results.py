"""What the SQL functions return: a class per shape of row.

:mod:`aria_db.functions` derives the columns of its statements from these classes, and
:class:`~aria_db.session_manager.NativeSessionManager` returns their instances: a shape is
declared here alone.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, ColumnClause, DateTime, String, Uuid, column
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

_TYPES: dict[type, TypeEngine[Any]] = {
    bool: Boolean(),
    datetime: DateTime(timezone=True),
    dict: JSONB(),
    int: BigInteger(),
    str: String(),
    UUID: Uuid(),
}


@cache
def columns_of(result: type) -> tuple[ColumnClause[Any], ...]:
    """Return the columns of a result, in the order of its fields.

    :param result: a class of this module.
    """
    hints = get_type_hints(result)
    columns = []
    for field in fields(result):
        # of X | None, the X; of dict[str, Any], the dict
        hint = hints[field.name]
        kinds = [get_origin(kind) or kind for kind in (*get_args(hint), hint)]
        columns.append(column(field.name, next(_TYPES[kind] for kind in kinds if kind in _TYPES)))
    return tuple(columns)


@dataclass(frozen=True)
class Archived:
    """What archiving a session did.

    :param id: the session.
    :param archived_at: when it was archived, the first time.
    :param message_count: its messages in the archive.
    :param newly_archived: False if it was archived before this call.
    """

    id: UUID
    archived_at: datetime
    message_count: int
    newly_archived: bool


@dataclass(frozen=True)
class Restored:
    """What restoring a session did.

    :param id: the session.
    :param restored_at: when; None if it was live already and no soft delete had to go.
    :param message_count: its live messages.
    :param newly_restored: False if it was live already.
    :param due_from: when the prune may archive it again, by its policy; None for never.
    """

    id: UUID
    restored_at: datetime | None
    message_count: int
    newly_restored: bool
    due_from: datetime | None


@dataclass(frozen=True)
class Undone:
    """What one batch of undoing a run did.

    :param sessions: sessions that it restored; 0 when nothing is left that can be restored now.
    :param messages: their messages.
    :param left_behind: sessions that could not be restored;
        :class:`aria_db.models.EngineArchiveLeft` lists them.
    """

    sessions: int
    messages: int
    left_behind: int


@dataclass(frozen=True)
class Restorable:
    """What undoing a run would do.

    :param sessions: sessions that it would restore.
    :param messages: their messages.
    :param conflicting: sessions that are live as well, and stay.
    :param changed: sessions that somebody has restored, deleted or purged since, or archived
        again, and that it leaves alone.
    """

    sessions: int
    messages: int
    conflicting: int
    changed: int


@dataclass(frozen=True)
class HistoryEvent:
    """Something that happened to a session.

    :param at: when.
    :param event: ``archived``, ``restored``, ``held``, ``released``, ``resolved``, ``purged``,
        ``deleted`` or ``message_deleted``.
    :param actor: who did it, by what the caller said.
    :param role: the database role that connected.
    :param run_id: the bulk run that it was part of; None for none.
    :param message_count: the messages that moved or went with the session; None where none could.
    :param detail: the reason of a hold, the place of a deletion, what a resolution kept, the
        id of a message that was deleted; None for the others.
    """

    at: datetime
    event: str
    actor: str
    role: str
    run_id: int | None
    message_count: int | None
    detail: dict[str, Any] | None


@dataclass(frozen=True)
class Deleted:
    """What deleting a session did.

    :param id: the session.
    :param deleted_at: when.
    :param message_count: the messages that went with it.
    """

    id: UUID
    deleted_at: datetime
    message_count: int


@dataclass(frozen=True)
class Pruned:
    """What one batch of a prune did.

    :param sessions: sessions that it archived; 0 when nothing is left that can be moved now.
    :param messages: their messages.
    :param left_behind: sessions that could not be moved;
        :class:`aria_db.models.EngineArchiveLeft` lists them.
    """

    sessions: int
    messages: int
    left_behind: int


@dataclass(frozen=True)
class Purged:
    """What one batch of a purge did.

    :param sessions: sessions that it deleted from the archive; 0 when nothing is left.
    :param messages: their messages.
    """

    sessions: int
    messages: int


@dataclass(frozen=True)
class Emptied:
    """What one batch of deleting empty sessions did.

    :param sessions: sessions that it deleted; 0 when nothing is left that can be deleted now.
    :param left_behind: sessions that could not be deleted;
        :class:`aria_db.models.EngineArchiveLeft` lists them.
    """

    sessions: int
    left_behind: int


@dataclass(frozen=True)
class Prunable:
    """What a prune would do for one session type.

    :param of_type: the session type.
    :param sessions: sessions that it would archive.
    :param messages: their messages.
    :param held: sessions that are due and on hold.
    :param conflicting: sessions that are due and in the archive as well.
    :param referred: sessions that are due and to which rows of other tables, or other sessions,
        refer, so that they would not be archived.
    """

    of_type: str
    sessions: int
    messages: int
    held: int
    conflicting: int
    referred: int


@dataclass(frozen=True)
class Purgeable:
    """What a purge would do for one session type.

    :param of_type: the session type.
    :param sessions: sessions that it would delete from the archive.
    :param messages: their messages.
    :param oldest_archived_at: when the first of them was archived; None: it would delete none.
    :param newest_archived_at: when the last of them was archived.
    :param held: sessions that are due but on hold: the purge keeps them.
    """

    of_type: str
    sessions: int
    messages: int
    oldest_archived_at: datetime | None
    newest_archived_at: datetime | None
    held: int


@dataclass(frozen=True)
class LastMessage:
    """When the last message of a session was written.

    :param session_id: the session.
    :param last_message_at: when; None if no message of it has a time.
    """

    session_id: UUID
    last_message_at: datetime | None


@dataclass(frozen=True)
class Hold:
    """Why a session must stay where it is.

    :param id: the session.
    :param hold_reason: why.
    :param placed_by: who placed the hold first.
    :param placed_at: when.
    """

    id: UUID
    hold_reason: str
    placed_by: str
    placed_at: datetime


@dataclass(frozen=True)
class Difference:
    """Something that is not the same in both places of a session.

    :param message_id: the message; None for the session's own row.
    :param difference: ``only live``, ``only archive`` or ``different``.
    :param column_name: the column that differs; None if the row is in one place only.
    :param live_value: the live value as text, or the live row as JSON.
    :param archive_value: the archived value as text, or the archived row as JSON.
    """

    message_id: UUID | None
    difference: str
    column_name: str | None
    live_value: str | None
    archive_value: str | None


@dataclass(frozen=True)
class Resolved:
    """What merging a session did.

    :param id: the session.
    :param place: where it is now: ``live`` or ``archive``.
    :param message_count: its messages there.
    :param newly_resolved: False if it was there, and there alone, before this call.
    """

    id: UUID
    place: str
    message_count: int
    newly_resolved: bool


@dataclass(frozen=True)
class Finding:
    """Something that contradicts that everything is in exactly one place.

    :param finding: what it is.
    :param session_id: the session; None if it is about all of them.
    :param messages: how many of its messages it is about; None if about none in particular.
    :param detail: what exactly was found.
    :param remedy: what to do.
    """

    finding: str
    session_id: UUID | None
    messages: int | None
    detail: str
    remedy: str


@dataclass(frozen=True)
class Drift:
    """A column that would not be archived faithfully.

    :param live_table: the live table.
    :param column_name: the column.
    :param problem: what is wrong with it.
    """

    live_table: str
    column_name: str
    problem: str


@dataclass(frozen=True)
class Dependent:
    """A foreign key through which rows of a table hang on chat rows.

    :param schema_name: the schema of the table.
    :param table_name: the table.
    :param constraint_name: the key.
    :param refers_to: the table that it refers to: a chat table, or another dependent.
    :param on_delete: ``CASCADE``, ``SET NULL``, ``SET DEFAULT``, ``NO ACTION`` or ``RESTRICT``.
    :param is_indexed: whether an index begins with its columns; without one, each archived row
        reads the whole table.
    :param handling: what a move does with the rows: ``move``, ``delete``, ``detach`` or
        ``refuse``.
    :param estimated_rows: the planner's estimate of the rows of the table.
    """

    schema_name: str
    table_name: str
    constraint_name: str
    refers_to: str
    on_delete: str
    is_indexed: bool
    handling: str
    estimated_rows: int


@dataclass(frozen=True)
class Hazard:
    """Something in the catalogue that would make a move refuse, lose rows, be unsafe or slow.

    :param hazard: what kind it is.
    :param object: the table, column, constraint or trigger.
    :param effect: ``refuses``, ``loses``, ``unsafe`` or ``slow``.
    :param detail: what exactly.
    :param remedy: what to do.
    """

    hazard: str
    object: str
    effect: str
    detail: str
    remedy: str
