-- finish_archive_run: closes the row of a run, with why it stopped.
--
-- A run that has finished already keeps its first reason. A prune of everything that ends because nothing
-- is left has met every reason to leave a session: what earlier prunes wrote down is forgotten. So it is with
-- what earlier undos of the same run wrote down.
CREATE OR REPLACE FUNCTION finish_archive_run(run_id bigint, stop_reason text, error text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path FROM CURRENT
AS $function$
DECLARE
    v_run record;
BEGIN
    IF stop_reason IS NULL
        OR stop_reason NOT IN ('nothing left', 'max_runtime', 'max_sessions', 'interrupted', 'failed')
    THEN
        RAISE EXCEPTION 'stop_reason is %, and must be nothing left, max_runtime, max_sessions, interrupted '
            'or failed', coalesce(quote_literal(stop_reason), 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Say why the run stopped.';
    END IF;
    UPDATE engine_archive_run AS run
    SET
        finished_at = clock_timestamp(),
        stop_reason = finish_archive_run.stop_reason,
        error = finish_archive_run.error
    WHERE run.id = finish_archive_run.run_id AND run.finished_at IS NULL
    RETURNING run.kind, run.arguments, run.started_at INTO v_run;

    IF v_run.kind = 'prune' AND stop_reason = 'nothing left' AND NOT v_run.arguments ?| '{older_than, session_type}' THEN
        DELETE FROM engine_archive_left AS left_behind
        WHERE
            left_behind.at < v_run.started_at
            AND NOT EXISTS (
                SELECT 1 FROM engine_archive_run AS undo
                WHERE undo.id = left_behind.run_id AND undo.kind = 'undo'
            );
    ELSIF v_run.kind = 'undo' AND stop_reason = 'nothing left' THEN
        DELETE FROM engine_archive_left AS left_behind
        USING engine_archive_run AS undo
        WHERE
            left_behind.at < v_run.started_at
            AND left_behind.run_id = undo.id
            AND undo.kind = 'undo'
            AND undo.arguments -> 'run_id' = v_run.arguments -> 'run_id';
    END IF;
END;
$function$;

COMMENT ON FUNCTION finish_archive_run(bigint, text, text) IS
'Closes the row of a run in the log: nothing left, max_runtime, max_sessions, interrupted or failed.';

REVOKE ALL ON FUNCTION finish_archive_run(bigint, text, text) FROM public;
