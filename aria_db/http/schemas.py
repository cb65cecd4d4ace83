"""What the HTTP interface takes and gives, as Pydantic models.

How it gives what JSON cannot say stands in the description of the application
(``app.DESCRIPTION``), where callers read it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    WithJsonSchema,
    model_validator,
)

from aria_db.session_manager import COUNTED, LONGEST_AGE, SessionFilters, SortKey
from aria_db.validation import StorableJson, StorableObject, StorableText, storable_text


def _number(value: Any) -> Any:
    """Refuse what Pydantic would take for a number: true, and digits in a string."""
    if isinstance(value, bool | str):
        raise ValueError("must be a number")
    return value


def _cost(value: Any) -> Any:
    """Take digits in a string, where no digit is lost, but nothing else that is one."""
    if isinstance(value, str) and re.fullmatch(COST_AS_TEXT, value):
        return value
    return _number(value)


# What the columns hold: varchar(n), integer, numeric(10, 6). The limit of offset is
# PostgreSQL's as well: a bigint.
Text20 = Annotated[str, Field(max_length=20), AfterValidator(storable_text)]
Text50 = Annotated[str, Field(max_length=50), AfterValidator(storable_text)]
Text100 = Annotated[str, Field(max_length=100), AfterValidator(storable_text)]
Text200 = Annotated[str, Field(max_length=200), AfterValidator(storable_text)]
Text500 = Annotated[str, Field(max_length=500), AfterValidator(storable_text)]
Integer = Annotated[int, Field(ge=-(2**31), le=2**31 - 1), BeforeValidator(_number)]
Float = Annotated[FiniteFloat, BeforeValidator(_number)]
LARGEST_COST = Decimal("9999.999999")
COST_AS_TEXT = r"^-?[0-9]{1,4}(\.[0-9]{1,6})?$"
Cost = Annotated[
    Decimal,
    Field(ge=-LARGEST_COST, le=LARGEST_COST),
    BeforeValidator(_cost),
    WithJsonSchema(
        {
            "anyOf": [
                {
                    "type": "number",
                    "minimum": -float(LARGEST_COST),
                    "maximum": float(LARGEST_COST),
                },
                {"type": "string", "pattern": COST_AS_TEXT},
            ]
        }
    ),
]
Offset = Annotated[int, Field(ge=0, le=2**63 - 1)]

# A number and not a string: numeric(10, 6) has ten digits, and every JSON reader's
# numbers hold fifteen.
StoredCost = float


def _written_out(time: Any) -> Any:
    """Refuse what Pydantic would take for seconds since 1970."""
    if isinstance(time, str) and not re.match(r"\d{4}-", time):
        raise ValueError("must be a date or a time as in ISO 8601, for example 2026-03-01T09:30Z")
    return time


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


Time = Annotated[datetime, BeforeValidator(_written_out), AfterValidator(_aware)]

# FastAPI leaves null out of examples, so every member has a value.
SESSION_ID = "0198c0de-5e55-7000-8000-000000000001"
SESSION: dict[str, Any] = {
    "id": SESSION_ID,
    "agent_id": "aria",
    "session_type": "interactive",
    "title": "Holiday plans",
    "system_prompt": "You are a friendly travel agent.",
    "model": "a-model",
    "temperature": 0.7,
    "max_tokens": 4096,
    "context_window": 50,
    "status": "ended",
    "message_count": 2,
    "total_tokens": 57,
    "total_cost": 0.000384,
    "metadata": {"source": "web"},
    "created_at": "2026-03-01T09:30:00.000000Z",
    "updated_at": "2026-03-01T10:00:00.000000Z",
    "ended_at": "2026-03-01T10:00:00.000000Z",
}
MESSAGE: dict[str, Any] = {
    "id": "0198c0de-0000-7000-8000-00000000000a",
    "session_id": SESSION_ID,
    "agent_id": "aria",
    "role": "assistant",
    "content": "How about the mountains?",
    "thinking": "They like to hike.",
    "tool_calls": [{"name": "weather", "arguments": '{"place": "Bern"}'}],
    "tool_results": [{"name": "weather", "content": '{"sky": "clear"}'}],
    "model": "a-model",
    "tokens_input": 38,
    "tokens_output": 19,
    "cost": 0.000384,
    "latency_ms": 640,
    "metadata": {},
    "created_at": "2026-03-01T09:31:12.500000Z",
}
ARCHIVED_AT = {"archived_at": "2026-03-02T18:00:00.123456Z"}
PAGE = {"limit": 50, "offset": 0, "has_more": False}


def _example(example: dict[str, Any], extra: Literal["ignore", "forbid"] = "ignore") -> ConfigDict:
    """Return the configuration of a model with an example for OpenAPI."""
    return ConfigDict(json_schema_extra={"examples": [example]}, extra=extra)


# What callers send


class Paging(BaseModel):
    """Which part of a list to give."""

    limit: int = Field(50, ge=1, le=500, description="How many to give at most.")
    offset: Offset = Field(0, description="How many to pass over.")


class ArchiveQuery(Paging):
    """Which archived sessions to list; all conditions must hold."""

    cursor: Annotated[StorableText, Field(max_length=5000)] | None = Field(
        None,
        description="`next_cursor` of the page before, with the same order and conditions. "
        "However far it is, it costs no more than the first page; an offset does.",
    )
    agent_id: StorableText | None = Field(None, description="Only this agent's.")
    session_type: StorableText | None = Field(None, description="Only of this type.")
    search: StorableText | None = Field(
        None, description="Only with this text in the title or in a message, in any case."
    )
    date_from: Time | None = Field(
        None, description="Only created at this time or later; UTC if it has no offset."
    )
    date_to: Time | None = Field(
        None, description="Only created before this time; UTC if it has no offset."
    )

    @model_validator(mode="after")
    def _dates_in_order(self) -> Self:
        if self.date_from and self.date_to and self.date_from > self.date_to:
            raise ValueError("date_from must not be after date_to")
        return self

    @model_validator(mode="after")
    def _one_place_to_begin(self) -> Self:
        if self.cursor is not None and self.offset:
            raise ValueError("cursor and offset must not both be given")
        return self

    def filters(self) -> SessionFilters:
        """Return the conditions as the manager takes them."""
        return SessionFilters(
            self.agent_id, self.session_type, self.search, self.date_from, self.date_to
        )


class ListQuery(ArchiveQuery):
    """Which live sessions to list, and in which order."""

    sort: SortKey = Field("updated_at", description="What to sort by.")
    order: Literal["asc", "desc"] = Field("desc", description="desc: the greatest first.")


class SessionCreate(BaseModel):
    """A session to create. Everything has a default."""

    model_config = _example(
        {"title": "Holiday plans", "model": "a-model", "metadata": {"source": "web"}},
        extra="forbid",
    )

    agent_id: Text100 = Field("aria", description="The agent that it talks with.")
    session_type: Text50 = Field(
        "interactive", description="For example interactive, chat, roundtable or cron."
    )
    title: Text500 | None = None
    system_prompt: StorableText | None = None
    model: Text200 | None = Field(None, description="The language model's name.")
    temperature: Float | None = 0.7
    max_tokens: Integer | None = Field(4096, description="The longest answer, in tokens.")
    context_window: Integer | None = Field(50, description="How many messages the model is shown.")
    metadata: StorableObject | None = Field(None, description="Anything else.")


class MessageCreate(BaseModel):
    """A message to add."""

    model_config = _example(
        {
            "role": "assistant",
            "content": "How about the mountains?",
            "tokens_input": 38,
            "tokens_output": 19,
            "cost": 0.000384,
        },
        extra="forbid",
    )

    role: Text20 = Field(description="Who speaks: user, assistant, system, tool, …")
    content: StorableText
    agent_id: Text100 | None = Field(None, description="Which agent speaks.")
    thinking: StorableText | None = Field(None, description="The model's reasoning.")
    tool_calls: StorableJson = Field(None, description="The calls, as any JSON.")
    tool_results: StorableJson = Field(None, description="Their results, as any JSON.")
    model: Text200 | None = Field(None, description="The language model's name.")
    tokens_input: Integer | None = Field(None, description="Added to the session's total.")
    tokens_output: Integer | None = Field(None, description="Added to the session's total.")
    cost: Cost | None = Field(
        None, description="Added to the session's total. Stored with six decimal places."
    )
    latency_ms: Integer | None = None
    metadata: StorableObject | None = Field(None, description="Anything else.")


class CleanupQuery(BaseModel):
    """What to prune."""

    days: int = Field(
        30,
        ge=1,
        le=LONGEST_AGE.days,
        description="How old a session must be, in days. Its age counts from its last update, or "
        "from its last restore if that was later.",
    )
    dry_run: bool = Field(True, description="Count only. Send false to archive them.")


class HoldRequest(BaseModel):
    """Why a session must stay where it is."""

    model_config = _example({"reason": "asked for by the legal department"}, extra="forbid")

    reason: Annotated[StorableText, Field(min_length=1)] = Field(
        description="For whoever wants to release it."
    )


# What callers get


class Answer(BaseModel):
    """What all answers have in common."""

    model_config = ConfigDict(from_attributes=True, ser_json_inf_nan="strings")


class Session(Answer):
    """A session: every column."""

    model_config = _example(SESSION)

    id: UUID
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

    model_config = _example(SESSION | ARCHIVED_AT)

    archived_at: datetime


class Message(Answer):
    """A message: every column."""

    model_config = _example(MESSAGE)

    id: UUID
    session_id: UUID
    agent_id: str | None
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

    model_config = _example(MESSAGE | ARCHIVED_AT)

    archived_at: datetime


class _Part(Answer):
    limit: int = Field(description="How many this part may hold.")
    offset: int = Field(description="How many stand before it.")
    has_more: bool = Field(description="Whether more follow.")


class _ListPart(_Part):
    total: int = Field(
        description=f"How many sessions the whole list has. Counted up to {COUNTED:,}."
    )
    total_is_estimate: bool = Field(
        description="Whether there are more than that, and the total is an estimate."
    )
    next_cursor: str | None = Field(description="The `cursor` of what follows; null if none does.")


LIST_PART = {
    "total": 120,
    "total_is_estimate": False,
    "limit": 1,
    "offset": 0,
    "has_more": True,
    "next_cursor": "WyJ1cGRhdGVkX2F0IGRlc2MiLCIyMDI2LTAzLTAxIDEwOjAwOjAwKzAwIiwiMCJd",
}


class SessionList(_ListPart):
    """A part of the list of live sessions."""

    model_config = _example({"sessions": [SESSION], **LIST_PART})

    sessions: list[Session]


class ArchivedSessionList(_ListPart):
    """A part of the list of archived sessions."""

    model_config = _example({"sessions": [SESSION | ARCHIVED_AT], **LIST_PART})

    sessions: list[ArchivedSession]


class Transcript(_Part):
    """A part of the messages of a live session, oldest first."""

    model_config = _example({"session_id": SESSION_ID, "messages": [MESSAGE], **PAGE})

    session_id: UUID
    messages: list[Message]


class ArchivedTranscript(_Part):
    """A part of the messages of an archived session, oldest first."""

    model_config = _example({"session_id": SESSION_ID, "messages": [MESSAGE | ARCHIVED_AT], **PAGE})

    session_id: UUID
    messages: list[ArchivedMessage]


class ArchiveResult(Answer):
    """The session is archived, since now or since before."""

    model_config = _example(
        {"status": "archived", "session_id": SESSION_ID, **ARCHIVED_AT, "message_count": 2}
    )

    status: Literal["archived"] = "archived"
    session_id: UUID = Field(validation_alias="id")
    archived_at: datetime = Field(description="When it was archived, the first time.")
    message_count: int = Field(description="Its messages in the archive.")


class RestoreResult(Answer):
    """The session is live, since now or since before."""

    model_config = _example(
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

    model_config = _example(
        {"status": "ended", "session_id": SESSION_ID, "ended_at": "2026-03-01T10:00:00.000000Z"}
    )

    status: Literal["ended"] = "ended"
    session_id: UUID = Field(validation_alias="id")
    ended_at: datetime = Field(description="When it was ended, the first time.")


class DeleteResult(Answer):
    """The session and its messages are deleted for good."""

    model_config = _example({"status": "deleted", "session_id": SESSION_ID, "message_count": 2})

    status: Literal["deleted"] = "deleted"
    session_id: UUID = Field(validation_alias="id")
    message_count: int = Field(description="The messages that were deleted with it.")


class CleanupResult(Answer):
    """What was archived, or would be."""

    model_config = _example(
        {"pruned_count": 12, "archived_count": 0, "message_count": 340, "dry_run": True}
    )

    pruned_count: int = Field(description="Sessions that were archived; in a dry run, would be.")
    archived_count: int = Field(description="The same; in a dry run 0.")
    message_count: int = Field(description="The messages of these sessions.")
    dry_run: bool


class Hold(Answer):
    """A hold: the session is not archived, pruned, purged or deleted."""

    model_config = _example(
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

    model_config = _example({"status": "released", "session_id": SESSION_ID})

    status: Literal["released"] = "released"
    session_id: UUID


class Counts(Answer):
    """How many sessions and messages there are, counted in one moment."""

    model_config = _example(
        {
            "live_sessions": 3,
            "soft_deleted_sessions": 1,
            "archived_sessions": 2,
            "live_messages": 41,
            "archived_messages": 12,
            "by_type": {"interactive": 2, "cron": 1},
            "by_status": {"active": 2, "ended": 1, "archived": 1},
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


class Figure(Answer):
    """A figure of the archive that somebody should act on."""

    figure: str = Field(description="Which figure: backlog, conflicts, drift or last_run.")
    subject: str = Field(description="The policy, table, column or kind of run that it is about.")
    # Left to right: a count stays an integer.
    value: int | float | None = Field(
        description="What was found, for programs.", union_mode="left_to_right"
    )
    unit: str = Field(description="The unit of the value.")
    reading: str = Field(description="What was found, for people.")
    remedy: str | None = Field(description="What to do.")


class Health(BaseModel):
    """Whether this server can do its work."""

    model_config = _example(
        {
            "status": "ok",
            "database": "ok",
            "revision": "0002_archive",
            "newest": "0002_archive",
            "archive": "attention",
            "attention": [
                {
                    "figure": "backlog",
                    "subject": "*",
                    "value": 1200,
                    "unit": "sessions",
                    "reading": "1200 sessions are due",
                    "remedy": "Run `aria-db prune`, and check that it is scheduled.",
                }
            ],
        }
    )

    status: Literal["ok", "not upgraded", "unavailable"]
    database: Literal["ok", "unavailable"] = Field(description="Whether the database answers.")
    revision: str | None = Field(default=None, description="The database's revision.")
    newest: str | None = Field(default=None, description="The newest that this server knows.")
    hint: str | None = Field(default=None, description="What to do, if anything.")
    archive: Literal["ok", "attention"] | None = Field(
        default=None,
        description="Whether somebody should act on the archive; the server serves all the same. "
        "Left out where it was not found out: the role may not read engine_archive_health, or "
        "it took too long.",
    )
    attention: list[Figure] | None = Field(
        default=None, description="With attention: the figures, and what to do about each."
    )
