-- delete_chat_message: deletes a message of a live session for good.
--
-- The session counts one message less; its tokens and cost stay, because they were spent. Nothing is
-- deleted from a session on hold: AR003. False: no such message in that live session. Rows of other tables
-- that refer to the message follow their foreign keys. AR006: a trigger kept the message.
CREATE OR REPLACE FUNCTION delete_chat_message(session_id uuid, message_id uuid, actor text DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path FROM CURRENT
-- A row that a policy hides would be kept: fail rather than not see it.
SET row_security = 'off'
AS $function$
DECLARE
    v_deleted bigint;
BEGIN
    IF session_id IS NULL OR message_id IS NULL THEN
        RAISE EXCEPTION 'session_id and message_id must not be NULL'
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass the id of the session and that of the message to delete.';
    END IF;

    -- The session first, as everything that locks both.
    PERFORM 1
    FROM engine_chat_sessions AS live
    WHERE live.id = delete_chat_message.session_id
    FOR UPDATE;
    PERFORM 1
    FROM engine_chat_messages AS live
    WHERE live.session_id = delete_chat_message.session_id AND live.id = delete_chat_message.message_id
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN FALSE;
    END IF;
    PERFORM _refuse_if_held(ARRAY[session_id], 'deleted');

    DELETE FROM engine_chat_messages AS live
    WHERE live.session_id = delete_chat_message.session_id AND live.id = delete_chat_message.message_id;
    GET DIAGNOSTICS v_deleted = ROW_COUNT;
    IF v_deleted = 0 THEN
        RAISE EXCEPTION 'a trigger or rule of engine_chat_messages kept message %', message_id
            USING ERRCODE = 'AR006',
            HINT = 'Nothing was deleted. SELECT * FROM archive_hazards() (`aria-db check`) lists the triggers.';
    END IF;
    UPDATE engine_chat_sessions AS live
    SET message_count = greatest(live.message_count - 1, 0)
    WHERE live.id = delete_chat_message.session_id;

    INSERT INTO engine_archive_event AS journal
    (session_id, event, at, actor, role, message_count, detail)
    VALUES (
        delete_chat_message.session_id,
        'message_deleted',
        clock_timestamp(),
        _actor(delete_chat_message.actor),
        session_user,
        1,
        jsonb_build_object('message_id', message_id)
    );
    RETURN TRUE;
END;
$function$;

COMMENT ON FUNCTION delete_chat_message(uuid, uuid, text) IS
'Deletes a message of a live session for good; AR003 while the session is on hold. False: no such message.';

REVOKE ALL ON FUNCTION delete_chat_message(uuid, uuid, text) FROM public;
