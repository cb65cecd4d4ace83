-- _lock_and_check_tables: inside every move, its first step.
--
-- Locks the four tables against ALTER TABLE until the transaction ends, then
-- refuses to go on (AR002) if a column would not be moved faithfully. In this
-- order: a column that is added between a check and a lock would be missed.
-- archive_column_drift() is asked only where something differs at first sight: it takes
-- three times as long to say that all is well.
-- No SET clause of its own: the callers have pinned the search path.
CREATE OR REPLACE FUNCTION _lock_and_check_tables()
RETURNS void
LANGUAGE plpgsql
VOLATILE
AS $function$
DECLARE
    v_drift record;
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

    IF
        EXISTS (
            SELECT 1
            FROM (
                VALUES
                ('engine_chat_sessions'::regclass, 'engine_chat_session_archive'::regclass),
                ('engine_chat_messages'::regclass, 'engine_chat_message_archive'::regclass)
            ) AS table_pairs (live, archive)
            WHERE
                -- of a view, the table beneath it is looked at as well
                EXISTS (
                    SELECT 1 FROM pg_catalog.pg_rewrite AS view_rule
                    WHERE view_rule.ev_class IN (table_pairs.live, table_pairs.archive)
                )
                OR ARRAY[('archived_at'::name, 'timestamptz'::regtype::oid, -1)] || ARRAY(
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
                )
        )
    THEN
        SELECT * INTO v_drift FROM archive_column_drift() LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'column %.% %', v_drift.live_table, v_drift.column_name, v_drift.problem
                USING ERRCODE = 'AR002',
                HINT = 'Nothing was moved. Give the archive archived_at first and then the columns of the live '
                    'table in their order; SELECT * FROM archive_column_drift() lists every difference.';
        END IF;
    END IF;
END;
$function$;

COMMENT ON FUNCTION _lock_and_check_tables() IS
'Internal to the moves: locks the chat tables against ALTER TABLE and raises AR002 on column drift.';

REVOKE ALL ON FUNCTION _lock_and_check_tables() FROM public;
