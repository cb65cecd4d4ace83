-- _row_images: what some rows of a table hold: a text for each row that is there, in their order.
--
-- row_tables and row_ids are tableoid and ctid. The text begins as those of _session_images.
CREATE OR REPLACE FUNCTION _row_images(
    table_id oid, columns text, row_tables oid[], row_ids tid[], session_ids uuid[]
)
RETURNS text[]
LANGUAGE plpgsql
STABLE
-- every digit of a float
SET extra_float_digits = '1'
AS $function$
DECLARE
    v_images text[];
BEGIN
    EXECUTE format(
        $statement$
        SELECT array_agg(seen.image ORDER BY seen.image COLLATE "C")
        FROM (
            SELECT concat_ws(' ', found.session_id, %1$L, row_values.printed) AS image
            FROM unnest($1, $2, $3) AS found (row_table, row_id, session_id)
            CROSS JOIN LATERAL (
                SELECT ROW(%2$s)::text AS printed
                FROM %3$s AS held
                WHERE held.tableoid = found.row_table AND held.ctid = found.row_id
            ) AS row_values
        ) AS seen
        $statement$,
        table_id::regclass, columns, table_id::regclass
    ) INTO v_images USING row_tables, row_ids, session_ids;
    RETURN coalesce(v_images, '{}');
END;
$function$;

COMMENT ON FUNCTION _row_images(oid, text, oid[], tid[], uuid[]) IS
'Internal to the moves: what some rows of a table hold, a text for each row.';

REVOKE ALL ON FUNCTION _row_images(oid, text, oid[], tid[], uuid[]) FROM public;
