"""Databases as they are found: the layouts of the chat tables, with the rows that are in them.

Layout A is the application's own schema, in all its variants. Layout B has the names of aria-db
in an older shape. Both have 2,000 live sessions, and what the application's code left behind.
"""

import re
from dataclasses import dataclass, replace
from typing import NamedTuple
from uuid import UUID

import psycopg

from aria_db.database import quoted
from tests.support.application import Application

LIVE_SESSIONS = 2000
# Sessions that the application's prune archived, where there is an archive.
PRUNED_SESSIONS = 100

SESSION_COLUMNS = {
    "id": "uuid PRIMARY KEY DEFAULT {new_id}()",
    "agent_id": "varchar(100) NOT NULL DEFAULT 'aria'",
    "session_type": "varchar(50) NOT NULL DEFAULT 'interactive'",
    "title": "varchar(500)",
    "system_prompt": "text",
    "model": "varchar(200)",
    "temperature": "double precision DEFAULT 0.7",
    "max_tokens": "integer DEFAULT 4096",
    "context_window": "integer DEFAULT 50",
    "status": "varchar(20) NOT NULL DEFAULT 'active'",
    "message_count": "integer DEFAULT 0",
    "total_tokens": "integer DEFAULT 0",
    "total_cost": "numeric(10, 6) DEFAULT 0",
    "metadata": "jsonb DEFAULT '{{}}'",
    "created_at": "timestamptz DEFAULT now()",
    "updated_at": "timestamptz DEFAULT now()",
    "ended_at": "timestamptz",
}

MESSAGE_COLUMNS = {
    "id": "uuid PRIMARY KEY DEFAULT {new_id}()",
    "session_id": "uuid NOT NULL REFERENCES {sessions} (id) ON DELETE CASCADE",
    "agent_id": "varchar(100)",
    "role": "varchar(20) NOT NULL",
    "content": "text NOT NULL",
    "thinking": "text",
    "tool_calls": "jsonb",
    "tool_results": "jsonb",
    "model": "varchar(200)",
    "tokens_input": "integer",
    "tokens_output": "integer",
    "cost": "numeric(10, 6)",
    "latency_ms": "integer",
    "embedding": "{embedding}",
    "metadata": "jsonb DEFAULT '{{}}'",
    "created_at": "timestamptz DEFAULT now()",
    "client_message_id": "varchar(64)",
}

INDEXES = {
    "sessions": (
        *("agent_id", "status", "created_at", "updated_at DESC", "session_type"),
        "status, updated_at DESC",
    ),
    "messages": ("session_id", "role", "created_at", "session_id, created_at"),
    "session_archive": ("archived_at DESC", "session_type", "status", "updated_at DESC"),
    "message_archive": (
        *("session_id", "role", "created_at", "archived_at DESC", "session_id, created_at"),
    ),
}


class Tables(NamedTuple):
    """The four tables of a layout, as SQL names them."""

    sessions: str
    messages: str
    session_archive: str
    message_archive: str


DEPLOYED_NAMES = Tables(
    "chat_sessions", "chat_messages", "chat_sessions_archive", "chat_messages_archive"
)


