-- _compare_images: AR006 where rows are not there as they were locked; of an image that differs, it
-- shows the beginning: the session, where it is known, and the table. The order does not matter.
CREATE OR REPLACE FUNCTION _compare_images(expected text[], actual text[])
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
AS $function$
DECLARE
    v_image text;
BEGIN
    IF expected = actual THEN
        RETURN;
    END IF;
    SELECT different.image INTO v_image
    FROM (
        (SELECT unnest(expected) EXCEPT ALL SELECT unnest(actual))
        UNION ALL
        (SELECT unnest(actual) EXCEPT ALL SELECT unnest(expected))
    ) AS different (image)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'a trigger kept, changed or redirected a row: %',
            regexp_replace(split_part(v_image, ' (', 1), '^([0-9a-f-]{36}) ', E'session \\1, table ')
            USING ERRCODE = 'AR006',
            HINT = 'Nothing was moved. SELECT * FROM archive_hazards() names the triggers; let them leave moves '
                'alone.';
    END IF;
END;
$function$;

COMMENT ON FUNCTION _compare_images(text[], text[]) IS
'Internal to the moves: AR006 where rows are not there as they were locked.';

REVOKE ALL ON FUNCTION _compare_images(text[], text[]) FROM public;
