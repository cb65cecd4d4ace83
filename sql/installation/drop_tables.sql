-- drop_tables: drops tables that a revision created, unless they hold rows.
--
-- The functions in this folder are temporary: the operations of the revisions use them, online
-- and in a script alike. All tables are locked before they are looked at, in the order in which
-- the moves lock them, so that no row arrives in between.
--
-- Where the revision creates a table only if it is absent, only those that aria-db created are
-- dropped: their comment ends in the mark. So are the views that an adoption laid instead.
CREATE OR REPLACE FUNCTION pg_temp.drop_tables(table_names text[], if_created boolean)
RETURNS void
LANGUAGE plpgsql
AS $function$
DECLARE
    v_tables text[] := ARRAY(
        SELECT named.name
        FROM unnest(table_names) WITH ORDINALITY AS named (name, place)
        WHERE NOT if_created OR obj_description(to_regclass(named.name), 'pg_class') LIKE '% Created by aria-db.'
        ORDER BY named.place
    );
    v_views text[] := ARRAY(
        SELECT named.name
        FROM unnest(table_names) AS named (name)
        WHERE if_created AND obj_description(to_regclass(named.name), 'pg_class') LIKE 'Laid by aria-db over %'
    );
    v_name text;
    v_has_rows boolean;
BEGIN
    FOREACH v_name IN ARRAY v_tables LOOP
        EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', v_name);
    END LOOP;
    FOR v_name IN
        SELECT named.name FROM unnest(v_tables) WITH ORDINALITY AS named (name, place)
        ORDER BY named.place DESC
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I)', v_name) INTO v_has_rows;
        IF v_has_rows THEN
            RAISE EXCEPTION 'table % holds rows and is not dropped', v_name
                USING ERRCODE = 'object_not_in_prerequisite_state',
                HINT = 'Nothing was changed. restore_sessions() brings archived sessions back. Keep what you '
                    'need of the rows elsewhere (pg_dump), delete them, and try again.';
        END IF;
        EXECUTE format('DROP TABLE %I', v_name);
    END LOOP;
    FOREACH v_name IN ARRAY v_views LOOP
        EXECUTE format('DROP VIEW %I', v_name);
    END LOOP;
END;
$function$;
