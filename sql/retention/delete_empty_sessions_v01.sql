-- delete_empty_sessions: deletes live sessions without a message for good, one batch.
--
-- Those whose age (age_from of engine_archive_candidate) is older than older_than, the least recently
-- updated first. Returns how many it deleted; 0 when nothing is left that can be deleted now. run_id: an
-- open run of the kind empty; its row gets the figures.
--
-- A session is not empty while rows of other tables refer to it, unless set_archive_dependent() has said
-- that they go with it or let go of it (delete, detach). Soft-deleted sessions, sessions on hold and those
-- that are in the archive as well stay, too.
--
-- It waits for no session in use. A message that arrives in time keeps its session: the sessions are
-- locked first, so that no further message can arrive, and then another statement, which sees what arrived
-- before, asks again. left_behind counts the sessions that could not be deleted; they are in
-- engine_archive_left.
CREATE OR REPLACE FUNCTION delete_empty_sessions(
    older_than interval,
    batch_size integer DEFAULT 500,
    run_id bigint DEFAULT NULL,
    actor text DEFAULT NULL
)
RETURNS TABLE (sessions bigint, left_behind bigint)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path FROM CURRENT
-- looking at the catalogue costs little, whatever the planner thinks
SET jit = 'off'
-- A message that a policy hides would be lost: fail rather than not see it.
SET row_security = 'off'
SET lock_timeout = '100ms'
AS $function$
DECLARE
    -- SQL: whether rows of other tables refer to the candidate
    v_is_referred text := 'FALSE';
    v_picked uuid[];
    v_empty uuid[];
    -- picked before, and not deleted
    v_passed uuid[] := '{}';
    v_session_id uuid;
    v_hint text;
    v_left_ids uuid[] := '{}';
    v_left_states text[] := '{}';
    v_left_errors text[] := '{}';
    v_left_remedies text[] := '{}';
BEGIN
    IF older_than IS NULL THEN
        RAISE EXCEPTION 'older_than must not be NULL'
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass an age such as interval ''15 minutes''.';
    END IF;
    PERFORM _check_older_than(older_than);
    IF batch_size IS NULL OR batch_size < 1 THEN
        RAISE EXCEPTION 'batch_size is %, and must be at least 1', batch_size
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass how many sessions one transaction may delete, for example 500.';
    END IF;
    IF run_id IS NOT NULL THEN
        PERFORM _check_archive_run(run_id, '{empty}');
    END IF;

    -- Nothing refers to rows of plain tables.
    IF NOT _lock_and_check_tables(is_move => FALSE) THEN
        SELECT coalesce(string_agg(referring.condition, ' OR '), 'FALSE') INTO v_is_referred
        FROM _referring_keys('{refuse, move}') AS referring;
    END IF;

    sessions := 0;
    <<pick>>
    LOOP
        BEGIN
            EXECUTE format(
                $statement$
                SELECT ARRAY(
                    SELECT candidate.id
                    FROM _empty_candidate AS candidate
                    WHERE
                        candidate.age_from < now() - $1
                        AND candidate.id <> ALL($2)
                        AND NOT (%s)
                        AND NOT EXISTS (
                            SELECT 1 FROM engine_archive_left AS left_already
                            WHERE left_already.session_id = candidate.id AND left_already.run_id = $3
                        )
                    ORDER BY candidate.updated_at
                    LIMIT $4
                    FOR UPDATE SKIP LOCKED
                )
                $statement$,
                v_is_referred
            )
            INTO v_picked
            USING older_than, v_passed, run_id, batch_size;
            EXIT pick WHEN v_picked = '{}';

            -- What came while the rows were being locked is visible from here on, and nothing else can
            -- come any more.
            EXECUTE format(
                $statement$
                SELECT ARRAY(
                    SELECT candidate.id
                    FROM engine_chat_sessions AS candidate
                    WHERE
                        candidate.id = ANY($1)
                        AND NOT EXISTS (
                            SELECT 1 FROM engine_chat_messages AS message
                            WHERE message.session_id = candidate.id
                        )
                        AND NOT EXISTS (
                            SELECT 1 FROM engine_session_hold AS hold
                            WHERE hold.session_id = candidate.id
                        )
                        AND NOT (%s)
                )
                $statement$,
                v_is_referred
            )
            INTO v_empty
            USING v_picked;

            BEGIN
                SELECT count(*) INTO sessions
                FROM _delete_chat_sessions(v_empty, run_id, actor);
            EXCEPTION
                WHEN
                    lock_not_available
                    OR deadlock_detected
                    OR integrity_constraint_violation
                    OR SQLSTATE 'AR003'
                    OR SQLSTATE 'AR005'
                    OR SQLSTATE 'AR006'
                    OR SQLSTATE 'AR007'
                    THEN
                    sessions := 0;
                    FOREACH v_session_id IN ARRAY v_empty LOOP
                        BEGIN
                            PERFORM _delete_chat_sessions(ARRAY[v_session_id], run_id, actor);
                            sessions := sessions + 1;
                        EXCEPTION
                            WHEN lock_not_available OR deadlock_detected THEN
                                RAISE NOTICE 'session % is in use and left for a later run', v_session_id;
                            WHEN
                                integrity_constraint_violation
                                OR SQLSTATE 'AR003'
                                OR SQLSTATE 'AR005'
                                OR SQLSTATE 'AR006'
                                OR SQLSTATE 'AR007'
                                THEN
                                GET STACKED DIAGNOSTICS v_hint = PG_EXCEPTION_HINT;
                                v_left_ids := v_left_ids || v_session_id;
                                v_left_states := v_left_states || sqlstate;
                                v_left_errors := v_left_errors || sqlerrm;
                                v_left_remedies := v_left_remedies || nullif(v_hint, '');
                                RAISE WARNING 'session % cannot be deleted: %', v_session_id, sqlerrm;
                        END;
                    END LOOP;
            END;
            EXIT pick WHEN sessions > 0;

            -- Nothing of this batch can be deleted: unlock its rows before others are locked.
            RAISE EXCEPTION USING ERRCODE = 'no_data_found';
        EXCEPTION
            WHEN no_data_found THEN
                sessions := 0;
                v_passed := v_passed || v_picked;
        END;
    END LOOP;

    PERFORM _record_left_sessions(run_id, v_left_ids, v_left_states, v_left_errors, v_left_remedies);
    left_behind := cardinality(v_left_ids);
    PERFORM _set_constraints(FALSE);
    IF run_id IS NOT NULL AND sessions > 0 THEN
        PERFORM _record_archive_batch(run_id, sessions, 0);
    END IF;
    RETURN NEXT;
END;
$function$;

COMMENT ON FUNCTION delete_empty_sessions(interval, integer, bigint, text) IS
'Deletes one batch of live sessions without a message that are older than older_than. '
'Returns how many; 0 when nothing is left that can be deleted now.';

REVOKE ALL ON FUNCTION delete_empty_sessions(interval, integer, bigint, text) FROM public;
