-- count_zombie_sessions: the dry run of end_zombie_sessions. Locks and ends nothing.
CREATE OR REPLACE FUNCTION count_zombie_sessions()
RETURNS bigint
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path FROM CURRENT
SET row_security = 'off'
AS $function$
    SELECT count(*) FROM _zombie_session;
$function$;

COMMENT ON FUNCTION count_zombie_sessions() IS
'The dry run of end_zombie_sessions: how many sessions it would end.';

REVOKE ALL ON FUNCTION count_zombie_sessions() FROM public;
