-- restore_sessions: the way back, under the promises of archive_sessions.
--
-- Moves archived sessions and all their messages into the live tables, every column as
-- it was: all of them, or none and an error. Only a soft delete by the application (status
-- 'archived') becomes 'active', also on a session that was never moved: no list would show
-- it otherwise. Returns a row for every id that exists; one that is live already has
-- newly_restored = false and restored_at null, so that a retry is safe.
--
-- due_from is when the session's policy makes it due for the prune again: its age counts
-- from its last update or from now, whichever is later. Null: never.
-- run_id: an open run of the kind restore or undo, which the journal then names. The figures of a
-- restore run are added here; restore_run adds those of an undo.
--
-- Sessions that refer to each other may come in any order. Locks are taken in the order of the ids,
-- those in the archive first. Rows of other tables that were archived with a session come back with it.
-- AR007: a constraint of the live tables refuses a row. AR006: a trigger changes one.
CREATE OR REPLACE FUNCTION restore_sessions(
    session_ids uuid[],
    run_id bigint DEFAULT NULL,
    actor text DEFAULT NULL
)
RETURNS TABLE (
    id uuid, restored_at timestamptz, message_count bigint, newly_restored boolean, due_from timestamptz
)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path FROM CURRENT
-- looking at the catalogue costs little, whatever the planner thinks
SET jit = 'off'
-- A row that a policy hides would be lost: fail rather than not see it.
SET row_security = 'off'
AS $function$
DECLARE
    v_archived uuid[];
    v_live uuid[];
    v_moved_meanwhile uuid;
    v_activated uuid[];
    v_restored uuid[];
    v_restored_at timestamptz;
    v_is_plain boolean;
    v_attempts integer := 0;
    v_conflicting uuid;
    v_run_kind text;
    v_sqlstate text;
    v_message text;
    v_detail text;
    v_schema text;
    v_table text;
    v_constraint text;
