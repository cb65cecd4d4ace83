-- _fill_missing_values: gives archived rows the default of columns that may not be NULL in the live
-- tables any more, or that these tables have got since.
--
-- Inside restore_sessions, after the live table refused a row. False: there is nothing to fill in.
CREATE OR REPLACE FUNCTION _fill_missing_values(session_ids uuid[])
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
AS $function$
DECLARE
    v_missing record;
    v_is_filled boolean := FALSE;
    v_rows bigint;
BEGIN
    FOR v_missing IN
        SELECT
            pairs.archive_id,
            pairs.session_key,
            live_column.attname,
            pg_get_expr(column_default.adbin, column_default.adrelid) AS value
        FROM (
            SELECT
                live.table_id,
                archive.table_id AS archive_id,
                archive.session_key
            FROM _chat_tables() AS live
            INNER JOIN _chat_tables() AS archive ON live.kind = archive.kind AND archive.place = 'archive'
            WHERE live.place = 'live' AND live.depth = 0 AND archive.depth = 0
            UNION ALL
            SELECT
                dependent.table_id,
                dependent.archive_id,
                'archived_session_id'
            FROM _dependent_archives() AS dependent
        ) AS pairs
        INNER JOIN pg_catalog.pg_attribute AS live_column
            ON pairs.table_id = live_column.attrelid AND live_column.attnotnull AND live_column.attgenerated = ''
        INNER JOIN pg_catalog.pg_attrdef AS column_default
            ON live_column.attrelid = column_default.adrelid AND live_column.attnum = column_default.adnum
        INNER JOIN pg_catalog.pg_attribute AS archive_column
            ON
                pairs.archive_id = archive_column.attrelid
                AND live_column.attname = archive_column.attname
                AND NOT archive_column.attnotnull
    LOOP
        EXECUTE format(
            'UPDATE %1$s AS archived SET %2$I = %3$s WHERE archived.%4$I = ANY($1) AND archived.%2$I IS NULL',
            v_missing.archive_id::regclass, v_missing.attname, v_missing.value, v_missing.session_key
        ) USING session_ids;
        GET DIAGNOSTICS v_rows = ROW_COUNT;
        v_is_filled := v_is_filled OR v_rows > 0;
    END LOOP;
    RETURN v_is_filled;
END;
$function$;

COMMENT ON FUNCTION _fill_missing_values(uuid[]) IS
'Internal to restore_sessions: the defaults of columns that archived rows do not have.';

REVOKE ALL ON FUNCTION _fill_missing_values(uuid[]) FROM public;
