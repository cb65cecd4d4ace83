-- _delete_dependents: deletes the rows that were archived with some sessions, which are deleted for good.
CREATE OR REPLACE FUNCTION _delete_dependents(session_ids uuid[])
RETURNS void
LANGUAGE plpgsql
VOLATILE
AS $function$
DECLARE
    v_archive regclass;
BEGIN
    FOR v_archive IN SELECT dependent.archive_id FROM _dependent_archives() AS dependent LOOP
        EXECUTE format('DELETE FROM %s AS archived WHERE archived.archived_session_id = ANY($1)', v_archive)
        USING session_ids;
    END LOOP;
END;
$function$;

COMMENT ON FUNCTION _delete_dependents(uuid[]) IS
'Internal: deletes the rows that were archived with sessions, which are deleted for good.';

REVOKE ALL ON FUNCTION _delete_dependents(uuid[]) FROM public;
