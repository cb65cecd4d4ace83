-- _begin_checked_move: before live rows are moved, copied or deleted where others act on them.
--
-- The caller has locked the sessions. Locks their messages, and the rows that hang on either: without
-- the lock on the messages, a row that arrives between two statements would go with the cascade. Moves
-- the rows of other tables that move with the sessions. Returns an image of each live row, for
-- _end_checked_move.
CREATE OR REPLACE FUNCTION _begin_checked_move(session_ids uuid[], archived_at timestamptz)
RETURNS text[]
LANGUAGE plpgsql
VOLATILE
AS $function$
DECLARE
    v_images text[];
BEGIN
    PERFORM 1
    FROM engine_chat_messages AS live
    WHERE live.session_id = ANY(session_ids)
    ORDER BY live.session_id, live.id
    FOR UPDATE;

    v_images := _chat_images('live', session_ids, FALSE);
    PERFORM _archive_dependents(session_ids, archived_at);
    RETURN v_images;
END;
$function$;

COMMENT ON FUNCTION _begin_checked_move(uuid[], timestamptz) IS
'Internal to the moves: locks what hangs on sessions, moves it, returns an image of each live row.';

REVOKE ALL ON FUNCTION _begin_checked_move(uuid[], timestamptz) FROM public;
