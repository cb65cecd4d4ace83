-- end_zombie_sessions: ends one batch of zombies, in the caller's transaction.
--
-- A zombie (_zombie_session) becomes ended as the application ends a session: status, ended_at and
-- metadata.ended. Its updated_at stays, because nobody used it; so it is due when it would have been.
-- Sessions in use are left. Returns how many; 0 when nothing is left that can be ended now.
CREATE OR REPLACE FUNCTION end_zombie_sessions(batch_size integer DEFAULT 500)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path FROM CURRENT
SET row_security = 'off'
SET lock_timeout = '100ms'
AS $function$
DECLARE
    -- A variable: a distributed table takes no condition on what is only known to be stable.
    v_now CONSTANT timestamptz := now();
    v_ended bigint;
BEGIN
    IF batch_size IS NULL OR batch_size < 1 THEN
        RAISE EXCEPTION 'batch_size is %, and must be at least 1', batch_size
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass how many sessions one transaction may end, for example 500.';
    END IF;

    UPDATE engine_chat_sessions AS live
    SET
        status = 'ended',
        ended_at = coalesce(live.ended_at, v_now),
        -- metadata that is no object has no place for it
        metadata = CASE
            WHEN coalesce(jsonb_typeof(live.metadata), 'object') <> 'object' THEN live.metadata
            ELSE coalesce(live.metadata, '{}') || '{"ended": true}'
        END
    WHERE
        live.id = ANY(
            ARRAY(
                SELECT zombie.id
                FROM _zombie_session AS zombie
                ORDER BY zombie.id
                LIMIT batch_size
                FOR NO KEY UPDATE SKIP LOCKED
            )
        );
    GET DIAGNOSTICS v_ended = ROW_COUNT;
    RETURN v_ended;
END;
$function$;

COMMENT ON FUNCTION end_zombie_sessions(integer) IS
'Ends one batch of sessions of the types scoped and cron that are active two hours after their last update.';

REVOKE ALL ON FUNCTION end_zombie_sessions(integer) FROM public;
