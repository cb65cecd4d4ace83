-- _dependent_archives: the tables whose rows have been archived with sessions, and where these rows are.
--
-- Also where the handling has changed since. table_id is null where the table is gone, or was renamed.
CREATE OR REPLACE FUNCTION _dependent_archives()
RETURNS TABLE (schema_name text, table_name text, table_id oid, archive_id oid)
LANGUAGE plpgsql
STABLE
ROWS 2
AS $function$
BEGIN
    RETURN QUERY
    SELECT
        dependent.schema_name,
        dependent.table_name,
        to_regclass(format('%I.%I', dependent.schema_name, dependent.table_name))::oid,
        archive.oid
    FROM engine_archive_dependent AS dependent
    INNER JOIN pg_catalog.pg_class AS archive
        ON to_regclass(quote_ident(dependent.schema_name) || '.' || quote_ident(dependent.archive_table)) = archive.oid
    ORDER BY 1, 2;
END;
$function$;

COMMENT ON FUNCTION _dependent_archives() IS
'Internal: the tables whose rows have been archived with sessions, and their archives.';

REVOKE ALL ON FUNCTION _dependent_archives() FROM public;
