-- Refuses an upgrade that would use empty chat tables beside those that hold the sessions.
--
-- The upgrade would create the empty tables, or the application has created them under the names of
-- aria-db. aria_db.chat_tables is 'beside' if the caller wants that, and 'adopt' if an adoption has
-- checked already. pg_temp.rows_in_words must be there.
DO $installation$
DECLARE
    v_found record;
    v_named oid := to_regclass('engine_chat_sessions');
BEGIN
    SELECT
        min(namespace.nspname) FILTER (WHERE chat.relname = 'chat_sessions') AS source,
        string_agg(
            format(
                '%I.%I (%s)', namespace.nspname, chat.relname, pg_temp.rows_in_words(chat.oid)
            ),
            ', ' ORDER BY namespace.nspname
        ) AS described,
        bool_or(chat.oid = v_named) AS is_named
    INTO v_found
    FROM pg_catalog.pg_class AS chat
    INNER JOIN pg_catalog.pg_namespace AS namespace ON chat.relnamespace = namespace.oid
    WHERE
        chat.relkind IN ('r', 'p')
        AND chat.relpersistence <> 't'
        AND (
            (
                chat.relname = 'chat_sessions'
                AND EXISTS (
                    SELECT 1 FROM pg_catalog.pg_class AS message
                    WHERE
                        message.relname = 'chat_messages'
                        AND message.relnamespace = chat.relnamespace
                        AND message.relkind IN ('r', 'p')
                )
            )
            OR (
                chat.oid = v_named
                AND (obj_description(chat.oid, 'pg_class') LIKE '% Created by aria-db.') IS NOT TRUE
            )
        )
        AND coalesce(current_setting('aria_db.chat_tables', TRUE), '') NOT IN ('beside', 'adopt')
    -- tables under the names of aria-db are a second set only beside a chat_sessions
    HAVING bool_or(chat.relname = 'chat_sessions') AND (v_named IS NULL OR bool_or(chat.oid = v_named));
    IF FOUND THEN
        RAISE EXCEPTION 'there are chat tables that an upgrade alone would not use: %', v_found.described
            USING ERRCODE = 'AR004',
            HINT = format(
                'Nothing was changed. `aria-db adopt %s --dry-run` says what it takes to archive in them; '
                '`aria-db upgrade --beside` %s.',
                quote_ident(v_found.source),
                CASE WHEN v_found.is_named THEN 'uses ' || v_named::regclass ELSE 'creates other tables beside them' END
            );
    END IF;
END;
$installation$;
