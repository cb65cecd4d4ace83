-- lock_and_check_tables: inside every move, its first step.
--
-- Locks the four tables against ALTER TABLE until the transaction ends, then
-- refuses to go on (AR002) if a column would not be moved faithfully. In this
-- order: a column that is added between a check and a lock would be missed.
-- No SET clause of its own: the callers have pinned the search path.
CREATE OR REPLACE FUNCTION lock_and_check_tables()
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

    SELECT * INTO v_drift FROM archive_column_drift() LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'column %.% %', v_drift.live_table, v_drift.column_name, v_drift.problem
            USING ERRCODE = 'AR002',
            HINT = 'Nothing was moved. Give the archive archived_at first and then the columns of the live '
                'table in their order; SELECT * FROM archive_column_drift() lists every difference.';
    END IF;
END;
$function$;

COMMENT ON FUNCTION lock_and_check_tables() IS
'Internal to the moves: locks the chat tables against ALTER TABLE and raises AR002 on column drift.';

REVOKE ALL ON FUNCTION lock_and_check_tables() FROM public;
