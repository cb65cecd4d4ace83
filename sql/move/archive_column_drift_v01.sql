-- archive_column_drift: what could not be archived faithfully, a row per column.
--
-- The move is `INSERT INTO archive SELECT archived_at, moved.*`: an archive must
-- have archived_at first and then every column of its live table, by name, type
-- and order. Where one of the four names is a view over a table of the application,
-- it must show every column of that table: a row moves through the view, and what the
-- view does not show would be lost. Every move asks here where something differs at first
-- sight, and refuses when there is an answer. PL/pgSQL keeps the plan, and does not make the
-- function depend on the tables.
CREATE OR REPLACE FUNCTION archive_column_drift()
RETURNS TABLE (live_table text, column_name text, problem text)
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
AS $function$
BEGIN
    RETURN QUERY
    WITH
    table_pairs (live, archive) AS (
        VALUES
        ('engine_chat_sessions'::regclass, 'engine_chat_session_archive'::regclass),
        ('engine_chat_messages'::regclass, 'engine_chat_message_archive'::regclass)
    ),

    expected_columns AS (
        SELECT
            table_pairs.live,
            table_pairs.archive,
            'archived_at'::name AS attname,
            'timestamptz'::regtype::oid AS atttypid,
            -1 AS atttypmod,
            1 AS place
        FROM table_pairs
        UNION ALL
        SELECT
            table_pairs.live,
            table_pairs.archive,
            live_column.attname,
            live_column.atttypid,
            live_column.atttypmod,
            1 + row_number() OVER (PARTITION BY table_pairs.live ORDER BY live_column.attnum) AS place
        FROM table_pairs
        INNER JOIN pg_catalog.pg_attribute AS live_column ON table_pairs.live = live_column.attrelid
        WHERE live_column.attnum > 0 AND NOT live_column.attisdropped
    ),

    archive_columns AS (
        SELECT
            table_pairs.live,
            table_pairs.archive,
            archive_column.attname,
            archive_column.atttypid,
            archive_column.atttypmod,
            row_number() OVER (PARTITION BY table_pairs.archive ORDER BY archive_column.attnum) AS place
        FROM table_pairs
        INNER JOIN pg_catalog.pg_attribute AS archive_column ON table_pairs.archive = archive_column.attrelid
        WHERE archive_column.attnum > 0 AND NOT archive_column.attisdropped
    ),

    -- what the rule of a view depends on: its table, and the columns that it shows
    shown_columns AS (
        SELECT
            table_pairs.live,
            view_rule.ev_class::regclass AS view_name,
            shown.refobjid::regclass AS table_name,
            shown.refobjsubid AS attnum
        FROM table_pairs
        INNER JOIN pg_catalog.pg_rewrite AS view_rule
            ON view_rule.ev_class IN (table_pairs.live, table_pairs.archive)
        INNER JOIN pg_catalog.pg_depend AS shown
            ON
                view_rule.oid = shown.objid
                AND shown.classid = 'pg_rewrite'::regclass
                AND shown.refclassid = 'pg_class'::regclass
                AND view_rule.ev_class <> shown.refobjid
    ),

    hidden_columns AS (
        SELECT DISTINCT
            shown_columns.live,
            shown_columns.view_name,
            shown_columns.table_name,
            table_column.attname
        FROM shown_columns
        INNER JOIN pg_catalog.pg_attribute AS table_column
            ON shown_columns.table_name = table_column.attrelid
        WHERE
            table_column.attnum > 0
            AND NOT table_column.attisdropped
            AND NOT EXISTS (
                SELECT 1 FROM shown_columns AS same_view
                WHERE
                    same_view.view_name = shown_columns.view_name
                    AND same_view.table_name = shown_columns.table_name
                    AND same_view.attnum = table_column.attnum
            )
    ),

    problems AS (
        SELECT
            coalesce(expected.live, archived.live)::text AS live_table,
            coalesce(expected.attname, archived.attname)::text AS column_name,
            coalesce(expected.place, archived.place) AS place,
            CASE
                WHEN archived.attname IS NULL
                    THEN format('is missing from %s', expected.archive)
                WHEN expected.attname IS NULL
                    THEN format('is in %s only', archived.archive)
                WHEN (expected.atttypid, expected.atttypmod) <> (archived.atttypid, archived.atttypmod)
                    THEN format(
                        'is %s, but %s in %s',
                        format_type(expected.atttypid, expected.atttypmod),
                        format_type(archived.atttypid, archived.atttypmod),
                        expected.archive
                    )
                ELSE format(
                    'belongs in place %s of %s, and is in place %s',
                    expected.place, expected.archive, archived.place
                )
            END AS problem
        FROM expected_columns AS expected
        FULL JOIN archive_columns AS archived
            ON expected.live = archived.live AND expected.attname = archived.attname
        WHERE
            expected.attname IS NULL
            OR archived.attname IS NULL
            OR (expected.atttypid, expected.atttypmod, expected.place)
            <> (archived.atttypid, archived.atttypmod, archived.place)
        UNION ALL
        SELECT
            hidden_columns.live::text AS live_table,
            hidden_columns.attname::text AS column_name,
            NULL AS place,
            format(
                'is in %s, and not in its view %s', hidden_columns.table_name, hidden_columns.view_name
            ) AS problem
        FROM hidden_columns
    )

    SELECT
        problems.live_table,
        problems.column_name,
        problems.problem
    FROM problems
    ORDER BY problems.live_table, problems.place, problems.column_name;
END;
$function$;

COMMENT ON FUNCTION archive_column_drift() IS
'Columns that would not be archived faithfully: a row each, none when all is well.';

REVOKE ALL ON FUNCTION archive_column_drift() FROM public;
