-- place_hold: keeps a session where it is, live or archived.
--
-- A held session is not archived, pruned, purged or deleted; it may be restored, and
-- keeps its hold. Placing a second hold changes the reason of the first. No row:
-- there is no such session.
CREATE OR REPLACE FUNCTION place_hold(session_id uuid, reason text)
RETURNS TABLE (id uuid, hold_reason text, placed_by text, placed_at timestamptz)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path FROM CURRENT
AS $function$
DECLARE
    v_locked boolean;
BEGIN
    IF session_id IS NULL OR coalesce(trim(reason), '') = '' THEN
        RAISE EXCEPTION 'a hold needs a session_id and a reason'
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Say why the session must stay, for whoever wants to release it.';
    END IF;

    -- The lock makes a move that is under way finish first, and the next one see the
    -- hold. In which table it found the session is all the same.
    LOOP
        PERFORM FROM engine_chat_sessions AS live
        WHERE live.id = place_hold.session_id
        FOR KEY SHARE;
        v_locked := FOUND;
        EXIT WHEN v_locked;
        PERFORM FROM engine_chat_session_archive AS archived
        WHERE archived.id = place_hold.session_id
        FOR KEY SHARE;
        v_locked := FOUND;
        EXIT WHEN
            v_locked
            OR NOT EXISTS (SELECT FROM engine_chat_session_all AS place WHERE place.id = place_hold.session_id);
    END LOOP;
    IF NOT v_locked THEN
        RETURN;
    END IF;

    RETURN QUERY
    INSERT INTO engine_session_hold AS hold (session_id, reason)
    VALUES (place_hold.session_id, place_hold.reason)
    ON CONFLICT ON CONSTRAINT engine_session_hold_pkey DO UPDATE SET reason = excluded.reason
    RETURNING hold.session_id, hold.reason, hold.placed_by, hold.placed_at;
END;
$function$;

COMMENT ON FUNCTION place_hold(uuid, text) IS
'Keeps a session from being archived, pruned, purged or deleted. No row: no such session.';

REVOKE ALL ON FUNCTION place_hold(uuid, text) FROM public;
