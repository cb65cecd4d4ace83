-- archive_sessions: THE move. Nothing else in this project writes to an archive.
--
-- Moves the sessions with these ids, and all their messages, into the archive:
-- all of them, or none and an error. Returns a row for every id that exists: for
-- those moved now, and (newly_archived = false, with the first archived_at) for
-- those that were archived already, so that a retry is safe. A session that is held
-- is not moved: AR003. The statement that moves the rows also writes the journal.
-- run_id: an open run of the kind archive or prune, which the journal then names. The figures of
-- an archive run are added here; prune_sessions adds those of a prune.
--
-- What keeps it exact while others work, under READ COMMITTED (stricter levels
-- turn the same races into serialization failures):
--   * FOR UPDATE on a session's row conflicts with the FOR KEY SHARE that the
--     foreign key takes for a new message: either the message is committed before
--     the move takes its snapshot, or its insert waits for the move and then fails.
--   * DELETE ... RETURNING gives each row as it was deleted: an update under way
--     is waited for, and what it wrote is archived.
--   * Rows are locked in the order of their ids: two calls cannot deadlock.
-- Where others act on the chat tables (triggers, foreign keys of other tables), the move compares what
-- is there afterwards with what it locked, and refuses with AR006 what is not the same; rows that hang
-- on the sessions move with them or make it refuse, AR005. A constraint of the archive that refuses a
-- row is AR007.
CREATE OR REPLACE FUNCTION archive_sessions(
    session_ids uuid[],
    run_id bigint DEFAULT NULL,
    actor text DEFAULT NULL
)
RETURNS TABLE (id uuid, archived_at timestamptz, message_count bigint, newly_archived boolean)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path FROM CURRENT
-- looking at the catalogue costs little, whatever the planner thinks
SET jit = 'off'
-- A row that a policy hides would be lost: fail rather than not see it.
SET row_security = 'off'
-- One plan for arrays of every length, kept for the life of the connection. It may
-- be made while the tables are still empty, and must not be a scan of them later.
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = 'off'
AS $function$
DECLARE
    v_live uuid[];
    v_copied uuid[];
    v_were_left boolean;
    v_elsewhere record;
    v_archived_at timestamptz;
    v_is_plain boolean;
    v_attempts integer := 0;
    v_images text[];
    v_sqlstate text;
    v_message text;
    v_detail text;
    v_schema text;
    v_table text;
    v_constraint text;
    v_actor CONSTANT text := _actor(actor);
    v_run_kind text;
