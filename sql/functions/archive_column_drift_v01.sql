-- archive_column_drift: what could not be archived faithfully, a row per column.
--
-- The move is `INSERT INTO archive SELECT archived_at, moved.*`: an archive must
-- have archived_at first and then every column of its live table, by name, type
-- and order. Every move asks here first, and refuses when there is an answer.
-- Without a SET clause the planner inlines it into its callers; the names of the
-- tables are resolved once, when the function is created.
CREATE OR REPLACE FUNCTION archive_column_drift()
RETURNS TABLE (live_table text, column_name text, problem text)
LANGUAGE sql
STABLE
BEGIN ATOMIC
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
    )

    SELECT
        coalesce(expected.live, archived.live)::text AS live_table,
        coalesce(expected.attname, archived.attname)::text AS column_name,
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
                'belongs in place %s of %s, and stands in place %s',
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
    ORDER BY live_table, coalesce(expected.place, archived.place), column_name;
END;

COMMENT ON FUNCTION archive_column_drift() IS
'Columns that would not be archived faithfully: a row each, none when all is well.';

REVOKE ALL ON FUNCTION archive_column_drift() FROM public;
