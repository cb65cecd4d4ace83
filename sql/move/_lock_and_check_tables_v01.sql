-- _lock_and_check_tables: inside every move, its first step.
--
-- Locks the four tables against ALTER TABLE until the transaction ends, then
-- refuses to go on (AR002) if a column would not be moved faithfully. In this
-- order: a column that is added between a check and a lock would be missed.
-- archive_column_drift() is asked only where something differs at first sight: it takes
-- three times as long to say that all is well.
--
-- Returns whether nothing of others acts on the tables (_are_tables_plain, asked only where something
-- differs at first sight). Where something does, the caller compares. What cannot be compared is refused,
-- the tables that hang on chat rows are locked, and deferred constraints are checked at once from here on.
-- is_move false: rows are deleted for good, and their columns need not fit.
-- No SET clause of its own: the callers have pinned the search path.
CREATE OR REPLACE FUNCTION _lock_and_check_tables(is_move boolean DEFAULT TRUE)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
AS $function$
DECLARE
    v_drift record;
    v_are_different boolean;
    v_is_plain boolean;
BEGIN
    LOCK TABLE
        engine_chat_sessions,
        engine_chat_messages,
        engine_chat_session_archive,
        engine_chat_message_archive
    IN ROW EXCLUSIVE MODE;

    -- A stricter level than READ COMMITTED shows the catalogue as of the caller's snapshot,
    -- and would compare columns that are not those of now. has_column_privilege does look
    -- at now, and gives null for a column that is not there. Of a view, the table beneath
    -- it is looked at as well.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        IF
            EXISTS (
                WITH
                chat_relations (id) AS (
                    VALUES
                    ('engine_chat_sessions'::regclass::oid),
                    ('engine_chat_messages'::regclass),
                    ('engine_chat_session_archive'::regclass),
                    ('engine_chat_message_archive'::regclass)
                )

                SELECT 1
                FROM pg_catalog.pg_attribute AS chat_column
                WHERE
                    -- an array: of a join, the plan of an EXISTS would read every column there is
                    chat_column.attrelid = ANY(
                        ARRAY(
                            SELECT chat_relations.id
                            FROM chat_relations
                            UNION ALL
                            SELECT beneath.table_id
                            FROM chat_relations
                            INNER JOIN _table_beneath AS beneath ON chat_relations.id = beneath.relation
                        )
                    )
                    AND chat_column.attnum > 0
                GROUP BY chat_column.attrelid
                HAVING
                    bool_or(
                        NOT chat_column.attisdropped
                        AND has_column_privilege(chat_column.attrelid, chat_column.attnum, 'SELECT') IS NULL
                    )
                    OR has_column_privilege(
                        chat_column.attrelid, (max(chat_column.attnum) + 1)::smallint, 'SELECT'
                    ) IS NOT NULL
            )
        THEN
            RAISE EXCEPTION 'the columns of the chat tables have changed since this transaction began'
                USING ERRCODE = 'serialization_failure',
                HINT = 'Nothing was moved. Try again in a new transaction.';
        END IF;
    END IF;

    -- One look at the catalogue, because each archive takes it: whether the columns of both tables are
    -- the same, and whether these are four plain tables, of which the live ones have the two triggers that
    -- the messages' key on session_id makes on each, and the archives none.
    SELECT
        (
            SELECT bool_or(pairs.are_different)
            FROM (
                SELECT
                    ARRAY[('archived_at'::name, 'timestamptz'::regtype::oid, -1)] || ARRAY(
                        SELECT (live_column.attname, live_column.atttypid, live_column.atttypmod)
                        FROM pg_catalog.pg_attribute AS live_column
                        WHERE
                            live_column.attrelid = table_pairs.live
                            AND live_column.attnum > 0
                            AND NOT live_column.attisdropped
                        ORDER BY live_column.attnum
                    )
                    <> ARRAY(
                        SELECT (archive_column.attname, archive_column.atttypid, archive_column.atttypmod)
                        FROM pg_catalog.pg_attribute AS archive_column
                        WHERE
                            archive_column.attrelid = table_pairs.archive
                            AND archive_column.attnum > 0
                            AND NOT archive_column.attisdropped
                        ORDER BY archive_column.attnum
                    ) AS are_different
                FROM (
                    VALUES
                    ('engine_chat_sessions'::regclass, 'engine_chat_session_archive'::regclass),
                    ('engine_chat_messages'::regclass, 'engine_chat_message_archive'::regclass)
                ) AS table_pairs (live, archive)
            ) AS pairs
        ),
        current_setting('session_replication_role') <> 'replica'
        AND bool_and(
            chat.relkind = 'r'
            AND NOT chat.relhasrules
            AND NOT chat.relhassubclass
            AND (
                key_trigger.oid IS NULL
                OR key_trigger.tgisinternal
                AND key_trigger.tgenabled = 'O'
                AND NOT key_trigger.tgdeferrable
                AND (chat.oid, key_trigger.tgconstrrelid) IN (
                    ('engine_chat_sessions'::regclass, 'engine_chat_messages'::regclass),
                    ('engine_chat_messages'::regclass, 'engine_chat_sessions'::regclass)
                )
            )
        )
        -- All four triggers belong to one key, and that key is on session_id. On the messages, it has one
        -- for INSERT (tgtype & 4).
        AND count(key_trigger.oid) = 4
        AND min(key_trigger.tgconstraint) = max(key_trigger.tgconstraint)
        AND min(pg_get_constraintdef(key_trigger.tgconstraint)) FILTER (
            WHERE chat.oid = 'engine_chat_messages'::regclass AND key_trigger.tgtype & 4 <> 0
        ) LIKE 'FOREIGN KEY (session_id) %'
    INTO v_are_different, v_is_plain
    FROM pg_catalog.pg_class AS chat
    LEFT JOIN pg_catalog.pg_trigger AS key_trigger ON chat.oid = key_trigger.tgrelid
    WHERE
        chat.oid = ANY(
            ARRAY[
                'engine_chat_sessions'::regclass,
                'engine_chat_messages'::regclass,
                'engine_chat_session_archive'::regclass,
                'engine_chat_message_archive'::regclass
            ]
        );

    -- Of a view, the table beneath it is looked at as well.
    IF is_move AND (v_are_different OR NOT v_is_plain) THEN
        SELECT * INTO v_drift FROM archive_column_drift() LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'column %.% %', v_drift.live_table, v_drift.column_name, v_drift.problem
                USING ERRCODE = 'AR002',
                HINT = 'Nothing was moved. ' || CASE
                    WHEN
                        EXISTS (
                            SELECT 1 FROM pg_catalog.pg_class AS chat
                            WHERE chat.oid = 'engine_chat_sessions'::regclass AND chat.relkind = 'v'
                        )
                        THEN 'Run `aria-db adopt` again: it gives the archives and the views what the tables have.'
                    ELSE 'Give the archive archived_at first and then the columns of the live table in their order.'
                END || ' SELECT * FROM archive_column_drift() lists every difference.';
        END IF;
    END IF;

    IF v_is_plain OR _are_tables_plain() THEN
        RETURN TRUE;
    END IF;

    PERFORM _lock_dependent_tables();
    PERFORM _refuse_unsafe_tables();
    PERFORM _set_constraints(TRUE);
    RETURN FALSE;
END;
$function$;

COMMENT ON FUNCTION _lock_and_check_tables(boolean) IS
'Internal to the moves: locks the chat tables, raises AR002 on column drift, tells whether to compare.';

REVOKE ALL ON FUNCTION _lock_and_check_tables(boolean) FROM public;
