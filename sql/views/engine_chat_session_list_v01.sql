-- engine_chat_session_list: what the main list shows.
--
-- Live sessions without those that the old endpoint soft-deleted: they wait for
-- the first prune, and users have put them away long ago.
CREATE OR REPLACE VIEW engine_chat_session_list AS
SELECT
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
WHERE status <> 'archived';

COMMENT ON VIEW engine_chat_session_list IS
'Live sessions, without those soft-deleted by the old endpoint (status archived).';
