-- create_schema: creates the schema of the functions where it is absent.
--
-- It revokes CREATE that default privileges grant to others: a role that may create objects in the schema
-- could act as the functions' owner.
CREATE OR REPLACE FUNCTION pg_temp.create_schema(schema_name text)
RETURNS void
LANGUAGE plpgsql
AS $function$
DECLARE
    v_grantee text;
BEGIN
    IF to_regnamespace(quote_ident(schema_name)) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE SCHEMA %I', schema_name);
    FOR v_grantee IN
        SELECT DISTINCT coalesce(quote_ident(grantee.rolname), 'PUBLIC')
        FROM pg_catalog.pg_namespace AS namespace
        CROSS JOIN LATERAL aclexplode(namespace.nspacl) AS entry
        LEFT JOIN pg_catalog.pg_roles AS grantee ON entry.grantee = grantee.oid
        WHERE namespace.nspname = schema_name AND entry.grantee <> namespace.nspowner
    LOOP
        EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM %s', schema_name, v_grantee);
    END LOOP;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'role % may not create a schema in the database', current_user
            USING ERRCODE = 'insufficient_privilege',
            HINT = 'Nothing was changed. GRANT CREATE ON DATABASE to it, run this as another role, '
                'or name a schema in which it may create: --schema NAME (-x schema=NAME).';
END;
$function$;
