-- _chat_tables: the tables that hold chat rows, a row per table.
--
-- relation is one of the four names; table_id is the table that holds its rows: the relation itself,
-- the table that a view shows, or one of the tables that inherit from it, partitions among them.
-- session_key is the column with the id of the session. The callers have pinned the search path.
CREATE OR REPLACE FUNCTION _chat_tables()
RETURNS TABLE (place text, kind text, session_key name, relation regclass, table_id oid, depth integer)
LANGUAGE plpgsql
STABLE
ROWS 4
AS $function$
BEGIN
    RETURN QUERY
    WITH RECURSIVE
    named (place, kind, session_key, relation) AS (
        VALUES
        ('live', 'session', 'id'::name, 'engine_chat_sessions'::regclass),
        ('live', 'message', 'session_id', 'engine_chat_messages'),
        ('archive', 'session', 'id', 'engine_chat_session_archive'),
        ('archive', 'message', 'session_id', 'engine_chat_message_archive')
    ),

    holding AS (
        SELECT
            named.place,
            named.kind,
            named.session_key,
            named.relation,
            beneath.table_id,
            0 AS depth
        FROM named
        INNER JOIN _table_beneath AS beneath ON named.relation = beneath.relation
        UNION ALL
        SELECT
            holding.place,
            holding.kind,
            holding.session_key,
            holding.relation,
            child.inhrelid,
            holding.depth + 1
        FROM holding
        INNER JOIN pg_catalog.pg_inherits AS child ON holding.table_id = child.inhparent
    )

    SELECT * FROM holding;
END;
$function$;

COMMENT ON FUNCTION _chat_tables() IS
'Internal: the tables that hold chat rows: those of the four names, beneath views, and partitions.';

REVOKE ALL ON FUNCTION _chat_tables() FROM public;
