-- count_prunable_sessions: the dry run of the prune. Locks and moves nothing.
--
-- A row per session type that has sessions to archive: how many sessions and
-- messages, how many of these sessions wait behind a hold and how many are in the
-- archive as well (they are not in the first two figures).
CREATE OR REPLACE FUNCTION count_prunable_sessions(
    older_than interval DEFAULT NULL,
    session_type text DEFAULT NULL
)
RETURNS TABLE (of_type text, sessions bigint, messages bigint, held bigint, conflicting bigint)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path FROM CURRENT
AS $function$
BEGIN
    PERFORM _check_prune_arguments(older_than, session_type);
    RETURN QUERY
    SELECT
        candidate.session_type::text AS of_type,
        count(*) FILTER (WHERE NOT candidate.is_held AND NOT candidate.is_conflicting) AS sessions,
        coalesce(
            sum(transcript.messages) FILTER (WHERE NOT candidate.is_held AND NOT candidate.is_conflicting),
            0
        )::bigint AS messages,
        count(*) FILTER (WHERE candidate.is_held) AS held,
        count(*) FILTER (WHERE candidate.is_conflicting AND NOT candidate.is_held) AS conflicting
    FROM engine_archive_candidate AS candidate
    CROSS JOIN LATERAL (
        SELECT count(*) AS messages
        FROM engine_chat_messages AS message
        WHERE message.session_id = candidate.id
    ) AS transcript
    WHERE
        (
            candidate.is_soft_deleted
            OR candidate.age_from < now() - coalesce(older_than, candidate.archive_after)
        )
        AND candidate.session_type
        = coalesce(count_prunable_sessions.session_type, candidate.session_type)
    GROUP BY candidate.session_type
    ORDER BY candidate.session_type;
END;
$function$;

COMMENT ON FUNCTION count_prunable_sessions(interval, text) IS
'The dry run of prune_sessions: what it would archive, per session type, and what waits and why.';

REVOKE ALL ON FUNCTION count_prunable_sessions(interval, text) FROM public;