BEGIN
    IF session_ids IS NULL OR array_position(session_ids, NULL) IS NOT NULL THEN
        RAISE EXCEPTION 'session_ids must be an array of uuids without NULL'
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass the ids of the sessions to restore.';
    END IF;
    IF run_id IS NOT NULL THEN
        v_run_kind := _check_archive_run(run_id, '{restore, undo}');
    END IF;

    v_is_plain := _lock_and_check_tables();

    LOOP
        v_attempts := v_attempts + 1;
        -- A second restore waits here, and then finds the sessions live.
        v_archived := ARRAY(
            SELECT archived.id
            FROM engine_chat_session_archive AS archived
            WHERE archived.id = ANY(session_ids)
            ORDER BY archived.id
            FOR UPDATE
        );

        -- An archive that is under way is waited for, and the session then restored.
        v_live := ARRAY(
            SELECT live.id
            FROM engine_chat_sessions AS live
            WHERE live.id = ANY(session_ids) AND live.id <> ALL(v_archived)
            ORDER BY live.id
            FOR NO KEY UPDATE
        );

        -- One statement, so one snapshot: a session that has moved since the two
        -- statements above must not pass for an unknown one.
        SELECT found.id INTO v_moved_meanwhile
        FROM engine_chat_session_all AS found
        WHERE found.id = ANY(session_ids) AND found.id <> ALL(v_archived || v_live)
        LIMIT 1;
        EXIT WHEN NOT FOUND;
        IF v_archived || v_live <> '{}' OR v_attempts = 100 THEN
            -- Rows are locked, and another one now would be out of order.
            RAISE EXCEPTION 'session % was moved while it was being restored', v_moved_meanwhile
                USING ERRCODE = 'serialization_failure',
                HINT = 'Nothing was moved. Try again.';
        END IF;
    END LOOP;

    v_restored_at := clock_timestamp();
    IF v_archived <> '{}' THEN
        <<move>>
        FOR v_try IN 1..2 LOOP
            BEGIN
                PERFORM _move_back(v_archived, v_is_plain);
                EXIT move;
            EXCEPTION
                WHEN OTHERS THEN
                    GET STACKED DIAGNOSTICS
                        v_sqlstate = RETURNED_SQLSTATE, v_message = MESSAGE_TEXT, v_detail = PG_EXCEPTION_DETAIL,
                        v_schema = SCHEMA_NAME, v_table = TABLE_NAME, v_constraint = CONSTRAINT_NAME;
                    -- A column that the live table has got since: its default, once.
                    CONTINUE move WHEN
                        v_sqlstate = '23502' AND v_try = 1 AND _fill_missing_values(v_archived);
                    PERFORM _raise_move_error(
                        'live', v_sqlstate, v_message, v_detail, v_schema, v_table, v_constraint, v_is_plain
                    );
                    IF v_sqlstate = '23505' THEN
                        -- Of a session that is live no row says so if only a message of it is.
                        v_conflicting := coalesce(
                            (
                                SELECT live.id FROM engine_chat_sessions AS live
                                WHERE live.id = ANY(v_archived)
                                LIMIT 1
                            ),
                            CASE cardinality(v_archived) WHEN 1 THEN v_archived[1] END
                        );
                        RAISE EXCEPTION '% archived, and its id or that of one of its messages is live',
                            coalesce(format('session %s is', v_conflicting), 'one of the sessions is')
                            USING ERRCODE = 'AR001',
                            DETAIL = v_detail,
                            HINT = 'Nothing was moved. `aria-db conflicts` (engine_session_conflict, '
                                'resolve_session_conflict()) shows what differs and merges the two.';
                    END IF;
                    RAISE;
            END;
        END LOOP;
    END IF;
    IF NOT v_is_plain THEN
        PERFORM _set_constraints(FALSE);
    END IF;

    WITH activated AS (
        UPDATE engine_chat_sessions AS live
        SET status = 'active'
        WHERE live.id = ANY(v_live) AND live.status = 'archived'
        RETURNING live.id
    )

    SELECT coalesce(array_agg(activated.id), '{}') INTO v_activated
    FROM activated;
    v_restored := ARRAY(SELECT unnest(v_archived) UNION SELECT unnest(v_activated));

    INSERT INTO engine_archive_event AS journal
    (session_id, event, at, actor, role, run_id, message_count)
    SELECT
        restored.id,
        'restored',
        v_restored_at,
        _actor(restore_sessions.actor),
        session_user,
        restore_sessions.run_id,
        (SELECT count(*) FROM engine_chat_messages AS live WHERE live.session_id = restored.id)
    FROM unnest(v_restored) AS restored (id);

    DELETE FROM engine_archive_left AS left_behind
    WHERE left_behind.session_id = ANY(v_archived);

    -- restore_run records its batches itself.
    IF v_run_kind = 'restore' AND v_restored <> '{}' THEN
        PERFORM _record_archive_batch(
            restore_sessions.run_id, count(*), coalesce(sum(journal.message_count), 0)::bigint
        )
        FROM engine_archive_event AS journal
        WHERE
            journal.session_id = ANY(v_restored)
            AND journal.event = 'restored'
            AND journal.run_id = restore_sessions.run_id
            AND journal.at = v_restored_at;
    END IF;

    RETURN QUERY
    SELECT
        found.id,
        CASE WHEN found.is_restored THEN v_restored_at END,
        (SELECT count(*) FROM engine_chat_messages AS live WHERE live.session_id = found.id),
        found.is_restored,
        (SELECT candidate.due_from FROM engine_archive_candidate AS candidate WHERE candidate.id = found.id)
    FROM (
        SELECT
            known.id,
            known.id = ANY(v_restored) AS is_restored
        FROM unnest(v_archived || v_live) AS known (id)
    ) AS found;
END;
$function$;

COMMENT ON FUNCTION restore_sessions(uuid[], bigint, text) IS
'Moves archived sessions and all their messages back into the live tables: all of them, or none and an '
'error. Returns a row per session that exists; newly_restored = false where it was live already.';

REVOKE ALL ON FUNCTION restore_sessions(uuid[], bigint, text) FROM public;
