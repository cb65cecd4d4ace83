-- engine_chat_session_list: what the main list shows.
--
-- Live sessions without those that the application soft-deleted (status archived): their
-- users have put them away, and the next prune archives them.
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
'Live sessions, without those that the application soft-deleted (status archived).';
