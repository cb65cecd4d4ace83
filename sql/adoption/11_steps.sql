-- adoption_steps: the statements that make the functions work on the tables.
--
-- A table that is replaced is renamed, the new table or view gets its name, and every view
-- over the old one is created again from its own text, so that its privileges and comment
-- stay. No function of aria-db depends on a chat table; whatever else does makes the
-- adoption fail.
CREATE OR REPLACE FUNCTION pg_temp.adoption_steps(layout text, source text, target text)
RETURNS TABLE (object text, description text, statement text)
LANGUAGE plpgsql
STABLE
AS $function$
DECLARE
    v_change record;
    v_replaced oid[] := '{}';
    v_drops text[] := '{}';
BEGIN
    FOR v_change IN
        SELECT * FROM pg_temp.adoption_changes(layout, source, target) AS change
        ORDER BY change.place
    LOOP
        IF v_change.replaced IS NOT NULL THEN
            v_replaced := v_replaced || v_change.named;
            v_drops := v_change.name || v_drops;
            RETURN QUERY SELECT
                v_change.path, 'rename ' || v_change.replaced,
                format('ALTER TABLE %s RENAME TO %I', v_change.path, v_change.name || '_replaced');
            RETURN QUERY
            SELECT
                old_index.indexrelid::regclass::text, 'rename its index',
                format('ALTER INDEX %s RENAME TO %I', old_index.indexrelid::regclass, named.relname || '_replaced')
            FROM pg_catalog.pg_index AS old_index
            INNER JOIN pg_catalog.pg_class AS named ON old_index.indexrelid = named.oid
            WHERE old_index.indrelid = v_change.named
            ORDER BY named.relname;
        END IF;

        IF v_change.chat IS NULL THEN
            RETURN QUERY SELECT
                v_change.table_path, 'create the table',
                CASE WHEN layout = 'A' THEN
                    format(
                        'CREATE TABLE %s (LIKE %s, archived_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (id)',
                        v_change.table_path, v_change.live_path
                    )
                    || CASE v_change.place
                        WHEN 3 THEN format('); CREATE INDEX ON %s (archived_at DESC)', v_change.table_path)
                        ELSE format(
                            ', FOREIGN KEY (session_id) REFERENCES %I.chat_sessions_archive (id) ON DELETE CASCADE); '
                            'CREATE INDEX ON %s (session_id, created_at)',
                            source, v_change.table_path
                        )
                    END
                END;
        ELSIF v_change.alteration IS NOT NULL THEN
            RETURN QUERY SELECT
                v_change.table_path,
                concat_ws(
                    '; ', 'add what it lacks: ' || v_change.missing,
                    'drop NOT NULL, as in the live table: ' || v_change.not_null
                ),
                v_change.alteration;
        END IF;

        IF v_change.laying IS NOT NULL THEN
            RETURN QUERY SELECT
                v_change.path,
                CASE
                    WHEN v_change.named_kind = 'v' THEN 'show the new columns'
                    ELSE 'lay a view over ' || v_change.table_path
                END,
                v_change.laying;
        ELSIF v_change.replaced IS NOT NULL THEN
            RETURN QUERY SELECT
                v_change.path, 'create the archive of the new shape',
                format(
                    'CREATE TABLE %s (archived_at timestamptz NOT NULL, LIKE %s, PRIMARY KEY (%s))',
                    v_change.path, v_change.live_path, array_to_string(v_change.key_columns, ', ')
                )
                || CASE v_change.place WHEN 3 THEN format('; CREATE INDEX ON %s (archived_at, id)', v_change.path) ELSE '' END
                || coalesce(format('; ALTER TABLE %s ', v_change.path) || v_change.relaxations, '');
            RETURN QUERY SELECT
                v_change.path, format('move its %s rows', pg_temp.adoption_row_count(v_change.path)),
                format(
                    'INSERT INTO %s (%s) SELECT %2$s FROM %I.%I',
                    v_change.path, v_change.present, target, v_change.name || '_replaced'
                );
        END IF;

        IF v_change.replaced IS NOT NULL THEN
            RETURN QUERY
            SELECT v_change.path, kept.description, kept.statement
            FROM pg_temp.adoption_kept(
                v_change.named, v_change.path, is_table => v_change.laying IS NULL
            ) AS kept;
        END IF;
    END LOOP;

    -- The text of a view is read now, while the table still has its name.
    RETURN QUERY
    SELECT
        dependent.oid::regclass::text, 'let it read the new table or view',
        format(
            'CREATE OR REPLACE VIEW %s%s AS %s',
            dependent.oid::regclass,
            coalesce(' WITH (' || array_to_string(dependent.reloptions, ', ') || ')', ''),
            pg_get_viewdef(dependent.oid)
        )
    FROM pg_catalog.pg_class AS dependent
    WHERE
        dependent.relkind = 'v'
        AND dependent.oid IN (
            SELECT reading.reader FROM pg_temp.adoption_views() AS reading
            WHERE reading.relation = ANY(v_replaced)
        )
    ORDER BY dependent.oid;
    RETURN QUERY
    SELECT
        format('%I.%I', target, dropped.name), 'drop the renamed table',
        format('DROP TABLE %I.%I', target, dropped.name || '_replaced')
    FROM unnest(v_drops) AS dropped (name);
END;
$function$;
