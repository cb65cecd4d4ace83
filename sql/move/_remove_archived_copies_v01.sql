-- _remove_archived_copies: inside archive_sessions, for ids that are in both places.
--
-- A prune that copied and then failed to delete leaves a session in both. Where
-- the archive has every live row as it is, bit for bit, the live copy goes and
-- nothing is lost. Anything else is for a person to decide: AR001. What is compared
-- are the rows as they were deleted, and a refusal brings them back. The journal calls
-- it resolved, as it does where a person decided. The caller has locked the sessions and
-- pinned the search path.
CREATE OR REPLACE FUNCTION _remove_archived_copies(
    session_ids uuid[], run_id bigint, actor text, is_plain boolean
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
AS $function$
DECLARE
    v_conflict record;
BEGIN
    -- What hangs on the live copy moves to what hangs on the archived one.
    IF NOT is_plain THEN
        PERFORM _begin_checked_move(session_ids, clock_timestamp());
    END IF;

    WITH
    removed_messages AS (
        DELETE FROM engine_chat_messages AS live
        WHERE live.session_id = ANY(session_ids)
        RETURNING live.*
    ),

    removed_sessions AS (
        DELETE FROM engine_chat_sessions AS live
        WHERE live.id = ANY(session_ids)
        RETURNING live.*
    )

    SELECT
        removed.id AS session_id,
        'its row' AS what
    INTO v_conflict
    FROM removed_sessions AS removed
    WHERE
        NOT EXISTS (
            SELECT 1 FROM engine_chat_session_archive AS archived
            WHERE
                archived.id = removed.id
                AND record_image_eq(ROW(archived.archived_at, removed.*), archived)
        )
    UNION ALL
    SELECT
        removed.session_id,
        'message ' || removed.id
    FROM removed_messages AS removed
    WHERE
        NOT EXISTS (
            SELECT 1 FROM engine_chat_message_archive AS archived
            WHERE
                archived.session_id = removed.session_id
                AND archived.id = removed.id
                AND record_image_eq(ROW(archived.archived_at, removed.*), archived)
        )
    LIMIT 1;

    IF FOUND THEN
        RAISE EXCEPTION 'session % is live and archived, and % is not the same in both',
            v_conflict.session_id, v_conflict.what
            USING ERRCODE = 'AR001',
            HINT = 'Nothing was moved. `aria-db conflicts` (engine_session_conflict, resolve_session_conflict()) '
                'shows what differs and merges the two.';
    END IF;

    IF NOT is_plain THEN
        PERFORM _check_gone('live', session_ids);
    END IF;

    INSERT INTO engine_archive_event AS journal
    (session_id, event, at, actor, role, run_id, message_count, detail)
    SELECT
        archived.id,
        'resolved',
        clock_timestamp(),
        _remove_archived_copies.actor,
        session_user,
        _remove_archived_copies.run_id,
        (
            SELECT count(*) FROM engine_chat_message_archive AS archived_message
            WHERE archived_message.session_id = archived.id
        ),
        '{"destination": "archive"}'
    FROM engine_chat_session_archive AS archived
    WHERE archived.id = ANY(session_ids);

    DELETE FROM engine_archive_left AS left_behind
    WHERE left_behind.session_id = ANY(session_ids);
END;
$function$;

COMMENT ON FUNCTION _remove_archived_copies(uuid[], bigint, text, boolean) IS
'Internal to archive_sessions: removes live sessions that the archive holds bit for bit; AR001 otherwise.';

REVOKE ALL ON FUNCTION _remove_archived_copies(uuid[], bigint, text, boolean) FROM public;
