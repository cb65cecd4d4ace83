-- Refuses an installation in a schema in which somebody else may create objects.
--
-- Before PostgreSQL 15 everybody could create objects in public. A database that was upgraded or restored
-- since then still allows it.
DO $installation$
DECLARE
    v_schema text;
    v_creators text;
    v_owners text;
    v_is_own boolean;
BEGIN
    SELECT
        min(creator.schema_name),
        string_agg(creator.grantee, ', '),
        string_agg(creator.grantee, ', ') FILTER (WHERE creator.role_id IN (
            SELECT chat.relowner FROM pg_catalog.pg_class AS chat
            INNER JOIN _chat_tables() AS chat_table ON chat.oid = chat_table.table_id
            WHERE chat_table.place = 'live'
        )),
        obj_description(to_regclass('engine_chat_sessions'), 'pg_class') ~ '(Created|Laid) by aria-db'
    INTO v_schema, v_creators, v_owners, v_is_own
    FROM _schema_creators() AS creator;
    IF v_creators IS NOT NULL THEN
        RAISE EXCEPTION '% may create objects in schema %', v_creators, v_schema
            USING ERRCODE = 'AR004',
            DETAIL = 'The functions run as their owner, and would run an operator or a function that somebody '
                'else creates there.',
            HINT = 'Nothing was changed. REVOKE CREATE ON SCHEMA ' || v_schema || ' FROM ' || v_creators
                || coalesce('; or run this as ' || v_owners || ', who owns the chat tables', '')
                -- tables of the application in this schema would not be found from another one
                || CASE
                    WHEN v_is_own THEN '; or use a schema of its own: --schema aria_db (of alembic: -x schema=aria_db)'
                    ELSE ''
                END
                || '.';
    END IF;
END;
$installation$;
