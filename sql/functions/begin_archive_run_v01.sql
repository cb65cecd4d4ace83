-- begin_archive_run: opens a row of the run log; its id is for the two functions beside it.
--
-- Commit before the first batch: the row of a run that was killed tells of it.
CREATE OR REPLACE FUNCTION begin_archive_run(kind text, arguments jsonb DEFAULT '{}')
RETURNS bigint
LANGUAGE sql
VOLATILE
SECURITY DEFINER
SET search_path FROM CURRENT
BEGIN ATOMIC
    INSERT INTO engine_archive_run AS run (kind, arguments, backend_pid)
    VALUES (kind, arguments, pg_backend_pid())
    RETURNING run.id;
END;

COMMENT ON FUNCTION begin_archive_run(text, jsonb) IS
'Opens a row of the run log for a prune or a purge; returns its id.';

REVOKE ALL ON FUNCTION begin_archive_run(text, jsonb) FROM public;
