-- _purge_candidate: inside the purge and its dry run; archived sessions that their policy no longer keeps.
--
-- Those whose archived_at is older than purge_after of their type's policy, or of '*' where the type has
-- none; not those that are live as well: which of the two is right is for a person to decide. One on hold is
-- shown as held.
-- Nothing but the session is in its FROM: the purge takes FOR UPDATE through this view, and must lock the
-- session alone.
CREATE OR REPLACE VIEW _purge_candidate AS
SELECT
    archived.id,
    archived.session_type,
    archived.archived_at,
    exists(
        SELECT 1 FROM engine_session_hold AS held
        WHERE held.session_id = archived.id
    ) AS is_held
FROM engine_chat_session_archive AS archived
WHERE
    -- The age that no policy undercuts bounds the part of the index that is read.
    archived.archived_at < (
        SELECT max(now() - policy.purge_after) FROM engine_archive_policy AS policy
        WHERE policy.enabled
    )
    AND archived.archived_at < now() - (
        SELECT CASE WHEN policy.enabled THEN policy.purge_after END
        FROM engine_archive_policy AS policy
        WHERE policy.session_type IN (archived.session_type, '*')
        ORDER BY policy.session_type = '*'
        LIMIT 1
    )
    AND NOT EXISTS (
        SELECT 1 FROM engine_chat_sessions AS live
        WHERE live.id = archived.id
    );

COMMENT ON VIEW _purge_candidate IS
'Internal to the purge and its dry run: archived sessions that their policy no longer keeps.';
