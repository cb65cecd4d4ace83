-- place_hold: keeps a session where it is, live or archived.
--
-- A held session is not archived, pruned, purged or deleted; it may be restored, and
-- keeps its hold. Placing a second hold changes the reason of the first. No row:
-- there is no such session.
CREATE OR REPLACE FUNCTION place_hold(session_id uuid, reason text, actor text DEFAULT NULL)
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
            HINT = 'Say why the session must stay, for those who may want to release it.';
    END IF;

    -- The lock makes a move that is under way finish first, and the next one see the
    -- hold. In which table it found the session is all the same.
    LOOP
        PERFORM 1 FROM engine_chat_sessions AS live
        WHERE live.id = place_hold.session_id
        FOR KEY SHARE;
        v_locked := FOUND;
        EXIT WHEN v_locked;
        PERFORM 1 FROM engine_chat_session_archive AS archived
        WHERE archived.id = place_hold.session_id
        FOR KEY SHARE;
        v_locked := FOUND;
        EXIT WHEN
            v_locked
            OR NOT EXISTS (SELECT 1 FROM engine_chat_session_all AS place WHERE place.id = place_hold.session_id);
    END LOOP;
    IF NOT v_locked THEN
        RETURN;
    END IF;

    INSERT INTO engine_session_hold AS hold (session_id, reason, placed_by)
    VALUES (place_hold.session_id, place_hold.reason, _actor(place_hold.actor))
    ON CONFLICT ON CONSTRAINT engine_session_hold_pkey DO UPDATE
    SET reason = excluded.reason
    WHERE hold.reason <> excluded.reason;

    -- A hold that is there already, for the same reason, is no event.
    IF FOUND THEN
        INSERT INTO engine_archive_event AS journal
        (session_id, event, at, actor, role, detail)
        VALUES (
            place_hold.session_id,
            'held',
            clock_timestamp(),
            _actor(place_hold.actor),
            session_user,
            jsonb_build_object('reason', place_hold.reason)
        );
    END IF;

    RETURN QUERY
    SELECT
        hold.session_id,
        hold.reason,
        hold.placed_by,
        hold.placed_at
    FROM engine_session_hold AS hold
    WHERE hold.session_id = place_hold.session_id;
END;
$function$;

COMMENT ON FUNCTION place_hold(uuid, text, text) IS
'Keeps a session from being archived, pruned, purged or deleted. No row: no such session.';

REVOKE ALL ON FUNCTION place_hold(uuid, text, text) FROM public;
