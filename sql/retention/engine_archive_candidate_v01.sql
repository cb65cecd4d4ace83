-- engine_archive_candidate: what the prune asks about each live session.
--
-- archive_after is what the policy says: the row of the session's type, or else the
-- row of '*'; null if there is none, it is not enabled, or it keeps for ever.
-- age_from is the time that the session's age counts from: its last update, or its last
-- restore if that was later. due_from is when its policy makes it due; null: never.
-- Subqueries and no joins: the prune takes FOR UPDATE through this view, which locks
-- every table of its FROM, and must lock the session alone.
CREATE OR REPLACE VIEW engine_archive_candidate AS
SELECT
    seen.id,
    seen.session_type,
    seen.updated_at,
    seen.age_from,
    seen.archive_after,
    seen.message_count,
    seen.is_soft_deleted,
    seen.is_held,
    seen.is_conflicting,
    -- Never, at the end of PostgreSQL's time: the sum would be out of its range.
    CASE
        WHEN seen.age_from < timestamptz '290000-01-01 00:00+00' THEN seen.age_from + seen.archive_after
    END AS due_from
FROM (
    SELECT
        live.id,
        live.session_type,
        live.updated_at,
        live.message_count,
        greatest(
            coalesce(live.updated_at, live.created_at),
            (
                SELECT max(journal.at) FROM engine_archive_event AS journal
                WHERE journal.session_id = live.id AND journal.event = 'restored'
            )
        ) AS age_from,
        (
            SELECT CASE WHEN policy.enabled THEN policy.archive_after END
            FROM engine_archive_policy AS policy
            WHERE policy.session_type IN (live.session_type, '*')
            ORDER BY policy.session_type = '*'
            LIMIT 1
        ) AS archive_after,
        live.status = 'archived' AS is_soft_deleted,
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
    FROM engine_chat_sessions AS live
) AS seen;

COMMENT ON VIEW engine_archive_candidate IS
'Live sessions as the prune sees them: age, policy, when they are due, soft delete, hold, conflict.';
