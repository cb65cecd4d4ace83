-- _dependent_drift: columns of a table that its archive does not have as they are, a row per column.
CREATE OR REPLACE FUNCTION _dependent_drift()
RETURNS TABLE (table_id oid, archive_id oid, column_name text, problem text)
LANGUAGE plpgsql
STABLE
ROWS 2
AS $function$
BEGIN
    RETURN QUERY
    SELECT
        dependent.table_id,
        dependent.archive_id,
        table_column.attname::text,
        CASE
            WHEN archive_column.attname IS NULL THEN format('is missing from %s', dependent.archive_id::regclass)
            ELSE format(
                'is %s, but %s in %s',
                format_type(table_column.atttypid, table_column.atttypmod),
                format_type(archive_column.atttypid, archive_column.atttypmod),
                dependent.archive_id::regclass
            )
        END
    FROM _dependent_archives() AS dependent
    INNER JOIN pg_catalog.pg_attribute AS table_column
        ON
            dependent.table_id = table_column.attrelid
            AND table_column.attnum > 0
            AND NOT table_column.attisdropped
    LEFT JOIN pg_catalog.pg_attribute AS archive_column
        ON
            dependent.archive_id = archive_column.attrelid
            AND table_column.attname = archive_column.attname
            AND NOT archive_column.attisdropped
    WHERE
        archive_column.attname IS NULL
        OR (table_column.atttypid, table_column.atttypmod) <> (archive_column.atttypid, archive_column.atttypmod)
    ORDER BY dependent.schema_name, dependent.table_name, table_column.attnum;
END;
$function$;

COMMENT ON FUNCTION _dependent_drift() IS
'Internal: columns of tables that refer to chat rows, and that their archives do not have as they are.';

REVOKE ALL ON FUNCTION _dependent_drift() FROM public;
