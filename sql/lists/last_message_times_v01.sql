-- last_message_times: when the last message of some sessions was written; for the lists.
--
-- A row per session that has messages in that place. It reads the messages of these sessions alone, and
-- needs no privilege on them: readers see the lists and no transcript.
CREATE OR REPLACE FUNCTION last_message_times(place text, session_ids uuid[])
RETURNS TABLE (session_id uuid, last_message_at timestamptz)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path FROM CURRENT
AS $function$
BEGIN
    IF place = 'live' THEN
        RETURN QUERY
        SELECT
            message.session_id,
            max(message.created_at)
        FROM engine_chat_messages AS message
        WHERE message.session_id = ANY(session_ids)
        GROUP BY message.session_id;
    ELSIF place = 'archive' THEN
        RETURN QUERY
        SELECT
            message.session_id,
            max(message.created_at)
        FROM engine_chat_message_archive AS message
        WHERE message.session_id = ANY(session_ids)
        GROUP BY message.session_id;
    ELSE
        RAISE EXCEPTION 'place is %, and must be live or archive', coalesce(quote_literal(place), 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass live for the live sessions, or archive.';
    END IF;
END;
$function$;

COMMENT ON FUNCTION last_message_times(text, uuid[]) IS
'When the last message of some sessions was written, live or archived; a row per session with messages.';

REVOKE ALL ON FUNCTION last_message_times(text, uuid[]) FROM public;
