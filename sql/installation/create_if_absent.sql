-- create_if_absent: creates a table of the application where nothing has its name yet.
CREATE OR REPLACE FUNCTION pg_temp.create_if_absent(table_name text, definition text)
RETURNS void
LANGUAGE plpgsql
AS $function$
BEGIN
    IF to_regclass(table_name) IS NULL THEN
        EXECUTE definition;
    END IF;
END;
$function$;
