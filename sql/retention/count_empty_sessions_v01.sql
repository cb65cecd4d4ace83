-- count_empty_sessions: the dry run of delete_empty_sessions. Locks and deletes nothing.
CREATE OR REPLACE FUNCTION count_empty_sessions(older_than interval)
RETURNS bigint
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path FROM CURRENT
-- looking at the catalogue costs little, whatever the planner thinks
SET jit = 'off'
-- A row that a policy hides would not be counted: fail as the deletion does.
SET row_security = 'off'
AS $function$
DECLARE
    v_sessions bigint;
BEGIN
    PERFORM _check_older_than(older_than);
    EXECUTE format(
        'SELECT count(*) FROM _empty_candidate AS candidate WHERE candidate.age_from < now() - $1 AND NOT (%s)',
        (
            SELECT coalesce(string_agg(referring.condition, ' OR '), 'FALSE')
            FROM _referring_keys('{refuse, move}') AS referring
        )
    )
    INTO v_sessions
    USING older_than;
    RETURN v_sessions;
END;
$function$;

COMMENT ON FUNCTION count_empty_sessions(interval) IS
'The dry run of delete_empty_sessions: how many live sessions without a message it would delete.';

REVOKE ALL ON FUNCTION count_empty_sessions(interval) FROM public;
