"""An application's own tables, adopted through simple updatable views.

The tables have names and keys of their own, ``archived_at`` last, a foreign key between the
archives, and a column that aria-db's own tables do not have.
"""

import psycopg
import pytest

from aria_db.database import Database
from aria_db.install import migrate

SCHEMA = "deployed"

# For tests that run on aria-db's own tables and on these.
BOTH_LAYOUTS = pytest.mark.parametrize("layout", ["tables", "views"], indirect=True)

_TABLES = """
CREATE TABLE chat_sessions (LIKE public.engine_chat_sessions INCLUDING DEFAULTS, PRIMARY KEY (id));
CREATE INDEX ON chat_sessions (agent_id);
CREATE INDEX ON chat_sessions (status, updated_at DESC);

CREATE TABLE chat_messages (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    session_id uuid NOT NULL REFERENCES chat_sessions (id) ON DELETE CASCADE,
    agent_id varchar(100),
    role varchar(20) NOT NULL,
    content text NOT NULL,
    thinking text,
    tool_calls jsonb,
    tool_results jsonb,
    model varchar(200),
    tokens_input integer,
    tokens_output integer,
    cost numeric(10, 6),
    latency_ms integer,
    embedding jsonb,
    metadata jsonb DEFAULT '{}',
    created_at timestamptz DEFAULT now(),
    client_message_id varchar(64)
);
CREATE INDEX ON chat_messages (session_id, created_at);

CREATE TABLE chat_sessions_archive (
    LIKE chat_sessions,
    archived_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id)
);
CREATE TABLE chat_messages_archive (
    LIKE chat_messages,
    archived_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id),
    FOREIGN KEY (session_id) REFERENCES chat_sessions_archive (id) ON DELETE CASCADE
);
CREATE INDEX ON chat_messages_archive (session_id, created_at);
"""

# A view's name, its table, and whether archived_at is put first.
_VIEWS = (
    ("engine_chat_sessions", "chat_sessions", False),
    ("engine_chat_messages", "chat_messages", False),
    ("engine_chat_session_archive", "chat_sessions_archive", True),
    ("engine_chat_message_archive", "chat_messages_archive", True),
)

TABLES = tuple(table for _, table, _ in _VIEWS)


def install(connection: psycopg.Connection, database: Database) -> None:
    """Create the tables and the views under aria-db's names, and run the revisions there."""
    with connection.transaction():
        connection.execute(f"CREATE SCHEMA {SCHEMA}")
        connection.execute(f"SET LOCAL search_path = {SCHEMA}, pg_temp")
        connection.execute(_TABLES)
        for view, table, archived_at_first in _VIEWS:
            row = connection.execute(
                """
                SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum)
                FROM pg_attribute
                WHERE attrelid = %s::regclass AND attnum > 0 AND attname <> 'archived_at'
                """,
                [table],
            ).fetchone()
            assert row is not None
            columns = f"archived_at, {row[0]}" if archived_at_first else row[0]
            connection.execute(f"CREATE VIEW {view} AS SELECT {columns} FROM {table}")
    engine = database.engine()
    with engine.connect() as upgrading:
        migrate.upgrade(upgrading, schema=SCHEMA)
    engine.dispose()
