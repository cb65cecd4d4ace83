-- _lock_dependent_tables: locks the tables that hang on chat rows, level by level.
--
-- ROW EXCLUSIVE, as the chat tables, which are locked before. ADD FOREIGN KEY wants a stronger lock
-- on both tables: once a table is locked here, no further key can refer to it. A key that was
-- committed meanwhile is seen by the next look.
CREATE OR REPLACE FUNCTION _lock_dependent_tables()
RETURNS void
LANGUAGE plpgsql
VOLATILE
AS $function$
DECLARE
    v_locked oid[] := '{}';
    v_child oid;
    v_found boolean;
BEGIN
    LOOP
        v_found := FALSE;
        FOR v_child IN
            SELECT DISTINCT dependent.child_id
            FROM _dependent_keys() AS dependent
            WHERE dependent.child_place IS NULL AND dependent.child_id <> ALL(v_locked)
            ORDER BY dependent.child_id
        LOOP
            EXECUTE format('LOCK TABLE %s IN ROW EXCLUSIVE MODE', v_child::regclass);
            v_locked := v_locked || v_child;
            v_found := TRUE;
        END LOOP;
        EXIT WHEN NOT v_found;
    END LOOP;
END;
$function$;

COMMENT ON FUNCTION _lock_dependent_tables() IS
'Internal to the moves: locks the tables that hang on chat rows against further foreign keys.';

REVOKE ALL ON FUNCTION _lock_dependent_tables() FROM public;
