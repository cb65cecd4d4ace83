-- engine_session_hold: sessions that must stay where they are.
--
-- No foreign key: the hold stays while the session moves.
CREATE TABLE engine_session_hold (
    session_id uuid PRIMARY KEY,
    reason text NOT NULL CHECK (trim(reason) <> ''),
    placed_by text NOT NULL DEFAULT session_user,
    placed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON TABLE engine_session_hold IS
'Sessions that must stay where they are; place_hold() and release_hold() write it.';

REVOKE ALL ON TABLE engine_session_hold FROM public;