@dataclass(frozen=True)
class Layout:
    """A layout in one of its variants.

    :param schema: the schema of the tables.
    :param names: their names.
    :param embedding: the type of the messages' column embedding.
    :param absent: newer columns that the messages do not have.
    :param archives: how many of the two archive tables there are, the sessions' first.
    :param lacking: columns of the messages that their archive lacks.
    :param extensions: the schema of the extensions.
    """

    schema: str = "aria_engine"
    names: Tables = DEPLOYED_NAMES
    embedding: str = "vector(1536)"
    absent: tuple[str, ...] = ()
    archives: int = 2
    lacking: tuple[str, ...] = ()
    extensions: str = "public"

    @property
    def tables(self) -> Tables:
        """The tables with their schema, as PostgreSQL prints them."""
        return Tables(*(f"{printed(self.schema)}.{name}" for name in self.names))

    @property
    def missing(self) -> list[str]:
        """The names of the archive tables that are not there."""
        return list(self.names[2 + self.archives :])

    @property
    def application(self) -> Application:
        """The code that works with these tables."""
        columns = tuple(self.message_columns())
        return Application(
            *self.tables,
            tuple(SESSION_COLUMNS),
            columns,
            tuple(name for name in columns if name not in self.lacking),
            self.embedding,
        )

    def message_columns(self) -> dict[str, str]:
        """Return the columns of the messages with their definitions."""
        return {name: what for name, what in MESSAGE_COLUMNS.items() if name not in self.absent}

    @property
    def uses_pgvector(self) -> bool:
        """Whether this variant needs the extension."""
        return "embedding" in self.message_columns() and self.embedding != "jsonb"

    def without_pgvector(self) -> "Layout":
        """Return what the same application has where pgvector is missing."""
        return replace(self, embedding="jsonb") if self.uses_pgvector else self

    def equal_copies(self) -> set[UUID]:
        """Return the sessions that are live and archived, the same in both."""
        # Message columns that the archive lacks are not null in session 4. Where the messages
        # have no archive, session 5 is the one without any.
        equal = {2: {1, 2, 3, 5} | (set() if self.lacking else {4}), 1: {5}, 0: set()}
        return set(map(session, equal[self.archives]))

    def conflicts(self) -> set[UUID]:
        """Return all sessions that are live and archived."""
        return set(map(session, range(1, 11))) if self.archives else set()


STANDARD = Layout()

# Where the views and functions go when the application's schema has an odd name too.
ODD_TARGET = "aria archive"

NEWER = ("client_message_id",)

VARIANTS = {
    "vector(1536), newest": STANDARD,
    "vector(768), older": Layout(embedding="vector(768)", absent=NEWER),
    "jsonb": Layout(embedding="jsonb"),
    "no archives": Layout(archives=0),
    "jsonb, older, no archives": Layout(embedding="jsonb", absent=NEWER, archives=0),
    "no message archive": Layout(embedding="vector(768)", archives=1),
    "archive lacks client_message_id": Layout(lacking=("client_message_id",)),
    "archive lacks embedding": Layout(absent=NEWER, lacking=("embedding",)),
    "jsonb, archive lacks both": Layout(
        embedding="jsonb", lacking=("embedding", "client_message_id")
    ),
    "odd names": Layout(
        schema="Aria Engine", lacking=("client_message_id",), extensions="Our extensions"
    ),
}

OLDER_SHAPE = Layout(
    schema="public",
    names=Tables(
        "engine_chat_sessions",
        "engine_chat_messages",
        "engine_chat_session_archive",
        "engine_chat_message_archive",
    ),
    absent=("embedding", "client_message_id"),
)

# A layout in which both archive tables must be altered.
LACKING = VARIANTS["archive lacks client_message_id"]


def printed(name: str) -> str:
    """Return a name as PostgreSQL prints it: quoted where it must be."""
    return name if re.fullmatch("[a-z_]+", name) else quoted(name)


def session(number: int) -> UUID:
    """Return the id of one of the sessions, which are numbered from 1.

    Every tenth is soft-deleted. Session 11 and every tenth after it have a message with an
    embedding. The application's prune archived those above :data:`LIVE_SESSIONS`.
    """
    return UUID(f"00000000-0000-4000-8000-{number:012}")


def has_pgvector(connection: psycopg.Connection) -> bool:
    """Tell whether the server has the extension."""
    return _has_extension(connection, "vector")


