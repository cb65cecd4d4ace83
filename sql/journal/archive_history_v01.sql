-- archive_history: what has happened to a session, oldest first; also to one that is gone.
--
-- at is the time of the change, by the clock of the server; changes of the same moment come in the order
-- in which they were written down. No row: nothing is on record about this id. What happened before
-- aria-db was installed is not on record.
CREATE OR REPLACE FUNCTION archive_history(session_id uuid)
RETURNS TABLE (
    at timestamptz, event text, actor text, role text, run_id bigint, message_count bigint, detail jsonb
)
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path FROM CURRENT
AS $function$
    SELECT
        journal.at,
        journal.event,
        journal.actor,
        journal.role,
        journal.run_id,
        journal.message_count,
        journal.detail
    FROM engine_archive_event AS journal
    WHERE journal.session_id = archive_history.session_id
    ORDER BY journal.at, journal.id;
$function$;

COMMENT ON FUNCTION archive_history(uuid) IS
'Who archived, restored, held, released, resolved, purged or deleted a session, and when; oldest first.';

REVOKE ALL ON FUNCTION archive_history(uuid) FROM public;
