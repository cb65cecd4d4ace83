-- adoption_row_count: how many rows a table has; up_to: it stops counting there.
CREATE OR REPLACE FUNCTION pg_temp.adoption_row_count(path text, up_to bigint DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql
STABLE
AS $function$
DECLARE
    v_count bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM (SELECT 1 FROM %s LIMIT $1) AS counted', path) INTO v_count USING up_to;
    RETURN v_count;
END;
$function$;
