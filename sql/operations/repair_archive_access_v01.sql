-- repair_archive_access: revokes privileges on aria-db's objects that archive_access() does not list.
--
--   SELECT repair_archive_access();
--
-- _excess_privileges() says which. What grant_archive_access() has granted stays. Returns the statements
-- that it ran, or with dry_run would run. Safe to repeat. It runs as its caller, who must be allowed to
-- revoke: the owner of the objects, or a superuser.
CREATE OR REPLACE FUNCTION repair_archive_access(dry_run boolean DEFAULT FALSE)
RETURNS SETOF text
LANGUAGE plpgsql
VOLATILE
SET search_path FROM CURRENT
AS $function$
DECLARE
    v_statement text;
    v_excess record;
BEGIN
    FOR v_statement IN
        SELECT
            format(
                'REVOKE %s ON %s %s FROM %s%s',
                of_object.privileges,
                of_object.object_type,
                string_agg(of_object.object, ', ' ORDER BY of_object.object),
                of_object.grantee,
                CASE WHEN bool_or(of_object.is_grantable) THEN ' CASCADE' ELSE '' END
            )
        FROM (
            SELECT
                excess.object_type,
                excess.object,
                excess.grantee,
                string_agg(excess.privilege, ', ' ORDER BY excess.privilege) AS privileges,
                bool_or(excess.is_grantable) AS is_grantable
            FROM _excess_privileges() AS excess
            GROUP BY excess.object_type, excess.object, excess.grantee
        ) AS of_object
        GROUP BY of_object.grantee, of_object.object_type, of_object.privileges
        ORDER BY of_object.grantee, of_object.object_type, of_object.privileges
    LOOP
        IF NOT dry_run THEN
            EXECUTE v_statement;
        END IF;
        RETURN NEXT v_statement || ';';
    END LOOP;
    IF dry_run THEN
        RETURN;
    END IF;

    -- If the caller may not revoke, PostgreSQL only warns; if another role granted, it does nothing.
    SELECT * INTO v_excess
    FROM _excess_privileges()
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'role % may not revoke % on % from %',
            current_user, v_excess.privilege, v_excess.object, v_excess.grantee
            USING ERRCODE = 'insufficient_privilege',
            HINT = 'Nothing was changed. Connect as the role that owns it, or that granted the privilege.';
    END IF;
END;
$function$;

COMMENT ON FUNCTION repair_archive_access(boolean) IS
'Revokes privileges on the objects of aria-db that archive_access() does not list. Returns the statements.';

REVOKE ALL ON FUNCTION repair_archive_access(boolean) FROM public;
