-- prune_sessions: one batch of the prune, in the caller's transaction.
--
-- Archives up to batch_size sessions: those whose age (age_from of engine_archive_candidate)
-- is older than older_than, or else than their type's policy says, oldest first; then those
-- that the application soft-deleted, whatever their age. Returns how many sessions and
-- messages it moved; 0 when nothing is left that can be moved now. left_behind counts the
-- sessions that it had to leave for a reason that a person must look at: they are in
-- engine_archive_left. run_id: an open run of the kind prune; its row gets the figures.
--
-- How long a batch takes, and holds its locks, is a matter of its messages: it ends with the
-- session that brings them to 5,000, also before there are batch_size sessions. They are as
-- many as message_count says, which the application keeps; counted where it says nothing.
--
-- It never waits for a session in use, and never fails because of one: a session whose
-- row is locked is skipped, and where a message is (for longer than lock_timeout), or a
-- constraint forbids the move, the batch is done again one by one without that session.
-- A session that is held, or is in the archive as well, is not picked; one that came to
-- be so while the rows were being locked is such a constraint. All of them are for a
-- later run. If that leaves nothing of a batch, the next sessions are picked.
--
-- The pick goes through indexes alone: updated_at bounds what is read of the index, before the
-- age of each session is asked. A batch of a run begins where the one before has ended, so that
-- sessions that were restored lately, and others that stay, are not read for each batch.
-- Soft-deleted sessions come last, because there may be no index on what tells them. The
-- statement is planned for each batch, which costs less than a plan for other conditions.
--
-- Sessions to which rows of other tables refer, so that their move would be refused (AR005), are left
-- out as a set; when nothing else is left, they are written down. A session that had to be left is not
-- tried again in the same run.
--
-- FOR UPDATE looks at the newest version of a row that changed under it: a session
-- that became active since the statement began is not picked.
CREATE OR REPLACE FUNCTION prune_sessions(
    older_than interval DEFAULT NULL,
    session_type text DEFAULT NULL,
    batch_size integer DEFAULT 500,
    run_id bigint DEFAULT NULL,
    actor text DEFAULT NULL
)
RETURNS TABLE (sessions bigint, messages bigint, left_behind bigint)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path FROM CURRENT
-- looking at the catalogue costs little, whatever the planner thinks
SET jit = 'off'
-- A row that a policy hides would be left behind: fail rather than not see it.
SET row_security = 'off'
SET lock_timeout = '100ms'
-- A plan may be made while the archive is still empty, and must not scan it for every
-- candidate when other prunes have filled it.
SET enable_seqscan = 'off'
AS $function$
DECLARE
    c_enough_messages CONSTANT bigint := 5000;
    c_is_due CONSTANT text := 'candidate.age_from < now() - coalesce($2, candidate.archive_after)';
    -- What to pick, one after the other. $1 and $4 bound what is read of the index on updated_at;
    -- $2 is older_than.
    c_conditions CONSTANT text[] := ARRAY[
        'candidate.updated_at < $1 AND candidate.updated_at >= $4 AND ' || c_is_due,
        'candidate.updated_at IS NULL AND ' || c_is_due,
        'candidate.is_soft_deleted'
    ];
    -- SQL: whether rows of other tables refer to the candidate, and the name of such a table
    v_is_referred text := 'FALSE';
    v_referring text;
    v_may_move text;
    v_condition text;
    v_before timestamptz;
    v_from timestamptz := '-infinity';
    v_reached timestamptz;
    v_updated_at timestamptz;
    v_is_plain boolean;
    v_picked uuid[];
    v_messages_picked bigint;
    v_refused uuid[] := '{}';
    v_session_id uuid;
    v_messages bigint;
    v_left_ids uuid[] := '{}';
    v_left_states text[] := '{}';
    v_left_errors text[] := '{}';
    v_left_remedies text[] := '{}';
    v_hint text;
    v_referred bigint;