BEGIN
    IF session_ids IS NULL OR array_position(session_ids, NULL) IS NOT NULL THEN
        RAISE EXCEPTION 'session_ids must be an array of uuids without NULL'
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass the ids of the sessions to archive.';
    END IF;

    IF run_id IS NOT NULL THEN
        v_run_kind := _check_archive_run(run_id, '{archive, prune}');
    END IF;
    v_is_plain := _lock_and_check_tables();

    <<find_sessions>>
    LOOP
        v_attempts := v_attempts + 1;
        SELECT coalesce(array_agg(locked.id), '{}') INTO v_live
        FROM (
            SELECT live.id
            FROM engine_chat_sessions AS live
            WHERE live.id = ANY(session_ids)
            ORDER BY live.id
            FOR UPDATE
        ) AS locked;

        PERFORM _refuse_if_held(v_live, 'moved');

        -- Nobody writes down one more while the sessions are locked.
        SELECT
            array_agg(copied.id),
            EXISTS (
                SELECT 1 FROM engine_archive_left AS left_behind
                WHERE left_behind.session_id = ANY(v_live)
            )
        INTO v_copied, v_were_left
        FROM (
            SELECT archived.id
            FROM engine_chat_session_archive AS archived
            WHERE archived.id = ANY(v_live)
            UNION
            SELECT archived.session_id
            FROM engine_chat_message_archive AS archived
            WHERE archived.session_id = ANY(v_live)
        ) AS copied;
        IF v_copied IS NOT NULL THEN
            PERFORM _remove_archived_copies(v_copied, run_id, v_actor, v_is_plain);
            v_live := ARRAY(SELECT unnest(v_live) EXCEPT SELECT unnest(v_copied));
        END IF;

        EXIT find_sessions WHEN cardinality(v_live) = cardinality(session_ids);

        -- Each of the others is archived, or unknown, or was restored after the
        -- rows above were locked. One statement, so one snapshot, tells which.
        FOR v_elsewhere IN
            SELECT
                wanted.id,
                archived.archived_at,
                live.id IS NOT NULL AS is_live,
                (
                    SELECT count(*)
                    FROM engine_chat_message_archive AS archived_message
                    WHERE archived_message.session_id = archived.id
                ) AS message_count
            FROM (SELECT unnest(session_ids) EXCEPT SELECT unnest(v_live)) AS wanted (id)
            LEFT JOIN engine_chat_session_archive AS archived ON wanted.id = archived.id
            LEFT JOIN engine_chat_sessions AS live ON wanted.id = live.id
            WHERE archived.id IS NOT NULL OR live.id IS NOT NULL
            ORDER BY is_live DESC
        LOOP
            IF v_elsewhere.is_live THEN
                -- A session that moves to and fro all the time is not waited for.
                CONTINUE find_sessions WHEN v_live = '{}' AND v_attempts < 100;
                -- Rows are locked, and another one now would be out of order.
                RAISE EXCEPTION 'session % was restored while it was being archived', v_elsewhere.id
                    USING ERRCODE = 'serialization_failure',
                    HINT = 'Nothing was moved. Try again.';
            END IF;
            id := v_elsewhere.id;
            archived_at := v_elsewhere.archived_at;
            message_count := v_elsewhere.message_count;
            newly_archived := FALSE;
            RETURN NEXT;
        END LOOP;
        EXIT find_sessions;
    END LOOP;

    -- Not now(): this transaction may have begun before the last message did.
    v_archived_at := clock_timestamp();
    IF NOT v_is_plain THEN
        v_images := _begin_checked_move(v_live, v_archived_at);
    END IF;

    RETURN QUERY
    WITH
    moved_messages AS (
        DELETE FROM engine_chat_messages AS live
        WHERE live.session_id = ANY(v_live)
        RETURNING live.*
    ),

    moved_sessions AS (
        DELETE FROM engine_chat_sessions AS live
        WHERE live.id = ANY(v_live)
        RETURNING live.*
    ),

    archived_sessions AS (
        INSERT INTO engine_chat_session_archive AS archived
        SELECT
            v_archived_at,
            moved_sessions.*
        FROM moved_sessions
        RETURNING archived.id
    ),

    archived_messages AS (
        INSERT INTO engine_chat_message_archive AS archived
        SELECT
            v_archived_at,
            moved_messages.*
        FROM moved_messages
        RETURNING archived.session_id
    ),

    message_counts AS (
        SELECT
            archived_messages.session_id,
            count(*) AS messages
        FROM archived_messages
        GROUP BY archived_messages.session_id
    )

    INSERT INTO engine_archive_event AS journal
    (session_id, event, at, actor, role, run_id, message_count)
    SELECT
        archived_sessions.id,
        'archived',
        v_archived_at,
        v_actor,
        session_user,
        archive_sessions.run_id,
        coalesce(message_counts.messages, 0)
    FROM archived_sessions
    LEFT JOIN message_counts ON archived_sessions.id = message_counts.session_id
    RETURNING
        journal.session_id,
        journal.at,
        journal.message_count,
        TRUE;

    IF NOT v_is_plain THEN
        PERFORM _end_checked_move(v_live, v_images);
    END IF;

    IF v_were_left THEN
        DELETE FROM engine_archive_left AS left_behind
        WHERE left_behind.session_id = ANY(v_live);
    END IF;

    -- The prune records its batches itself.
    IF v_run_kind = 'archive' AND v_live <> '{}' THEN
        PERFORM _record_archive_batch(
            archive_sessions.run_id, count(*), coalesce(sum(journal.message_count), 0)::bigint
        )
        FROM engine_archive_event AS journal
        WHERE journal.session_id = ANY(v_live) AND journal.run_id = archive_sessions.run_id
            AND journal.event = 'archived' AND journal.at = v_archived_at;
    END IF;
EXCEPTION
    WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS
            v_sqlstate = RETURNED_SQLSTATE, v_message = MESSAGE_TEXT, v_detail = PG_EXCEPTION_DETAIL,
            v_schema = SCHEMA_NAME, v_table = TABLE_NAME, v_constraint = CONSTRAINT_NAME;
        PERFORM _raise_move_error(
            'archive', v_sqlstate, v_message, v_detail, v_schema, v_table, v_constraint, coalesce(v_is_plain, TRUE)
        );
        -- Found too late for the check above: a row that somebody else put into the archive
        -- meanwhile, or a message id that another archived session has.
        IF v_sqlstate = '23505' THEN
            RAISE EXCEPTION 'a session or message to archive has the id of one that is in the archive'
                USING ERRCODE = 'AR001',
                DETAIL = v_detail,
                HINT = 'Nothing was moved. Try again; if it stays, `aria-db conflicts` shows what differs and '
                    'merges the two.';
        END IF;
        RAISE;
END;
$function$;

COMMENT ON FUNCTION archive_sessions(uuid[], bigint, text) IS
'Moves sessions and all their messages into the archive: all of them, or none and an error. '
'Returns a row per session that exists; newly_archived = false where it was archived already.';

REVOKE ALL ON FUNCTION archive_sessions(uuid[], bigint, text) FROM public;
