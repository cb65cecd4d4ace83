-- release_hold: ends a hold. False: there was none.
CREATE OR REPLACE FUNCTION release_hold(session_id uuid, actor text DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path FROM CURRENT
AS $function$
BEGIN
    DELETE FROM engine_session_hold AS hold
    WHERE hold.session_id = release_hold.session_id;
    IF NOT FOUND THEN
        RETURN FALSE;
    END IF;
    INSERT INTO engine_archive_event AS journal (session_id, event, at, actor, role)
    VALUES (
        release_hold.session_id,
        'released',
        clock_timestamp(),
        _actor(release_hold.actor),
        session_user
    );
    RETURN TRUE;
END;
$function$;

COMMENT ON FUNCTION release_hold(uuid, text) IS 'Ends the hold on a session. False: there was none.';

REVOKE ALL ON FUNCTION release_hold(uuid, text) FROM public;
