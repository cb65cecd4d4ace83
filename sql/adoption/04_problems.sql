-- adoption_problems: why tables cannot be adopted as they are, and what to do about it.
CREATE OR REPLACE FUNCTION pg_temp.adoption_problems(layout text, source text, target text)
RETURNS TABLE (object text, problem text, remedy text)
LANGUAGE sql
STABLE
AS $function$
    WITH
    chat_tables AS (
        SELECT * FROM pg_temp.adoption_tables(layout, source, target)
    ),

    -- What the functions and views read. Any numeric type will do, and any type for text.
    needed_columns (table_name, column_name, type_name) AS (
        SELECT
            needed_table.key,
            needed_column.key,
            needed_column.value
        FROM jsonb_each(
            '{
                "engine_chat_sessions": {
                    "id": "uuid", "agent_id": "varchar", "session_type": "varchar",
                    "title": "varchar", "system_prompt": "text", "model": "varchar",
                    "temperature": "float8", "max_tokens": "int4", "context_window": "int4",
                    "status": "varchar", "message_count": "int4", "total_tokens": "int4",
                    "total_cost": "numeric", "metadata": "jsonb", "created_at": "timestamptz",
                    "updated_at": "timestamptz", "ended_at": "timestamptz"
                },
                "engine_chat_messages": {
                    "id": "uuid", "session_id": "uuid", "agent_id": "varchar", "role": "varchar",
                    "content": "text", "thinking": "text", "tool_calls": "jsonb",
                    "tool_results": "jsonb", "model": "varchar", "tokens_input": "int4",
                    "tokens_output": "int4", "cost": "numeric", "latency_ms": "int4",
                    "metadata": "jsonb", "created_at": "timestamptz"
                },
                "engine_chat_session_archive": {"archived_at": "timestamptz"},
                "engine_chat_message_archive": {"archived_at": "timestamptz"}
            }'::jsonb
        ) AS needed_table
        CROSS JOIN LATERAL jsonb_each_text(needed_table.value) AS needed_column
    ),

    columns AS (
        SELECT
            attrelid AS table_id,
            attname::text AS column_name,
            atttypid AS type_id,
            atttypmod AS type_modifier,
            format_type(atttypid, atttypmod) AS type_name,
            attnum
        FROM pg_catalog.pg_attribute
        WHERE attnum > 0 AND NOT attisdropped
    )

    -- privileges

    SELECT
        source,
        format('role %I may not use the schema', current_user),
        'Run this as the role that owns the chat tables.'
    WHERE NOT has_schema_privilege(source, 'USAGE')
    UNION ALL
    SELECT
        target,
        format('role %I may not create anything in the schema', current_user),
        format('GRANT USAGE, CREATE ON SCHEMA %I TO %I, or run this as another role.', target, current_user)
    WHERE
        CASE
            WHEN to_regnamespace(quote_ident(target)) IS NULL
                THEN NOT has_database_privilege(current_database(), 'CREATE')
            ELSE NOT has_schema_privilege(target, 'CREATE')
        END
    UNION ALL
    SELECT
        source,
        format('role %I may not create the archive tables in the schema', current_user),
        format('GRANT CREATE ON SCHEMA %I TO %I, or run this as another role.', source, current_user)
    WHERE
        EXISTS (SELECT 1 FROM chat_tables WHERE chat_tables.chat IS NULL)
        AND NOT has_schema_privilege(source, 'CREATE')
    UNION ALL
    SELECT
        chat_tables.table_path,
        format('role %I may not refer to it', current_user),
        format('GRANT REFERENCES ON %s TO %I, or run this as another role.', chat_tables.table_path, current_user)
    FROM chat_tables
    WHERE
        layout = 'A'
        AND chat_tables.place = 3
        AND NOT has_table_privilege(chat_tables.chat, 'REFERENCES')
        AND EXISTS (SELECT 1 FROM chat_tables AS messages WHERE messages.place = 4 AND messages.chat IS NULL)
    UNION ALL
    SELECT
        chat_tables.table_path,
        format('role %I may not %s', current_user, string_agg(needed.privilege, ', ')),
        'Run this as the role that owns the chat tables.'
    FROM chat_tables
    CROSS JOIN unnest('{SELECT, INSERT, UPDATE, DELETE}'::text []) AS needed (privilege)
    WHERE chat_tables.chat IS NOT NULL AND NOT has_table_privilege(chat_tables.chat, needed.privilege)
    GROUP BY chat_tables.table_path

    -- columns

    UNION ALL
    SELECT
        chat_tables.table_path,
        CASE
            WHEN columns.column_name IS NULL
                THEN format('has no column %s %s', needed_columns.column_name, wanted.typname)
            ELSE format(
                'has %s in %s, where aria-db needs %s',
                columns.type_name, columns.column_name, wanted.typname
            )
        END,
        'Add the column, or change its type: aria-db reads the columns that its SQL reference lists.'
    FROM chat_tables
    INNER JOIN needed_columns ON chat_tables.name = needed_columns.table_name
    INNER JOIN pg_catalog.pg_type AS wanted
        ON wanted.oid = needed_columns.type_name::regtype
    LEFT JOIN columns
        ON chat_tables.chat = columns.table_id AND needed_columns.column_name = columns.column_name
    LEFT JOIN pg_catalog.pg_type AS found ON columns.type_id = found.oid
    WHERE
        chat_tables.chat IS NOT NULL
        AND (
            found.oid = wanted.oid
            OR (wanted.typcategory IN ('N', 'S') AND found.typcategory = wanted.typcategory)
            OR (wanted.typname, found.typname) = ('jsonb', 'json')
        ) IS NOT TRUE
    UNION ALL
    SELECT
        chat_tables.table_path,
        format(
            'has %s in %s, and %s has %s',
            columns.type_name, columns.column_name, chat_tables.live_path, live_columns.type_name
        ),
        'A session must be archived as it is: give both columns the same type.'
    FROM chat_tables
    INNER JOIN columns ON chat_tables.chat = columns.table_id
    INNER JOIN columns AS live_columns
        ON chat_tables.live = live_columns.table_id AND columns.column_name = live_columns.column_name
    WHERE
        (columns.type_id, columns.type_modifier) <> (live_columns.type_id, live_columns.type_modifier)
    UNION ALL
    SELECT
        chat_tables.table_path,
        format('has a column %s, and %s has none', columns.column_name, chat_tables.live_path),
        'A session that is restored would lose it: add it to the live table, or drop it here.'
    FROM chat_tables
    INNER JOIN columns ON chat_tables.chat = columns.table_id
    LEFT JOIN columns AS live_columns
        ON chat_tables.live = live_columns.table_id AND columns.column_name = live_columns.column_name
    WHERE
        chat_tables.live IS NOT NULL
        AND columns.column_name <> 'archived_at'
        AND live_columns.column_name IS NULL

    -- what a move relies on

    UNION ALL
    SELECT
        chat_tables.table_path,
        'is not a table',
        'Rename it, so that a table can have the name.'
    FROM chat_tables
    WHERE chat_tables.chat_kind NOT IN ('r', 'p')
    UNION ALL
    SELECT
        chat_tables.table_path,
        format('has no unique index on %s', array_to_string(chat_tables.key_columns, ', ')),
        CASE chat_tables.chat_kind
            WHEN 'p' THEN 'A row could be in it twice. A partitioned table can have such an index only if it is '
                'partitioned by these columns: partition it by HASH (' || chat_tables.key_columns[1] || '), or use a '
                'plain table.'
            ELSE 'A row could be in it twice: give it a primary key.'
        END
    FROM chat_tables
    WHERE
        chat_tables.chat_kind IN ('r', 'p')
        AND NOT EXISTS (
            SELECT 1 FROM pg_catalog.pg_index AS key_index
            WHERE
                key_index.indrelid = chat_tables.chat
                AND key_index.indisunique
                AND key_index.indisvalid
                AND key_index.indpred IS NULL
                AND key_index.indexprs IS NULL
                AND ARRAY(
                    SELECT columns.column_name
                    FROM columns
                    WHERE
                        columns.table_id = key_index.indrelid
                        AND columns.attnum = ANY(key_index.indkey [0:key_index.indnkeyatts - 1])
                ) <@ chat_tables.key_columns
        )
    UNION ALL
    SELECT
        chat_tables.table_path,
        'is unlogged: a crash of the server empties it',
        format('ALTER TABLE %s SET LOGGED.', chat_tables.table_path)
    FROM chat_tables
    INNER JOIN pg_catalog.pg_class AS holding ON chat_tables.chat = holding.oid
    WHERE holding.relpersistence = 'u'
    UNION ALL
    SELECT
        messages.table_path,
        format('has no foreign key from session_id to %s', sessions.table_path),
        'A message could be written to a session on its way into the archive: add the foreign key '
        '(NOT VALID where old rows contradict it).'
    FROM chat_tables AS messages
    INNER JOIN chat_tables AS sessions ON messages.place = 2 AND sessions.place = 1
    WHERE
        NOT EXISTS (
            SELECT 1 FROM pg_catalog.pg_constraint AS foreign_key
            INNER JOIN columns
                ON
                    foreign_key.conrelid = columns.table_id
                    AND foreign_key.conkey = ARRAY[columns.attnum]
            WHERE
                foreign_key.conrelid = messages.chat
                AND foreign_key.confrelid = sessions.chat
                AND foreign_key.contype = 'f'
                AND columns.column_name = 'session_id'
                -- since PostgreSQL 18 one may be there and not be enforced
                AND coalesce((to_jsonb(foreign_key) ->> 'conenforced')::boolean, TRUE)
        );
$function$;
