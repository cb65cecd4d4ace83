-- _session_images: what a table holds of some sessions: a text for each row, in the order of the texts.
--
-- The text is the id of the session, the name of the table that is meant, and all values of the row.
-- PostgreSQL prints values so that it reads the same ones back. Two such arrays are equal exactly
-- where the tables hold the same rows. columns is a list for SQL.
CREATE OR REPLACE FUNCTION _session_images(
    table_id oid, session_key name, session_ids uuid[], columns text, meant regclass
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
            SELECT concat_ws(' ', held.%1$I, %2$L, ROW(%3$s)::text) AS image
            FROM %4$s AS held
            WHERE held.%1$I = ANY($1)
        ) AS seen
        $statement$,
        session_key, meant, columns, table_id::regclass
    ) INTO v_images USING session_ids;
    RETURN coalesce(v_images, '{}');
END;
$function$;

COMMENT ON FUNCTION _session_images(oid, name, uuid[], text, regclass) IS
'Internal to the moves: what a table holds of some sessions, a text for each row.';

REVOKE ALL ON FUNCTION _session_images(oid, name, uuid[], text, regclass) FROM public;
