-- count_restorable_sessions: the dry run of restore_run. Locks and moves nothing.
--
-- One row: how many sessions and messages restore_run would bring back; how many sessions of the run
-- are live as well (conflicting), and how many it leaves because somebody has restored, deleted or purged
-- them since, or archived them again (changed).
CREATE OR REPLACE FUNCTION count_restorable_sessions(run_id bigint)
RETURNS TABLE (sessions bigint, messages bigint, conflicting bigint, changed bigint)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path FROM CURRENT
-- looking at the catalogue costs little, whatever the planner thinks
SET jit = 'off'
AS $function$
BEGIN
    PERFORM _check_undoable_run(run_id);
    RETURN QUERY
    SELECT
        count(*) FILTER (WHERE found.reason IS NULL),
        coalesce(sum(found.messages) FILTER (WHERE found.reason IS NULL), 0)::bigint,
        count(*) FILTER (WHERE found.reason = 'conflicting'),
        count(*) FILTER (WHERE found.reason = 'changed')
    FROM (
        SELECT
            CASE
                WHEN archived.id IS NULL THEN 'changed'
                WHEN EXISTS (SELECT 1 FROM engine_chat_sessions AS live WHERE live.id = archived.id)
                    THEN 'conflicting'
            END AS reason,
            (
                SELECT count(*) FROM engine_chat_message_archive AS message
                WHERE message.session_id = archived.id
            ) AS messages
        FROM engine_archive_event AS journal
        LEFT JOIN engine_chat_session_archive AS archived
            ON journal.session_id = archived.id AND journal.at = archived.archived_at
        WHERE journal.run_id = count_restorable_sessions.run_id AND journal.event = 'archived'
    ) AS found;
END;
$function$;

COMMENT ON FUNCTION count_restorable_sessions(bigint) IS
'The dry run of restore_run: what it would bring back, and what it would leave.';

REVOKE ALL ON FUNCTION count_restorable_sessions(bigint) FROM public;
