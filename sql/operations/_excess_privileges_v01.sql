-- _excess_privileges: privileges on aria-db's objects that archive_access() does not list.
--
-- One row per object, role and privilege:
--   functions: EXECUTE for PUBLIC, which pg_restore --no-acl leaves behind; EXECUTE for any role on
--     internal functions and on those of the owner
--   tables and views: every privilege but SELECT. These are aria-db's own, the archives, the tables
--     beneath adopted archives, and the archives of dependents
-- A privilege that archive_access() lists for any kind of access is not in excess. Superusers and members
-- of the owner are left out. So are the live tables, which the application grants on. SELECT is left out
-- because it changes nothing: the owner decides who reads. grantee is quoted as SQL needs it.
CREATE OR REPLACE FUNCTION _excess_privileges()
RETURNS TABLE (object_type text, object text, privilege text, grantee text, is_grantable boolean)
LANGUAGE plpgsql
STABLE
AS $function$
BEGIN
    RETURN QUERY
    WITH
    known AS (
        SELECT
            covered.object,
            covered.privilege,
            CASE
                -- PostgreSQL 15 refuses to look for a function by a name without arguments.
                WHEN covered.privilege = 'EXECUTE' THEN to_regprocedure(covered.object)::oid
                ELSE to_regclass(covered.object)::oid
            END AS id
        FROM archive_access() AS covered
        WHERE covered.object NOT IN ('engine_chat_sessions', 'engine_chat_messages')
    ),

    own_relations AS (
        SELECT known.id FROM known
        WHERE known.privilege <> 'EXECUTE'
        UNION
        SELECT internal_view.oid FROM pg_catalog.pg_class AS internal_view
        INNER JOIN pg_catalog.pg_proc AS moving ON internal_view.relnamespace = moving.pronamespace
        WHERE
            moving.oid = 'archive_sessions(uuid[], bigint, text)'::regprocedure
            AND internal_view.relkind = 'v'
            AND internal_view.relname LIKE E'\\_%'
            AND obj_description(internal_view.oid, 'pg_class') LIKE 'Internal%'
        UNION
        SELECT chat.table_id FROM _chat_tables() AS chat
        WHERE chat.place = 'archive'
        UNION
        SELECT dependent.archive_id FROM _dependent_archives() AS dependent
    ),

    granted (object_type, id, object, owner_id, grantee_id, privilege, is_grantable) AS (
        SELECT
            'ROUTINE',
            routine.oid,
            format('%I.%I(%s)', namespace.nspname, routine.proname, oidvectortypes(routine.proargtypes)),
            routine.proowner,
            entry.grantee,
            entry.privilege_type,
            entry.is_grantable
        FROM pg_catalog.pg_proc AS moving
        INNER JOIN pg_catalog.pg_proc AS routine ON moving.pronamespace = routine.pronamespace
        INNER JOIN pg_catalog.pg_namespace AS namespace ON routine.pronamespace = namespace.oid
        -- without a list of privileges PUBLIC has EXECUTE
        CROSS JOIN LATERAL aclexplode(coalesce(routine.proacl, acldefault('f', routine.proowner))) AS entry
        WHERE
            moving.oid = 'archive_sessions(uuid[], bigint, text)'::regprocedure
            AND (
                routine.oid IN (SELECT known.id FROM known)
                OR routine.oid IN (
                    'archive_access()'::regprocedure,
                    'grant_archive_access(text, text, boolean, boolean)'::regprocedure,
                    'repair_archive_access(boolean)'::regprocedure,
                    'set_archive_dependent(text, text, text)'::regprocedure
                )
                OR (routine.proname LIKE E'\\_%' AND obj_description(routine.oid, 'pg_proc') LIKE 'Internal%')
            )
        UNION ALL
        SELECT
            CASE relation.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
            relation.oid,
            format('%I.%I', namespace.nspname, relation.relname),
            relation.relowner,
            entry.grantee,
            entry.privilege_type,
            entry.is_grantable
        FROM pg_catalog.pg_class AS relation
        INNER JOIN pg_catalog.pg_namespace AS namespace ON relation.relnamespace = namespace.oid
        CROSS JOIN LATERAL (
            SELECT * FROM aclexplode(relation.relacl)
            UNION ALL
            SELECT of_column.* FROM pg_catalog.pg_attribute AS its_column
            CROSS JOIN LATERAL aclexplode(its_column.attacl) AS of_column
            WHERE its_column.attrelid = relation.oid
        ) AS entry
        WHERE
            relation.oid IN (SELECT own_relations.id FROM own_relations)
            OR (
                relation.relkind = 'S'
                -- the sequences of identity columns
                AND EXISTS (
                    SELECT 1 FROM pg_catalog.pg_depend AS owned
                    WHERE
                        owned.classid = 'pg_class'::regclass
                        AND owned.objid = relation.oid
                        AND owned.refclassid = 'pg_class'::regclass
                        AND owned.refobjid IN (SELECT own_relations.id FROM own_relations)
                )
            )
    )

    SELECT
        granted.object_type,
        granted.object,
        granted.privilege,
        coalesce(quote_ident(grantee_role.rolname), 'PUBLIC'),
        bool_or(granted.is_grantable)
    FROM granted
    LEFT JOIN pg_catalog.pg_roles AS grantee_role ON granted.grantee_id = grantee_role.oid
    WHERE
        granted.privilege <> 'SELECT'
        AND NOT coalesce(pg_has_role(grantee_role.oid, granted.owner_id, 'MEMBER'), FALSE)
        AND (
            grantee_role.oid IS NULL
            OR NOT EXISTS (
                SELECT 1 FROM known
                WHERE known.id = granted.id AND known.privilege = granted.privilege
            )
        )
    GROUP BY granted.object_type, granted.object, granted.privilege, grantee_role.rolname
    ORDER BY 4, 1, 2, 3;
END;
$function$;

COMMENT ON FUNCTION _excess_privileges() IS
'Internal: privileges on the objects of aria-db that archive_access() does not list.';

REVOKE ALL ON FUNCTION _excess_privileges() FROM public;
