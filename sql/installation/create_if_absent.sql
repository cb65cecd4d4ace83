-- create_if_absent: creates a table of the application where nothing has its name yet.
--
-- A new archive may be read and not written by whom default privileges favour: nothing but the functions
-- writes to it. What they give on a live table is what the application works with.
CREATE OR REPLACE FUNCTION pg_temp.create_if_absent(table_name text, definition text)
RETURNS void
LANGUAGE plpgsql
AS $function$
BEGIN
    IF to_regclass(table_name) IS NULL THEN
        EXECUTE definition;
        IF table_name LIKE '%_archive' THEN
            PERFORM pg_temp.revoke_default_privileges(ARRAY[table_name], keeping => '{SELECT}');
        END IF;
    END IF;
END;
$function$;
