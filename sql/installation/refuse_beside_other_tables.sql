-- Refuses an upgrade that would create empty chat tables beside those that hold the sessions.
--
-- aria_db.chat_tables is 'beside' where the caller wants that.
DO $installation$
DECLARE
    v_schema text;
BEGIN
    SELECT namespace.nspname INTO v_schema
    FROM pg_catalog.pg_class AS chat
    INNER JOIN pg_catalog.pg_namespace AS namespace ON chat.relnamespace = namespace.oid
    WHERE
        chat.relname IN ('chat_sessions', 'chat_messages')
        AND chat.relkind IN ('r', 'p')
        AND chat.relpersistence <> 't'
        AND to_regclass('engine_chat_sessions') IS NULL
        AND current_setting('aria_db.chat_tables', TRUE) IS DISTINCT FROM 'beside'
    GROUP BY namespace.nspname
    HAVING count(*) = 2
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'schema % has chat tables, which an upgrade alone would not use', v_schema
            USING ERRCODE = 'AR004',
            HINT = format(
                'Nothing was changed. `aria-db adopt %s --dry-run` says what it takes to archive '
                'in them; `aria-db upgrade --beside` creates other tables beside them.', v_schema
            );
    END IF;
END;
$installation$;
