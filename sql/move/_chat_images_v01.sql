-- _chat_images: what a place holds of some sessions: an image of each session and each message.
--
-- Without archived_at, so that those of a place can be compared with those of the other one.
-- for_restore: as a restore inserts the rows: without generated columns, and without the soft delete.
CREATE OR REPLACE FUNCTION _chat_images(place text, session_ids uuid[], for_restore boolean)
RETURNS text[]
LANGUAGE plpgsql
STABLE
AS $function$
DECLARE
    c_sessions CONSTANT regclass := 'engine_chat_sessions';
    c_messages CONSTANT regclass := 'engine_chat_messages';
BEGIN
    RETURN
        _session_images(
            CASE place WHEN 'live' THEN c_sessions ELSE 'engine_chat_session_archive'::regclass END,
            'id',
            session_ids,
            CASE WHEN for_restore THEN _restored_columns(c_sessions) ELSE _all_columns(c_sessions) END,
            c_sessions
        )
        || _session_images(
            CASE place WHEN 'live' THEN c_messages ELSE 'engine_chat_message_archive'::regclass END,
            'session_id',
            session_ids,
            CASE WHEN for_restore THEN _insertable_columns(c_messages) ELSE _all_columns(c_messages) END,
            c_messages
        );
END;
$function$;

COMMENT ON FUNCTION _chat_images(text, uuid[], boolean) IS
'Internal to the moves: what a place holds of some sessions, an image of each row.';

REVOKE ALL ON FUNCTION _chat_images(text, uuid[], boolean) FROM public;
