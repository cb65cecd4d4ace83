-- restore_session: restores one session, with one call of restore_sessions.
--
-- No row: the session is neither live nor archived.
CREATE OR REPLACE FUNCTION restore_session(session_id uuid, actor text DEFAULT NULL)
RETURNS TABLE (
    id uuid, restored_at timestamptz, message_count bigint, newly_restored boolean, due_from timestamptz
)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path FROM CURRENT
AS $function$
BEGIN
    IF session_id IS NULL THEN
        RAISE EXCEPTION 'session_id must not be NULL'
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass the id of the session to restore.';
    END IF;
    RETURN QUERY SELECT * FROM restore_sessions(ARRAY[session_id], NULL, actor);
END;
$function$;

COMMENT ON FUNCTION restore_session(uuid, text) IS
'Moves an archived session and all its messages back into the live tables. '
'No row: no such session. Safe to repeat.';

REVOKE ALL ON FUNCTION restore_session(uuid, text) FROM public;
