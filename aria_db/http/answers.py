"""What callers get from the routes of the sessions.

How it gives what JSON cannot say is in the description of the application
(``app.DESCRIPTION``), where callers read it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from aria_db.http.examples import (
    ARCHIVED_AT,
    LAST_MESSAGE_AT,
    LIST_PART,
    MESSAGE,
    PAGE,
    SESSION,
    SESSION_ID,
    example,
)
from aria_db.session_manager import COUNTED, RECENT

# A number and not a string: numeric(10, 6) has ten digits, and every JSON reader's
# numbers hold fifteen.
StoredCost = float


class Answer(BaseModel):
    """What all answers have in common."""

    model_config = ConfigDict(from_attributes=True, ser_json_inf_nan="strings")


class Session(Answer):
    """A session: every column."""

    model_config = example(SESSION)

    id: UUID
    session_id: UUID = Field(validation_alias="id", description="The id, again.")
    agent_id: str
    session_type: str
    title: str | None
    system_prompt: str | None
    model: str | None
    temperature: float | None
    max_tokens: int | None
    context_window: int | None
    status: str
    message_count: int | None
    total_tokens: int | None
    total_cost: StoredCost | None
    metadata: Any = Field(validation_alias="metadata_json")
    created_at: datetime | None
    updated_at: datetime | None
    ended_at: datetime | None


class ArchivedSession(Session):
    """An archived session: every column, and when it was archived."""

    model_config = example(SESSION | ARCHIVED_AT)

    archived_at: datetime


class ListedSession(Session):
    """A session of the list: every column, and when its last message was written."""

    model_config = example(SESSION | LAST_MESSAGE_AT)

    last_message_at: datetime | None


class ListedArchivedSession(ArchivedSession):
    """An archived session of the list: every column, and when its last message was written."""

    model_config = example(SESSION | ARCHIVED_AT | LAST_MESSAGE_AT)

    last_message_at: datetime | None


class Message(Answer):
    """A message: every column."""

    model_config = example(MESSAGE)

    id: UUID
    session_id: UUID
    agent_id: str | None = Field(
        validation_alias="speaker",
        description="Which agent speaks; where the column is null, `metadata.agent_id`.",
    )
    role: str
    content: str
    thinking: str | None
    tool_calls: Any
    tool_results: Any
    model: str | None
    tokens_input: int | None
    tokens_output: int | None
    cost: StoredCost | None
    latency_ms: int | None
    metadata: Any = Field(validation_alias="metadata_json")
    created_at: datetime | None


class ArchivedMessage(Message):
    """A message of an archived session: every column, and when it was archived."""

    model_config = example(MESSAGE | ARCHIVED_AT)

    archived_at: datetime


RecentMessages = Field(description=f"The last messages, at most {RECENT}, oldest first.")


class SessionDetail(ListedSession):
    """A live session: every column, and its last messages."""

    model_config = example(SESSION | LAST_MESSAGE_AT | {"recent_messages": [MESSAGE]})

    recent_messages: list[Message] = RecentMessages


class ArchivedSessionDetail(ListedArchivedSession):
    """An archived session: every column, and its last messages."""

    model_config = example(
        SESSION | ARCHIVED_AT | LAST_MESSAGE_AT | {"recent_messages": [MESSAGE | ARCHIVED_AT]}
    )

    recent_messages: list[ArchivedMessage] = RecentMessages


class _Part(Answer):
    limit: int = Field(description="How many this part may hold.")
    offset: int = Field(description="How many sessions come before this page.")
    has_more: bool = Field(description="Whether more follow.")


class _ListPart(_Part):
    total: int = Field(
        description=f"How many sessions the whole list has. Counted up to {COUNTED:,}."
    )
    total_is_estimate: bool = Field(
        description="Whether there are more than that, and the total is an estimate."
    )
    next_cursor: str | None = Field(description="The `cursor` of what follows; null if none does.")


class SessionList(_ListPart):
    """A part of the list of live sessions."""

    model_config = example({"sessions": [SESSION | LAST_MESSAGE_AT], **LIST_PART})

    sessions: list[ListedSession]


class ArchivedSessionList(_ListPart):
    """A part of the list of archived sessions."""

    model_config = example({"sessions": [SESSION | ARCHIVED_AT | LAST_MESSAGE_AT], **LIST_PART})

    sessions: list[ListedArchivedSession]


class Transcript(_Part):
    """A part of the messages of a live session, oldest first."""

    model_config = example({"session_id": SESSION_ID, "messages": [MESSAGE], **PAGE})

    session_id: UUID
    messages: list[Message]


class ArchivedTranscript(_Part):
    """A part of the messages of an archived session, oldest first."""

    model_config = example({"session_id": SESSION_ID, "messages": [MESSAGE | ARCHIVED_AT], **PAGE})

    session_id: UUID
    messages: list[ArchivedMessage]


class ArchiveResult(Answer):
    """The session is archived, since now or since before."""

    model_config = example(
        {"status": "archived", "session_id": SESSION_ID, **ARCHIVED_AT, "message_count": 2}
    )

    status: Literal["archived"] = "archived"
    session_id: UUID = Field(validation_alias="id")
    archived_at: datetime = Field(description="When it was archived, the first time.")
    message_count: int = Field(description="Its messages in the archive.")


class RestoreResult(Answer):
    """The session is live, since now or since before."""

    model_config = example(
        {
            "status": "restored",
            "session_id": SESSION_ID,
            "restored_at": "2026-03-03T07:15:00.000000Z",
            "message_count": 2,
            "due_from": "2026-04-02T07:15:00.000000Z",
        }
    )

    status: Literal["restored"] = "restored"
    session_id: UUID = Field(validation_alias="id")
    restored_at: datetime | None = Field(description="When; null if it was live already.")
    message_count: int = Field(description="Its live messages.")
    due_from: datetime | None = Field(
        description="When the prune may archive it again, by the policy of its type; null: never."
    )


class EndResult(Answer):
    """The session is ended, since now or since before."""

    model_config = example(
        {"status": "ended", "session_id": SESSION_ID, "ended_at": "2026-03-01T10:00:00.000000Z"}
    )

    status: Literal["ended"] = "ended"
    session_id: UUID = Field(validation_alias="id")
    ended_at: datetime = Field(description="When it was ended, the first time.")


class DeleteResult(Answer):
    """The session and its messages are deleted for good."""

    model_config = example({"status": "deleted", "session_id": SESSION_ID, "message_count": 2})

    status: Literal["deleted"] = "deleted"
    session_id: UUID = Field(validation_alias="id")
    message_count: int = Field(description="The messages that were deleted with it.")


class CleanupResult(Answer):
    """What was archived, or would be."""

    model_config = example(
        {
            "pruned_count": 12,
            "archived_count": 0,
            "message_count": 340,
            "zombies_closed": 1,
            "dry_run": True,
        }
    )

    pruned_count: int = Field(description="Sessions that were archived; in a dry run, would be.")
    archived_count: int = Field(description="The same; in a dry run 0.")
    message_count: int = Field(description="The messages of these sessions.")
    zombies_closed: int = Field(
        description="Sessions of the types scoped and cron that were ended, because they were "
        "active two hours after their last update; in a dry run, would be."
    )
    dry_run: bool


class GhostsResult(Answer):
    """What was deleted, or would be."""

    model_config = example({"deleted": 0, "ghosts": 12, "dry_run": True})

    deleted: int = Field(description="Sessions without a message that were deleted.")
    ghosts: int = Field(description="The same; in a dry run, those that would be deleted.")
    dry_run: bool


class HistoryEvent(Answer):
    """Something that happened to a session."""

    at: datetime
    event: str = Field(
        description="archived, restored, held, released, resolved, purged, deleted or "
        "message_deleted."
    )
    actor: str = Field(description="Who did it, by what the caller said.")
    role: str = Field(description="The database role that connected.")
    run_id: int | None = Field(description="The bulk run that it was part of, if any.")
    message_count: int | None = Field(description="The messages that moved or went with it.")
    detail: dict[str, Any] | None = Field(description="The reason of a hold, and the like.")


class History(Answer):
    """What has happened to a session, oldest first."""

    model_config = example(
        {
            "session_id": SESSION_ID,
            "events": [
                {
                    "at": ARCHIVED_AT["archived_at"],
                    "event": "resolved",
                    "actor": "ada",
                    "role": "aria_app",
                    "run_id": 12,
                    "message_count": 2,
                    "detail": {"destination": "archive"},
                }
            ],
        }
    )

    session_id: UUID
    events: list[HistoryEvent]


class Run(Answer):
    """A bulk run."""

    id: int
    kind: str = Field(description="prune, purge, archive, restore, undo or empty.")
    state: str = Field(description="running, finished, failed or killed.")
    arguments: dict[str, Any]
    started_by: str
    role: str
    started_at: datetime
    finished_at: datetime | None
    batches: int
    sessions: int
    messages: int
    stop_reason: str | None
    error: str | None


class RunList(Answer):
    """The last bulk runs, the newest first."""

    model_config = example(
        {
            "runs": [
                {
                    "id": 12,
                    "kind": "prune",
                    "state": "failed",
                    "arguments": {"batch_size": 500},
                    "started_by": "cron",
                    "role": "aria_ops",
                    "started_at": "2026-03-02T03:00:00.000000Z",
                    "finished_at": "2026-03-02T03:00:07.000000Z",
                    "batches": 3,
                    "sessions": 1060,
                    "messages": 21200,
                    "stop_reason": "failed",
                    "error": "canceling statement due to statement timeout",
                }
            ]
        }
    )

    runs: list[Run]


class UndoResult(Answer):
    """What the undo of a run restored, or would restore."""

    model_config = example(
        {
            "dry_run": False,
            "run_id": 13,
            "sessions": 1058,
            "messages": 21160,
            "left_behind": 0,
            "conflicting": 0,
            "changed": 2,
        }
    )

    dry_run: bool
    run_id: int | None = Field(description="The run of the undo itself; in a dry run null.")
    sessions: int = Field(description="Sessions that were restored; in a dry run, would be.")
    messages: int = Field(description="Their messages.")
    left_behind: int = Field(description="Sessions that could not be restored; in a dry run 0.")
    conflicting: int = Field(description="Sessions that are live as well, and left alone.")
    changed: int = Field(
        description="Sessions that were restored, deleted or archived again since, and left alone."
    )


class Left(Answer):
    """A session that a prune or an undo could not move."""

    session_id: UUID
    run_id: int | None = Field(description="The run that left it, if it was one.")
    code: str = Field(validation_alias="sqlstate", description="The SQLSTATE.")
    message: str = Field(description="Why.")
    remedy: str | None = Field(description="What to do.")
    at: datetime


class LeftList(Answer):
    """Sessions that a prune or an undo could not move, the newest first."""

    model_config = example(
        {
            "left": [
                {
                    "session_id": SESSION_ID,
                    "run_id": 12,
                    "code": "AR005",
                    "message": f"session {SESSION_ID} has rows in feedback, which refer to it",
                    "remedy": "`aria-db dependents` lists these tables; say what becomes of them.",
                    "at": ARCHIVED_AT["archived_at"],
                }
            ]
        }
    )

    left: list[Left]


class Hold(Answer):
    """A hold: the session is not archived, pruned, purged or deleted."""

    model_config = example(
        {
            "session_id": SESSION_ID,
            "reason": "asked for by the legal department",
            "placed_by": "aria_app",
            "placed_at": "2026-03-02T18:00:00.123456Z",
        }
    )

    session_id: UUID = Field(validation_alias="id")
    reason: str = Field(validation_alias="hold_reason")
    placed_by: str = Field(description="Who placed it first.")
    placed_at: datetime = Field(description="When it was placed first.")


class ReleaseResult(Answer):
    """The session is no longer on hold."""

    model_config = example({"status": "released", "session_id": SESSION_ID})

    status: Literal["released"] = "released"
    session_id: UUID


class Counts(Answer):
    """How many sessions and messages there are, counted in one moment."""

    model_config = example(
        {
            "live_sessions": 3,
            "soft_deleted_sessions": 1,
            "archived_sessions": 2,
            "live_messages": 41,
            "archived_messages": 12,
            "by_type": {"interactive": 2, "cron": 1},
            "by_status": {"active": 2, "ended": 1, "archived": 1},
            "total_sessions": 3,
            "total_messages": 41,
            "active_sessions": 2,
            "active_agents": 1,
            "ghost_sessions": 1,
            "oldest_session": SESSION["created_at"],
            "newest_activity": SESSION["updated_at"],
        }
    )

    live_sessions: int = Field(description="Sessions of the main list.")
    soft_deleted_sessions: int = Field(
        description="Live sessions that the application soft-deleted (status `archived`)."
    )
    archived_sessions: int
    live_messages: int = Field(description="Of all live sessions, the soft-deleted included.")
    archived_messages: int
    by_type: dict[str, int] = Field(description="Sessions of the main list, per session_type.")
    by_status: dict[str, int] = Field(description="All live sessions, per status.")
    total_sessions: int = Field(description="The same as live_sessions.")
    total_messages: int = Field(description="The same as live_messages.")
    active_sessions: int = Field(description="Sessions of the main list whose status is active.")
    active_agents: int = Field(description="Agents that have an active session.")
    ghost_sessions: int = Field(description="Sessions of the main list without a message.")
    oldest_session: datetime | None = Field(
        description="When the oldest session of the main list was created."
    )
    newest_activity: datetime | None = Field(description="When one of them was last updated.")
