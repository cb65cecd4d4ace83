-- restore_run: one batch of undoing a run, in the caller's transaction.
--
-- Restores up to batch_size sessions that the run archived and nobody has touched since: those whose row in
-- the archive still has the archived_at that the run gave it. If a session was restored and another run
-- archived it again, it stays. That does not depend on the order of ids and clocks: the row is checked again
-- when it is locked. Last archived first. Returns how many sessions and messages; 0
-- when nothing is left that can be restored now.
--
-- A session comes back together with the sessions of the run that it refers to, which may make a batch
-- larger than batch_size. As a prune, a batch ends with the session that brings it to 5,000 messages,
-- never waits for a session in use, and never fails because of one: it is done again one by one
-- without that session. left_behind counts those that a constraint or a conflict keeps in the archive;
-- they are in engine_archive_left. One that is live as well is not picked.
--
-- undo_run_id: an open run of the kind undo; its row gets the figures, and what it had to leave is not
-- tried again.
CREATE OR REPLACE FUNCTION restore_run(
    run_id bigint,
    batch_size integer DEFAULT 500,
    undo_run_id bigint DEFAULT NULL,
    actor text DEFAULT NULL
)
RETURNS TABLE (sessions bigint, messages bigint, left_behind bigint)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path FROM CURRENT
-- looking at the catalogue costs little, whatever the planner thinks
SET jit = 'off'
-- A row that a policy hides would be left behind: fail rather than not see it.
SET row_security = 'off'
SET lock_timeout = '100ms'
-- A plan may be made while the journal is small, and must not scan it when it has grown.
SET enable_seqscan = 'off'
AS $function$
DECLARE
    c_enough_messages CONSTANT bigint := 5000;
    v_is_plain boolean;
    v_picked uuid[];
    v_parents uuid[];
    v_messages_picked bigint;
    v_waiting uuid[];
    v_refused uuid[] := '{}';
    v_session_id uuid;
    v_messages bigint;
    v_hint text;
    -- rows for engine_archive_left: of the last attempt, and of all
    v_failed jsonb;
    v_left jsonb := '[]';
