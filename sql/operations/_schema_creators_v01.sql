-- _schema_creators: who else may create objects in the schema of the functions.
--
-- The functions run as their owner and look up names in this schema. Somebody could create an operator
-- there, such as = for varchar, which PostgreSQL prefers to its own and runs as the owner. Superusers, the
-- functions' owner, the owners of schema and database, and their members are left out: they have such
-- rights anyway.
CREATE OR REPLACE FUNCTION _schema_creators()
RETURNS TABLE (schema_name text, grantee text, role_id oid)
LANGUAGE plpgsql
STABLE
AS $function$
BEGIN
    RETURN QUERY
    SELECT
        quote_ident(namespace.nspname),
        coalesce(quote_ident(grantee_role.rolname), 'PUBLIC'),
        grantee_role.oid
    FROM pg_catalog.pg_proc AS moving
    INNER JOIN pg_catalog.pg_namespace AS namespace ON moving.pronamespace = namespace.oid
    INNER JOIN pg_catalog.pg_database AS this_database ON this_database.datname = current_database()
    CROSS JOIN LATERAL aclexplode(namespace.nspacl) AS entry
    LEFT JOIN pg_catalog.pg_roles AS grantee_role ON entry.grantee = grantee_role.oid
    WHERE
        moving.oid = 'archive_sessions(uuid[], bigint, text)'::regprocedure
        AND entry.privilege_type = 'CREATE'
        AND (
            grantee_role.oid IS NULL
            OR NOT (
                grantee_role.rolname = 'pg_database_owner'
                OR pg_has_role(grantee_role.oid, moving.proowner, 'MEMBER')
                OR pg_has_role(grantee_role.oid, namespace.nspowner, 'MEMBER')
                OR pg_has_role(grantee_role.oid, this_database.datdba, 'MEMBER')
            )
        )
    GROUP BY namespace.nspname, grantee_role.rolname, grantee_role.oid
    ORDER BY 2;
END;
$function$;

COMMENT ON FUNCTION _schema_creators() IS
'Internal: who else may create objects in the schema of the functions.';

REVOKE ALL ON FUNCTION _schema_creators() FROM public;
