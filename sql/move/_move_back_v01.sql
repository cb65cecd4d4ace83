-- _move_back: inside restore_sessions, moves locked rows of the archive into the live tables.
--
-- One statement, so that sessions that refer to each other may come in any order. Where others act on
-- the tables, or rows of other tables come back too: copies, compares, and then deletes. A trigger that
-- counts messages as they are inserted changes the session's row, which then gets back what the archive
-- says.
CREATE OR REPLACE FUNCTION _move_back(session_ids uuid[], is_plain boolean)
RETURNS void
LANGUAGE plpgsql
VOLATILE
AS $function$
DECLARE
    c_sessions CONSTANT regclass := 'engine_chat_sessions';
    c_messages CONSTANT regclass := 'engine_chat_messages';
    v_images text[];
BEGIN
    IF is_plain AND NOT EXISTS (SELECT 1 FROM engine_archive_dependent) THEN
        -- "Every column but archived_at" has no static form.
        EXECUTE format(
            $statement$
            WITH
            moved_sessions AS (
                DELETE FROM engine_chat_session_archive AS archived
                WHERE archived.id = ANY($1)
                RETURNING archived.*
            ),

            moved_messages AS (
                DELETE FROM engine_chat_message_archive AS archived
                WHERE archived.session_id = ANY($1)
                RETURNING archived.*
            ),

            restored_sessions AS (
                INSERT INTO engine_chat_sessions (%1$s)
                OVERRIDING SYSTEM VALUE
                SELECT %2$s FROM moved_sessions
            )

            INSERT INTO engine_chat_messages (%3$s)
            OVERRIDING SYSTEM VALUE
            SELECT %3$s FROM moved_messages
            $statement$,
            _insertable_columns(c_sessions),
            _restored_columns(c_sessions),
            _insertable_columns(c_messages)
        ) USING session_ids;
        RETURN;
    END IF;

    PERFORM _find_dependents('archive', session_ids, FALSE);
    v_images := _chat_images('archive', session_ids, TRUE);
    EXECUTE format(
        $statement$
        WITH
        restored_sessions AS (
            INSERT INTO engine_chat_sessions (%1$s)
            OVERRIDING SYSTEM VALUE
            SELECT %2$s FROM engine_chat_session_archive AS archived
            WHERE archived.id = ANY($1)
        )

        INSERT INTO engine_chat_messages (%3$s)
        OVERRIDING SYSTEM VALUE
        SELECT %3$s FROM engine_chat_message_archive AS archived
        WHERE archived.session_id = ANY($1)
        $statement$,
        _insertable_columns(c_sessions),
        _restored_columns(c_sessions),
        _insertable_columns(c_messages)
    ) USING session_ids;
    PERFORM _restore_dependents(session_ids);

    IF v_images <> _chat_images('live', session_ids, TRUE) THEN
        EXECUTE format(
            $statement$
            UPDATE engine_chat_sessions AS live
            SET (%1$s) = (SELECT %2$s FROM engine_chat_session_archive AS archived WHERE archived.id = live.id)
            WHERE live.id = ANY($1)
            $statement$,
            _insertable_columns(c_sessions, FALSE),
            _restored_columns(c_sessions, FALSE)
        ) USING session_ids;
        PERFORM _compare_images(v_images, _chat_images('live', session_ids, TRUE));
    END IF;

    DELETE FROM engine_chat_message_archive AS archived
    WHERE archived.session_id = ANY(session_ids);
    DELETE FROM engine_chat_session_archive AS archived
    WHERE archived.id = ANY(session_ids);
    PERFORM _check_gone('archive', session_ids);
END;
$function$;

COMMENT ON FUNCTION _move_back(uuid[], boolean) IS
'Internal to restore_sessions: moves locked rows of the archive into the live tables.';

REVOKE ALL ON FUNCTION _move_back(uuid[], boolean) FROM public;
