-- delete_archived_session: deletes an archived session and its messages for good.
--
-- A session on hold is not deleted: AR003. Neither is one that is live as well: AR001. No row:
-- no such archived session. Rows of other tables that were archived with it go, too.
CREATE OR REPLACE FUNCTION delete_archived_session(session_id uuid, actor text DEFAULT NULL)
RETURNS TABLE (id uuid, deleted_at timestamptz, message_count bigint)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path FROM CURRENT
-- looking at the catalogue costs little, whatever the planner thinks
SET jit = 'off'
-- A row that a policy hides would be left behind: fail rather than not see it.
SET row_security = 'off'
AS $function$
DECLARE
    v_is_plain boolean;
    v_sqlstate text;
    v_message text;
    v_detail text;
    v_schema text;
    v_table text;
    v_constraint text;
BEGIN
    IF session_id IS NULL THEN
        RAISE EXCEPTION 'session_id must not be NULL'
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass the id of the session to delete.';
    END IF;

    v_is_plain := _lock_and_check_tables(is_move => FALSE);
    PERFORM 1
    FROM engine_chat_session_archive AS archived
    WHERE archived.id = delete_archived_session.session_id
    FOR UPDATE;
    IF NOT FOUND THEN
        IF NOT v_is_plain THEN
            PERFORM _set_constraints(FALSE);
        END IF;
        RETURN;
    END IF;
    PERFORM _refuse_if_held(ARRAY[session_id], 'deleted');
    -- While the archived row is locked nobody restores it.
    IF EXISTS (
        SELECT 1 FROM engine_chat_sessions AS live
        WHERE live.id = delete_archived_session.session_id
    ) THEN
        RAISE EXCEPTION 'session % is live and archived', session_id
            USING ERRCODE = 'AR001',
            HINT = 'Nothing was deleted. `aria-db conflicts` (engine_session_conflict, '
                'resolve_session_conflict()) shows what differs and merges the two.';
    END IF;

    IF NOT v_is_plain THEN
        PERFORM _find_dependents('archive', ARRAY[session_id], is_deletion => TRUE);
    END IF;
    PERFORM _delete_dependents(ARRAY[session_id]);

    deleted_at := clock_timestamp();
    WITH
    deleted_messages AS (
        DELETE FROM engine_chat_message_archive AS archived
        WHERE archived.session_id = delete_archived_session.session_id
        RETURNING archived.id
    ),

    deleted_session AS (
        DELETE FROM engine_chat_session_archive AS archived
        WHERE archived.id = delete_archived_session.session_id
    ),

    no_longer_left AS (
        DELETE FROM engine_archive_left AS left_behind
        WHERE left_behind.session_id = delete_archived_session.session_id
    )

    INSERT INTO engine_archive_event AS journal
    (session_id, event, at, actor, role, message_count, detail)
    SELECT
        delete_archived_session.session_id,
        'deleted',
        deleted_at,
        _actor(delete_archived_session.actor),
        session_user,
        count(*),
        '{"place": "archive"}'
    FROM deleted_messages
    RETURNING
        journal.session_id,
        journal.message_count
    INTO id, message_count;

    IF NOT v_is_plain THEN
        PERFORM _check_gone('archive', ARRAY[session_id]);
        PERFORM _set_constraints(FALSE);
    END IF;
    RETURN NEXT;
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

COMMENT ON FUNCTION delete_archived_session(uuid, text) IS
'Deletes an archived session and its messages for good; AR003 while it is on hold. '
'No row: no such archived session.';

REVOKE ALL ON FUNCTION delete_archived_session(uuid, text) FROM public;
