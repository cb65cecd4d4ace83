-- check_unseen_holds: inside the functions that respect holds, once the sessions are locked.
--
-- place_hold locks the row of the session and does not change it. So under REPEATABLE READ
-- and SERIALIZABLE a caller that locks the row afterwards is not told (40001) that something
-- happened since its snapshot, and the snapshot does not show the hold. An insert of the same
-- key is told: 40001. What it inserts is removed again. No SET clause of its own: the
-- callers have pinned the search path.
CREATE OR REPLACE FUNCTION check_unseen_holds(session_ids uuid[])
RETURNS void
LANGUAGE plpgsql
VOLATILE
AS $function$
DECLARE
    v_inserted uuid[];
BEGIN
    IF current_setting('transaction_isolation') = 'read committed' THEN
        RETURN;
    END IF;

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
END;
$function$;

COMMENT ON FUNCTION check_unseen_holds(uuid[]) IS
'Internal to the moves: 40001 if a session was put on hold that the snapshot does not show.';

REVOKE ALL ON FUNCTION check_unseen_holds(uuid[]) FROM public;
