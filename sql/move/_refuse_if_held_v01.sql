-- _refuse_if_held: AR003 if one of the sessions is on hold. The rule that a held session is
-- neither moved into the archive nor deleted is here.
--
-- The caller has locked the sessions, and place_hold waits for that lock: a hold that this does
-- not see cannot be placed before the caller is done. outcome says what did not happen.
CREATE OR REPLACE FUNCTION _refuse_if_held(session_ids uuid[], outcome text)
RETURNS void
LANGUAGE plpgsql
VOLATILE
AS $function$
DECLARE
    v_hold record;
BEGIN
    SELECT
        hold.session_id,
        hold.reason,
        hold.placed_by
    INTO v_hold
    FROM engine_session_hold AS hold
    WHERE hold.session_id = ANY(session_ids)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'session % is on hold: %', v_hold.session_id, v_hold.reason
            USING ERRCODE = 'AR003',
            DETAIL = format('The hold was placed by %s.', v_hold.placed_by),
            HINT = format('Nothing was %s. release_hold() ends the hold when its reason is gone.', outcome);
    END IF;

    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM _check_unseen_holds(session_ids);
    END IF;
END;
$function$;

COMMENT ON FUNCTION _refuse_if_held(uuid[], text) IS
'Internal to the moves: AR003 for a session on hold; 40001 for a hold that the snapshot does not show.';

REVOKE ALL ON FUNCTION _refuse_if_held(uuid[], text) FROM public;
