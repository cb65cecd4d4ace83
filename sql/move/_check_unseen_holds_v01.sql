-- _check_unseen_holds: 40001 for a hold, or a row of a left session, that the caller's snapshot
-- does not show.
--
-- For levels above READ COMMITTED, once the sessions are locked. place_hold locks the row of
-- the session and does not change it. So a caller that locks the row afterwards gets no 40001,
-- although its snapshot is older than the hold. An insert of the same key does get it. What
-- this inserts is removed again. The callers have pinned the search path.
CREATE OR REPLACE FUNCTION _check_unseen_holds(session_ids uuid[])
RETURNS void
LANGUAGE plpgsql
VOLATILE
AS $function$
DECLARE
    v_inserted uuid[];
BEGIN
    WITH inserted AS (
        INSERT INTO engine_session_hold AS hold (session_id, reason)
        SELECT
            unnest(session_ids),
            'looked for, and not there'
        ON CONFLICT DO NOTHING
        RETURNING hold.session_id
    )

    SELECT array_agg(inserted.session_id) INTO v_inserted
    FROM inserted;

    DELETE FROM engine_session_hold AS hold
    WHERE hold.session_id = ANY(v_inserted);

    -- The row that a prune wrote since the snapshot must go with the session, too.
    WITH inserted AS (
        INSERT INTO engine_archive_left AS left_behind (session_id, sqlstate, message)
        SELECT
            unnest(session_ids),
            '',
            'looked for, and not there'
        ON CONFLICT DO NOTHING
        RETURNING left_behind.session_id
    )

    SELECT array_agg(inserted.session_id) INTO v_inserted
    FROM inserted;

    DELETE FROM engine_archive_left AS left_behind
    WHERE left_behind.session_id = ANY(v_inserted);
END;
$function$;

COMMENT ON FUNCTION _check_unseen_holds(uuid[]) IS
'Internal to the moves: 40001 if a session was put on hold that the snapshot does not show.';

REVOKE ALL ON FUNCTION _check_unseen_holds(uuid[]) FROM public;
