-- _record_archive_batch: adds a batch to the row of its run, in the batch's transaction.
--
-- So the figures of the log are those of the batches that were committed. A pool may
-- give every batch another connection: the last one shows whether the run is running.
CREATE OR REPLACE FUNCTION _record_archive_batch(
    run_id bigint,
    sessions bigint,
    messages bigint,
    reached timestamptz DEFAULT NULL
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
AS $function$
BEGIN
    UPDATE engine_archive_run AS run
    SET
        batches = run.batches + 1,
        sessions = run.sessions + _record_archive_batch.sessions,
        messages = run.messages + _record_archive_batch.messages,
        last_batch_at = clock_timestamp(),
        reached = _record_archive_batch.reached,
        backend_pid = pg_backend_pid()
    WHERE run.id = _record_archive_batch.run_id AND run.finished_at IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'run % has finished', run_id
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'The batch was rolled back. Begin another run: begin_archive_run().';
    END IF;
END;
$function$;

COMMENT ON FUNCTION _record_archive_batch(bigint, bigint, bigint, timestamptz) IS
'Internal to bulk work: adds a batch to the row of its run.';

REVOKE ALL ON FUNCTION _record_archive_batch(bigint, bigint, bigint, timestamptz) FROM public;
