-- engine_conflict_resolution: what resolve_session_conflict merged, with the row it dropped.
--
-- No foreign key: the row stays, whatever becomes of the session.
CREATE TABLE engine_conflict_resolution (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_id uuid NOT NULL,
    destination text NOT NULL CHECK (destination IN ('live', 'archive')),
    -- which row of the session was kept; null where both were the same
    kept text CHECK (kept IN ('live', 'archive')),
    -- the other one
    dropped_row jsonb,
    -- of the archived row, which is gone; null if there were archived messages only
    archived_at timestamptz,
    resolved_by text NOT NULL DEFAULT session_user,
    resolved_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((kept IS NULL) = (dropped_row IS NULL))
);

COMMENT ON TABLE engine_conflict_resolution IS
'One row per session that resolve_session_conflict() merged, with the row that was dropped.';

REVOKE ALL ON TABLE engine_conflict_resolution FROM public;
