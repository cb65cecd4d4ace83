"""The baseline: copy, then delete, as one would write it with SQLAlchemy's ORM.

An archive creates the archive tables if they are absent, looks for the session, copies it and its
messages with INSERT … SELECT … ON CONFLICT DO NOTHING, and deletes both. A prune does the same for
all sessions that are due, in one transaction. A list joins the sessions to all messages to count
them. The baseline works on the tables as the application has them, which are below with their
indexes and foreign keys; for comparison it also works on aria-db's own tables.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Connection,
    DateTime,
    Double,
    ForeignKey,
    Index,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    delete,
    func,
    literal,
    or_,
    select,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA = "aria_engine"

TYPES = {
    datetime: DateTime(timezone=True),
    Decimal: Numeric(10, 6),
    dict[str, Any]: JSONB,
    float: Double(),
    str: Text(),
}


class Base(DeclarativeBase):
    """The application's tables."""

    metadata = MetaData(schema=SCHEMA)
    type_annotation_map = TYPES


class SessionColumns:
    """The columns of a session."""

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
    """The columns of a message, without the session's id, which is a foreign key."""

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    agent_id: Mapped[str | None] = mapped_column(String(100))
    role: Mapped[str] = mapped_column(String(20))
    content: Mapped[str]
    thinking: Mapped[str | None]
    tool_calls: Mapped[Any | None] = mapped_column(JSONB)
    tool_results: Mapped[Any | None] = mapped_column(JSONB)
    model: Mapped[str | None] = mapped_column(String(200))
    tokens_input: Mapped[int | None]
    tokens_output: Mapped[int | None]
    cost: Mapped[Decimal | None]
    latency_ms: Mapped[int | None]
    # A vector where pgvector is at hand; the sessions here have none, which helps the baseline.
    embedding: Mapped[Any | None] = mapped_column(JSONB)
    metadata_json: Mapped[dict[str, Any] | None] = mapped_column(
        "metadata", server_default=text("'{}'")
    )
    created_at: Mapped[datetime | None] = mapped_column(server_default=func.now())
    client_message_id: Mapped[str | None] = mapped_column(String(64))


class ChatSession(SessionColumns, Base):
    """A live session."""

    __tablename__ = "chat_sessions"
    __table_args__ = (
        Index("idx_cs_agent_id", "agent_id"),
        Index("idx_cs_status", "status"),
        Index("idx_cs_created_at", "created_at"),
        Index("idx_cs_updated_at", text("updated_at DESC")),
        Index("idx_cs_session_type", "session_type"),
        Index("idx_cs_status_updated_at", "status", text("updated_at DESC")),
    )


class ChatMessage(MessageColumns, Base):
    """A message of a live session."""

    __tablename__ = "chat_messages"
    __table_args__ = (
        Index("idx_cm_session_id", "session_id"),
        Index("idx_cm_role", "role"),
        Index("idx_cm_created_at", "created_at"),
        Index("idx_cm_session_created", "session_id", "created_at"),
    )

    session_id: Mapped[UUID] = mapped_column(
        ForeignKey(f"{SCHEMA}.chat_sessions.id", ondelete="CASCADE")
    )


class ChatSessionArchive(SessionColumns, Base):
    """A session in the archive."""

    __tablename__ = "chat_sessions_archive"
    __table_args__ = (
        Index("idx_csa_archived_at", text("archived_at DESC")),
        Index("idx_csa_session_type", "session_type"),
        Index("idx_csa_status", "status"),
        Index("idx_csa_updated_at", text("updated_at DESC")),
    )

    archived_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ChatMessageArchive(MessageColumns, Base):
    """A message in the archive."""

    __tablename__ = "chat_messages_archive"
    __table_args__ = (
        Index("idx_cma_session_id", "session_id"),
        Index("idx_cma_role", "role"),
        Index("idx_cma_created_at", "created_at"),
        Index("idx_cma_archived_at", text("archived_at DESC")),
        Index("idx_cma_session_created", "session_id", "created_at"),
    )

    session_id: Mapped[UUID] = mapped_column(
        ForeignKey(f"{SCHEMA}.chat_sessions_archive.id", ondelete="CASCADE")
    )
    archived_at: Mapped[datetime] = mapped_column(server_default=func.now())


