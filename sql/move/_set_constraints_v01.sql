-- _set_constraints: makes deferrable constraints on chat rows immediate for a move, or lets them
-- wait again.
--
-- A constraint that is checked at COMMIT would end the whole transaction of a caller: the batch of
-- a prune, of which only one session may be at fault. By name, so that no constraint of other tables
-- is checked early. Afterwards those that are INITIALLY DEFERRED wait again.
CREATE OR REPLACE FUNCTION _set_constraints(is_immediate boolean)
RETURNS void
LANGUAGE plpgsql
VOLATILE
AS $function$
DECLARE
    v_tables oid[] := ARRAY(
        SELECT chat.table_id FROM _chat_tables() AS chat
        UNION
        SELECT dependent.child_id FROM _dependent_keys() AS dependent
    );
    v_names text;
BEGIN
    SELECT string_agg(DISTINCT format('%s.%I', chat_constraint.connamespace::regnamespace, chat_constraint.conname), ', ')
    INTO v_names
    FROM pg_catalog.pg_constraint AS chat_constraint
    WHERE
        (chat_constraint.conrelid = ANY(v_tables) OR chat_constraint.confrelid = ANY(v_tables))
        AND chat_constraint.condeferrable
        AND (chat_constraint.condeferred OR is_immediate);
    IF v_names IS NOT NULL THEN
        EXECUTE format(
            'SET CONSTRAINTS %s %s', v_names, CASE WHEN is_immediate THEN 'IMMEDIATE' ELSE 'DEFERRED' END
        );
    END IF;
END;
$function$;

COMMENT ON FUNCTION _set_constraints(boolean) IS
'Internal to the moves: makes deferrable constraints on chat rows immediate, or deferred again.';

REVOKE ALL ON FUNCTION _set_constraints(boolean) FROM public;
