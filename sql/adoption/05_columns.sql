-- adoption_columns: the columns that a chat table should have, beside those that it has.
--
-- Of a live table that is every column it has; of an archive, archived_at and then every column
-- of its live table. One row. Lists of columns are texts for SQL, and null where there are none.
CREATE OR REPLACE FUNCTION pg_temp.adoption_columns(live oid, chat oid, named oid)
RETURNS TABLE (
    wanted text, present text, missing text,
    -- those that are NOT NULL in the archive only
    not_null text,
    -- additions: the actions of ALTER TABLE that add the missing columns and drop NOT NULL from the strict
    -- ones; relaxations: those that drop NOT NULL from the added columns in a copy of the live table
    additions text, relaxations text,
    -- whether those that are present have the places that they should have
    is_in_order boolean,
    -- how many there should be, and how many of them the view shows in place, with their types
    wanted_count bigint, shown_count bigint
)
LANGUAGE sql
STABLE
AS $function$
    SELECT
        string_agg(quote_ident(wanted.column_name), ', ' ORDER BY wanted.place),
        string_agg(quote_ident(wanted.column_name), ', ' ORDER BY wanted.place)
            FILTER (WHERE present.place IS NOT NULL),
        string_agg(quote_ident(wanted.column_name), ', ' ORDER BY wanted.place)
            FILTER (WHERE present.place IS NULL),
        string_agg(quote_ident(wanted.column_name), ', ' ORDER BY wanted.place)
            FILTER (WHERE present.is_not_null AND NOT wanted.is_not_null),
        string_agg(
            CASE
                WHEN present.place IS NULL
                    THEN format('ADD COLUMN %I %s', wanted.column_name, format_type(wanted.type_id, wanted.type_modifier))
                ELSE format('ALTER COLUMN %I DROP NOT NULL', wanted.column_name)
            END,
            ', ' ORDER BY wanted.place
        ) FILTER (WHERE present.place IS NULL OR (present.is_not_null AND NOT wanted.is_not_null)),
        string_agg(format('ALTER COLUMN %I DROP NOT NULL', wanted.column_name), ', ')
            FILTER (WHERE present.place IS NULL AND wanted.is_not_null),
        coalesce(bool_and(present.place = wanted.place), TRUE),
        count(*),
        count(*) FILTER (
            WHERE (shown.place, shown.type_id, shown.type_modifier)
            = (wanted.place, wanted.type_id, wanted.type_modifier)
        )
    FROM (
        SELECT
            'archived_at'::name AS column_name,
            'timestamptz'::regtype::oid AS type_id,
            -1 AS type_modifier,
            TRUE AS is_not_null,
            1 AS place
        WHERE adoption_columns.live IS NOT NULL
        UNION ALL
        SELECT
            live_column.attname,
            live_column.atttypid,
            live_column.atttypmod,
            live_column.attnotnull,
            (adoption_columns.live IS NOT NULL)::integer + row_number() OVER (ORDER BY live_column.attnum)
        FROM pg_catalog.pg_attribute AS live_column
        WHERE
            live_column.attrelid = coalesce(adoption_columns.live, adoption_columns.chat)
            AND live_column.attnum > 0
            AND NOT live_column.attisdropped
    ) AS wanted
    LEFT JOIN (
        SELECT
            chat_column.attname AS column_name,
            chat_column.attnotnull AS is_not_null,
            row_number() OVER (ORDER BY chat_column.attnum) AS place
        FROM pg_catalog.pg_attribute AS chat_column
        WHERE
            chat_column.attrelid = adoption_columns.chat
            AND chat_column.attnum > 0
            AND NOT chat_column.attisdropped
    ) AS present ON wanted.column_name = present.column_name
    LEFT JOIN (
        SELECT
            view_column.attname AS column_name,
            view_column.atttypid AS type_id,
            view_column.atttypmod AS type_modifier,
            row_number() OVER (ORDER BY view_column.attnum) AS place
        FROM pg_catalog.pg_attribute AS view_column
        WHERE
            view_column.attrelid = adoption_columns.named
            AND view_column.attnum > 0
            AND NOT view_column.attisdropped
    ) AS shown ON wanted.column_name = shown.column_name;
$function$;
