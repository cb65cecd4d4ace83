-- _check_prune_arguments: inside the prune and its dry run; 22023 for what cannot be meant.
CREATE OR REPLACE FUNCTION _check_prune_arguments(older_than interval, session_type text)
RETURNS void
LANGUAGE plpgsql
STABLE
AS $function$
BEGIN
    PERFORM _check_older_than(older_than);
    PERFORM _check_session_type(session_type);

    IF
        older_than IS NULL
        AND NOT EXISTS (
            SELECT 1 FROM engine_archive_policy AS policy
            WHERE
                _check_prune_arguments.session_type IS NULL
                OR policy.session_type IN (_check_prune_arguments.session_type, '*')
        )
    THEN
        RAISE EXCEPTION 'no policy says at which age %sessions are archived', coalesce(session_type || ' ', '')
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass older_than, or give engine_archive_policy a row for the type or for ''*''.';
    END IF;
END;
$function$;

COMMENT ON FUNCTION _check_prune_arguments(interval, text) IS
'Internal to the prune: raises 22023 for an age or a session type that cannot be meant.';

REVOKE ALL ON FUNCTION _check_prune_arguments(interval, text) FROM public;
