-- _refuse_dependent: AR005 for rows of a table about which nobody has said what becomes of them.
--
-- action is confdeltype of the key, which decides what the owner may choose.
CREATE OR REPLACE FUNCTION _refuse_dependent(
    child_id oid, constraint_name name, action text, session_id uuid, place text
)
RETURNS void
LANGUAGE plpgsql
STABLE
AS $function$
DECLARE
    v_choices CONSTANT text := CASE
        WHEN action = 'c' THEN 'move or delete'
        WHEN action IN ('n', 'd') THEN 'move or detach'
        ELSE 'move'
    END;
BEGIN
    RAISE EXCEPTION 'session % has rows in %, which refer to it by %', session_id, child_id::regclass, constraint_name
        USING ERRCODE = 'AR005',
        HINT = CASE place
            WHEN 'archive' THEN format(
                'Nothing was moved. No key should refer to an archive: delete these rows, or ALTER TABLE %s DROP '
                'CONSTRAINT %I.', child_id::regclass, constraint_name
            )
            ELSE (
                SELECT format(
                    'Nothing was moved. Say what becomes of them (%s): set_archive_dependent(%L, %L, ''move''), or '
                    '`aria-db dependents set %s --move`.',
                    v_choices, namespace.nspname, child.relname, child_id::regclass
                )
                FROM pg_catalog.pg_class AS child
                INNER JOIN pg_catalog.pg_namespace AS namespace ON child.relnamespace = namespace.oid
                WHERE child.oid = child_id
            )
        END;
END;
$function$;

COMMENT ON FUNCTION _refuse_dependent(oid, name, text, uuid, text) IS
'Internal to the moves: AR005 for rows of a table without handling.';

REVOKE ALL ON FUNCTION _refuse_dependent(oid, name, text, uuid, text) FROM public;