BEGIN
    IF batch_size IS NULL OR batch_size < 1 THEN
        RAISE EXCEPTION 'batch_size is %, and must be at least 1', batch_size
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass how many sessions one transaction may move, for example 500.';
    END IF;
    PERFORM _check_prune_arguments(older_than, session_type);
    IF run_id IS NOT NULL THEN
        PERFORM _check_archive_run(run_id, '{prune}');
        v_from := coalesce(
            (
                SELECT run.reached FROM engine_archive_run AS run
                WHERE
                    run.id = prune_sessions.run_id
                    -- a batch that asks for something else begins at the beginning
                    AND (run.arguments ->> 'older_than')::interval IS NOT DISTINCT FROM prune_sessions.older_than
                    AND run.arguments ->> 'session_type' IS NOT DISTINCT FROM prune_sessions.session_type
            ),
            v_from
        );
    END IF;
    v_is_plain := _lock_and_check_tables();

    -- Nothing refers to rows of plain tables.
    IF NOT v_is_plain THEN
        SELECT
            coalesce(string_agg(referring.condition, ' OR '), 'FALSE'),
            'CASE ' || string_agg(format('WHEN %s THEN %L', referring.condition, referring.child), ' ') || ' END'
        INTO v_is_referred, v_referring
        FROM _referring_keys() AS referring;
    END IF;
    -- $5 is the run.
    v_may_move := format(
        'NOT (%s) AND NOT EXISTS (SELECT 1 FROM engine_archive_left AS left_already '
        'WHERE left_already.session_id = candidate.id AND left_already.run_id = $5)',
        v_is_referred
    );

    -- The age that no policy undercuts bounds the part of the index that is read.
    v_before := coalesce(
        now() - older_than,
        (SELECT max(now() - policy.archive_after) FROM engine_archive_policy AS policy WHERE policy.enabled)
    );

    sessions := 0;
    messages := 0;
    <<pick>>
    LOOP
        BEGIN
            v_picked := '{}';
            v_messages_picked := 0;
            v_reached := NULL;
            FOREACH v_condition IN ARRAY c_conditions LOOP
                EXIT WHEN v_messages_picked >= c_enough_messages OR cardinality(v_picked) = batch_size;
                -- A loop, and no array of ids: it locks and counts a few rows ahead of the current
                -- one, and few for nothing when the batch is full.
                FOR v_session_id, v_updated_at, v_messages IN EXECUTE format(
                    $statement$
                    SELECT
                        candidate.id,
                        candidate.updated_at,
                        CASE WHEN candidate.message_count > 0 THEN candidate.message_count ELSE (
                            SELECT count(*) FROM engine_chat_messages AS live_message
                            WHERE live_message.session_id = candidate.id
                        ) END
                    FROM engine_archive_candidate AS candidate
                    WHERE
                        %s
                        AND candidate.session_type = coalesce($3, candidate.session_type)
                        AND NOT candidate.is_held
                        AND NOT candidate.is_conflicting
                        AND candidate.id <> ALL($6)
                        AND %s
                    ORDER BY candidate.updated_at
                    LIMIT $7
                    FOR UPDATE SKIP LOCKED
                    $statement$,
                    v_condition, v_may_move
                ) USING
                    v_before, older_than, session_type, v_from, run_id, v_picked || v_refused,
                    batch_size - cardinality(v_picked)
                LOOP
                    IF v_condition = c_conditions[1] THEN
                        v_reached := v_updated_at;
                    END IF;
                    v_picked := v_picked || v_session_id;
                    v_messages_picked := v_messages_picked + v_messages;
                    EXIT WHEN v_messages_picked >= c_enough_messages;
                END LOOP;
            END LOOP;
            -- What others referred to may be free by now: once more from the beginning.
            IF v_picked = '{}' AND NOT v_is_plain AND v_from > '-infinity' THEN
                v_from := '-infinity';
                RAISE EXCEPTION USING ERRCODE = 'no_data_found';
            END IF;
            EXIT pick WHEN v_picked = '{}';

            BEGIN
                SELECT count(*), coalesce(sum(archived.message_count), 0) INTO sessions, messages
                FROM archive_sessions(v_picked, run_id, actor) AS archived;
            EXCEPTION
                WHEN
                    lock_not_available
                    OR deadlock_detected
                    OR integrity_constraint_violation
                    OR SQLSTATE 'AR001'
                    OR SQLSTATE 'AR003'
                    OR SQLSTATE 'AR005'
                    OR SQLSTATE 'AR006'
                    OR SQLSTATE 'AR007'
                    THEN
                    sessions := 0;
                    messages := 0;
                    FOREACH v_session_id IN ARRAY v_picked LOOP
                        BEGIN
                            SELECT archived.message_count INTO STRICT v_messages
                            FROM archive_sessions(ARRAY[v_session_id], run_id, actor) AS archived;
                            sessions := sessions + 1;
                            messages := messages + v_messages;
                        EXCEPTION
                            WHEN lock_not_available OR deadlock_detected THEN
                                v_refused := v_refused || v_session_id;
                                RAISE NOTICE 'session % is in use and left for a later run', v_session_id;
                            WHEN
                                integrity_constraint_violation
                                OR SQLSTATE 'AR001'
                                OR SQLSTATE 'AR003'
                                OR SQLSTATE 'AR005'
                                OR SQLSTATE 'AR006'
                                OR SQLSTATE 'AR007'
                                THEN
                                GET STACKED DIAGNOSTICS v_hint = PG_EXCEPTION_HINT;
                                v_refused := v_refused || v_session_id;
                                v_left_ids := v_left_ids || v_session_id;
                                v_left_states := v_left_states || sqlstate;
                                v_left_errors := v_left_errors || sqlerrm;
                                v_left_remedies := v_left_remedies || nullif(v_hint, '');
                                RAISE WARNING 'session % cannot be archived: %', v_session_id, sqlerrm;
                        END;
                    END LOOP;
            END;
            EXIT pick WHEN sessions > 0;

            -- Nothing of this batch can be moved: unlock its rows before others are locked.
            RAISE EXCEPTION USING ERRCODE = 'no_data_found';
        EXCEPTION
            WHEN no_data_found THEN
                sessions := 0;
                messages := 0;
        END;
    END LOOP;

    PERFORM _record_left_sessions(run_id, v_left_ids, v_left_states, v_left_errors, v_left_remedies);
    left_behind := cardinality(v_left_ids);

    -- Nothing else is left: the sessions that were not even picked.
    IF sessions = 0 AND v_is_referred <> 'FALSE' THEN
        EXECUTE format(
            $statement$
            INSERT INTO engine_archive_left AS left_before (session_id, run_id, sqlstate, message, remedy)
            SELECT
                candidate.id,
                $5,
                'AR005',
                format('session %%s has rows in %%s, which refer to it', candidate.id, %s),
                'SELECT * FROM archive_dependents() (`aria-db dependents`) lists these tables; say what becomes of '
                'their rows: set_archive_dependent(), or `aria-db dependents set`. A session to which another one '
                'refers moves after it.'
            FROM engine_archive_candidate AS candidate
            WHERE
                (%s)
                AND candidate.session_type = coalesce($3, candidate.session_type)
                AND NOT candidate.is_held
                AND NOT candidate.is_conflicting
                AND (%s)
                AND NOT EXISTS (
                    SELECT 1 FROM engine_archive_left AS left_already
                    WHERE left_already.session_id = candidate.id AND left_already.run_id = $5
                )
            FOR NO KEY UPDATE SKIP LOCKED
            ON CONFLICT ON CONSTRAINT engine_archive_left_pkey DO UPDATE
            SET
                run_id = excluded.run_id,
                sqlstate = excluded.sqlstate,
                message = excluded.message,
                remedy = excluded.remedy,
                at = excluded.at
            $statement$,
            v_referring, array_to_string(c_conditions, ' OR '), v_is_referred
        ) USING v_before, older_than, session_type, '-infinity'::timestamptz, run_id;
        GET DIAGNOSTICS v_referred = ROW_COUNT;
        left_behind := left_behind + v_referred;
    END IF;
    IF NOT v_is_plain THEN
        PERFORM _set_constraints(FALSE);
    END IF;
    IF run_id IS NOT NULL AND sessions > 0 THEN
        PERFORM _record_archive_batch(run_id, sessions, messages, coalesce(v_reached, v_from));
    END IF;
    RETURN NEXT;
END;
$function$;

COMMENT ON FUNCTION prune_sessions(interval, text, integer, bigint, text) IS
'Archives one batch of sessions that are soft-deleted or older than older_than (or their policy). '
'Returns how many sessions and messages; 0 when nothing is left that can be moved now.';

REVOKE ALL ON FUNCTION prune_sessions(interval, text, integer, bigint, text) FROM public;
