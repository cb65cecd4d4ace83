-- archive_dependents: the foreign keys through which rows hang on chat rows, a row per key.
--
-- A table that refers to such a table is listed where its rows would leave with a session: where
-- the rows of the table it refers to move or are deleted. handling is what set_archive_dependent()
-- said; refuse where it said nothing. estimated_rows is the planner's estimate of the rows of the
-- table. A key without an index on its columns makes each archived row read the whole table.
CREATE OR REPLACE FUNCTION archive_dependents()
RETURNS TABLE (
    schema_name text, table_name text, constraint_name text, refers_to text, on_delete text,
    is_indexed boolean, handling text, estimated_rows bigint
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path FROM CURRENT
-- looking at the catalogue costs little, whatever the planner thinks
SET jit = 'off'
AS $function$
BEGIN
    RETURN QUERY
    SELECT
        namespace.nspname::text,
        child.relname::text,
        dependent.constraint_name::text,
        dependent.parent_id::regclass::text,
        CASE dependent.action
            WHEN 'c' THEN 'CASCADE'
            WHEN 'n' THEN 'SET NULL'
            WHEN 'd' THEN 'SET DEFAULT'
            WHEN 'r' THEN 'RESTRICT'
            ELSE 'NO ACTION'
        END,
        dependent.is_indexed,
        coalesce(dependent.handling, 'refuse'),
        greatest(child.reltuples, 0)::bigint
    FROM _dependent_keys() AS dependent
    INNER JOIN pg_catalog.pg_class AS child ON dependent.child_id = child.oid
    INNER JOIN pg_catalog.pg_namespace AS namespace ON child.relnamespace = namespace.oid
    ORDER BY dependent.depth, 1, 2, 3;
END;
$function$;

COMMENT ON FUNCTION archive_dependents() IS
'The foreign keys through which rows of other tables hang on chat rows, with what becomes of these rows.';

REVOKE ALL ON FUNCTION archive_dependents() FROM public;
