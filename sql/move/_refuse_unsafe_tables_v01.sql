-- _refuse_unsafe_tables: the first step of a move that compares. Refuses what comparing cannot save.
--
-- A rule or an INSTEAD OF trigger runs other statements than the move's. Without the key of the
-- messages, a writer does not wait for the move. And a key from an archive to a live table acts on
-- the rows that the same move writes.
CREATE OR REPLACE FUNCTION _refuse_unsafe_tables()
RETURNS void
LANGUAGE plpgsql
STABLE
AS $function$
DECLARE
    v_found record;
BEGIN
    IF current_setting('session_replication_role') = 'replica' THEN
        RAISE EXCEPTION 'session_replication_role is replica, which switches foreign keys off'
            USING ERRCODE = 'AR006',
            HINT = 'Nothing was done. SET session_replication_role = origin, and try again.';
    END IF;

    SELECT
        chat.table_id::regclass AS table_name,
        chat.relation,
        holding.relkind NOT IN ('r', 'p') AS is_foreign,
        chat.depth > 0 AND NOT holding.relispartition AS inherits,
        (
            SELECT min(row_rule.rulename) FROM pg_catalog.pg_rewrite AS row_rule
            WHERE row_rule.ev_class IN (chat.relation, chat.table_id) AND row_rule.rulename <> '_RETURN'
        ) AS rule_name,
        (
            -- the bit of INSTEAD OF
            SELECT min(row_trigger.tgname) FROM pg_catalog.pg_trigger AS row_trigger
            WHERE row_trigger.tgrelid = chat.relation AND row_trigger.tgtype & 64 <> 0
        ) AS instead_of
    INTO v_found
    FROM _chat_tables() AS chat
    INNER JOIN pg_catalog.pg_class AS holding ON chat.table_id = holding.oid
    WHERE
        holding.relkind NOT IN ('r', 'p')
        OR (chat.depth > 0 AND NOT holding.relispartition)
        OR EXISTS (
            SELECT 1 FROM pg_catalog.pg_rewrite AS row_rule
            WHERE row_rule.ev_class IN (chat.relation, chat.table_id) AND row_rule.rulename <> '_RETURN'
        )
        OR EXISTS (
            SELECT 1 FROM pg_catalog.pg_trigger AS row_trigger
            WHERE row_trigger.tgrelid = chat.relation AND row_trigger.tgtype & 64 <> 0
        )
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '%', CASE
            WHEN v_found.is_foreign THEN format('%s is a foreign table', v_found.table_name)
            WHEN v_found.inherits THEN format(
                '%s inherits from %s and is no partition', v_found.table_name, v_found.relation
            )
            WHEN v_found.rule_name IS NOT NULL THEN format(
                'the rule %I on %s rewrites statements', v_found.rule_name, v_found.table_name
            )
            ELSE format('the INSTEAD OF trigger %I on %s takes rows', v_found.instead_of, v_found.relation)
        END
            USING ERRCODE = 'AR006',
            HINT = 'Nothing was done. The chat tables must be plain or partitioned tables without rules; '
                'SELECT * FROM archive_hazards() lists what else is in the way.';
    END IF;

    SELECT
        chat.table_id::regclass AS message_table,
        session_key.constraint_id
    INTO v_found
    FROM _chat_tables() AS chat
    LEFT JOIN _session_keys() AS session_key ON chat.table_id = session_key.message_table
    WHERE (chat.place, chat.kind) = ('live', 'message') AND session_key.is_enforced IS NOT TRUE
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '%', CASE
            WHEN v_found.constraint_id IS NULL
                THEN format('%s has no foreign key on session_id to the sessions', v_found.message_table)
            ELSE format('the foreign key of %s to the sessions is not enforced', v_found.message_table)
        END
            USING ERRCODE = 'AR006',
            HINT = 'Nothing was done. The key is what makes a new message wait for the move of its session: '
                'add it, or ALTER TABLE ... ENABLE TRIGGER ALL.';
    END IF;

    SELECT
        archive_key.conrelid::regclass AS archive,
        archive_key.conname AS name,
        archive_key.confrelid::regclass AS live
    INTO v_found
    FROM _chat_tables() AS child
    INNER JOIN pg_catalog.pg_constraint AS archive_key
        ON child.table_id = archive_key.conrelid AND archive_key.contype = 'f'
    INNER JOIN _chat_tables() AS parent ON archive_key.confrelid = parent.table_id
    WHERE child.place = 'archive' AND parent.place = 'live'
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the archive % refers to the live table % by %', v_found.archive, v_found.live, v_found.name
            USING ERRCODE = 'AR005',
            HINT = format(
                'Nothing was done. An archived row must not depend on a live one: ALTER TABLE %s DROP '
                'CONSTRAINT %I.', v_found.archive, v_found.name
            );
    END IF;
END;
$function$;

COMMENT ON FUNCTION _refuse_unsafe_tables() IS
'Internal to the moves: AR006 for rules, INSTEAD OF triggers and a missing key of the messages.';

REVOKE ALL ON FUNCTION _refuse_unsafe_tables() FROM public;