def build(connection: psycopg.Connection, layout: Layout, *, filled: bool = True) -> None:
    """Create the layout in an empty database, and fill it.

    :param connection: a connection as a superuser.
    :param layout: the layout; what it needs must be there.
    :param filled: whether to insert rows.
    """
    with connection.transaction():
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(layout.extensions)}")
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(layout.schema)}")
        connection.execute(
            f"SET LOCAL search_path = {quoted(layout.schema)}, {quoted(layout.extensions)}"
        )
        _create_extensions(connection, layout)
        _create_tables(connection, layout)
        _create_neighbours(connection)
        if filled:
            _fill(connection, layout)
    connection.execute("ANALYZE")


def _has_extension(connection: psycopg.Connection, name: str) -> bool:
    found = connection.execute("SELECT FROM pg_available_extensions WHERE name = %s", [name])
    return found.fetchone() is not None


def _create_extensions(connection: psycopg.Connection, layout: Layout) -> None:
    place = quoted(layout.extensions)
    if layout.uses_pgvector:
        connection.execute(f"CREATE EXTENSION vector SCHEMA {place}")
    if layout == OLDER_SHAPE:
        return
    if _has_extension(connection, "uuid-ossp"):
        connection.execute(f'CREATE EXTENSION "uuid-ossp" SCHEMA {place}')
    else:
        connection.execute(
            f"CREATE FUNCTION {place}.uuid_generate_v4() RETURNS uuid VOLATILE"
            " LANGUAGE sql RETURN gen_random_uuid()"
        )


def _create_tables(connection: psycopg.Connection, layout: Layout) -> None:
    new_id = "gen_random_uuid" if layout == OLDER_SHAPE else "uuid_generate_v4"
    for name, columns in (
        (layout.names.sessions, SESSION_COLUMNS),
        (layout.names.messages, layout.message_columns()),
    ):
        definition = ", ".join(f"{column} {what}" for column, what in columns.items()).format(
            new_id=new_id, sessions=layout.names.sessions, embedding=layout.embedding
        )
        connection.execute(f"CREATE TABLE {name} ({definition})")
    if layout == OLDER_SHAPE:
        for live, archive in zip(layout.names[:2], layout.names[2:], strict=True):
            connection.execute(
                f"CREATE TABLE {archive} (LIKE {live},"
                " archived_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (id))"
            )
        return
    layout.application.create_archives(connection)
    for column in layout.lacking:
        connection.execute(f"ALTER TABLE {layout.names.message_archive} DROP COLUMN {column}")
    for name in reversed(layout.missing):
        connection.execute(f"DROP TABLE {name}")
    for table, indexes in INDEXES.items():
        name = getattr(layout.names, table)
        if name not in layout.missing:
            for columns in indexes:
                connection.execute(f"CREATE INDEX ON {name} ({columns})")


def _create_neighbours(connection: psycopg.Connection) -> None:
    """Create what else the application has in the database, which aria-db must not touch."""
    connection.execute(
        """
        CREATE TABLE public.alembic_version (version_num varchar(32) PRIMARY KEY);
        INSERT INTO public.alembic_version VALUES ('s42_its_own');
        CREATE SCHEMA billing;
        CREATE TABLE billing.chat_sessions (id serial PRIMARY KEY, amount numeric NOT NULL);
        INSERT INTO billing.chat_sessions (amount) SELECT generate_series(1, 10);
        """
    )


