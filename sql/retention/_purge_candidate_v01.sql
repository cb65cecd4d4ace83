-- _purge_candidate: archived sessions that their policy no longer keeps, for the purge and its dry run.
--
-- Their archived_at is older than purge_after of their type's policy, or of '*' if the type has none.
-- Sessions that are live as well are left out: a person must decide which of the two is right. Sessions
-- on hold are in it, with is_held.
-- The purge locks rows through this view with FOR UPDATE. So the archive is the only table in its FROM.
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
