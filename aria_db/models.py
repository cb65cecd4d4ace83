"""The chat tables, their archives and the views, as ORM classes.

The four tables belong to the application; the first revision creates them where
they are absent. Programs read the archive through these classes and write to it
through :mod:`aria_db.functions` alone.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    DateTime,
    Double,
    ForeignKeyConstraint,
    Identity,
    Index,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    String,
    Text,
    func,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    mapped_column,
    query_expression,
)

# The names that PostgreSQL itself gives, so that tables which the application
# made and tables which the first revision made have the same ones.
NAMING_CONVENTION = {
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "pk": "%(table_name)s_pkey",
}

TYPES = {
    datetime: DateTime(timezone=True),
    Decimal: Numeric(10, 6),
    dict[str, Any]: JSONB(none_as_null=True),
    float: Double(),
    str: Text(),
}


class Base(DeclarativeBase):
    """Tables; what Alembic compares a database with."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = TYPES


class ViewBase(DeclarativeBase):
    """Views; apart from the tables, so that nothing tries to create them."""

    metadata = MetaData()
    type_annotation_map = TYPES


class SessionColumns:
    """The columns of a session, wherever it is."""

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    agent_id: Mapped[str] = mapped_column(String(100), server_default="aria")
    session_type: Mapped[str] = mapped_column(String(50), server_default="interactive")
    title: Mapped[str | None] = mapped_column(String(500))
    system_prompt: Mapped[str | None]
    model: Mapped[str | None] = mapped_column(String(200))
    temperature: Mapped[float | None] = mapped_column(server_default=text("0.7"))
    max_tokens: Mapped[int | None] = mapped_column(server_default=text("4096"))
    context_window: Mapped[int | None] = mapped_column(server_default=text("50"))
    status: Mapped[str] = mapped_column(String(20), server_default="active")
    message_count: Mapped[int | None] = mapped_column(server_default=text("0"))
    total_tokens: Mapped[int | None] = mapped_column(server_default=text("0"))
    total_cost: Mapped[Decimal | None] = mapped_column(server_default=text("0"))
    metadata_json: Mapped[dict[str, Any] | None] = mapped_column(
        "metadata", server_default=text("'{}'")
    )
    created_at: Mapped[datetime | None] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime | None] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]


class MessageColumns:
    """The columns of a message, wherever it is."""

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    session_id: Mapped[UUID] = mapped_column(primary_key=True)
    agent_id: Mapped[str | None] = mapped_column(String(100))
    role: Mapped[str] = mapped_column(String(20))
    content: Mapped[str]
    thinking: Mapped[str | None]
    tool_calls: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    tool_results: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    model: Mapped[str | None] = mapped_column(String(200))
    tokens_input: Mapped[int | None]
    tokens_output: Mapped[int | None]
    cost: Mapped[Decimal | None]
    latency_ms: Mapped[int | None]
    metadata_json: Mapped[dict[str, Any] | None] = mapped_column(
        "metadata", server_default=text("'{}'")
    )
    created_at: Mapped[datetime | None] = mapped_column(server_default=func.now())

    @property
    def speaker(self) -> str | None:
        """The agent that speaks: ``agent_id``, or else ``metadata.agent_id``.

        Some applications write it there alone.
        """
        metadata: Any = self.metadata_json
        if self.agent_id is not None or not isinstance(metadata, dict):
            return self.agent_id
        named = metadata.get("agent_id")
        return named if isinstance(named, str) else None


class ArchivedColumns:
    """What an archive adds, before the columns of the live table."""

    archived_at: Mapped[datetime] = mapped_column(sort_order=-1)


class EngineChatSession(SessionColumns, Base):
    """A live session."""

    __tablename__ = "engine_chat_sessions"
    __table_args__ = (Index(None, "updated_at", "id"),)


class EngineChatMessage(MessageColumns, Base):
    """A message of a live session. Read in the order (created_at, id)."""

    __tablename__ = "engine_chat_messages"
    __table_args__ = (
        # Reads go by session, and so does a distributed table.
        PrimaryKeyConstraint("session_id", "id"),
        ForeignKeyConstraint(["session_id"], [EngineChatSession.id], ondelete="CASCADE"),
    )


class EngineChatSessionArchive(ArchivedColumns, SessionColumns, Base):
    """An archived session. Written by the SQL function ``archive_sessions`` alone."""

    __tablename__ = "engine_chat_session_archive"
    __table_args__ = (Index(None, "archived_at", "id"),)


class EngineChatMessageArchive(ArchivedColumns, MessageColumns, Base):
    """A message of an archived session.

    No foreign key and no index but the primary key: on PostgreSQL 18 a second
    index in random order was measured to halve the speed of a prune.
    """

    __tablename__ = "engine_chat_message_archive"
    __table_args__ = (PrimaryKeyConstraint("session_id", "id"),)


# A row is archived as it was: its archive has no defaults to add.
for _archive in ("engine_chat_session_archive", "engine_chat_message_archive"):
    for _column in Base.metadata.tables[_archive].columns:
        _column.server_default = None


class EngineArchivePolicy(Base):
    """At which age sessions of a type are archived, and archived ones purged."""

    __tablename__ = "engine_archive_policy"

    session_type: Mapped[str] = mapped_column(String(50), primary_key=True)
    archive_after: Mapped[timedelta | None]
    purge_after: Mapped[timedelta | None]
    enabled: Mapped[bool] = mapped_column(server_default=true())


