-- engine_archive_candidate: what the prune asks about each live session.
--
-- archive_after is what the policy says: the row of the session's type, or else the
-- row of '*'; null if there is none, it is not enabled, or it keeps for ever.
-- Subqueries and no joins: the prune takes FOR UPDATE through this view, which locks
-- every table of its FROM, and must lock the session alone.
CREATE OR REPLACE VIEW engine_archive_candidate AS
SELECT
    live.id,
    live.session_type,
    live.updated_at,
    live.status = 'archived' AS is_soft_deleted,
    (
        SELECT CASE WHEN policy.enabled THEN policy.archive_after END
        FROM engine_archive_policy AS policy
        WHERE policy.session_type IN (live.session_type, '*')
        ORDER BY policy.session_type = '*'
        LIMIT 1
    ) AS archive_after,
    exists(
        SELECT 1 FROM engine_session_hold AS held
        WHERE held.session_id = live.id
    ) AS is_held,
    exists(
        SELECT 1 FROM engine_chat_session_archive AS archived
        WHERE archived.id = live.id
        UNION ALL
        SELECT 1 FROM engine_chat_message_archive AS archived
        WHERE archived.session_id = live.id
    ) AS is_conflicting
FROM engine_chat_sessions AS live;

COMMENT ON VIEW engine_archive_candidate IS
'Live sessions as the prune sees them: their policy''s age, soft delete, hold, conflict.';
