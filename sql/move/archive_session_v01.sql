-- archive_session: archives one session, with one call of archive_sessions.
--
-- No row: the session is neither live nor archived.
CREATE OR REPLACE FUNCTION archive_session(session_id uuid, actor text DEFAULT NULL)
RETURNS TABLE (id uuid, archived_at timestamptz, message_count bigint, newly_archived boolean)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path FROM CURRENT
AS $function$
BEGIN
    IF session_id IS NULL THEN
        RAISE EXCEPTION 'session_id must not be NULL'
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass the id of the session to archive.';
    END IF;
    RETURN QUERY SELECT * FROM archive_sessions(ARRAY[session_id], NULL, actor);
END;
$function$;

COMMENT ON FUNCTION archive_session(uuid, text) IS
'Moves one session and all its messages into the archive. No row: no such session. Safe to repeat.';

REVOKE ALL ON FUNCTION archive_session(uuid, text) FROM public;
