-- remove_archived_copies: inside archive_sessions, for ids that are in both places.
--
-- A prune that copied and then failed to delete leaves a session in both. Where
-- the archive has every live row as it is, bit for bit, the live copy goes and
-- nothing is lost. Anything else is for a person to decide: AR001. What is compared
-- are the rows as they were deleted, and a refusal brings them back. The caller
-- has locked the sessions and pinned the search path.
CREATE OR REPLACE FUNCTION remove_archived_copies(session_ids uuid[])
RETURNS void
LANGUAGE plpgsql
VOLATILE
AS $function$
DECLARE
    v_conflict record;
BEGIN
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
            SELECT FROM engine_chat_session_archive AS archived
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
            SELECT FROM engine_chat_message_archive AS archived
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
END;
$function$;

COMMENT ON FUNCTION remove_archived_copies(uuid[]) IS
'Internal to archive_sessions: removes live sessions that the archive holds bit for bit; AR001 otherwise.';

REVOKE ALL ON FUNCTION remove_archived_copies(uuid[]) FROM public;
