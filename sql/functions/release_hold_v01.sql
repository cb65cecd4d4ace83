-- release_hold: ends a hold. False: there was none.
CREATE OR REPLACE FUNCTION release_hold(session_id uuid)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path FROM CURRENT
AS $function$
BEGIN
    DELETE FROM engine_session_hold AS hold
    WHERE hold.session_id = release_hold.session_id;
    RETURN FOUND;
END;
$function$;

COMMENT ON FUNCTION release_hold(uuid) IS 'Ends the hold on a session. False: there was none.';

REVOKE ALL ON FUNCTION release_hold(uuid) FROM public;
