-- engine_archive_policy: how old a session must be for the prune and for the purge.
CREATE TABLE engine_archive_policy (
    -- '*' for every type without a row of its own
    session_type varchar(50) PRIMARY KEY,
    -- null: never archived, never purged
    archive_after interval
    CHECK (archive_after > interval '0' AND archive_after <= interval '365000 days'),
    purge_after interval
    CHECK (purge_after > interval '0' AND purge_after <= interval '365000 days'),
    enabled boolean NOT NULL DEFAULT TRUE
);

COMMENT ON TABLE engine_archive_policy IS
'The age at which sessions are archived, and archived ones purged, per session_type; * for all others.';

INSERT INTO engine_archive_policy (session_type, archive_after) VALUES
('*', interval '30 days'),
('cron', interval '1 day'),
('swarm', interval '1 day'),
('subagent', interval '1 day');

REVOKE ALL ON TABLE engine_archive_policy FROM public;
