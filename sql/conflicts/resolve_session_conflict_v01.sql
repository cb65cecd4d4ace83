-- resolve_session_conflict: merges a session that is in both places into one.
--
-- Afterwards the session and the messages of both places are where destination says:
-- 'live' or 'archive'. A message that is in both must be the same, bit for bit;
-- where one is not, AR001 names it and nothing changes. If the two rows of the
-- session differ, keep says which one stays, 'live' or 'archive'; without it: AR001. The
-- other one goes to engine_conflict_resolution, which gets a row for each session that was
-- merged.
--
-- Safe to repeat: a session that is in the destination alone gives a row with
-- newly_resolved = false. One that is in the other place alone is no conflict, and
-- not for this function to move: 22023. No row: no such session.
--
-- Everything is made live first, and archive_sessions, the only way into the archive,
-- then moves it: under its promises, and not while there is a hold. As in
-- restore_session, a session that stays live loses the old soft delete.
--
-- What keeps it exact while others work: it locks the live row, as archive_sessions
-- does first, then the archived row, as restore_session does first; so that each of
-- them either waits here, or finds the session live and gives up without waiting.
CREATE OR REPLACE FUNCTION resolve_session_conflict(
    session_id uuid,
    destination text,
    keep text DEFAULT NULL,
    actor text DEFAULT NULL
)
RETURNS TABLE (id uuid, place text, message_count bigint, newly_resolved boolean)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path FROM CURRENT
-- looking at the catalogue costs little, whatever the planner thinks
SET jit = 'off'
-- A row that a policy hides would be lost: fail rather than not see it.
SET row_security = 'off'
-- The row that is dropped is logged with every digit.
SET extra_float_digits = '1'
AS $function$
DECLARE
    v_is_live boolean;
    v_is_archived boolean;
    v_detail text;
    v_different_message uuid;
    v_rows record;
    v_kept text;
    v_is_plain boolean;
    v_messages text[];
    v_actor CONSTANT text := _actor(actor);
