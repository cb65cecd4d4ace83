-- replace_view: gives a view an older definition, which may have fewer columns.
--
-- CREATE OR REPLACE VIEW can add columns and cannot take them away. Where it must, the view and
-- the views that read it are dropped, the outermost first, as readers lock them, and created
-- again with their options, owners, comments and privileges.
CREATE OR REPLACE FUNCTION pg_temp.replace_view(view_name text, definition text)
RETURNS void
LANGUAGE plpgsql
AS $function$
DECLARE
    v_kept record;
    v_drops text[] := '{}';
    v_creates text[] := '{}';
    v_statement text;
BEGIN
    BEGIN
        EXECUTE definition;
        RETURN;
    EXCEPTION
        WHEN invalid_table_definition THEN
            NULL;
    END;

    FOR v_kept IN
        WITH RECURSIVE
        reading (id, depth) AS (
            SELECT
                view_name::regclass::oid,
                0
            UNION
            SELECT
                view_rule.ev_class,
                reading.depth + 1
            FROM reading
            INNER JOIN pg_catalog.pg_depend AS shown
                ON
                    reading.id = shown.refobjid
                    AND shown.refclassid = 'pg_class'::regclass
                    AND shown.classid = 'pg_rewrite'::regclass
            INNER JOIN pg_catalog.pg_rewrite AS view_rule ON shown.objid = view_rule.oid
            WHERE view_rule.ev_class <> reading.id
        )

        SELECT
            relation.oid,
            relation.oid::regclass::text AS path,
            max(reading.depth) AS depth,
            CASE
                WHEN max(reading.depth) > 0
                    THEN format(
                        'CREATE VIEW %s%s AS %s',
                        relation.oid::regclass,
                        ' WITH (' || array_to_string(relation.reloptions, ', ') || ')',
                        pg_get_viewdef(relation.oid)
                    )
            END AS creation
        FROM reading
        INNER JOIN pg_catalog.pg_class AS relation ON reading.id = relation.oid
        GROUP BY relation.oid
        ORDER BY max(reading.depth) DESC
    LOOP
        v_drops := v_drops || format('DROP VIEW %s', v_kept.path);
        SELECT string_agg(again.statement, '; ' ORDER BY again.place) INTO v_statement
        FROM (
            SELECT
                1 AS place,
                coalesce(v_kept.creation, definition) AS statement
            UNION ALL
            SELECT
                2,
                format('COMMENT ON VIEW %s IS %L', v_kept.path, obj_description(v_kept.oid, 'pg_class'))
            WHERE v_kept.depth > 0 AND obj_description(v_kept.oid, 'pg_class') IS NOT NULL
            UNION ALL
            SELECT
                3,
                format('SELECT pg_temp.revoke_default_privileges(ARRAY[%L])', v_kept.path)
            UNION ALL
            SELECT
                4,
                format(
                    'GRANT %s%s ON %s TO %s%s',
                    granted.privilege_type,
                    granted.of_column,
                    v_kept.path,
                    coalesce(quote_ident(grantee.rolname), 'PUBLIC'),
                    CASE WHEN granted.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
                )
            FROM (
                SELECT
                    '' AS of_column,
                    entry.grantee,
                    entry.privilege_type,
                    entry.is_grantable
                FROM pg_catalog.pg_class AS old_view
                CROSS JOIN LATERAL aclexplode(old_view.relacl) AS entry
                WHERE old_view.oid = v_kept.oid AND entry.grantee <> old_view.relowner
                UNION ALL
                SELECT
                    format(' (%I)', old_column.attname),
                    entry.grantee,
                    entry.privilege_type,
                    entry.is_grantable
                FROM pg_catalog.pg_attribute AS old_column
                CROSS JOIN LATERAL aclexplode(old_column.attacl) AS entry
                WHERE old_column.attrelid = v_kept.oid
            ) AS granted
            LEFT JOIN pg_catalog.pg_roles AS grantee ON granted.grantee = grantee.oid
            UNION ALL
            SELECT
                5,
                format('ALTER VIEW %s OWNER TO %I', v_kept.path, pg_get_userbyid(old_view.relowner))
            FROM pg_catalog.pg_class AS old_view
            WHERE old_view.oid = v_kept.oid AND pg_get_userbyid(old_view.relowner) <> current_user
        ) AS again;
        v_creates := v_statement || v_creates;
    END LOOP;

    FOREACH v_statement IN ARRAY v_drops || v_creates LOOP
        EXECUTE v_statement;
    END LOOP;
END;
$function$;
