-- count_prunable_sessions: the dry run of the prune. Locks and moves nothing.
--
-- A row per session type that has sessions to archive: how many sessions and
-- messages, how many of these sessions wait behind a hold, how many are in the archive as well, and
-- to how many rows of other tables refer, or other sessions (they are not in the first two figures).
-- It goes by the catalogue. It cannot know what triggers, constraints of the archive and locks will do.
CREATE OR REPLACE FUNCTION count_prunable_sessions(
    older_than interval DEFAULT NULL,
    session_type text DEFAULT NULL
)
RETURNS TABLE (
    of_type text, sessions bigint, messages bigint, held bigint, conflicting bigint, referred bigint
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path FROM CURRENT
-- looking at the catalogue costs little, whatever the planner thinks
SET jit = 'off'
AS $function$
BEGIN
    PERFORM _check_prune_arguments(older_than, session_type);
    RETURN QUERY EXECUTE format(
        $statement$
        SELECT
            due.of_type,
            count(*) FILTER (WHERE due.reason IS NULL),
            coalesce(sum(due.messages) FILTER (WHERE due.reason IS NULL), 0)::bigint,
            count(*) FILTER (WHERE due.reason = 'held'),
            count(*) FILTER (WHERE due.reason = 'conflicting'),
            count(*) FILTER (WHERE due.reason = 'referred')
        FROM (
            SELECT
                candidate.session_type::text AS of_type,
                CASE
                    WHEN candidate.is_held THEN 'held'
                    WHEN candidate.is_conflicting THEN 'conflicting'
                    WHEN %s THEN 'referred'
                END AS reason,
                (
                    SELECT count(*) FROM engine_chat_messages AS message
                    WHERE message.session_id = candidate.id
                ) AS messages
            FROM engine_archive_candidate AS candidate
            WHERE
                (candidate.is_soft_deleted OR candidate.age_from < now() - coalesce($1, candidate.archive_after))
                AND candidate.session_type = coalesce($2, candidate.session_type)
        ) AS due
        GROUP BY due.of_type
        ORDER BY due.of_type
        $statement$,
        (SELECT coalesce(string_agg(referring.condition, ' OR '), 'FALSE') FROM _referring_keys() AS referring)
    ) USING older_than, session_type;
END;
$function$;

COMMENT ON FUNCTION count_prunable_sessions(interval, text) IS
'The dry run of prune_sessions: what it would archive, per session type, and what waits and why.';

REVOKE ALL ON FUNCTION count_prunable_sessions(interval, text) FROM public;
