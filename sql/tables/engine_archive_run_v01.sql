-- engine_archive_run: one row per bulk run; engine_archive_run_list adds the state of each.
CREATE TABLE engine_archive_run (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('prune', 'purge', 'archive', 'restore', 'undo', 'empty')),
    arguments jsonb NOT NULL,
    -- the actor, and the role that connected
    started_by text NOT NULL DEFAULT session_user,
    role text NOT NULL DEFAULT session_user,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- the connection of the last batch: while it exists, the run is running
    backend_pid bigint NOT NULL,
    last_batch_at timestamptz,
    -- of a prune: the updated_at up to which its batches have read the sessions
    reached timestamptz,
    batches bigint NOT NULL DEFAULT 0,
    sessions bigint NOT NULL DEFAULT 0,
    messages bigint NOT NULL DEFAULT 0,
    finished_at timestamptz,
    stop_reason text CHECK (
        stop_reason IN ('nothing left', 'max_runtime', 'max_sessions', 'interrupted', 'failed')
    ),
    error text
);

COMMENT ON TABLE engine_archive_run IS
'One row per bulk run: prune, purge, archive, restore, undo, empty. See engine_archive_run_list.';

REVOKE ALL ON TABLE engine_archive_run FROM public;
