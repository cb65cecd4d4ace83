-- engine_archive_event: the journal. Who did what to which session, when, and in which run.
--
-- Written in the transaction of the deed. No foreign keys: it outlives sessions and runs.
-- The ids of different connections are not ordered by time, and neither are their clocks.
CREATE TABLE engine_archive_event (
    session_id uuid NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    -- archived, restored, purged, deleted, held, released or resolved. No CHECK: PostgreSQL builds
    -- it anew for each statement, which costs an archive of 20 messages 3 %. Nothing but the functions
    -- here may write.
    event text NOT NULL,
    -- of an archived event: the archived_at of the rows
    at timestamptz NOT NULL,
    actor text NOT NULL,
    -- the database role that connected
    role text NOT NULL,
    run_id bigint,
    -- how many messages moved or went with the session; null where none could (held, released)
    message_count bigint,
    -- held: the reason; deleted: the place; resolved: the destination, and which row was kept
    detail jsonb,
    -- the history of a session is one read, also of a table distributed by session
    PRIMARY KEY (session_id, id)
);

-- what a run did: its undo. Rows that belong to no run cost nothing here.
CREATE INDEX ON engine_archive_event (run_id, at) WHERE run_id IS NOT NULL;

COMMENT ON TABLE engine_archive_event IS
'The journal: who archived, restored, purged, deleted, held, released or resolved which session, and when.';

REVOKE ALL ON TABLE engine_archive_event FROM public;
