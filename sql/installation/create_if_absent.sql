-- create_if_absent: creates a table of the application where nothing has its name yet.
--
-- On a new archive, roles keep only SELECT of what default privileges grant: only the functions write to
-- it. On a live table they keep everything, because the application works with it.
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
