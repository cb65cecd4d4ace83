-- revoke_default_privileges: revokes what default privileges have granted to others on new objects.
--
-- ALTER DEFAULT PRIVILEGES applies to every new object. names lists tables and views (the sequences of
-- their identity columns are included) and functions with their argument types. Privileges in keeping
-- are not revoked.
CREATE OR REPLACE FUNCTION pg_temp.revoke_default_privileges(names text[], keeping text[] DEFAULT '{}')
RETURNS void
LANGUAGE plpgsql
AS $function$
DECLARE
    v_statement text;
BEGIN
    FOR v_statement IN
        SELECT
            format(
                'REVOKE %s ON %s %s FROM %s',
                string_agg(DISTINCT entry.privilege_type, ', '),
                new_object.object_type,
                new_object.path,
                coalesce(quote_ident(grantee.rolname), 'PUBLIC')
            )
        FROM unnest(names) AS named (name)
        CROSS JOIN LATERAL (
            SELECT
                'ROUTINE' AS object_type,
                routine.oid::regprocedure::text AS path,
                routine.proowner AS owner_id,
                routine.proacl AS privileges
            FROM pg_catalog.pg_proc AS routine
            WHERE routine.oid = CASE WHEN named.name LIKE '%)' THEN to_regprocedure(named.name) END
            UNION ALL
            SELECT
                CASE relation.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
                relation.oid::regclass::text,
                relation.relowner,
                relation.relacl
            FROM (
                SELECT CASE WHEN named.name NOT LIKE '%)' THEN to_regclass(named.name) END AS id
            ) AS created
            INNER JOIN pg_catalog.pg_class AS relation
                ON
                    created.id = relation.oid
                    OR relation.oid IN (
                        SELECT owned.objid FROM pg_catalog.pg_depend AS owned
                        WHERE
                            owned.refclassid = 'pg_class'::regclass
                            AND owned.refobjid = created.id
                            AND owned.classid = 'pg_class'::regclass
                            AND owned.deptype = 'i'
                    )
        ) AS new_object
        CROSS JOIN LATERAL aclexplode(new_object.privileges) AS entry
        LEFT JOIN pg_catalog.pg_roles AS grantee ON entry.grantee = grantee.oid
        WHERE entry.grantee <> new_object.owner_id AND entry.privilege_type <> ALL(keeping)
        GROUP BY new_object.object_type, new_object.path, grantee.rolname
    LOOP
        EXECUTE v_statement;
    END LOOP;
END;
$function$;
