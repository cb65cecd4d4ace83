-- _delete_chat_sessions: deletes live sessions and their messages for good: all of them, or none.
--
-- Locks them first; those that are not there, or no longer, are passed over. A row per session that was
-- deleted. A session on hold is AR003. Rows of other tables follow their foreign keys; AR005 where a
-- cascade would reach another session, or a key refuses. AR006: a trigger kept a row.
-- No SET clause of its own: the callers have pinned the search path.
CREATE OR REPLACE FUNCTION _delete_chat_sessions(session_ids uuid[], run_id bigint, actor text)
RETURNS TABLE (id uuid, deleted_at timestamptz, message_count bigint)
LANGUAGE plpgsql
VOLATILE
AS $function$
DECLARE
    v_is_plain boolean;
    v_locked uuid[];
    v_sqlstate text;
    v_message text;
    v_detail text;
    v_schema text;
    v_table text;
    v_constraint text;
BEGIN
    v_is_plain := _lock_and_check_tables(is_move => FALSE);
    v_locked := ARRAY(
        SELECT live.id
        FROM engine_chat_sessions AS live
        WHERE live.id = ANY(session_ids)
        ORDER BY live.id
        FOR UPDATE
    );
    PERFORM _refuse_if_held(v_locked, 'deleted');

    IF NOT v_is_plain THEN
        PERFORM _find_dependents('live', v_locked, is_deletion => TRUE);
    END IF;

    RETURN QUERY
    WITH
    deleted_messages AS (
        DELETE FROM engine_chat_messages AS live
        WHERE live.session_id = ANY(v_locked)
        RETURNING live.session_id
    ),

    deleted_sessions AS (
        DELETE FROM engine_chat_sessions AS live
        WHERE live.id = ANY(v_locked)
    ),

    no_longer_left AS (
        DELETE FROM engine_archive_left AS left_behind
        WHERE left_behind.session_id = ANY(v_locked)
    )

    INSERT INTO engine_archive_event AS journal
    (session_id, event, at, actor, role, run_id, message_count, detail)
    SELECT
        locked.id,
        'deleted',
        clock_timestamp(),
        _actor(_delete_chat_sessions.actor),
        session_user,
        _delete_chat_sessions.run_id,
        count(deleted_messages.session_id),
        '{"place": "live"}'
    FROM unnest(v_locked) AS locked (id)
    LEFT JOIN deleted_messages ON locked.id = deleted_messages.session_id
    GROUP BY locked.id
    RETURNING
        journal.session_id,
        journal.at,
        journal.message_count;

    IF NOT v_is_plain THEN
        PERFORM _check_gone('live', v_locked);
        PERFORM _set_constraints(FALSE);
    END IF;
EXCEPTION
    WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS
            v_sqlstate = RETURNED_SQLSTATE, v_message = MESSAGE_TEXT, v_detail = PG_EXCEPTION_DETAIL,
            v_schema = SCHEMA_NAME, v_table = TABLE_NAME, v_constraint = CONSTRAINT_NAME;
        PERFORM _raise_move_error(
            'nowhere', v_sqlstate, v_message, v_detail, v_schema, v_table, v_constraint, coalesce(v_is_plain, TRUE)
        );
        RAISE;
END;
$function$;

COMMENT ON FUNCTION _delete_chat_sessions(uuid[], bigint, text) IS
'Internal: deletes live sessions and their messages for good, all of them or none.';

REVOKE ALL ON FUNCTION _delete_chat_sessions(uuid[], bigint, text) FROM public;
