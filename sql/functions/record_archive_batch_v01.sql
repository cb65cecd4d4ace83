-- record_archive_batch: adds a batch to the row of its run, in the batch's transaction.
--
-- So the figures of the log are those of the batches that were committed. A pool may
-- give every batch another connection: the last one is what tells whether a run lives.
CREATE OR REPLACE FUNCTION record_archive_batch(run_id bigint, sessions bigint, messages bigint)
RETURNS void
LANGUAGE sql
VOLATILE
SECURITY DEFINER
SET search_path FROM CURRENT
BEGIN ATOMIC
    UPDATE engine_archive_run AS run
    SET
        batches = run.batches + 1,
        sessions = run.sessions + record_archive_batch.sessions,
        messages = run.messages + record_archive_batch.messages,
        last_batch_at = clock_timestamp(),
        backend_pid = pg_backend_pid()
    WHERE run.id = record_archive_batch.run_id AND run.finished_at IS NULL;
END;

COMMENT ON FUNCTION record_archive_batch(bigint, bigint, bigint) IS
'Adds a batch to the row of its run in the log, in the batch''s transaction.';

REVOKE ALL ON FUNCTION record_archive_batch(bigint, bigint, bigint) FROM public;
