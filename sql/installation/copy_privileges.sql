-- copy_privileges: gives a longer signature of a function what the older one grants.
--
-- A role that may call the function may then call it with the new argument, too. The owner of both
-- is the same, and PUBLIC may call neither.
CREATE OR REPLACE FUNCTION pg_temp.copy_privileges(older text, longer text)
RETURNS void
LANGUAGE plpgsql
AS $function$
DECLARE
    v_grant text;
BEGIN
    FOR v_grant IN
        SELECT
            format(
                'GRANT EXECUTE ON ROUTINE %s TO %s%s',
                longer::regprocedure,
                coalesce(quote_ident(grantee.rolname), 'PUBLIC'),
                CASE WHEN entry.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
            )
        FROM pg_catalog.pg_proc AS routine
        CROSS JOIN LATERAL aclexplode(routine.proacl) AS entry
        LEFT JOIN pg_catalog.pg_roles AS grantee ON entry.grantee = grantee.oid
        WHERE routine.oid = older::regprocedure AND entry.grantee <> routine.proowner
    LOOP
        EXECUTE v_grant;
    END LOOP;
END;
$function$;
