-- _zombie_session: what end_zombie_sessions ends: sessions of the types scoped and cron that are still
-- active two hours after their last update. The job that they belonged to is gone.
CREATE OR REPLACE VIEW _zombie_session AS
SELECT live.id
FROM engine_chat_sessions AS live
WHERE
    live.status = 'active'
    AND live.session_type IN ('scoped', 'cron')
    AND coalesce(live.updated_at, live.created_at) < now() - interval '2 hours';

COMMENT ON VIEW _zombie_session IS
'Internal to end_zombie_sessions and its dry run: active sessions whose job is gone.';
