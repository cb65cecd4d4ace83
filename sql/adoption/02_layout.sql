-- adoption_layout: which layout of the chat tables there is, and in which schema.
--
-- A: the application's chat_sessions and chat_messages, in a schema of its own.
-- B: tables under the names of aria-db, in the target schema.
-- null: there are none, or several sets and the caller named none. candidates lists the schemas that
-- have chat tables of an application; described has the name and the size of each set.
CREATE OR REPLACE FUNCTION pg_temp.adoption_layout(wanted_source text, target text)
RETURNS TABLE (layout text, source text, candidates text[], described text[])
LANGUAGE sql
STABLE
AS $function$
    WITH
    tables AS (
        SELECT
            namespace.nspname::text AS schema_name,
            chat.relname,
            chat.oid
        FROM pg_catalog.pg_class AS chat
        INNER JOIN pg_catalog.pg_namespace AS namespace ON chat.relnamespace = namespace.oid
        WHERE chat.relkind IN ('r', 'p') AND chat.relpersistence <> 't'
    ),

    schemas_of_a AS (
        SELECT
            tables.schema_name,
            min(tables.oid) FILTER (WHERE tables.relname = 'chat_sessions') AS sessions
        FROM tables
        WHERE tables.relname IN ('chat_sessions', 'chat_messages')
        GROUP BY tables.schema_name
        HAVING count(*) = 2
    ),

    schema_of_b AS (
        SELECT
            tables.schema_name,
            min(tables.oid) FILTER (WHERE tables.relname = 'engine_chat_sessions') AS sessions,
            -- not those that an upgrade creates where it finds none
            bool_or(
                (obj_description(tables.oid, 'pg_class') LIKE '% Created by aria-db.') IS NOT TRUE
            ) AS is_of_application
        FROM tables
        WHERE
            tables.schema_name = target
            AND tables.relname IN ('engine_chat_sessions', 'engine_chat_messages')
        GROUP BY tables.schema_name
        HAVING count(*) = 2
    ),

    -- where an adoption has laid a view before
    adopted_schema AS (
        SELECT tables.schema_name
        FROM pg_catalog.pg_class AS laid
        INNER JOIN pg_temp.adoption_views() AS reading ON laid.oid = reading.reader
        INNER JOIN tables ON reading.relation = tables.oid AND tables.relname = 'chat_sessions'
        WHERE
            laid.relname = 'engine_chat_sessions'
            AND laid.relnamespace = to_regnamespace(quote_ident(target))
        LIMIT 1
    ),

    candidates AS (
        SELECT
            chat.schema_name,
            format('%I.%I (%s)', chat.schema_name, chat.table_name, pg_temp.rows_in_words(chat.table_id))
                AS description
        FROM (
            SELECT schemas_of_a.schema_name, 'chat_sessions', schemas_of_a.sessions FROM schemas_of_a
            UNION ALL
            SELECT schema_of_b.schema_name, 'engine_chat_sessions', schema_of_b.sessions FROM schema_of_b
            WHERE schema_of_b.is_of_application
        ) AS chat (schema_name, table_name, table_id)
    ),

    chosen AS (
        SELECT
            coalesce(
                wanted_source,
                (SELECT adopted_schema.schema_name FROM adopted_schema),
                (SELECT min(candidates.schema_name) FROM candidates HAVING count(*) = 1),
                (
                    SELECT schema_of_b.schema_name FROM schema_of_b
                    WHERE NOT EXISTS (SELECT 1 FROM candidates)
                )
            ) AS schema_name
    )

    SELECT
        CASE
            WHEN chosen.schema_name IN (SELECT schemas_of_a.schema_name FROM schemas_of_a) THEN 'A'
            WHEN chosen.schema_name IN (SELECT schema_of_b.schema_name FROM schema_of_b) THEN 'B'
        END,
        chosen.schema_name,
        ARRAY(SELECT candidates.schema_name FROM candidates ORDER BY candidates.schema_name),
        ARRAY(SELECT candidates.description FROM candidates ORDER BY candidates.schema_name)
    FROM chosen;
$function$;
