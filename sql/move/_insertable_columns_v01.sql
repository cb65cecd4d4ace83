-- _insertable_columns: the columns of a chat table that a row can be given, as a list for SQL.
--
-- All but the generated ones, which PostgreSQL computes; for a row that is there already
-- (is_new false) without the identity columns too. A view does not tell which of its columns
-- are such in the table beneath it: that table is asked.
CREATE OR REPLACE FUNCTION _insertable_columns(chat_table regclass, is_new boolean DEFAULT TRUE)
RETURNS text
LANGUAGE sql
STABLE
AS $function$
    SELECT string_agg(quote_ident(chat_column.attname), ', ' ORDER BY chat_column.attnum)
    FROM pg_catalog.pg_attribute AS chat_column
    WHERE
        chat_column.attrelid = chat_table
        AND chat_column.attnum > 0
        AND NOT chat_column.attisdropped
        AND NOT EXISTS (
            SELECT 1
            FROM pg_catalog.pg_attribute AS table_column
            WHERE
                table_column.attname = chat_column.attname
                AND table_column.attrelid IN (
                    SELECT beneath.table_id
                    FROM _table_beneath AS beneath
                    WHERE beneath.relation = chat_table
                )
                AND (
                    table_column.attgenerated <> ''
                    OR (table_column.attidentity = 'a' AND NOT is_new)
                )
        );
$function$;

COMMENT ON FUNCTION _insertable_columns(regclass, boolean) IS
'Internal to the moves: the columns of a chat table that are not generated, as a list for SQL.';

REVOKE ALL ON FUNCTION _insertable_columns(regclass, boolean) FROM public;
