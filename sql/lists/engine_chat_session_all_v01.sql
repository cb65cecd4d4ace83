-- engine_chat_session_all: every session there is, wherever it is.
--
-- In one statement, so in one snapshot: a session on its way from one place to
-- the other is in this view exactly once. The soft-deleted are included.
CREATE OR REPLACE VIEW engine_chat_session_all AS
SELECT
    NULL::timestamptz AS archived_at,
    id,
    agent_id,
    session_type,
    title,
    system_prompt,
    model,
    temperature,
    max_tokens,
    context_window,
    status,
    message_count,
    total_tokens,
    total_cost,
    metadata,
    created_at,
    updated_at,
    ended_at
FROM engine_chat_sessions
UNION ALL
SELECT
    archived_at,
    id,
    agent_id,
    session_type,
    title,
    system_prompt,
    model,
    temperature,
    max_tokens,
    context_window,
    status,
    message_count,
    total_tokens,
    total_cost,
    metadata,
    created_at,
    updated_at,
    ended_at
FROM engine_chat_session_archive;

COMMENT ON VIEW engine_chat_session_all IS
'Every session, live and archived; archived_at is null for the live ones.';
