-- engine_archive_left: sessions that the last prune had to leave, and why.
--
-- The prune writes it, and the move of a session deletes its row.
CREATE TABLE engine_archive_left (
    session_id uuid PRIMARY KEY,
    run_id bigint,
    sqlstate text NOT NULL,
    message text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON TABLE engine_archive_left IS
'Sessions that the last prune had to leave where they are, each with the reason.';

REVOKE ALL ON TABLE engine_archive_left FROM public;
