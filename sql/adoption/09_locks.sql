-- adoption_locks: the locks that the changes take before anything is changed.
--
-- In the order in which the moves and the readers of the views take them: table by table, and
-- from what is asked for to what is beneath it. LOCK on a view would lock its table; ALTER VIEW
-- ... DROP DEFAULT, of a default that is not there, locks the view alone.
CREATE OR REPLACE FUNCTION pg_temp.adoption_locks(layout text, source text, target text)
RETURNS TABLE (object text, description text, statement text)
LANGUAGE sql
STABLE
AS $function$
    WITH
    changes AS (
        SELECT * FROM pg_temp.adoption_changes(layout, source, target)
    ),

    locks (place, part, object, description, statement) AS (
        SELECT
            changes.place,
            1,
            changes.table_path,
            'against changes of its columns; reads and writes go on',
            format('LOCK TABLE %s IN ACCESS SHARE MODE', changes.table_path)
        FROM changes
        WHERE changes.live IS NULL
        UNION ALL
        SELECT
            changes.place,
            2,
            locked.oid::regclass::text,
            'the view alone, while it is replaced',
            format('ALTER VIEW %s ALTER COLUMN %I DROP DEFAULT', locked.oid::regclass, view_column.attname)
        FROM changes
        INNER JOIN pg_catalog.pg_class AS locked
            ON
                (
                    changes.named = locked.oid
                    AND (changes.laying IS NOT NULL OR changes.alteration IS NOT NULL)
                )
                OR (
                    changes.replaced IS NOT NULL
                    AND EXISTS (
                        SELECT 1 FROM pg_temp.adoption_views() AS reading
                        WHERE reading.reader = locked.oid AND reading.relation = changes.named
                    )
                )
        CROSS JOIN LATERAL (
            SELECT attname FROM pg_catalog.pg_attribute
            WHERE attrelid = locked.oid AND attnum > 0 AND NOT attisdropped AND NOT atthasdef
            LIMIT 1
        ) AS view_column
        WHERE locked.relkind = 'v'
        UNION ALL
        SELECT
            changes.place,
            3,
            changes.path,
            'until the adoption is committed',
            format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', changes.path)
        FROM changes
        WHERE changes.replaced IS NOT NULL
        UNION ALL
        SELECT
            changes.place,
            4,
            changes.table_path,
            'until the adoption is committed',
            format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', changes.table_path)
        FROM changes
        WHERE changes.alteration IS NOT NULL
        UNION ALL
        SELECT
            sessions.place,
            5,
            sessions.table_path,
            'against writes, while a table that refers to it is created',
            format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', sessions.table_path)
        FROM changes AS sessions
        INNER JOIN changes AS messages ON sessions.place = 3 AND messages.place = 4
        WHERE layout = 'A' AND sessions.chat IS NOT NULL AND messages.chat IS NULL
    )

    SELECT
        locks.object,
        locks.description,
        locks.statement
    FROM locks
    ORDER BY locks.place, locks.part, locks.object;
$function$;
