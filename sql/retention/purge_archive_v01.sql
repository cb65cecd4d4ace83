-- purge_archive: deletes for good what the policies no longer keep, one batch.
--
-- Sessions whose archived_at is older than purge_after of their type's policy, or of
-- '*' where the type has none; oldest first. Without a policy that says purge_after
-- nothing is deleted. A session that is held, or is live as well, is never deleted, and
-- one that is being restored is skipped. Returns how many sessions and messages; 0 when
-- nothing is left. run_id: an open run of the kind purge; its row gets the figures.
CREATE OR REPLACE FUNCTION purge_archive(
    session_type text DEFAULT NULL,
    batch_size integer DEFAULT 500,
    run_id bigint DEFAULT NULL,
    actor text DEFAULT NULL
)
RETURNS TABLE (sessions bigint, messages bigint)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path FROM CURRENT
-- looking at the catalogue costs little, whatever the planner thinks
SET jit = 'off'
-- A row that a policy hides would be left behind: fail rather than not see it.
SET row_security = 'off'
SET lock_timeout = '100ms'
AS $function$
DECLARE
    v_picked uuid[];
    v_is_plain boolean;
    v_actor CONSTANT text := _actor(actor);
BEGIN
    IF batch_size IS NULL OR batch_size < 1 THEN
        RAISE EXCEPTION 'batch_size is %, and must be at least 1', batch_size
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass how many sessions one transaction may delete, for example 500.';
    END IF;
    IF run_id IS NOT NULL THEN
        PERFORM _check_archive_run(run_id, '{purge}');
    END IF;
    -- A run checked its type when it began. Since then a batch may have deleted the last session of the type.
    IF NOT EXISTS (
        SELECT 1 FROM engine_archive_run AS run
        WHERE run.id = purge_archive.run_id AND run.arguments ->> 'session_type' = purge_archive.session_type
    )
    THEN
        PERFORM _check_session_type(session_type);
    END IF;

    v_is_plain := _lock_and_check_tables(is_move => FALSE);

    v_picked := ARRAY(
        SELECT candidate.id
        FROM _purge_candidate AS candidate
        WHERE
            candidate.session_type = coalesce(purge_archive.session_type, candidate.session_type)
            AND NOT candidate.is_held
        ORDER BY candidate.archived_at
        LIMIT batch_size
        FOR UPDATE SKIP LOCKED
    );

    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM _check_unseen_holds(v_picked);
    END IF;

    -- A hold that was placed while the rows were being locked is visible from here on,
    -- and no other can be placed any more.
    v_picked := ARRAY(
        SELECT picked.id FROM unnest(v_picked) AS picked (id)
        WHERE NOT EXISTS (SELECT 1 FROM engine_session_hold AS hold WHERE hold.session_id = picked.id)
    );
    IF NOT v_is_plain THEN
        PERFORM _find_dependents('archive', v_picked, is_deletion => TRUE);
    END IF;
    PERFORM _delete_dependents(v_picked);

    WITH
    purged_messages AS (
        DELETE FROM engine_chat_message_archive AS archived
        WHERE archived.session_id = ANY(v_picked)
        RETURNING archived.session_id
    ),

    purged_sessions AS (
        DELETE FROM engine_chat_session_archive AS archived
        WHERE archived.id = ANY(v_picked)
        RETURNING archived.id
    ),

    no_longer_left AS (
        DELETE FROM engine_archive_left AS left_behind
        WHERE left_behind.session_id = ANY(v_picked)
    ),

    purged_events AS (
        INSERT INTO engine_archive_event AS journal
        (session_id, event, at, actor, role, run_id, message_count)
        SELECT
            purged_sessions.id,
            'purged',
            clock_timestamp(),
            v_actor,
            session_user,
            purge_archive.run_id,
            coalesce(message_counts.messages, 0)
        FROM purged_sessions
        LEFT JOIN (
            SELECT
                purged_messages.session_id,
                count(*) AS messages
            FROM purged_messages
            GROUP BY purged_messages.session_id
        ) AS message_counts ON purged_sessions.id = message_counts.session_id
        RETURNING journal.message_count
    )

    SELECT
        count(*),
        coalesce(sum(purged_events.message_count), 0)
    INTO sessions, messages
    FROM purged_events;
    IF NOT v_is_plain THEN
        PERFORM _check_gone('archive', v_picked);
        PERFORM _set_constraints(FALSE);
    END IF;
    IF run_id IS NOT NULL AND sessions > 0 THEN
        PERFORM _record_archive_batch(run_id, sessions, messages);
    END IF;
    RETURN NEXT;
END;
$function$;

COMMENT ON FUNCTION purge_archive(text, integer, bigint, text) IS
'Deletes one batch of archived sessions that their policy no longer keeps. Without a policy: nothing.';

REVOKE ALL ON FUNCTION purge_archive(text, integer, bigint, text) FROM public;
