-- engine_chat_session_archive_list: what the archive shows.
CREATE OR REPLACE VIEW engine_chat_session_archive_list AS
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

COMMENT ON VIEW engine_chat_session_archive_list IS
'Archived sessions, with the time of their move.';
