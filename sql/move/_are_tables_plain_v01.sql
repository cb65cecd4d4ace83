-- _are_tables_plain: whether nothing but the key of the messages acts on the chat tables.
--
-- True: what a statement deletes from one place and inserts into the other is what gets there, and
-- no row of another table changes. False: a trigger, a rule or a foreign key of somebody else is
-- there, a key is deferrable or switched off, or rows are in tables of another kind; the moves then
-- compare. _lock_and_check_tables asks here only where aria-db's own tables look different at first
-- sight.
CREATE OR REPLACE FUNCTION _are_tables_plain()
RETURNS boolean
LANGUAGE plpgsql
STABLE
AS $function$
BEGIN
    IF current_setting('session_replication_role') = 'replica' THEN
        RETURN FALSE;
    END IF;

    RETURN
        NOT EXISTS (
            WITH
            chat AS MATERIALIZED (SELECT * FROM _chat_tables()),

            session_keys AS MATERIALIZED (SELECT * FROM _session_keys())

            SELECT 1
            FROM chat
            INNER JOIN pg_catalog.pg_class AS holding ON chat.table_id = holding.oid
            WHERE
                holding.relkind NOT IN ('r', 'p')
                -- of a child that is no partition, the key of its parent does not hold
                OR (chat.depth > 0 AND NOT holding.relispartition)
                OR EXISTS (
                    SELECT 1 FROM pg_catalog.pg_rewrite AS row_rule
                    WHERE row_rule.ev_class IN (chat.relation, chat.table_id) AND row_rule.rulename <> '_RETURN'
                )
                OR EXISTS (
                    SELECT 1 FROM pg_catalog.pg_trigger AS row_trigger
                    WHERE
                        row_trigger.tgrelid IN (chat.relation, chat.table_id)
                        AND (
                            row_trigger.tgdeferrable
                            OR row_trigger.tgconstraint NOT IN (
                                SELECT session_keys.constraint_id FROM session_keys WHERE session_keys.is_enforced
                            )
                        )
                )
                OR (
                    (chat.place, chat.kind) = ('live', 'message')
                    AND chat.table_id NOT IN (SELECT session_keys.message_table FROM session_keys)
                )
        );
END;
$function$;

COMMENT ON FUNCTION _are_tables_plain() IS
'Internal to the moves: whether no trigger, rule or foreign key of others acts on the chat tables.';

REVOKE ALL ON FUNCTION _are_tables_plain() FROM public;
