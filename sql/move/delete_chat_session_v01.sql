-- delete_chat_session: deletes a live session and its messages for good.
--
-- A session on hold is not deleted: AR003. The archive is not touched. No row: no such live
-- session. Rows of other tables that refer to it follow their foreign keys; AR005 where a cascade would
-- reach another session, or a key refuses. AR006: a trigger kept a row.
CREATE OR REPLACE FUNCTION delete_chat_session(session_id uuid, actor text DEFAULT NULL)
RETURNS TABLE (id uuid, deleted_at timestamptz, message_count bigint)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path FROM CURRENT
-- looking at the catalogue costs little, whatever the planner thinks
SET jit = 'off'
-- A row that a policy hides would be left behind: fail rather than not see it.
SET row_security = 'off'
AS $function$
BEGIN
    IF session_id IS NULL THEN
        RAISE EXCEPTION 'session_id must not be NULL'
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass the id of the session to delete.';
    END IF;

    RETURN QUERY
    SELECT
        deleted.id,
        deleted.deleted_at,
        deleted.message_count
    FROM _delete_chat_sessions(ARRAY[session_id], NULL, actor) AS deleted;
END;
$function$;

COMMENT ON FUNCTION delete_chat_session(uuid, text) IS
'Deletes a live session and its messages for good; AR003 while it is on hold. No row: no such live session.';

REVOKE ALL ON FUNCTION delete_chat_session(uuid, text) FROM public;
