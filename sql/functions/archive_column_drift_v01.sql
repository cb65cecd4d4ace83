-- archive_column_drift: what could not be archived faithfully, a row per column.
--
-- The move is `INSERT INTO archive SELECT archived_at, moved.*`: an archive must
-- have archived_at first and then every column of its live table, by name, type
-- and order. Every move asks here first and refuses when there is an answer.
-- Without a SET clause the planner inlines this into its callers; the names of
-- the tables are resolved once, when the function is created.
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

    live_columns AS (
        SELECT
            table_pairs.live,
            table_pairs.archive,
            live_column.attname AS name,
            live_column.atttypid,
            live_column.atttypmod,
            -- archived_at stands before the columns of the live table
            1 + row_number() OVER (PARTITION BY table_pairs.live ORDER BY live_column.attnum) AS place
        FROM table_pairs
        INNER JOIN pg_catalog.pg_attribute AS live_column ON table_pairs.live = live_column.attrelid
        WHERE live_column.attnum > 0 AND NOT live_column.attisdropped
        UNION ALL
        SELECT
            table_pairs.live,
            table_pairs.archive,
            'archived_at',
            'timestamptz'::regtype,
            -1,
            1
        FROM table_pairs
    ),

    archive_columns AS (
        SELECT
            table_pairs.live,
            table_pairs.archive,
            archive_column.attname AS name,
            archive_column.atttypid,
            archive_column.atttypmod,
            row_number() OVER (PARTITION BY table_pairs.archive ORDER BY archive_column.attnum) AS place
        FROM table_pairs
        INNER JOIN pg_catalog.pg_attribute AS archive_column ON table_pairs.archive = archive_column.attrelid
        WHERE archive_column.attnum > 0 AND NOT archive_column.attisdropped
    )

    SELECT
        coalesce(live_columns.live, archive_columns.live)::text,
        coalesce(live_columns.name, archive_columns.name)::text,
        CASE
            WHEN archive_columns.name IS NULL
                THEN format('is missing from %s', live_columns.archive)
            WHEN live_columns.name IS NULL
                THEN format('is in %s only', archive_columns.archive)
            WHEN
                (live_columns.atttypid, live_columns.atttypmod)
                <> (archive_columns.atttypid, archive_columns.atttypmod)
                THEN format(
                    'is %s, but %s in %s',
                    format_type(live_columns.atttypid, live_columns.atttypmod),
                    format_type(archive_columns.atttypid, archive_columns.atttypmod),
                    live_columns.archive
                )
            ELSE format(
                'must be column %s of %s, and is column %s',
                live_columns.place, live_columns.archive, archive_columns.place
            )
        END
    FROM live_columns
    FULL JOIN archive_columns
        ON live_columns.live = archive_columns.live AND live_columns.name = archive_columns.name
    WHERE
        live_columns.name IS NULL
        OR archive_columns.name IS NULL
        OR (live_columns.atttypid, live_columns.atttypmod, live_columns.place)
        <> (archive_columns.atttypid, archive_columns.atttypmod, archive_columns.place)
    ORDER BY 1, coalesce(live_columns.place, archive_columns.place), 2;
END;

COMMENT ON FUNCTION archive_column_drift() IS
'Columns that would not be archived faithfully: a row each, none when all is well.';
