-- _dependent_keys: the foreign keys through which rows hang on chat rows, a row per key.
--
-- Those of other tables, and those of a chat table to another, or to itself; not those by which
-- messages refer to their session. A table whose rows leave with a session (it is moved, deleted, or
-- its key is ON DELETE CASCADE) is looked at in turn for keys that refer to it: depth 2 and deeper.
-- action is confdeltype of pg_constraint. handling is null where nobody has said anything.
-- parent_place, parent_key and child_key tell of a chat table which place it is, and the column with
-- the id of the session; null for other tables.
CREATE OR REPLACE FUNCTION _dependent_keys()
RETURNS TABLE (
    constraint_id oid, constraint_name name, child_id oid, parent_id oid, action text, depth integer,
    child_columns name[], parent_columns name[], handling text, archive_table text,
    child_place text, child_key name, parent_place text, parent_key name, is_indexed boolean
)
LANGUAGE plpgsql
STABLE
ROWS 4
AS $function$
BEGIN
    RETURN QUERY
    WITH RECURSIVE
    chat AS MATERIALIZED (SELECT * FROM _chat_tables()),

    foreign_keys AS MATERIALIZED (
        SELECT
            foreign_key.oid,
            foreign_key.conname,
            foreign_key.conrelid,
            foreign_key.confrelid,
            foreign_key.confdeltype,
            foreign_key.conkey,
            foreign_key.confkey,
            dependent.handling,
            dependent.archive_table
        FROM pg_catalog.pg_constraint AS foreign_key
        INNER JOIN pg_catalog.pg_class AS child ON foreign_key.conrelid = child.oid
        INNER JOIN pg_catalog.pg_namespace AS namespace ON child.relnamespace = namespace.oid
        LEFT JOIN engine_archive_dependent AS dependent
            ON namespace.nspname = dependent.schema_name AND child.relname = dependent.table_name
        WHERE
            foreign_key.contype = 'f'
            -- not those that PostgreSQL makes for partitions
            AND foreign_key.conparentid = 0
            AND foreign_key.oid NOT IN (SELECT session_key.constraint_id FROM _session_keys() AS session_key)
    ),

    reached (table_id, depth) AS (
        SELECT
            chat.table_id,
            0
        FROM chat
        UNION
        SELECT
            foreign_key.conrelid,
            reached.depth + 1
        FROM reached
        INNER JOIN foreign_keys AS foreign_key ON reached.table_id = foreign_key.confrelid
        WHERE
            (foreign_key.handling IN ('move', 'delete') OR foreign_key.confdeltype = 'c')
            AND reached.depth < 20
            AND NOT EXISTS (SELECT 1 FROM chat WHERE chat.table_id = foreign_key.conrelid)
    ),

    nearest AS (
        SELECT
            reached.table_id,
            min(reached.depth) AS depth
        FROM reached
        GROUP BY reached.table_id
    )

    SELECT
        foreign_key.oid,
        foreign_key.conname,
        foreign_key.conrelid,
        foreign_key.confrelid,
        foreign_key.confdeltype::text,
        nearest.depth + 1,
        column_names.child_columns,
        column_names.parent_columns,
        foreign_key.handling,
        foreign_key.archive_table,
        child_chat.place,
        child_chat.session_key,
        parent_chat.place,
        parent_chat.session_key,
        EXISTS (
            SELECT 1 FROM pg_catalog.pg_index AS child_index
            WHERE
                child_index.indrelid = foreign_key.conrelid
                AND child_index.indisvalid
                AND child_index.indpred IS NULL
                -- an int2vector counts from 0
                AND (child_index.indkey::int2[])[0:cardinality(foreign_key.conkey) - 1] @> foreign_key.conkey
        )
    FROM nearest
    INNER JOIN foreign_keys AS foreign_key ON nearest.table_id = foreign_key.confrelid
    LEFT JOIN chat AS child_chat ON foreign_key.conrelid = child_chat.table_id
    LEFT JOIN chat AS parent_chat ON foreign_key.confrelid = parent_chat.table_id
    CROSS JOIN LATERAL (
        SELECT
            array_agg(child_column.attname ORDER BY pair.place) AS child_columns,
            array_agg(parent_column.attname ORDER BY pair.place) AS parent_columns
        FROM unnest(foreign_key.conkey, foreign_key.confkey) WITH ORDINALITY AS pair (child, parent, place)
        INNER JOIN pg_catalog.pg_attribute AS child_column
            ON foreign_key.conrelid = child_column.attrelid AND pair.child = child_column.attnum
        INNER JOIN pg_catalog.pg_attribute AS parent_column
            ON foreign_key.confrelid = parent_column.attrelid AND pair.parent = parent_column.attnum
    ) AS column_names
    ORDER BY nearest.depth, foreign_key.conrelid::regclass::text, foreign_key.conname;
END;
$function$;

COMMENT ON FUNCTION _dependent_keys() IS
'Internal: the foreign keys through which rows hang on chat rows, with what becomes of these rows.';

REVOKE ALL ON FUNCTION _dependent_keys() FROM public;
