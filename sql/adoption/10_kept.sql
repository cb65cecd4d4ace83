-- adoption_kept: what a table or view that replaces another keeps of it.
--
-- A view keeps the privileges. A table also keeps comments, checks, storage options, statistics targets,
-- the replica identity, publications and the owner. adoption_obstacles refuses what cannot be kept.
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
            'keep its check ' || quote_ident(old_check.conname),
            format('ALTER TABLE %s ADD CONSTRAINT %I %s', path, old_check.conname, pg_get_constraintdef(old_check.oid))
        FROM pg_catalog.pg_constraint AS old_check
        WHERE old_check.conrelid = replaced AND old_check.contype = 'c' AND is_table
        UNION ALL
        SELECT
            3,
            1,
            'keep its storage options',
            format('ALTER TABLE %s SET (%s)', path, array_to_string(old_table.reloptions, ', '))
        FROM pg_catalog.pg_class AS old_table
        WHERE old_table.oid = replaced AND old_table.reloptions IS NOT NULL AND is_table
        UNION ALL
        SELECT
            3,
            old_column.attnum,
            'keep the statistics target of ' || quote_ident(old_column.attname),
            format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS %s', path, old_column.attname, old_column.attstattarget)
        FROM pg_catalog.pg_attribute AS old_column
        WHERE
            old_column.attrelid = replaced
            AND old_column.attnum > 0
            AND NOT old_column.attisdropped
            AND old_column.attstattarget >= 0
            AND is_table
        UNION ALL
        SELECT
            3,
            2,
            'keep its replica identity',
            format(
                'ALTER TABLE %s REPLICA IDENTITY %s',
                path, CASE old_table.relreplident WHEN 'f' THEN 'FULL' ELSE 'NOTHING' END
            )
        FROM pg_catalog.pg_class AS old_table
        WHERE old_table.oid = replaced AND old_table.relreplident IN ('f', 'n') AND is_table
        UNION ALL
        SELECT
            4,
            0,
            'keep its place in the publication ' || quote_ident(publication.pubname),
            format('ALTER PUBLICATION %I ADD TABLE %s', publication.pubname, path)
        FROM pg_catalog.pg_publication_rel AS member
        INNER JOIN pg_catalog.pg_publication AS publication ON member.prpubid = publication.oid
        WHERE member.prrelid = replaced AND is_table
        UNION ALL
        SELECT
            5,
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
