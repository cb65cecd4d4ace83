"""The limit: the fastest single statements that move the same rows between the same tables.

Written by hand, with no checks, no locks but their own, and no word on what they did.
"""

ONE = """
WITH
moved_messages AS (
    DELETE FROM engine_chat_messages AS live WHERE live.session_id = %(session_id)s RETURNING live.*
),

moved_session AS (
    DELETE FROM engine_chat_sessions AS live WHERE live.id = %(session_id)s RETURNING live.*
),

archived_session AS (
    INSERT INTO engine_chat_session_archive SELECT now(), moved_session.* FROM moved_session
)

INSERT INTO engine_chat_message_archive SELECT now(), moved_messages.* FROM moved_messages
"""
"""One session; its parameter is ``session_id``."""

OLD = """
WITH
moved_messages AS (
    DELETE FROM engine_chat_messages AS live
    USING engine_chat_sessions AS due
    WHERE live.session_id = due.id AND due.updated_at < now() - interval '30 days'
    RETURNING live.*
),

moved_sessions AS (
    DELETE FROM engine_chat_sessions AS live
    WHERE live.updated_at < now() - interval '30 days'
    RETURNING live.*
),

archived_sessions AS (
    INSERT INTO engine_chat_session_archive SELECT now(), moved_sessions.* FROM moved_sessions
)

INSERT INTO engine_chat_message_archive SELECT now(), moved_messages.* FROM moved_messages
"""
"""All sessions that a prune would take, in one transaction."""
