-- _check_older_than: 22023 for an age that no session can have.
CREATE OR REPLACE FUNCTION _check_older_than(older_than interval)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
AS $function$
BEGIN
    IF older_than <= interval '0' OR older_than > interval '365000 days' THEN
        RAISE EXCEPTION 'older_than is %, and must be more than zero and at most 365000 days', older_than
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass an age such as interval ''30 days''.';
    END IF;
END;
$function$;

COMMENT ON FUNCTION _check_older_than(interval) IS
'Internal to bulk work: raises 22023 for an age that no session can have.';

REVOKE ALL ON FUNCTION _check_older_than(interval) FROM public;
