"""What callers send: queries and bodies."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

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


def _written_out(time: Any) -> Any:
    """Refuse what Pydantic would take for seconds since 1970."""
    if isinstance(time, str) and not re.match(r"\d{4}-", time):
        raise ValueError("must be a date or a time as in ISO 8601, for example 2026-03-01T09:30Z")
    return time


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


Time = Annotated[datetime, BeforeValidator(_written_out), AfterValidator(_aware)]


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


class UndoQuery(BaseModel):
    """Whether to undo a run."""

    dry_run: bool = Field(True, description="Count only. Send false to restore.")


class RunsQuery(BaseModel):
    """How many runs to list."""

    limit: int = Field(20, ge=1, le=500, description="How many at most.")


class LeftQuery(BaseModel):
    """How many sessions to list."""

    limit: int = Field(100, ge=1, le=1000, description="How many at most.")


class HoldRequest(BaseModel):
    """Why a session must stay where it is."""

    model_config = example({"reason": "asked for by the legal department"}, extra="forbid")

    reason: Annotated[StorableText, Field(min_length=1)] = Field(
        description="For the person who wants to release it."
    )