BEGIN
    IF batch_size IS NULL OR batch_size < 1 THEN
        RAISE EXCEPTION 'batch_size is %, and must be at least 1', batch_size
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass how many sessions one transaction may move, for example 500.';
    END IF;
    PERFORM _check_undoable_run(run_id);
    IF undo_run_id IS NOT NULL THEN
        PERFORM _check_archive_run(undo_run_id, '{undo}');
    END IF;
    v_is_plain := _lock_and_check_tables();

    sessions := 0;
    messages := 0;
    <<pick>>
    LOOP
        BEGIN
            v_picked := '{}';
            v_messages_picked := 0;
            FOR v_session_id, v_messages IN
                SELECT
                    archived.id,
                    journal.message_count
                FROM engine_archive_event AS journal
                INNER JOIN engine_chat_session_archive AS archived
                    ON journal.session_id = archived.id AND journal.at = archived.archived_at
                WHERE
                    journal.run_id = restore_run.run_id
                    AND journal.event = 'archived'
                    AND archived.id <> ALL(v_refused)
                    AND NOT EXISTS (SELECT 1 FROM engine_chat_sessions AS live WHERE live.id = archived.id)
                    AND NOT EXISTS (
                        SELECT 1 FROM engine_archive_left AS left_already
                        WHERE left_already.session_id = archived.id AND left_already.run_id = undo_run_id
                    )
                ORDER BY journal.at DESC
                LIMIT batch_size
                FOR UPDATE OF archived SKIP LOCKED
            LOOP
                v_picked := v_picked || v_session_id;
                v_messages_picked := v_messages_picked + v_messages;
                EXIT WHEN v_messages_picked >= c_enough_messages;
            END LOOP;
            EXIT pick WHEN v_picked = '{}';

            WHILE NOT v_is_plain LOOP
                v_parents := _archived_parents(v_picked);
                v_parents := ARRAY(
                    SELECT archived.id
                    FROM engine_chat_session_archive AS archived
                    WHERE
                        archived.id = ANY(v_parents)
                        AND archived.id <> ALL(v_refused)
                        AND EXISTS (
                            SELECT 1 FROM engine_archive_event AS journal
                            WHERE
                                journal.session_id = archived.id
                                AND journal.run_id = restore_run.run_id
                                AND journal.event = 'archived'
                                AND journal.at = archived.archived_at
                        )
                    FOR UPDATE SKIP LOCKED
                );
                EXIT WHEN v_parents = '{}';
                v_picked := v_parents || v_picked;
            END LOOP;

            BEGIN
                SELECT count(*), coalesce(sum(restored.message_count), 0) INTO sessions, messages
                FROM restore_sessions(v_picked, undo_run_id, actor) AS restored;
            EXCEPTION
                WHEN
                    lock_not_available
                    OR deadlock_detected
                    OR integrity_constraint_violation
                    OR SQLSTATE 'AR001'
                    OR SQLSTATE 'AR005'
                    OR SQLSTATE 'AR006'
                    OR SQLSTATE 'AR007'
                    THEN
                    sessions := 0;
                    messages := 0;
                    v_waiting := v_picked;
                    -- One by one. Those that failed are tried again while that restores some: one may refer
                    -- to another.
                    LOOP
                        v_failed := '[]';
                        FOREACH v_session_id IN ARRAY v_waiting LOOP
                            BEGIN
                                SELECT restored.message_count INTO STRICT v_messages
                                FROM restore_sessions(ARRAY[v_session_id], undo_run_id, actor) AS restored;
                                sessions := sessions + 1;
                                messages := messages + v_messages;
                            EXCEPTION
                                WHEN lock_not_available OR deadlock_detected THEN
                                    v_refused := v_refused || v_session_id;
                                    RAISE NOTICE 'session % is in use and stays in the archive for now', v_session_id;
                                WHEN
                                    integrity_constraint_violation
                                    OR SQLSTATE 'AR001'
                                    OR SQLSTATE 'AR005'
                                    OR SQLSTATE 'AR006'
                                    OR SQLSTATE 'AR007'
                                    THEN
                                    GET STACKED DIAGNOSTICS v_hint = PG_EXCEPTION_HINT;
                                    v_failed := v_failed || jsonb_build_object(
                                        'session_id', v_session_id,
                                        'run_id', undo_run_id,
                                        'sqlstate', sqlstate,
                                        'message', sqlerrm,
                                        'remedy', nullif(v_hint, ''),
                                        'at', clock_timestamp()
                                    );
                            END;
                        END LOOP;
                        EXIT WHEN jsonb_array_length(v_failed) IN (0, cardinality(v_waiting));
                        v_waiting := ARRAY(
                            SELECT failed.session_id
                            FROM jsonb_populate_recordset(NULL::engine_archive_left, v_failed) AS failed
                        );
                    END LOOP;
                    v_left := v_left || v_failed;
                    v_refused := v_refused || ARRAY(
                        SELECT failed.session_id
                        FROM jsonb_populate_recordset(NULL::engine_archive_left, v_failed) AS failed
                    );
            END;
            EXIT pick WHEN sessions > 0;

            -- Nothing of this batch can be moved: unlock its rows before others are locked.
            RAISE EXCEPTION USING ERRCODE = 'no_data_found';
        EXCEPTION
            WHEN no_data_found THEN
                sessions := 0;
                messages := 0;
        END;
    END LOOP;

    -- At the end: a batch of which nothing could be moved was rolled back, and its locks are gone.
    INSERT INTO engine_archive_left AS left_before
    SELECT failed.*
    FROM jsonb_populate_recordset(NULL::engine_archive_left, v_left) AS failed
    INNER JOIN engine_chat_session_archive AS archived ON failed.session_id = archived.id
    FOR NO KEY UPDATE OF archived SKIP LOCKED
    ON CONFLICT ON CONSTRAINT engine_archive_left_pkey DO UPDATE
    SET
        run_id = excluded.run_id,
        sqlstate = excluded.sqlstate,
        message = excluded.message,
        remedy = excluded.remedy,
        at = excluded.at;
    left_behind := jsonb_array_length(v_left);
    IF undo_run_id IS NOT NULL AND sessions > 0 THEN
        PERFORM _record_archive_batch(undo_run_id, sessions, messages);
    END IF;
    RETURN NEXT;
END;
$function$;

COMMENT ON FUNCTION restore_run(bigint, integer, bigint, text) IS
'Undoes one batch of a run: restores what it archived and nobody has touched since. Returns how many '
'sessions and messages; 0 when nothing is left that can be restored now.';

REVOKE ALL ON FUNCTION restore_run(bigint, integer, bigint, text) FROM public;
