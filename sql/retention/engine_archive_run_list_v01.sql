-- engine_archive_run_list: did the cron run, and what did it do.
--
-- The run log with the state of each run. An unfinished run was killed if its connection is gone; its
-- committed batches are kept. It also counts as killed an hour after its last batch, because behind a
-- pooler others use its connection. A standby does not see the connections of the primary, and goes by
-- the hour alone.
CREATE OR REPLACE VIEW engine_archive_run_list AS
SELECT
    run.id,
    run.kind,
    run.started_by,
    run.role,
    run.started_at,
    run.last_batch_at,
    run.finished_at,
    run.batches,
    run.sessions,
    run.messages,
    run.stop_reason,
    run.error,
    run.arguments,
    CASE
        WHEN run.stop_reason = 'failed' THEN 'failed'
        WHEN run.finished_at IS NOT NULL THEN 'finished'
        WHEN coalesce(run.last_batch_at, run.started_at) < now() - interval '1 hour' THEN 'killed'
        WHEN
            pg_is_in_recovery()
            OR EXISTS (
                SELECT 1 FROM pg_stat_activity AS activity
                WHERE
                    activity.pid = run.backend_pid
                    -- Not a later connection with the same pid. Null for who may not see
                    -- other people's connections.
                    AND coalesce(activity.backend_start, run.started_at)
                    <= coalesce(run.last_batch_at, run.started_at)
            )
            THEN 'running'
        ELSE 'killed'
    END AS state
FROM engine_archive_run AS run;

COMMENT ON VIEW engine_archive_run_list IS
'Prune and purge runs with their state: running, finished, failed or killed.';