class BaselineManager:
    """Archives, prunes and lists by the baseline.

    :param engine: of the database.
    :param session: the ORM class of a live session, and so on; by default the application's.
    :param message: of a live message.
    :param session_archive: of an archived session.
    :param message_archive: of an archived message.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        session: Any = ChatSession,
        message: Any = ChatMessage,
        session_archive: Any = ChatSessionArchive,
        message_archive: Any = ChatMessageArchive,
    ) -> None:
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)
        self._session = session
        self._message = message
        self._session_archive = session_archive
        self._message_archive = message_archive

    async def archive_session(self, session_id: UUID) -> bool:
        """Archive one session; return whether there is such a one."""
        async with self._sessions() as db:
            await self._ensure_tables(db)
            if await db.get(self._session, session_id) is None:
                return False
            await self._move(
                db, self._session.id == session_id, self._message.session_id == session_id
            )
            await db.commit()
            return True

    async def prune_old_sessions(self, days: int = 30) -> int:
        """Archive all sessions that are old or soft-deleted; return how many."""
        before = datetime.now(UTC) - timedelta(days=days)
        async with self._sessions() as db:
            await self._ensure_tables(db)
            due = await db.scalars(
                select(self._session.id).where(
                    or_(self._session.status == "archived", self._session.updated_at < before)
                )
            )
            ids = due.all()
            if ids:
                await self._move(db, self._session.id.in_(ids), self._message.session_id.in_(ids))
            await db.commit()
            return len(ids)

    async def list_sessions(self, limit: int, offset: int) -> tuple[list[tuple[Any, int]], int]:
        """Return a page of live sessions with their numbers of messages, and how many there are."""
        return await self._list(
            self._session,
            self._message,
            self._session.status != "archived",
            self._session.updated_at.desc(),
            limit,
            offset,
        )

    async def list_archived_sessions(
        self, limit: int, offset: int
    ) -> tuple[list[tuple[Any, int]], int]:
        """Return a page of archived sessions, newest first; else as :meth:`list_sessions`."""
        return await self._list(
            self._session_archive,
            self._message_archive,
            true(),
            self._session_archive.archived_at.desc(),
            limit,
            offset,
        )

    async def _list(
        self, session: Any, message: Any, condition: Any, order: Any, limit: int, offset: int
    ) -> tuple[list[tuple[Any, int]], int]:
        async with self._sessions() as db:
            page = await db.execute(
                select(session, func.count(message.id))
                .outerjoin(message, message.session_id == session.id)
                .where(condition)
                .group_by(session.id)
                .order_by(order)
                .limit(limit)
                .offset(offset)
            )
            total = await db.scalar(select(func.count()).select_from(session).where(condition))
            return [(row, count) for row, count in page], total or 0

    async def _ensure_tables(self, db: AsyncSession) -> None:
        def create(connection: Connection) -> None:
            tables = [self._session_archive.__table__, self._message_archive.__table__]
            self._session_archive.metadata.create_all(connection, tables=tables)

        await (await db.connection()).run_sync(create)

    async def _move(self, db: AsyncSession, of_session: Any, of_message: Any) -> None:
        now = datetime.now(UTC)
        for live, archive, condition in (
            (self._session, self._session_archive, of_session),
            (self._message, self._message_archive, of_message),
        ):
            source: Table = live.__table__
            columns = [column.name for column in source.columns]
            await db.execute(
                insert(archive.__table__)
                .from_select(
                    [*columns, "archived_at"],
                    select(*source.columns, literal(now)).where(condition),
                )
                .on_conflict_do_nothing()
            )
        await db.execute(delete(self._message).where(of_message))
        await db.execute(delete(self._session).where(of_session))