def _fill(connection: psycopg.Connection, layout: Layout) -> None:
    count = LIVE_SESSIONS + (PRUNED_SESSIONS if layout.archives else 0)
    names = layout.names
    connection.execute(
        f"""
        INSERT INTO {names.sessions} (
            id, agent_id, session_type, title, model, status, message_count, total_cost, metadata,
            created_at, updated_at, ended_at
        )
        SELECT
            ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid,
            CASE n %% 2 WHEN 0 THEN 'aria' ELSE 'scout' END,
            (ARRAY['interactive', 'chat', 'roundtable', 'swarm'])[1 + n %% 4],
            'Session ' || n,
            CASE n %% 3 WHEN 0 THEN 'a-model' END,
            CASE WHEN n %% 10 = 0 THEN 'archived' WHEN n %% 10 = 3 THEN 'ended' ELSE 'active' END,
            n %% 5,
            n * 0.000100,
            jsonb_build_object('number', n, 'exact', 1.00),
            now() - interval '500 days',
            now() - CASE WHEN n > %(live)s THEN interval '400 days'
                WHEN n %% 4 < 2 THEN interval '60 days' ELSE interval '1 hour' END,
            CASE n %% 10 WHEN 3 THEN now() - interval '60 days' END
        FROM generate_series(1, %(count)s) AS n
        """,
        {"count": count, "live": LIVE_SESSIONS},
    )
    connection.execute(
        f"""
        INSERT INTO {names.messages} (
            session_id, role, content, tool_calls, cost, metadata, created_at
        )
        SELECT
            session.id,
            CASE place % 2 WHEN 1 THEN 'user' ELSE 'assistant' END,
            format('message %s of %s', place, session.title),
            CASE place WHEN 2 THEN '[{{"name": "search"}}]'::jsonb END,
            0.000100,
            '{{"exact": 1.00}}',
            session.created_at + place * interval '1 minute'
        FROM {names.sessions} AS session
        CROSS JOIN generate_series(1, session.message_count) AS place
        """
    )
    _fill_newer_columns(connection, layout)
    if layout.archives:
        _leave_conflicts(connection, layout)


def _fill_newer_columns(connection: psycopg.Connection, layout: Layout) -> None:
    """Give values to the columns that the tables of aria-db do not have.

    Every tenth session has an embedding: 1, 11, 21, ... but for session 1, and session 4. The
    messages of the first ten sessions, but for the fourth, have no client's id either.
    """
    if "embedding" in layout.message_columns():
        # Values that a float of single precision holds exactly come back as they were.
        connection.execute(
            f"""
            WITH embedding AS (
                SELECT kind, '[' || string_agg((sin(kind * place))::real::text, ',') || ']' AS value
                FROM generate_series(0, 9) AS kind, generate_series(1, %s) AS place
                GROUP BY kind
            ),
            chosen AS (
                SELECT message.id, right(session_id::text, 4)::integer AS number
                FROM {layout.names.messages} AS message
                WHERE content LIKE 'message 1 of %%'
                AND (session_id = %s OR (session_id::text LIKE '%%1' AND session_id <> %s))
            )
            UPDATE {layout.names.messages} AS message
            SET embedding = embedding.value::{layout.embedding}
            FROM chosen JOIN embedding ON embedding.kind = chosen.number / 10 %% 10
            WHERE chosen.id = message.id
            """,
            [layout.application.dimensions, session(4), session(1)],
        )
    if "client_message_id" in layout.message_columns():
        connection.execute(
            f"""
            UPDATE {layout.names.messages} SET client_message_id = 'client ' || id
            WHERE session_id > %s OR session_id = %s
            """,
            [session(10), session(4)],
        )


def _leave_conflicts(connection: psycopg.Connection, layout: Layout) -> None:
    """Archive sessions by the application's prune, and leave the first ten in both places."""
    application = layout.application
    has_message_archive = layout.archives == 2
    application.prune(connection, "365 days", messages=has_message_archive)
    application.copy(connection, map(session, range(1, 11)), messages=has_message_archive)
    # Sessions 6 to 10 are not the same in both: the row, a message, or a message more.
    connection.execute(
        f"UPDATE {layout.names.session_archive} SET title = 'other' WHERE id = ANY(%s)",
        [[session(6), session(10)]],
    )
    if has_message_archive:
        connection.execute(
            f"UPDATE {layout.names.message_archive} SET content = content || ', edited'"
            f" WHERE session_id = ANY(%s)",
            [[session(7), session(8)]],
        )
        connection.execute(
            f"DELETE FROM {layout.names.message_archive} WHERE session_id = %s", [session(9)]
        )
