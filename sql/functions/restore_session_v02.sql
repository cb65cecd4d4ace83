-- restore_session: the way back, under the promises of archive_sessions.
--
-- Moves an archived session and all its messages into the live tables, every
-- column as it was. Only the old soft delete (status 'archived') becomes 'active',
-- also on a session that was never moved: or it would be in no list. A session
-- that is live already gives a row with newly_restored = false and restored_at
-- null, so that a retry is safe. No row: no such session, live or archived.
CREATE OR REPLACE FUNCTION restore_session(session_id uuid)
RETURNS TABLE (id uuid, restored_at timestamptz, message_count bigint, newly_restored boolean)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path FROM CURRENT
-- A row that a policy hides would be lost: fail rather than not see it.
SET row_security = 'off'
AS $function$
DECLARE
    v_is_archived boolean;
    v_detail text;
BEGIN
    IF session_id IS NULL THEN
        RAISE EXCEPTION 'session_id must not be NULL'
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass the id of the session to restore.';
    END IF;

    PERFORM lock_and_check_tables();

    LOOP
        -- A second restore waits here, and then finds the session live.
        PERFORM FROM engine_chat_session_archive AS archived
        WHERE archived.id = restore_session.session_id
        FOR UPDATE;
        v_is_archived := FOUND;
        EXIT WHEN v_is_archived;

        -- An archive that is under way is waited for, and the session then restored.
        PERFORM FROM engine_chat_sessions AS live
        WHERE live.id = restore_session.session_id
        FOR NO KEY UPDATE;
        EXIT WHEN FOUND;

        -- One statement, so one snapshot: a session that has moved since the two
        -- statements above must not pass for an unknown one.
        IF NOT EXISTS (
            SELECT FROM engine_chat_sessions AS live
            WHERE live.id = restore_session.session_id
            UNION ALL
            SELECT FROM engine_chat_session_archive AS archived
            WHERE archived.id = restore_session.session_id
        ) THEN
            RETURN;
        END IF;
    END LOOP;

    IF v_is_archived THEN
        BEGIN
            -- "Every column but archived_at" has no static form.
            EXECUTE format(
                $statement$
                WITH
                moved_sessions AS (
                    DELETE FROM engine_chat_session_archive AS archived
                    WHERE archived.id = $1
                    RETURNING archived.*
                ),

                moved_messages AS (
                    DELETE FROM engine_chat_message_archive AS archived
                    WHERE archived.session_id = $1
                    RETURNING archived.*
                ),

                restored_sessions AS (
                    INSERT INTO engine_chat_sessions (%1$s)
                    OVERRIDING SYSTEM VALUE
                    SELECT %1$s FROM moved_sessions
                ),

                restored_messages AS (
                    INSERT INTO engine_chat_messages (%2$s)
                    OVERRIDING SYSTEM VALUE
                    SELECT %2$s FROM moved_messages
                    RETURNING session_id
                )

                SELECT count(*) FROM restored_messages
                $statement$,
                insertable_columns('engine_chat_sessions'),
                insertable_columns('engine_chat_messages')
            ) INTO message_count USING session_id;
        EXCEPTION
            WHEN unique_violation THEN
                GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL;
                RAISE EXCEPTION 'session % is archived, and its id or that of one of its messages is live',
                    session_id
                    USING ERRCODE = 'AR001',
                    DETAIL = v_detail,
                    HINT = 'Nothing was moved. `aria-db conflicts` (engine_session_conflict, '
                        'resolve_session_conflict()) shows what differs and merges the two.';
        END;
    ELSE
        SELECT count(*) INTO message_count
        FROM engine_chat_messages AS live
        WHERE live.session_id = restore_session.session_id;
    END IF;

    UPDATE engine_chat_sessions AS live
    SET status = 'active'
    WHERE live.id = restore_session.session_id AND live.status = 'archived';

    id := session_id;
    newly_restored := v_is_archived OR FOUND;
    IF newly_restored THEN
        restored_at := clock_timestamp();
    END IF;
    RETURN NEXT;
END;
$function$;

COMMENT ON FUNCTION restore_session(uuid) IS
'Moves an archived session and all its messages back into the live tables. '
'No row: no such session. Safe to repeat.';

REVOKE ALL ON FUNCTION restore_session(uuid) FROM public;
