-- adoption_stand_ins: temporary views and tables under the names of aria-db, as they will be.
--
-- archive_hazards() reads them instead, so that a plan can say what it would find after the
-- adoption. Columns that the adoption adds are left out. The comment of a stand-in is the name that its
-- table will have.
CREATE OR REPLACE FUNCTION pg_temp.adoption_stand_ins(layout text, source text, target text)
RETURNS TABLE (statement text)
LANGUAGE sql
STABLE
AS $function$
    SELECT
        CASE
            WHEN changes.chat IS NULL OR (layout <> 'A' AND changes.replaced IS NOT NULL)
                THEN format(
                    'CREATE TEMPORARY TABLE %I (archived_at timestamptz NOT NULL, LIKE %s); '
                    'COMMENT ON TABLE pg_temp.%1$I IS %3$L',
                    changes.name, changes.live_path, changes.table_path
                )
            ELSE format('CREATE TEMPORARY VIEW %I AS SELECT * FROM %s', changes.name, changes.table_path)
        END
    FROM pg_temp.adoption_changes(layout, source, target) AS changes
    ORDER BY changes.place;
$function$;

-- adoption_use_stand_ins: lets the functions that look find the stand-ins before what is there now.
CREATE OR REPLACE FUNCTION pg_temp.adoption_use_stand_ins(target text)
RETURNS void
LANGUAGE plpgsql
AS $function$
BEGIN
    EXECUTE format('ALTER FUNCTION %I.archive_hazards() SET search_path = pg_temp, %1$I', target);
    EXECUTE format('ALTER FUNCTION %I.archive_column_drift() SET search_path = pg_temp, %1$I', target);
END;
$function$;
