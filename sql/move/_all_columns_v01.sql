-- _all_columns: the columns of a table in their order, as a list for SQL.
CREATE OR REPLACE FUNCTION _all_columns(relation regclass)
RETURNS text
LANGUAGE sql
STABLE
AS $function$
    SELECT string_agg(quote_ident(table_column.attname), ', ' ORDER BY table_column.attnum)
    FROM pg_catalog.pg_attribute AS table_column
    WHERE table_column.attrelid = relation AND table_column.attnum > 0 AND NOT table_column.attisdropped;
$function$;

COMMENT ON FUNCTION _all_columns(regclass) IS
'Internal to the moves: the columns of a table, as a list for SQL.';

REVOKE ALL ON FUNCTION _all_columns(regclass) FROM public;
