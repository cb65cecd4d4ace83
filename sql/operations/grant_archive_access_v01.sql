-- grant_archive_access: grants a role one kind of access: reader, support, app or operator.
--
--   SELECT grant_archive_access('aria_app', 'app');
--
-- Returns the statements that it ran, or with dry_run would run. It only adds, as GRANT does;
-- revoking takes the same privileges away, all but USAGE on the schema: the role may have
-- other objects in it. Safe to repeat. It runs as its caller, who must be allowed to
-- grant: the owner of the objects, or a superuser.
CREATE OR REPLACE FUNCTION grant_archive_access(
    role_name text,
    access text,
    revoking boolean DEFAULT FALSE,
    dry_run boolean DEFAULT FALSE
)
RETURNS SETOF text
LANGUAGE plpgsql
VOLATILE
SET search_path FROM CURRENT
AS $function$
DECLARE
    v_schema text := current_schema();
    v_role oid;
    v_statement text;
    v_object record;
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM archive_access() AS known
        WHERE known.access = grant_archive_access.access
    ) THEN
        RAISE EXCEPTION 'access is %, and must be reader, support, app or operator', access
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'SELECT * FROM archive_access() lists what each of them may do.';
    END IF;
    SELECT found.oid INTO v_role
    FROM pg_catalog.pg_roles AS found
    WHERE found.rolname::text = role_name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'role % does not exist', quote_ident(role_name)
            USING ERRCODE = 'undefined_object',
            HINT = 'Create it first: CREATE ROLE ... LOGIN.';
    END IF;
    IF
        revoking
        AND v_role = (SELECT proowner FROM pg_catalog.pg_proc WHERE oid = 'archive_sessions(uuid[], bigint, text)'::regprocedure)
    THEN
        RAISE EXCEPTION 'role % owns the functions, which work with its privileges', quote_ident(role_name)
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Nothing was changed. Give the functions to another role before, or let it be.';
    END IF;

    FOR v_statement IN
        SELECT format('GRANT USAGE ON SCHEMA %I TO %I', v_schema, role_name)
        WHERE NOT revoking
        UNION ALL
        SELECT
            format(
                CASE WHEN revoking THEN 'REVOKE %s ON %s %s FROM %I' ELSE 'GRANT %s ON %s %s TO %I' END,
                covered.privilege,
                CASE WHEN covered.privilege = 'EXECUTE' THEN 'ROUTINE' ELSE 'TABLE' END,
                string_agg(format('%I.%s', v_schema, covered.object), ', ' ORDER BY covered.object),
                role_name
            )
        FROM archive_access() AS covered
        WHERE covered.access = grant_archive_access.access
        GROUP BY covered.privilege
    LOOP
        IF NOT dry_run THEN
            EXECUTE v_statement;
        END IF;
        RETURN NEXT v_statement || ';';
    END LOOP;
    IF dry_run THEN
        RETURN;
    END IF;

    -- PostgreSQL only warns a caller who may not grant, or revoke what somebody else granted.
    FOR v_object IN
        SELECT
            covered.object,
            covered.privilege
        FROM archive_access() AS covered
        INNER JOIN (
            SELECT
                'pg_proc' AS catalogue,
                oid,
                proacl AS privileges
            FROM pg_catalog.pg_proc
            UNION ALL
            SELECT
                'pg_class',
                oid,
                relacl
            FROM pg_catalog.pg_class
        ) AS installed
            ON
                -- A function may have the same oid as a relation; after pg_upgrade many do.
                installed.catalogue = CASE covered.privilege WHEN 'EXECUTE' THEN 'pg_proc' ELSE 'pg_class' END
                AND installed.oid = CASE
                    -- PostgreSQL 15 refuses to look for a function by a name without arguments.
                    WHEN covered.privilege = 'EXECUTE' THEN to_regprocedure(covered.object)::oid
                    ELSE to_regclass(covered.object)::oid
                END
        WHERE
            covered.access = grant_archive_access.access
            AND revoking = EXISTS (
                SELECT 1 FROM aclexplode(installed.privileges) AS entry
                WHERE entry.grantee = v_role AND entry.privilege_type = covered.privilege
            )
    LOOP
        RAISE EXCEPTION 'role % may not % % on %',
            current_user,
            CASE WHEN revoking THEN 'revoke' ELSE 'grant' END,
            v_object.privilege,
            v_object.object
            USING ERRCODE = 'insufficient_privilege',
            HINT = 'Nothing was changed. Connect as the role that owns the functions and tables, or that '
                'granted the privilege.';
    END LOOP;
END;
$function$;

COMMENT ON FUNCTION grant_archive_access(text, text, boolean, boolean) IS
'Grants a role one kind of access (reader, support, app or operator), or revokes it. archive_access() lists '
'the privileges. Returns the statements.';

REVOKE ALL ON FUNCTION grant_archive_access(text, text, boolean, boolean) FROM public;
