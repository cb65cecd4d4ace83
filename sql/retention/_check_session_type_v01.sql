-- _check_session_type: inside the prune and the purge; 22023 for a type that nothing has.
--
-- '*' is no type. All types is NULL.
CREATE OR REPLACE FUNCTION _check_session_type(session_type text)
RETURNS void
LANGUAGE plpgsql
STABLE
AS $function$
BEGIN
    -- Without a look at the tables: a run begins also while somebody has locked them.
    IF session_type IS NULL THEN
        RETURN;
    END IF;
    IF
        NOT EXISTS (
            SELECT 1 FROM engine_archive_policy AS policy
            WHERE policy.session_type = _check_session_type.session_type AND policy.session_type <> '*'
        )
        AND NOT EXISTS (
            SELECT 1 FROM engine_chat_sessions AS live
            WHERE live.session_type = _check_session_type.session_type
        )
        AND NOT EXISTS (
            SELECT 1 FROM engine_chat_session_archive AS archived
            WHERE archived.session_type = _check_session_type.session_type
        )
    THEN
        RAISE EXCEPTION 'no session has the type "%", and no policy names it', session_type
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Check the spelling, or give the type a row in engine_archive_policy.';
    END IF;
END;
$function$;

COMMENT ON FUNCTION _check_session_type(text) IS
'Internal to the prune and the purge: raises 22023 for a session type that nothing has.';

REVOKE ALL ON FUNCTION _check_session_type(text) FROM public;
