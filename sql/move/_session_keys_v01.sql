-- _session_keys: the foreign keys by which messages refer to their session, with whether they work.
--
-- Those of the live tables and of the archives, of partitions too. The triggers of a key can be
-- switched off: ALTER TABLE ... DISABLE TRIGGER ALL.
CREATE OR REPLACE FUNCTION _session_keys()
RETURNS TABLE (constraint_id oid, place text, message_table oid, is_enforced boolean)
LANGUAGE plpgsql
STABLE
ROWS 2
AS $function$
BEGIN
    RETURN QUERY
    WITH
    chat AS MATERIALIZED (SELECT * FROM _chat_tables())

    SELECT
        message_key.oid AS constraint_id,
        message.place,
        message.table_id AS message_table,
        -- PostgreSQL 18 knows keys that are not enforced.
        to_jsonb(message_key) ->> 'conenforced' IS DISTINCT FROM 'false'
        AND NOT EXISTS (
            SELECT 1 FROM pg_catalog.pg_trigger AS key_trigger
            WHERE key_trigger.tgconstraint = message_key.oid AND key_trigger.tgenabled NOT IN ('O', 'A')
        ) AS is_enforced
    FROM chat AS message
    INNER JOIN pg_catalog.pg_constraint AS message_key
        ON message.table_id = message_key.conrelid AND message_key.contype = 'f'
    INNER JOIN chat AS session
        ON
            message_key.confrelid = session.table_id
            AND session.kind = 'session'
            AND message.place = session.place
    INNER JOIN pg_catalog.pg_attribute AS key_column
        ON
            message_key.conrelid = key_column.attrelid
            AND message_key.conkey = ARRAY[key_column.attnum]
            AND key_column.attname = 'session_id'
    INNER JOIN pg_catalog.pg_attribute AS session_column
        ON
            message_key.confrelid = session_column.attrelid
            AND message_key.confkey = ARRAY[session_column.attnum]
            AND session_column.attname = 'id'
    WHERE message.kind = 'message';
END;
$function$;

COMMENT ON FUNCTION _session_keys() IS
'Internal: the foreign keys by which messages refer to their session, with whether they are enforced.';

REVOKE ALL ON FUNCTION _session_keys() FROM public;
