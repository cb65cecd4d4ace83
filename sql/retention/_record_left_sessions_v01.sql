-- _record_left_sessions: writes down the live sessions that a batch had to leave, with why and what to do.
--
-- At the end of the batch: what could not be done was rolled back, and its locks are gone. A session that
-- another run is writing down, or that is moving meanwhile, is locked and passed over.
CREATE OR REPLACE FUNCTION _record_left_sessions(
    run_id bigint,
    session_ids uuid[],
    sqlstates text[],
    messages text[],
    remedies text[]
)
RETURNS void
LANGUAGE sql
VOLATILE
AS $function$
    INSERT INTO engine_archive_left AS left_before (session_id, run_id, sqlstate, message, remedy)
    SELECT
        live.id,
        _record_left_sessions.run_id,
        refused.state,
        refused.message,
        refused.remedy
    FROM unnest(session_ids, sqlstates, messages, remedies) AS refused (id, state, message, remedy)
    INNER JOIN engine_chat_sessions AS live ON refused.id = live.id
    FOR NO KEY UPDATE OF live SKIP LOCKED
    ON CONFLICT ON CONSTRAINT engine_archive_left_pkey DO UPDATE
    SET
        run_id = excluded.run_id,
        sqlstate = excluded.sqlstate,
        message = excluded.message,
        remedy = excluded.remedy,
        at = excluded.at;
$function$;

COMMENT ON FUNCTION _record_left_sessions(bigint, uuid[], text[], text[], text[]) IS
'Internal to bulk work: writes down the live sessions that a batch had to leave.';

REVOKE ALL ON FUNCTION _record_left_sessions(bigint, uuid[], text[], text[], text[]) FROM public;
