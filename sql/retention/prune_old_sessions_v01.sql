-- prune_old_sessions: the prune for psql and pg_cron, a transaction per batch.
--
--   CALL prune_old_sessions();
--   CALL prune_old_sessions(older_than => '90 days', max_runtime => '10 min');
--
-- Without a session_type, it ends the zombies first (end_zombie_sessions), as the cleanup of the
-- application does. Then it calls prune_sessions and commits, until nothing is left or max_runtime is over;
-- the current batch is always finished. Writes a row of the run log and a NOTICE per
-- batch. It needs no transaction around it: CALL it outside BEGIN.
--
-- A procedure that commits may neither be SECURITY DEFINER nor pin its search path.
-- So it does nothing itself, and finds the functions in the schema it is in and not
-- through its caller's path.
CREATE OR REPLACE PROCEDURE prune_old_sessions(
    older_than interval DEFAULT NULL,
    session_type text DEFAULT NULL,
    batch_size integer DEFAULT 500,
    max_runtime interval DEFAULT NULL,
    actor text DEFAULT NULL
)
LANGUAGE plpgsql
AS $procedure$
DECLARE
    c_statement_timeout CONSTANT interval := current_setting('statement_timeout');
    v_context text;
    v_schema text;
    v_run_id bigint;
    v_batch record;
    v_started_at timestamptz := clock_timestamp();
    v_ends_zombies boolean := session_type IS NULL;
    v_zombies bigint;
    v_batches bigint := 0;
    v_sessions bigint := 0;
    v_messages bigint := 0;
    v_stop_reason text;
    v_sqlstate text;
    v_error text;
    v_hint text;
BEGIN
    IF max_runtime <= interval '0' THEN
        RAISE EXCEPTION 'max_runtime is %, and must be more than zero', max_runtime
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass a time such as interval ''10 minutes'', or NULL for no limit.';
    END IF;

    -- The context names this procedure as the caller's path must, which is what
    -- regprocedure reads.
    GET DIAGNOSTICS v_context = PG_CONTEXT;
    SELECT routine.pronamespace::regnamespace::text INTO STRICT v_schema
    FROM pg_catalog.pg_proc AS routine
    WHERE
        routine.oid = substring(
            v_context FROM E'(?:"(?:[^"]|"")+"\\.|[^\\s"]+\\.)?prune_old_sessions\\([^)]*\\)'
        )::regprocedure;

    EXECUTE format('SELECT %s.begin_archive_run($1, $2, $3)', v_schema)
    INTO v_run_id
    USING 'prune'::text, jsonb_strip_nulls(
        jsonb_build_object(
            'older_than', older_than,
            'session_type', session_type,
            'batch_size', batch_size,
            'max_runtime', max_runtime
        )
    ), actor;
    COMMIT;

    WHILE v_stop_reason IS NULL LOOP
        BEGIN
            IF v_ends_zombies THEN
                EXECUTE format('SELECT %s.end_zombie_sessions($1)', v_schema)
                INTO v_zombies
                USING batch_size;
            ELSE
                EXECUTE format(
                    'SELECT sessions, messages, left_behind FROM %s.prune_sessions($1, $2, $3, $4, $5)', v_schema
                )
                INTO v_batch
                USING older_than, session_type, batch_size, v_run_id, actor;
            END IF;
        EXCEPTION
            WHEN query_canceled THEN
                GET STACKED DIAGNOSTICS
                    v_sqlstate = RETURNED_SQLSTATE, v_error = MESSAGE_TEXT, v_hint = PG_EXCEPTION_HINT;
                -- Not somebody, but a setting of the role or the database: each night again.
                v_stop_reason := CASE
                    WHEN
                        c_statement_timeout > interval '0'
                        AND clock_timestamp() >= statement_timestamp() + c_statement_timeout
                        THEN 'failed'
                    ELSE 'interrupted'
                END;
            WHEN OTHERS THEN
                v_stop_reason := 'failed';
                GET STACKED DIAGNOSTICS
                    v_sqlstate = RETURNED_SQLSTATE, v_error = MESSAGE_TEXT, v_hint = PG_EXCEPTION_HINT;
        END;
        COMMIT;

        -- After a failed batch v_batch may have no value at all, and must not be read.
        CONTINUE WHEN v_stop_reason IS NOT NULL;
        IF v_ends_zombies THEN
            v_ends_zombies := v_zombies > 0;
            CONTINUE;
        END IF;
        IF v_batch.sessions = 0 THEN
            v_stop_reason := 'nothing left';
            CONTINUE;
        END IF;
        v_batches := v_batches + 1;
        v_sessions := v_sessions + v_batch.sessions;
        v_messages := v_messages + v_batch.messages;
        RAISE NOTICE 'batch %: % sessions, % messages; % sessions, % messages in all',
            v_batches, v_batch.sessions, v_batch.messages, v_sessions, v_messages;
        IF clock_timestamp() >= v_started_at + max_runtime THEN
            v_stop_reason := 'max_runtime';
        END IF;
    END LOOP;

    EXECUTE format('SELECT %s.finish_archive_run($1, $2, $3)', v_schema)
    USING v_run_id, v_stop_reason, v_error;
    COMMIT;

    IF v_error IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = v_sqlstate, MESSAGE = v_error, HINT = v_hint;
    END IF;
END;
$procedure$;

COMMENT ON PROCEDURE prune_old_sessions (interval, text, integer, interval, text) IS
'Archives what is soft-deleted or old, in batches, with a COMMIT after each; for psql and pg_cron.';

REVOKE ALL ON PROCEDURE prune_old_sessions(interval, text, integer, interval, text) FROM public;
