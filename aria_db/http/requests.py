"""What callers send: queries and bodies."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    FiniteFloat,
    WithJsonSchema,
    model_validator,
)

from aria_db.http.examples import example
from aria_db.session_manager import LONGEST_AGE, SessionFilters, SortKey
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
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]

AGENT_TYPES = ("cron", "swarm", "subagent")
"""The types of the sessions that agents have among themselves."""


def _written_out(time: Any) -> Any:
    """Refuse what Pydantic would take for seconds since 1970."""
    if isinstance(time, str) and not re.match(r"\d{4}-", time):
        raise ValueError("must be a date or a time as in ISO 8601, for example 2026-03-01T09:30Z")
    return time


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


Time = Annotated[datetime, BeforeValidator(_written_out), AfterValidator(_aware)]


def _end_of(time: Any) -> Any:
    """Take a date for its end: who asks for all up to a date means that day as well."""
    if isinstance(time, str) and _DATE.fullmatch(time):
        with suppress(ValueError, OverflowError):
            return datetime.fromisoformat(time) + timedelta(days=1)
    return time


_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")

End = Annotated[Time, BeforeValidator(_end_of)]


def _or_default(known: type, default: str) -> BeforeValidator:
    """Return a validator that takes what is not known for the default, as callers rely on."""
    return BeforeValidator(lambda given: given if given in get_args(known) else default)


class Parameters(BaseModel):
    """What a query may have. A parameter that is empty is not given."""

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {name: value for name, value in given.items() if value not in ("", [""])}


Limit = Annotated[int, Field(ge=0, le=500, description="How many to give at most.")]


class Paging(Parameters):
    """Which part of a transcript to give."""

    limit: Limit = 100
    offset: Offset = Field(0, description="How many to pass over.")
    since: Time | None = Field(
        None, description="Only messages written after this time; UTC if it has no offset."
    )
    role: StorableText | None = Field(None, description="Only messages of this speaker.")


class _ListQuery(Parameters):
    offset: Offset = Field(0, description="How many to pass over.")
    cursor: Annotated[StorableText, Field(max_length=5000)] | None = Field(
        None,
        description="`next_cursor` of the page before, with the same order and conditions. "
        "However far it is, it costs no more than the first page; an offset does.",
    )
    agent_id: StorableText | None = Field(None, description="Only this agent's.")
    session_type: StorableText | None = Field(None, description="Only of this type.")
    exclude_agent_sessions: bool = Field(
        False, description=f"Without the types {', '.join(AGENT_TYPES)}."
    )
    exclude_types: StorableText | None = Field(
        None, description="Without these types, separated by commas."
    )
    status: StorableText | None = Field(None, description="Only with this status.")
    message_count_min: Count | None = Field(
        None, description="Only with as many messages or more, by the session's message_count."
    )
    message_count_max: Count | None = Field(
        None, description="Only with as many messages or fewer."
    )
    search: StorableText | None = Field(
        None, description="Only with this text in the title or in a message, in any case."
    )
    date_from: Time | None = Field(
        None, description="Only created at this time or later; UTC if it has no offset."
    )
    date_to: End | None = Field(
        None,
        description="Only created before this time, UTC if it has no offset; a date is included.",
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
        excluded = [name.strip() for name in (self.exclude_types or "").split(",")]
        if self.exclude_agent_sessions:
            excluded += AGENT_TYPES
        return SessionFilters(
            agent_id=self.agent_id,
            session_type=self.session_type,
            search=self.search,
            date_from=self.date_from,
            date_to=self.date_to,
            exclude_types=tuple(dict.fromkeys(filter(None, excluded))),
            status=self.status,
            message_count_min=self.message_count_min,
            message_count_max=self.message_count_max,
        )


class ListQuery(_ListQuery):
    """Which live sessions to list, and in which order; all conditions must hold."""

    limit: Limit = 20
    sort: Annotated[SortKey, _or_default(SortKey, "updated_at")] = Field(
        "updated_at", description="What to sort by; anything else is the default."
    )
    order: Annotated[Literal["asc", "desc"], _or_default(Literal["asc", "desc"], "desc")] = Field(
        "desc", description="desc, or anything else: the greatest first."
    )


class ArchiveQuery(_ListQuery):
    """Which archived sessions to list; all conditions must hold."""

    limit: Limit = 50
    archived_from: Time | None = Field(
        None, description="Only archived at this time or later; UTC if it has no offset."
    )
    archived_to: End | None = Field(
        None,
        description="Only archived before this time, UTC if it has no offset; a date is included.",
    )

    def filters(self) -> SessionFilters:
        """Return the conditions as the manager takes them."""
        return replace(
            super().filters(),
            archived_after=self.archived_from,
            archived_before=self.archived_to,
        )


class SessionCreate(BaseModel):
    """A session to create. Everything has a default."""

    model_config = example(
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

    model_config = example(
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


class SessionChange(BaseModel):
    """What to change of a session; what is left out stays."""

    model_config = example(
        {"title": "Holiday plans", "model": "another-model"}, extra="forbid", minProperties=1
    )

    title: Text500 | None = None
    model: Text200 | None = Field(None, description="The language model's name.")
    metadata: StorableObject = Field(default={}, description="Replaces what is there.")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("give title, model or metadata")
        return self


class TitleChange(BaseModel):
    """The new title of a session."""

    model_config = example({"title": "Holiday plans"}, extra="forbid")

    title: Text500 | None = Field(description="null: none.")


class GhostsQuery(Parameters):
    """Which sessions without a message to delete."""

    older_than_minutes: int = Field(
        15,
        ge=1,
        le=LONGEST_AGE.days * 24 * 60,
        description="How long ago the last update, or the last restore, must be, in minutes.",
    )
    dry_run: bool = Field(False, description="Count only.")


class CleanupQuery(Parameters):
    """What to prune."""

    days: int = Field(
        30,
        ge=1,
        le=LONGEST_AGE.days,
        description="How old a session must be, in days. Its age counts from its last update, or "
        "from its last restore if that was later.",
    )
    dry_run: bool = Field(True, description="Count only. Send false to archive them.")


class UndoQuery(Parameters):
    """Whether to undo a run."""

    dry_run: bool = Field(True, description="Count only. Send false to restore.")


class RunsQuery(Parameters):
    """How many runs to list."""

    limit: Limit = 20


class LeftQuery(Parameters):
    """How many sessions to list."""

    limit: Limit = 100


class HoldRequest(BaseModel):
    """Why a session must stay where it is."""

    model_config = example({"reason": "asked for by the legal department"}, extra="forbid")

    reason: Annotated[StorableText, Field(min_length=1)] = Field(
        description="For the person who wants to release it."
    )
