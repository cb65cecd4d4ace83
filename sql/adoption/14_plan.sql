-- adoption_plan: what it takes to archive in a database that has chat tables already.
--
-- One row per finding, of a kind:
--   layout, source   which layout was found, and in which schema
--   untouched        what stays as it is
--   advice           what would help and is not needed, with a statement where there is one
--   problem          why the database cannot be adopted as it is, and the remedy
--   lock, step       what 15_adopt.sql executes, in this order
CREATE OR REPLACE FUNCTION pg_temp.adoption_plan(wanted_source text, target text)
RETURNS TABLE (kind text, object text, description text, remedy text, statement text)
LANGUAGE plpgsql
AS $function$
DECLARE
    v_found record;
BEGIN
    SELECT * INTO v_found FROM pg_temp.adoption_layout(wanted_source, target);
    IF v_found.layout IS NULL THEN
        RETURN QUERY SELECT
            'problem',
            coalesce(v_found.source, current_database()),
            CASE
                WHEN v_found.source IS NOT NULL THEN 'the schema has no tables chat_sessions and chat_messages'
                WHEN v_found.candidates <> '{}'
                    THEN 'there are several sets of chat tables: ' || array_to_string(v_found.described, ', ')
                ELSE 'there are no chat tables'
            END,
            CASE
                WHEN v_found.candidates <> '{}'
                    THEN format(
                        'Say which: `aria-db adopt %s` (with Alembic, `-x adopt=SCHEMA`).',
                        array_to_string(v_found.candidates, '` or `aria-db adopt ')
                    )
                ELSE 'There is nothing to adopt: aria-db upgrade creates tables.'
            END,
            NULL;
        RETURN;
    END IF;

    RETURN QUERY SELECT
        'layout', v_found.layout,
        CASE v_found.layout
            WHEN 'A' THEN 'the application''s chat_sessions and chat_messages'
            ELSE 'engine_chat_sessions and engine_chat_messages, under the names of aria-db'
        END,
        NULL, NULL;
    RETURN QUERY SELECT
        'source', v_found.source,
        format('the tables are in %I, the functions and views go into %I', v_found.source, target), NULL, NULL;
    RETURN QUERY
    SELECT
        'untouched', chat_table.table_path,
        'keeps its name, columns, indexes and rows; is not scanned, and its readers and writers do not wait',
        NULL, NULL
    FROM pg_temp.adoption_tables(v_found.layout, v_found.source, target) AS chat_table
    WHERE chat_table.live IS NULL
    UNION ALL
    SELECT
        'untouched', format('%I.%I', namespace.nspname, versions.relname),
        'the application''s own migrations work as before', NULL, NULL
    FROM pg_catalog.pg_class AS versions
    INNER JOIN pg_catalog.pg_namespace AS namespace ON versions.relnamespace = namespace.oid
    WHERE versions.relname = 'alembic_version' AND versions.relkind = 'r';

    RETURN QUERY
    SELECT 'problem', found.object, found.problem, found.remedy, NULL
    FROM pg_temp.adoption_problems(v_found.layout, v_found.source, target) AS found;
    IF FOUND THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT 'problem', found.object, found.problem, found.remedy, NULL
    FROM pg_temp.adoption_obstacles(v_found.layout, v_found.source, target) AS found;
    RETURN QUERY
    SELECT 'lock', lock.object, lock.description, NULL, lock.statement
    FROM pg_temp.adoption_locks(v_found.layout, v_found.source, target) AS lock;
    RETURN QUERY
    SELECT 'step', step.object, step.description, NULL, step.statement
    FROM pg_temp.adoption_steps(v_found.layout, v_found.source, target) AS step;
    RETURN QUERY
    SELECT 'advice', advice.object, advice.description, NULL, advice.statement
    FROM pg_temp.adoption_advice(v_found.layout, v_found.source, target) AS advice;
END;
$function$;
