-- adoption_kept: what a table or view that replaces another keeps of it.
--
-- Privileges; where it is a table, comments and the owner, too.
CREATE OR REPLACE FUNCTION pg_temp.adoption_kept(replaced oid, path text, is_table boolean)
RETURNS TABLE (description text, statement text)
LANGUAGE sql
STABLE
AS $function$
    WITH
    privileges AS (
        SELECT
            '' AS of_column,
            of_table.grantee,
            of_table.privilege_type,
            of_table.is_grantable
        FROM pg_catalog.pg_class AS old_table
        CROSS JOIN LATERAL aclexplode(old_table.relacl) AS of_table
        WHERE old_table.oid = replaced AND of_table.grantee <> old_table.relowner
        UNION ALL
        SELECT
            format(' (%I)', old_column.attname),
            of_column.grantee,
            of_column.privilege_type,
            of_column.is_grantable
        FROM pg_catalog.pg_attribute AS old_column
        CROSS JOIN LATERAL aclexplode(old_column.attacl) AS of_column
        WHERE old_column.attrelid = replaced
    ),

    kept (part, place, description, statement) AS (
        SELECT
            1,
            0,
            format('keep what %s may do', coalesce(quote_ident(grantee.rolname), 'PUBLIC')),
            format(
                'GRANT %s%s ON %s TO %s%s',
                privileges.privilege_type, privileges.of_column, path,
                coalesce(quote_ident(grantee.rolname), 'PUBLIC'),
                CASE WHEN privileges.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
            )
        FROM privileges
        LEFT JOIN pg_catalog.pg_roles AS grantee ON privileges.grantee = grantee.oid
        UNION ALL
        SELECT
            2,
            described.objsubid,
            'keep its comments',
            CASE described.objsubid
                WHEN 0 THEN format('COMMENT ON TABLE %s IS %L', path, described.description)
                ELSE format('COMMENT ON COLUMN %s.%I IS %L', path, commented.attname, described.description)
            END
        FROM pg_catalog.pg_description AS described
        LEFT JOIN pg_catalog.pg_attribute AS commented
            ON
                described.objoid = commented.attrelid
                AND described.objsubid = commented.attnum
                AND commented.attnum > 0
        WHERE described.objoid = replaced AND described.classoid = 'pg_class'::regclass AND is_table
        UNION ALL
        SELECT
            3,
            0,
            'keep its owner',
            format('ALTER TABLE %s OWNER TO %I', path, pg_get_userbyid(old_table.relowner))
        FROM pg_catalog.pg_class AS old_table
        WHERE old_table.oid = replaced AND is_table AND pg_get_userbyid(old_table.relowner) <> current_user
    )

    SELECT
        kept.description,
        kept.statement
    FROM kept
    ORDER BY kept.part, kept.place, kept.description, kept.statement;
$function$;
