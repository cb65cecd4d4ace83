-- engine_archive_left: sessions that the last prune or undo had to leave, why, and what to do.
--
-- The prune writes it, and the undo of a run. The move or the deletion of a session deletes its row, and so
-- does a later run of the same kind that finishes without the same trouble.
CREATE TABLE engine_archive_left (
    session_id uuid PRIMARY KEY,
    run_id bigint,
    sqlstate text NOT NULL,
    message text NOT NULL,
    -- what the error said to do
    remedy text,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON TABLE engine_archive_left IS
'Sessions that the last prune or undo had to leave where they are, each with the reason and what to do.';

REVOKE ALL ON TABLE engine_archive_left FROM public;