class EngineSessionHold(Base):
    """A session that must stay where it is. Written by ``place_hold`` and ``release_hold``."""

    __tablename__ = "engine_session_hold"

    session_id: Mapped[UUID] = mapped_column(primary_key=True)
    reason: Mapped[str]
    placed_by: Mapped[str] = mapped_column(server_default=func.session_user())
    placed_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class EngineConflictResolution(Base):
    """A session that was merged. Written by the SQL function ``resolve_session_conflict``."""

    __tablename__ = "engine_conflict_resolution"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    session_id: Mapped[UUID]
    destination: Mapped[str]
    kept: Mapped[str | None]
    dropped_row: Mapped[dict[str, Any] | None]
    archived_at: Mapped[datetime | None]
    resolved_by: Mapped[str] = mapped_column(server_default=func.session_user())
    resolved_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class EngineArchiveEvent(Base):
    """An event of the journal. Written by the functions, in the transaction of the deed."""

    __tablename__ = "engine_archive_event"
    __table_args__ = (Index(None, "run_id", "at", postgresql_where=text("run_id IS NOT NULL")),)

    session_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    event: Mapped[str]
    at: Mapped[datetime]
    actor: Mapped[str]
    role: Mapped[str]
    run_id: Mapped[int | None] = mapped_column(BigInteger)
    message_count: Mapped[int | None] = mapped_column(BigInteger)
    detail: Mapped[dict[str, Any] | None]


class EngineArchiveLeft(Base):
    """A session that the last prune or undo had to leave. Written by these and by the moves."""

    __tablename__ = "engine_archive_left"

    session_id: Mapped[UUID] = mapped_column(primary_key=True)
    run_id: Mapped[int | None] = mapped_column(BigInteger)
    sqlstate: Mapped[str]
    message: Mapped[str]
    remedy: Mapped[str | None]
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class EngineArchiveDependent(Base):
    """What a move does with the rows of a table that refers to chat rows.

    Written by ``set_archive_dependent``.
    """

    __tablename__ = "engine_archive_dependent"

    schema_name: Mapped[str] = mapped_column(primary_key=True)
    table_name: Mapped[str] = mapped_column(primary_key=True)
    handling: Mapped[str]
    archive_table: Mapped[str | None]
    set_by: Mapped[str] = mapped_column(server_default=func.session_user())
    set_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class RunColumns:
    """The columns of a bulk run."""

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    kind: Mapped[str]
    arguments: Mapped[dict[str, Any]]
    started_by: Mapped[str] = mapped_column(server_default=func.session_user())
    role: Mapped[str] = mapped_column(server_default=func.session_user())
    started_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    last_batch_at: Mapped[datetime | None]
    batches: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    sessions: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    messages: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    finished_at: Mapped[datetime | None]
    stop_reason: Mapped[str | None]
    error: Mapped[str | None]


class EngineArchiveRun(RunColumns, Base):
    """A row of the run log."""

    __tablename__ = "engine_archive_run"

    backend_pid: Mapped[int] = mapped_column(BigInteger)
    reached: Mapped[datetime | None]


class EngineArchiveRunList(RunColumns, ViewBase):
    """A row of the run log with the state of the run."""

    __tablename__ = "engine_archive_run_list"

    state: Mapped[str]


class EngineArchiveHealth(ViewBase):
    """A figure that an operator watches."""

    __tablename__ = "engine_archive_health"

    figure: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[Decimal | None] = mapped_column(Numeric())
    unit: Mapped[str]
    is_ok: Mapped[bool]
    reading: Mapped[str]
    remedy: Mapped[str | None]


class EngineSessionConflict(ViewBase):
    """A session that is in both places, and how much of it is equal there."""

    __tablename__ = "engine_session_conflict"

    session_id: Mapped[UUID] = mapped_column(primary_key=True)
    title: Mapped[str | None] = mapped_column(String(500))
    archived_at: Mapped[datetime | None]
    session_rows: Mapped[str]
    messages_live: Mapped[int] = mapped_column(BigInteger)
    messages_archive: Mapped[int] = mapped_column(BigInteger)
    messages_equal: Mapped[int] = mapped_column(BigInteger)
    messages_different: Mapped[int] = mapped_column(BigInteger)


class EngineChatSessionList(SessionColumns, ViewBase):
    """Live sessions without those that the application soft-deleted.

    ``last_message_at`` is no column of the view: the manager's lists set it. Elsewhere it is None.
    So it is in the two classes below.
    """

    __tablename__ = "engine_chat_session_list"

    last_message_at: Mapped[datetime | None] = query_expression()


class EngineChatSessionArchiveList(ArchivedColumns, SessionColumns, ViewBase):
    """Archived sessions."""

    __tablename__ = "engine_chat_session_archive_list"

    last_message_at: Mapped[datetime | None] = query_expression()


class EngineChatSessionAll(SessionColumns, ViewBase):
    """Every session, live and archived."""

    __tablename__ = "engine_chat_session_all"

    last_message_at: Mapped[datetime | None] = query_expression()
    archived_at: Mapped[datetime | None] = mapped_column(sort_order=-1)
