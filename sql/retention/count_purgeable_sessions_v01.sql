-- count_purgeable_sessions: the dry run of the purge. Locks and deletes nothing.
--
-- One row per session type with sessions that their policy no longer keeps: how many sessions and messages
-- a purge would delete now, when the first and the last of these sessions were archived (null: none), and
-- how many more are on hold.
CREATE OR REPLACE FUNCTION count_purgeable_sessions(session_type text DEFAULT NULL)
RETURNS TABLE (
    of_type text,
    sessions bigint,
    messages bigint,
    oldest_archived_at timestamptz,
    newest_archived_at timestamptz,
    held bigint
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path FROM CURRENT
-- looking at the catalogue costs little, whatever the planner thinks
SET jit = 'off'
-- A row that a policy hides would not be counted: fail as the purge does.
SET row_security = 'off'
AS $function$
BEGIN
    PERFORM _check_session_type(session_type);
    RETURN QUERY
    SELECT
        due.of_type,
        count(*) FILTER (WHERE NOT due.is_held),
        coalesce(sum(due.messages) FILTER (WHERE NOT due.is_held), 0)::bigint,
        min(due.archived_at) FILTER (WHERE NOT due.is_held),
        max(due.archived_at) FILTER (WHERE NOT due.is_held),
        count(*) FILTER (WHERE due.is_held)
    FROM (
        SELECT
            candidate.session_type::text AS of_type,
            candidate.archived_at,
            candidate.is_held,
            (
                SELECT count(*) FROM engine_chat_message_archive AS message
                WHERE message.session_id = candidate.id
            ) AS messages
        FROM _purge_candidate AS candidate
        WHERE
            candidate.session_type
            = coalesce(count_purgeable_sessions.session_type, candidate.session_type)
    ) AS due
    GROUP BY due.of_type
    ORDER BY due.of_type;
END;
$function$;

COMMENT ON FUNCTION count_purgeable_sessions(text) IS
'The dry run of purge_archive: what it would delete, per session type, how old that is, and what is on hold.';

REVOKE ALL ON FUNCTION count_purgeable_sessions(text) FROM public;
