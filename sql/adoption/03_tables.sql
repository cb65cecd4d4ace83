-- adoption_tables: the four chat tables of a layout, one row each.
--
-- In the order in which the moves lock them, so that an adoption that waits for a lock is in
-- no deadlock with a move.
CREATE OR REPLACE FUNCTION pg_temp.adoption_tables(layout text, source text, target text)
RETURNS TABLE (
    place integer,
    -- the name that the functions use, and what has it now, if anything
    name text, path text, named oid, named_kind text,
    -- the table beneath; null where it is missing
    table_path text, chat oid, chat_kind text,
    -- of an archive: its live table
    live_path text, live oid,
    key_columns text[]
)
LANGUAGE sql
STABLE
AS $function$
    SELECT
        known.place,
        known.name,
        format('%I.%I', target, known.name),
        named.oid,
        named.relkind::text,
        format('%I.%I', source, here.table_name),
        chat.oid,
        chat.relkind::text,
        quote_ident(source) || '.' || quote_ident(here.live_name),
        live.oid,
        known.key_columns::text[]
    FROM (
        VALUES
        (1, 'engine_chat_sessions', 'chat_sessions', NULL, NULL, '{id}'),
        (2, 'engine_chat_messages', 'chat_messages', NULL, NULL, '{session_id, id}'),
        (
            3, 'engine_chat_session_archive', 'chat_sessions_archive',
            'engine_chat_sessions', 'chat_sessions', '{id}'
        ),
        (
            4, 'engine_chat_message_archive', 'chat_messages_archive',
            'engine_chat_messages', 'chat_messages', '{session_id, id}'
        )
    ) AS known (place, name, name_in_a, live_name, live_name_in_a, key_columns)
    CROSS JOIN LATERAL (
        SELECT
            CASE layout WHEN 'A' THEN known.name_in_a ELSE known.name END AS table_name,
            CASE layout WHEN 'A' THEN known.live_name_in_a ELSE known.live_name END AS live_name
    ) AS here
    LEFT JOIN pg_catalog.pg_class AS named
        ON known.name = named.relname AND named.relnamespace = to_regnamespace(quote_ident(target))
    LEFT JOIN pg_catalog.pg_class AS chat
        ON here.table_name = chat.relname AND chat.relnamespace = to_regnamespace(quote_ident(source))
    LEFT JOIN pg_catalog.pg_class AS live
        ON here.live_name = live.relname AND live.relnamespace = to_regnamespace(quote_ident(source));
$function$;
