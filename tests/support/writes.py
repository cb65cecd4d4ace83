"""What an application does to a session while others archive it."""

from uuid import UUID

import psycopg

# `session` is the one that is archived, `message` one of its messages, `other` another session.
WRITES = {
    "insert a message": """
        INSERT INTO engine_chat_messages (session_id, role, content)
        VALUES (%(session)s, 'user', 'late')
    """,
    "update a message": """
        UPDATE engine_chat_messages SET content = 'edited' WHERE id = %(message)s
    """,
    "delete a message": "DELETE FROM engine_chat_messages WHERE id = %(message)s",
    "move a message out": """
        UPDATE engine_chat_messages SET session_id = %(other)s WHERE id = %(message)s
    """,
    "move messages in": """
        UPDATE engine_chat_messages SET session_id = %(session)s WHERE session_id = %(other)s
    """,
    "upsert a message": """
        MERGE INTO engine_chat_messages AS live
        USING (VALUES (%(message)s::uuid)) AS wanted (id) ON live.id = wanted.id
        WHEN MATCHED THEN UPDATE SET content = 'merged', cost = 'NaN'
        WHEN NOT MATCHED THEN
            INSERT (session_id, role, content) VALUES (%(session)s, 'user', 'merged')
    """,
    "update the session": "UPDATE engine_chat_sessions SET title = 'new' WHERE id = %(session)s",
    "soft-delete the session": """
        UPDATE engine_chat_sessions SET status = 'archived' WHERE id = %(session)s
    """,
    "delete the session": "DELETE FROM engine_chat_sessions WHERE id = %(session)s",
}

# How an application upserts through a view before PostgreSQL 17, with which MERGE takes one.
UPSERT_THROUGH_A_VIEW = """
    INSERT INTO engine_chat_messages (id, session_id, role, content)
    VALUES (%(message)s, %(session)s, 'user', 'merged')
    ON CONFLICT (id) DO UPDATE SET content = 'merged', cost = 'NaN'
"""

# Those that the foreign key refuses once the session is gone; the others then find nothing.
ADD_A_MESSAGE = {"insert a message", "move messages in", "upsert a message"}


def write(connection: psycopg.Connection, name: str, ids: dict[str, UUID]) -> int:
    statement = WRITES[name]
    if "MERGE" in statement and connection.info.server_version < 170000:
        of_a_view = "SELECT 1 FROM pg_views WHERE viewname = 'engine_chat_messages'"
        if connection.execute(of_a_view).rowcount:
            statement = UPSERT_THROUGH_A_VIEW
    return connection.execute(statement, ids).rowcount


def begin(connection: psycopg.Connection) -> None:
    connection.execute("BEGIN")