BEGIN
    IF session_id IS NULL THEN
        RAISE EXCEPTION 'session_id must not be NULL'
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass the id of the session; engine_session_conflict lists those in both places.';
    END IF;
    IF (destination IN ('live', 'archive')) IS NOT TRUE THEN
        RAISE EXCEPTION 'destination is %, and must be live or archive', coalesce(destination, 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Say where the session and all its messages are to be.';
    END IF;
    IF keep NOT IN ('live', 'archive') THEN
        RAISE EXCEPTION 'keep is %, and must be live, archive or NULL', keep
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Say which row of the session stays where its two rows differ.';
    END IF;

    v_is_plain := _lock_and_check_tables();

    LOOP
        -- An archive or a second call that is under way is waited for. New messages wait
        -- from here on: their foreign key wants this row.
        PERFORM 1 FROM engine_chat_sessions AS live
        WHERE live.id = resolve_session_conflict.session_id
        FOR UPDATE;
        v_is_live := FOUND;
        EXIT WHEN v_is_live;

        -- One statement, so one snapshot: a session that was restored since the
        -- statement above is not archived alone.
        SELECT bool_or(found.archived_at IS NULL) INTO v_is_live
        FROM engine_chat_session_all AS found
        WHERE found.id = resolve_session_conflict.session_id;
        IF v_is_live IS NULL THEN
            RETURN;
        END IF;
        EXIT WHEN NOT v_is_live;
    END LOOP;

    v_is_archived := TRUE;
    IF v_is_live THEN
        PERFORM 1 FROM engine_chat_session_archive AS archived
        WHERE archived.id = resolve_session_conflict.session_id
        FOR UPDATE;
        v_is_archived := FOUND OR EXISTS (
            SELECT 1 FROM engine_chat_message_archive AS archived
            WHERE archived.session_id = resolve_session_conflict.session_id
        );
    END IF;

    id := session_id;
    place := destination;
    newly_resolved := v_is_live AND v_is_archived;
    IF NOT newly_resolved THEN
        IF v_is_live <> (destination = 'live') THEN
            RAISE EXCEPTION 'session % is % only, so that there is no conflict to resolve',
                session_id, CASE WHEN v_is_live THEN 'live' ELSE 'archived' END
                USING ERRCODE = 'invalid_parameter_value',
                HINT = 'Nothing was changed. archive_session() and restore_session() move such a session.';
        END IF;
        SELECT count(*) INTO message_count
        FROM (
            SELECT 1 FROM engine_chat_messages AS live
            WHERE live.session_id = resolve_session_conflict.session_id
            UNION ALL
            SELECT 1 FROM engine_chat_message_archive AS archived
            WHERE archived.session_id = resolve_session_conflict.session_id
        ) AS transcript;
        RETURN NEXT;
        RETURN;
    END IF;

    -- A trigger may count the messages that come back; what it may not do is lose or change one.
    IF NOT v_is_plain THEN
        PERFORM _find_dependents('archive', ARRAY[session_id], FALSE);
        v_messages := _chat_images('live', ARRAY[session_id], TRUE) || _chat_images('archive', ARRAY[session_id], TRUE);
    END IF;

    -- The messages first: the row of an archived session may take its messages with it.
    -- What is compared are the rows as they were deleted, and a refusal brings them back.
    BEGIN
        -- "Every column but archived_at" has no static form.
        EXECUTE format(
            $statement$
            WITH
            removed_messages AS (
                DELETE FROM engine_chat_message_archive AS archived
                WHERE archived.session_id = $1
                RETURNING archived.*
            ),

            moved_messages AS (
                INSERT INTO engine_chat_messages (%1$s)
                OVERRIDING SYSTEM VALUE
                SELECT %1$s FROM removed_messages AS removed
                WHERE
                    NOT EXISTS (
                        SELECT 1 FROM engine_chat_messages AS live
                        WHERE live.session_id = removed.session_id AND live.id = removed.id
                    )
            )

            SELECT removed.id
            FROM removed_messages AS removed
            INNER JOIN engine_chat_messages AS live
                ON removed.session_id = live.session_id AND removed.id = live.id
            WHERE NOT record_image_eq(ROW(removed.archived_at, live.*), removed)
            ORDER BY live.created_at, live.id
            LIMIT 1
            $statement$,
            _insertable_columns('engine_chat_messages'::regclass)
        ) INTO v_different_message USING session_id;
    EXCEPTION
        WHEN unique_violation THEN
            GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL;
            RAISE EXCEPTION 'session % has an archived message whose id another live message has', session_id
                USING ERRCODE = 'AR001',
                DETAIL = v_detail,
                HINT = 'Nothing was changed. Try again; if it stays, compare the two messages, and '
                    'delete the one that is wrong or give it another id.';
    END;
    IF v_different_message IS NOT NULL THEN
        RAISE EXCEPTION 'session % is live and archived, and message % is not the same in both',
            session_id, v_different_message
            USING ERRCODE = 'AR001',
            HINT = 'Nothing was changed. session_conflict_differences() shows what differs; delete the '
                'message that is wrong from its table, or give it another id, and try again.';
    END IF;

    SELECT
        archived.archived_at,
        to_jsonb(live) AS live,
        to_jsonb(archived) AS archived,
        record_image_eq(ROW(archived.archived_at, live.*), archived) AS are_equal
    INTO v_rows
    FROM engine_chat_sessions AS live
    INNER JOIN engine_chat_session_archive AS archived ON live.id = archived.id
    WHERE live.id = resolve_session_conflict.session_id;

    IF NOT v_rows.are_equal THEN
        IF keep IS NULL THEN
            RAISE EXCEPTION 'session % is live and archived, and its row is not the same in both', session_id
                USING ERRCODE = 'AR001',
                HINT = 'Nothing was changed. Say which row to keep: keep => ''live'' or ''archive'' '
                    '(--keep on the command line). session_conflict_differences() shows what differs.';
        END IF;
        v_kept := keep;
    END IF;
    IF v_kept = 'archive' THEN
        EXECUTE format(
            $statement$
            UPDATE engine_chat_sessions AS live
            SET (%1$s) = (
                SELECT %1$s FROM engine_chat_session_archive AS archived
                WHERE archived.id = live.id
            )
            WHERE live.id = $1
            $statement$,
            _insertable_columns('engine_chat_sessions'::regclass, is_new => FALSE)
        ) USING session_id;
        IF NOT EXISTS (
            SELECT 1
            FROM engine_chat_sessions AS live
            INNER JOIN engine_chat_session_archive AS archived ON live.id = archived.id
            WHERE
                live.id = resolve_session_conflict.session_id
                AND record_image_eq(ROW(archived.archived_at, live.*), archived)
        ) THEN
            RAISE EXCEPTION 'the archived row of session % cannot be made live as it is', session_id
                USING ERRCODE = 'AR001',
                HINT = 'Nothing was changed. A trigger or an identity column of engine_chat_sessions gives '
                    'it another value: keep the live row.';
        END IF;
    END IF;

    DELETE FROM engine_chat_session_archive AS archived
    WHERE archived.id = resolve_session_conflict.session_id;
    PERFORM _restore_dependents(ARRAY[session_id]);
    IF NOT v_is_plain THEN
        PERFORM _check_gone('archive', ARRAY[session_id]);
        PERFORM _compare_images(
            ARRAY(
                SELECT DISTINCT expected.image FROM unnest(v_messages) AS expected (image)
                WHERE split_part(expected.image, ' ', 2) = 'engine_chat_messages'::regclass::text
            ),
            ARRAY(
                SELECT found.image FROM unnest(_chat_images('live', ARRAY[session_id], TRUE)) AS found (image)
                WHERE split_part(found.image, ' ', 2) = 'engine_chat_messages'::regclass::text
            )
        );
        PERFORM _set_constraints(FALSE);
    END IF;

    INSERT INTO engine_conflict_resolution AS resolution
    (session_id, destination, kept, dropped_row, archived_at, resolved_by)
    VALUES (
        resolve_session_conflict.session_id,
        resolve_session_conflict.destination,
        v_kept,
        CASE v_kept WHEN 'live' THEN v_rows.archived WHEN 'archive' THEN v_rows.live END,
        v_rows.archived_at,
        v_actor
    );

    IF destination = 'archive' THEN
        SELECT archived.message_count INTO STRICT message_count
        FROM archive_sessions(ARRAY[resolve_session_conflict.session_id], NULL, v_actor) AS archived;
    ELSE
        UPDATE engine_chat_sessions AS live
        SET status = 'active'
        WHERE live.id = resolve_session_conflict.session_id AND live.status = 'archived';

        SELECT count(*) INTO message_count
        FROM engine_chat_messages AS live
        WHERE live.session_id = resolve_session_conflict.session_id;

        DELETE FROM engine_archive_left AS left_behind
        WHERE left_behind.session_id = resolve_session_conflict.session_id;
    END IF;

    INSERT INTO engine_archive_event AS journal
    (session_id, event, at, actor, role, message_count, detail)
    VALUES (
        resolve_session_conflict.session_id,
        'resolved',
        clock_timestamp(),
        v_actor,
        session_user,
        resolve_session_conflict.message_count,
        jsonb_strip_nulls(
            jsonb_build_object('destination', resolve_session_conflict.destination, 'kept', v_kept)
        )
    );
    RETURN NEXT;
END;
$function$;

COMMENT ON FUNCTION resolve_session_conflict(uuid, text, text, text) IS
'Merges a session that is live and archived into one place. AR001 where a message differs, or the '
'session''s row does and keep does not say which stays. No row: no such session. Safe to repeat.';

REVOKE ALL ON FUNCTION resolve_session_conflict(uuid, text, text, text) FROM public;
