--
-- PostgreSQL database dump
--

--
-- Name: _actor(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._actor(actor text) RETURNS text
    LANGUAGE sql STABLE
    AS $$
    SELECT coalesce(nullif(actor, ''), nullif(current_setting('aria_db.actor', TRUE), ''), session_user);
$$;

--
-- Name: FUNCTION _actor(actor text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._actor(actor text) IS 'Internal: the actor that the journal records for a call.';

--
-- Name: _all_columns(regclass); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._all_columns(relation regclass) RETURNS text
    LANGUAGE sql STABLE
    AS $$
    SELECT string_agg(quote_ident(table_column.attname), ', ' ORDER BY table_column.attnum)
    FROM pg_catalog.pg_attribute AS table_column
    WHERE table_column.attrelid = relation AND table_column.attnum > 0 AND NOT table_column.attisdropped;
$$;

--
-- Name: FUNCTION _all_columns(relation regclass); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._all_columns(relation regclass) IS 'Internal to the moves: the columns of a table, as a list for SQL.';

--
-- Name: _archive_dependents(uuid[], timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._archive_dependents(session_ids uuid[], archived_at timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    AS $_$
DECLARE
    v_children oid[];
    v_tables oid[];
    v_ids tid[];
    v_sessions uuid[];
    v_archives record;
    v_drift record;
    v_expected text[] := '{}';
    v_found text[] := '{}';
    v_statement text;
BEGIN
    SELECT
        array_agg(found.child_id),
        array_agg(found.row_table),
        array_agg(found.row_id),
        array_agg(found.session_id)
    INTO v_children, v_tables, v_ids, v_sessions
    FROM _find_dependents('live', session_ids, FALSE) AS found;
    IF v_children IS NULL THEN
        RETURN;
    END IF;

    SELECT * INTO v_drift
    FROM _dependent_drift() AS drifted
    WHERE drifted.table_id = ANY(v_children)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'column %.% %', v_drift.table_id::regclass, v_drift.column_name, v_drift.problem
            USING ERRCODE = 'AR002',
            HINT = 'Nothing was moved. set_archive_dependent() again, with ''move'', adds columns that are missing; '
                'change the type of the others with ALTER TABLE.';
    END IF;

    SELECT
        string_agg(
            format(
                'moved_%1$s AS (DELETE FROM %2$s AS child USING unnest($1, $2, $3, $4) AS '
                'found (child_id, row_table, row_id, session_id) WHERE found.child_id = %1$s '
                'AND child.tableoid = found.row_table AND child.ctid = found.row_id RETURNING '
                'found.session_id AS archived_session_id, child.*), archived_%1$s AS (INSERT INTO %3$s '
                '(archived_at, archived_session_id, %4$s) SELECT $5, archived_session_id, %4$s FROM moved_%1$s)',
                dependent.table_id,
                dependent.table_id::regclass,
                dependent.archive_id::regclass,
                _all_columns(dependent.table_id)
            ),
            ', '
        )
    INTO v_statement
    FROM _dependent_archives() AS dependent
    WHERE dependent.table_id = ANY(v_children);

    FOR v_archives IN
        SELECT * FROM _dependent_archives() AS dependent
        WHERE dependent.table_id = ANY(v_children)
    LOOP
        -- a session that is in both places may have rows there already
        v_expected := v_expected
            || _row_images(v_archives.table_id, _all_columns(v_archives.table_id), v_tables, v_ids, v_sessions)
            || _session_images(
                v_archives.archive_id,
                'archived_session_id',
                session_ids,
                _all_columns(v_archives.table_id),
                v_archives.table_id
            );
    END LOOP;

    EXECUTE format('WITH %s SELECT', v_statement) USING v_children, v_tables, v_ids, v_sessions, archived_at;

    FOR v_archives IN
        SELECT * FROM _dependent_archives() AS dependent
        WHERE dependent.table_id = ANY(v_children)
    LOOP
        v_found := v_found || _session_images(
                v_archives.archive_id,
                'archived_session_id',
                session_ids,
                _all_columns(v_archives.table_id),
                v_archives.table_id
            );
    END LOOP;
    PERFORM _compare_images(v_expected, v_found);

    IF EXISTS (SELECT 1 FROM _find_dependents('live', session_ids, FALSE)) THEN
        RAISE EXCEPTION 'a trigger put rows back that refer to the sessions'
            USING ERRCODE = 'AR006',
            HINT = 'Nothing was moved. Let the triggers on the tables that refer to chat rows leave moves alone.';
    END IF;
END;
$_$;

--
-- Name: FUNCTION _archive_dependents(session_ids uuid[], archived_at timestamp with time zone); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._archive_dependents(session_ids uuid[], archived_at timestamp with time zone) IS 'Internal to the moves: moves the rows that hang on sessions into the archives of their tables.';

--
-- Name: _archived_parents(uuid[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._archived_parents(session_ids uuid[]) RETURNS uuid[]
    LANGUAGE plpgsql STABLE
    AS $_$
DECLARE
    v_query text;
    v_parents uuid[];
BEGIN
    SELECT string_agg(
        format(
            'SELECT parent.%I AS id FROM %s AS child INNER JOIN %s AS parent ON %s '
            'WHERE child.%I = ANY($1) AND parent.%1$I <> ALL($1)',
            dependent.parent_key,
            CASE dependent.child_key WHEN 'id' THEN 'engine_chat_session_archive' ELSE 'engine_chat_message_archive' END,
            CASE dependent.parent_key WHEN 'id' THEN 'engine_chat_session_archive' ELSE 'engine_chat_message_archive' END,
            _key_join(dependent.child_columns, dependent.parent_columns),
            dependent.child_key
        ),
        ' UNION '
    )
    INTO v_query
    FROM _dependent_keys() AS dependent
    WHERE (dependent.child_place, dependent.parent_place) = ('live', 'live');
    IF v_query IS NOT NULL THEN
        EXECUTE format('SELECT array_agg(parents.id) FROM (%s) AS parents', v_query) INTO v_parents USING session_ids;
    END IF;
    RETURN coalesce(v_parents, '{}');
END;
$_$;

--
-- Name: FUNCTION _archived_parents(session_ids uuid[]); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._archived_parents(session_ids uuid[]) IS 'Internal to the undo of a run: the archived sessions that archived sessions refer to.';

--
-- Name: _are_tables_plain(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._are_tables_plain() RETURNS boolean
    LANGUAGE plpgsql STABLE
    AS $$
BEGIN
    IF current_setting('session_replication_role') = 'replica' THEN
        RETURN FALSE;
    END IF;

    RETURN
        NOT EXISTS (
            WITH
            chat AS MATERIALIZED (SELECT * FROM _chat_tables()),

            session_keys AS MATERIALIZED (SELECT * FROM _session_keys())

            SELECT 1
            FROM chat
            INNER JOIN pg_catalog.pg_class AS holding ON chat.table_id = holding.oid
            WHERE
                holding.relkind NOT IN ('r', 'p')
                -- of a child that is no partition, the key of its parent does not hold
                OR (chat.depth > 0 AND NOT holding.relispartition)
                OR EXISTS (
                    SELECT 1 FROM pg_catalog.pg_rewrite AS row_rule
                    WHERE row_rule.ev_class IN (chat.relation, chat.table_id) AND row_rule.rulename <> '_RETURN'
                )
                OR EXISTS (
                    SELECT 1 FROM pg_catalog.pg_trigger AS row_trigger
                    WHERE
                        row_trigger.tgrelid IN (chat.relation, chat.table_id)
                        AND (
                            row_trigger.tgdeferrable
                            OR row_trigger.tgconstraint NOT IN (
                                SELECT session_keys.constraint_id FROM session_keys WHERE session_keys.is_enforced
                            )
                        )
                )
                OR (
                    (chat.place, chat.kind) = ('live', 'message')
                    AND chat.table_id NOT IN (SELECT session_keys.message_table FROM session_keys)
                )
        );
END;
$$;

--
-- Name: FUNCTION _are_tables_plain(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._are_tables_plain() IS 'Internal to the moves: whether no trigger, rule or foreign key of others acts on the chat tables.';

--
-- Name: _begin_checked_move(uuid[], timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._begin_checked_move(session_ids uuid[], archived_at timestamp with time zone) RETURNS text[]
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_images text[];
BEGIN
    PERFORM 1
    FROM engine_chat_messages AS live
    WHERE live.session_id = ANY(session_ids)
    ORDER BY live.session_id, live.id
    FOR UPDATE;

    v_images := _chat_images('live', session_ids, FALSE);
    PERFORM _archive_dependents(session_ids, archived_at);
    RETURN v_images;
END;
$$;

--
-- Name: FUNCTION _begin_checked_move(session_ids uuid[], archived_at timestamp with time zone); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._begin_checked_move(session_ids uuid[], archived_at timestamp with time zone) IS 'Internal to the moves: locks what hangs on sessions, moves it, returns an image of each live row.';

--
-- Name: _chat_images(text, uuid[], boolean); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._chat_images(place text, session_ids uuid[], for_restore boolean) RETURNS text[]
    LANGUAGE plpgsql STABLE
    AS $$
DECLARE
    c_sessions CONSTANT regclass := 'engine_chat_sessions';
    c_messages CONSTANT regclass := 'engine_chat_messages';
BEGIN
    RETURN
        _session_images(
            CASE place WHEN 'live' THEN c_sessions ELSE 'engine_chat_session_archive'::regclass END,
            'id',
            session_ids,
            CASE WHEN for_restore THEN _restored_columns(c_sessions) ELSE _all_columns(c_sessions) END,
            c_sessions
        )
        || _session_images(
            CASE place WHEN 'live' THEN c_messages ELSE 'engine_chat_message_archive'::regclass END,
            'session_id',
            session_ids,
            CASE WHEN for_restore THEN _insertable_columns(c_messages) ELSE _all_columns(c_messages) END,
            c_messages
        );
END;
$$;

--
-- Name: FUNCTION _chat_images(place text, session_ids uuid[], for_restore boolean); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._chat_images(place text, session_ids uuid[], for_restore boolean) IS 'Internal to the moves: what a place holds of some sessions, an image of each row.';

--
-- Name: _chat_tables(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._chat_tables() RETURNS TABLE(place text, kind text, session_key name, relation regclass, table_id oid, depth integer)
    LANGUAGE plpgsql STABLE ROWS 4
    AS $$
BEGIN
    RETURN QUERY
    WITH RECURSIVE
    named (place, kind, session_key, relation) AS (
        VALUES
        ('live', 'session', 'id'::name, 'engine_chat_sessions'::regclass),
        ('live', 'message', 'session_id', 'engine_chat_messages'),
        ('archive', 'session', 'id', 'engine_chat_session_archive'),
        ('archive', 'message', 'session_id', 'engine_chat_message_archive')
    ),

    holding AS (
        SELECT
            named.place,
            named.kind,
            named.session_key,
            named.relation,
            beneath.table_id,
            0 AS depth
        FROM named
        INNER JOIN _table_beneath AS beneath ON named.relation = beneath.relation
        UNION ALL
        SELECT
            holding.place,
            holding.kind,
            holding.session_key,
            holding.relation,
            child.inhrelid,
            holding.depth + 1
        FROM holding
        INNER JOIN pg_catalog.pg_inherits AS child ON holding.table_id = child.inhparent
    )

    SELECT * FROM holding;
END;
$$;

--
-- Name: FUNCTION _chat_tables(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._chat_tables() IS 'Internal: the tables that hold chat rows: those of the four names, beneath views, and partitions.';

--
-- Name: _check_archive_run(bigint, text[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._check_archive_run(run_id bigint, kinds text[]) RETURNS text
    LANGUAGE plpgsql STABLE
    AS $$
DECLARE
    v_run record;
BEGIN
    SELECT
        run.kind,
        run.finished_at
    INTO v_run
    FROM engine_archive_run AS run
    WHERE run.id = _check_archive_run.run_id;

    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no run %', run_id
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass what begin_archive_run() returned, or NULL.';
    ELSIF v_run.kind <> ALL(kinds) THEN
        RAISE EXCEPTION 'run % is of the kind %, and must be %', run_id, v_run.kind, array_to_string(kinds, ' or ')
            USING ERRCODE = 'invalid_parameter_value',
            HINT = format('Begin one of the right kind: begin_archive_run(%L).', kinds[1]);
    ELSIF v_run.finished_at IS NOT NULL THEN
        RAISE EXCEPTION 'run % has finished', run_id
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Nothing was done. Begin another one: begin_archive_run().';
    END IF;
    RETURN v_run.kind;
END;
$$;

--
-- Name: FUNCTION _check_archive_run(run_id bigint, kinds text[]); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._check_archive_run(run_id bigint, kinds text[]) IS 'Internal to bulk work: raises 22023 for a run that is unknown, finished or of another kind.';

--
-- Name: _check_gone(text, uuid[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._check_gone(place text, session_ids uuid[]) RETURNS void
    LANGUAGE plpgsql STABLE
    AS $$
BEGIN
    PERFORM _compare_images('{}', _chat_images(place, session_ids, FALSE));
END;
$$;

--
-- Name: FUNCTION _check_gone(place text, session_ids uuid[]); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._check_gone(place text, session_ids uuid[]) IS 'Internal to the moves: AR006 where a place still holds rows of sessions that were deleted there.';

--
-- Name: _check_older_than(interval); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._check_older_than(older_than interval) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    AS $$
BEGIN
    IF older_than <= interval '0' OR older_than > interval '365000 days' THEN
        RAISE EXCEPTION 'older_than is %, and must be more than zero and at most 365000 days', older_than
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass an age such as interval ''30 days''.';
    END IF;
END;
$$;

--
-- Name: FUNCTION _check_older_than(older_than interval); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._check_older_than(older_than interval) IS 'Internal to bulk work: raises 22023 for an age that no session can have.';

--
-- Name: _check_prune_arguments(interval, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._check_prune_arguments(older_than interval, session_type text) RETURNS void
    LANGUAGE plpgsql STABLE
    AS $$
BEGIN
    PERFORM _check_older_than(older_than);
    PERFORM _check_session_type(session_type);

    IF
        older_than IS NULL
        AND NOT EXISTS (
            SELECT 1 FROM engine_archive_policy AS policy
            WHERE
                _check_prune_arguments.session_type IS NULL
                OR policy.session_type IN (_check_prune_arguments.session_type, '*')
        )
    THEN
        RAISE EXCEPTION 'no policy says at which age %sessions are archived', coalesce(session_type || ' ', '')
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass older_than, or give engine_archive_policy a row for the type or for ''*''.';
    END IF;
END;
$$;

--
-- Name: FUNCTION _check_prune_arguments(older_than interval, session_type text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._check_prune_arguments(older_than interval, session_type text) IS 'Internal to the prune: raises 22023 for an age or a session type that cannot be meant.';

--
-- Name: _check_session_type(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._check_session_type(session_type text) RETURNS void
    LANGUAGE plpgsql STABLE
    AS $$
BEGIN
    -- Without a look at the tables: a run begins also while somebody has locked them.
    IF session_type IS NULL THEN
        RETURN;
    END IF;
    IF
        NOT EXISTS (
            SELECT 1 FROM engine_archive_policy AS policy
            WHERE policy.session_type = _check_session_type.session_type AND policy.session_type <> '*'
        )
        AND NOT EXISTS (
            SELECT 1 FROM engine_chat_sessions AS live
            WHERE live.session_type = _check_session_type.session_type
        )
        AND NOT EXISTS (
            SELECT 1 FROM engine_chat_session_archive AS archived
            WHERE archived.session_type = _check_session_type.session_type
        )
    THEN
        RAISE EXCEPTION 'no session has the type "%", and no policy names it', session_type
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Check the spelling, or give the type a row in engine_archive_policy.';
    END IF;
END;
$$;

--
-- Name: FUNCTION _check_session_type(session_type text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._check_session_type(session_type text) IS 'Internal to the prune and the purge: raises 22023 for a session type that nothing has.';

--
-- Name: _check_undoable_run(bigint); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._check_undoable_run(run_id bigint) RETURNS void
    LANGUAGE plpgsql STABLE
    AS $$
DECLARE
    v_run record;
BEGIN
    SELECT
        run.kind,
        run.state
    INTO v_run
    FROM engine_archive_run_list AS run
    WHERE run.id = _check_undoable_run.run_id;

    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no run %', coalesce(run_id::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
            HINT = '`aria-db runs` (engine_archive_run_list) lists the runs.';
    ELSIF v_run.kind NOT IN ('prune', 'archive') THEN
        RAISE EXCEPTION 'run % is of the kind %, and only a prune or an archive can be undone', run_id, v_run.kind
            USING ERRCODE = 'invalid_parameter_value',
            HINT = '`aria-db runs` (engine_archive_run_list) lists the runs with their kinds.';
    ELSIF v_run.state = 'running' THEN
        RAISE EXCEPTION 'run % is still running', run_id
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Nothing was restored. Stop it, or wait until it ends. If only its connection is still there, '
                'close the run with finish_archive_run().';
    END IF;
END;
$$;

--
-- Name: FUNCTION _check_undoable_run(run_id bigint); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._check_undoable_run(run_id bigint) IS 'Internal to the undo of a run: refuses one that archives nothing, or that is still running.';

--
-- Name: _check_unseen_holds(uuid[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._check_unseen_holds(session_ids uuid[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_inserted uuid[];
BEGIN
    WITH inserted AS (
        INSERT INTO engine_session_hold AS hold (session_id, reason)
        SELECT
            unnest(session_ids),
            'looked for, and not there'
        ON CONFLICT DO NOTHING
        RETURNING hold.session_id
    )

    SELECT array_agg(inserted.session_id) INTO v_inserted
    FROM inserted;

    DELETE FROM engine_session_hold AS hold
    WHERE hold.session_id = ANY(v_inserted);

    -- The row that a prune wrote since the snapshot must go with the session, too.
    WITH inserted AS (
        INSERT INTO engine_archive_left AS left_behind (session_id, sqlstate, message)
        SELECT
            unnest(session_ids),
            '',
            'looked for, and not there'
        ON CONFLICT DO NOTHING
        RETURNING left_behind.session_id
    )

    SELECT array_agg(inserted.session_id) INTO v_inserted
    FROM inserted;

    DELETE FROM engine_archive_left AS left_behind
    WHERE left_behind.session_id = ANY(v_inserted);
END;
$$;

--
-- Name: FUNCTION _check_unseen_holds(session_ids uuid[]); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._check_unseen_holds(session_ids uuid[]) IS 'Internal to the moves: 40001 if a session was put on hold that the snapshot does not show.';

--
-- Name: _compare_images(text[], text[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._compare_images(expected text[], actual text[]) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    AS $$
DECLARE
    v_image text;
BEGIN
    IF expected = actual THEN
        RETURN;
    END IF;
    SELECT different.image INTO v_image
    FROM (
        (SELECT unnest(expected) EXCEPT ALL SELECT unnest(actual))
        UNION ALL
        (SELECT unnest(actual) EXCEPT ALL SELECT unnest(expected))
    ) AS different (image)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'a trigger kept, changed or redirected a row: %',
            regexp_replace(split_part(v_image, ' (', 1), '^([0-9a-f-]{36}) ', E'session \\1, table ')
            USING ERRCODE = 'AR006',
            HINT = 'Nothing was moved. SELECT * FROM archive_hazards() names the triggers; let them leave moves '
                'alone.';
    END IF;
END;
$$;

--
-- Name: FUNCTION _compare_images(expected text[], actual text[]); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._compare_images(expected text[], actual text[]) IS 'Internal to the moves: AR006 where rows are not there as they were locked.';

--
-- Name: _delete_chat_sessions(uuid[], bigint, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._delete_chat_sessions(session_ids uuid[], run_id bigint, actor text) RETURNS TABLE(id uuid, deleted_at timestamp with time zone, message_count bigint)
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_is_plain boolean;
    v_locked uuid[];
    v_sqlstate text;
    v_message text;
    v_detail text;
    v_schema text;
    v_table text;
    v_constraint text;
BEGIN
    v_is_plain := _lock_and_check_tables(is_move => FALSE);
    v_locked := ARRAY(
        SELECT live.id
        FROM engine_chat_sessions AS live
        WHERE live.id = ANY(session_ids)
        ORDER BY live.id
        FOR UPDATE
    );
    PERFORM _refuse_if_held(v_locked, 'deleted');

    IF NOT v_is_plain THEN
        PERFORM _find_dependents('live', v_locked, is_deletion => TRUE);
    END IF;

    RETURN QUERY
    WITH
    deleted_messages AS (
        DELETE FROM engine_chat_messages AS live
        WHERE live.session_id = ANY(v_locked)
        RETURNING live.session_id
    ),

    deleted_sessions AS (
        DELETE FROM engine_chat_sessions AS live
        WHERE live.id = ANY(v_locked)
    ),

    no_longer_left AS (
        DELETE FROM engine_archive_left AS left_behind
        WHERE left_behind.session_id = ANY(v_locked)
    )

    INSERT INTO engine_archive_event AS journal
    (session_id, event, at, actor, role, run_id, message_count, detail)
    SELECT
        locked.id,
        'deleted',
        clock_timestamp(),
        _actor(_delete_chat_sessions.actor),
        session_user,
        _delete_chat_sessions.run_id,
        count(deleted_messages.session_id),
        '{"place": "live"}'
    FROM unnest(v_locked) AS locked (id)
    LEFT JOIN deleted_messages ON locked.id = deleted_messages.session_id
    GROUP BY locked.id
    RETURNING
        journal.session_id,
        journal.at,
        journal.message_count;

    IF NOT v_is_plain THEN
        PERFORM _check_gone('live', v_locked);
        PERFORM _set_constraints(FALSE);
    END IF;
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
$$;

--
-- Name: FUNCTION _delete_chat_sessions(session_ids uuid[], run_id bigint, actor text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._delete_chat_sessions(session_ids uuid[], run_id bigint, actor text) IS 'Internal: deletes live sessions and their messages for good, all of them or none.';

--
-- Name: _delete_dependents(uuid[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._delete_dependents(session_ids uuid[]) RETURNS void
    LANGUAGE plpgsql
    AS $_$
DECLARE
    v_archive regclass;
BEGIN
    FOR v_archive IN SELECT dependent.archive_id FROM _dependent_archives() AS dependent LOOP
        EXECUTE format('DELETE FROM %s AS archived WHERE archived.archived_session_id = ANY($1)', v_archive)
        USING session_ids;
    END LOOP;
END;
$_$;

--
-- Name: FUNCTION _delete_dependents(session_ids uuid[]); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._delete_dependents(session_ids uuid[]) IS 'Internal: deletes the rows that were archived with sessions, which are deleted for good.';

--
-- Name: _dependent_archives(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._dependent_archives() RETURNS TABLE(schema_name text, table_name text, table_id oid, archive_id oid)
    LANGUAGE plpgsql STABLE ROWS 2
    AS $$
BEGIN
    RETURN QUERY
    SELECT
        dependent.schema_name,
        dependent.table_name,
        to_regclass(format('%I.%I', dependent.schema_name, dependent.table_name))::oid,
        archive.oid
    FROM engine_archive_dependent AS dependent
    INNER JOIN pg_catalog.pg_class AS archive
        ON to_regclass(quote_ident(dependent.schema_name) || '.' || quote_ident(dependent.archive_table)) = archive.oid
    ORDER BY 1, 2;
END;
$$;

--
-- Name: FUNCTION _dependent_archives(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._dependent_archives() IS 'Internal: the tables whose rows have been archived with sessions, and their archives.';

--
-- Name: _dependent_drift(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._dependent_drift() RETURNS TABLE(table_id oid, archive_id oid, column_name text, problem text)
    LANGUAGE plpgsql STABLE ROWS 2
    AS $$
BEGIN
    RETURN QUERY
    SELECT
        dependent.table_id,
        dependent.archive_id,
        table_column.attname::text,
        CASE
            WHEN archive_column.attname IS NULL THEN format('is missing from %s', dependent.archive_id::regclass)
            ELSE format(
                'is %s, but %s in %s',
                format_type(table_column.atttypid, table_column.atttypmod),
                format_type(archive_column.atttypid, archive_column.atttypmod),
                dependent.archive_id::regclass
            )
        END
    FROM _dependent_archives() AS dependent
    INNER JOIN pg_catalog.pg_attribute AS table_column
        ON
            dependent.table_id = table_column.attrelid
            AND table_column.attnum > 0
            AND NOT table_column.attisdropped
    LEFT JOIN pg_catalog.pg_attribute AS archive_column
        ON
            dependent.archive_id = archive_column.attrelid
            AND table_column.attname = archive_column.attname
            AND NOT archive_column.attisdropped
    WHERE
        archive_column.attname IS NULL
        OR (table_column.atttypid, table_column.atttypmod) <> (archive_column.atttypid, archive_column.atttypmod)
    ORDER BY dependent.schema_name, dependent.table_name, table_column.attnum;
END;
$$;

--
-- Name: FUNCTION _dependent_drift(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._dependent_drift() IS 'Internal: columns of tables that refer to chat rows, and that their archives do not have as they are.';

--
-- Name: _dependent_keys(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._dependent_keys() RETURNS TABLE(constraint_id oid, constraint_name name, child_id oid, parent_id oid, action text, depth integer, child_columns name[], parent_columns name[], handling text, archive_table text, child_place text, child_key name, parent_place text, parent_key name, is_indexed boolean)
    LANGUAGE plpgsql STABLE ROWS 4
    AS $$
BEGIN
    RETURN QUERY
    WITH RECURSIVE
    chat AS MATERIALIZED (SELECT * FROM _chat_tables()),

    foreign_keys AS MATERIALIZED (
        SELECT
            foreign_key.oid,
            foreign_key.conname,
            foreign_key.conrelid,
            foreign_key.confrelid,
            foreign_key.confdeltype,
            foreign_key.conkey,
            foreign_key.confkey,
            dependent.handling,
            dependent.archive_table
        FROM pg_catalog.pg_constraint AS foreign_key
        INNER JOIN pg_catalog.pg_class AS child ON foreign_key.conrelid = child.oid
        INNER JOIN pg_catalog.pg_namespace AS namespace ON child.relnamespace = namespace.oid
        LEFT JOIN engine_archive_dependent AS dependent
            ON namespace.nspname = dependent.schema_name AND child.relname = dependent.table_name
        WHERE
            foreign_key.contype = 'f'
            -- not those that PostgreSQL makes for partitions
            AND foreign_key.conparentid = 0
            AND foreign_key.oid NOT IN (SELECT session_key.constraint_id FROM _session_keys() AS session_key)
    ),

    reached (table_id, depth) AS (
        SELECT
            chat.table_id,
            0
        FROM chat
        UNION
        SELECT
            foreign_key.conrelid,
            reached.depth + 1
        FROM reached
        INNER JOIN foreign_keys AS foreign_key ON reached.table_id = foreign_key.confrelid
        WHERE
            (foreign_key.handling IN ('move', 'delete') OR foreign_key.confdeltype = 'c')
            AND reached.depth < 20
            AND NOT EXISTS (SELECT 1 FROM chat WHERE chat.table_id = foreign_key.conrelid)
    ),

    nearest AS (
        SELECT
            reached.table_id,
            min(reached.depth) AS depth
        FROM reached
        GROUP BY reached.table_id
    )

    SELECT
        foreign_key.oid,
        foreign_key.conname,
        foreign_key.conrelid,
        foreign_key.confrelid,
        foreign_key.confdeltype::text,
        nearest.depth + 1,
        column_names.child_columns,
        column_names.parent_columns,
        foreign_key.handling,
        foreign_key.archive_table,
        child_chat.place,
        child_chat.session_key,
        parent_chat.place,
        parent_chat.session_key,
        EXISTS (
            SELECT 1 FROM pg_catalog.pg_index AS child_index
            WHERE
                child_index.indrelid = foreign_key.conrelid
                AND child_index.indisvalid
                AND child_index.indpred IS NULL
                -- an int2vector counts from 0
                AND (child_index.indkey::int2[])[0:cardinality(foreign_key.conkey) - 1] @> foreign_key.conkey
        )
    FROM nearest
    INNER JOIN foreign_keys AS foreign_key ON nearest.table_id = foreign_key.confrelid
    LEFT JOIN chat AS child_chat ON foreign_key.conrelid = child_chat.table_id
    LEFT JOIN chat AS parent_chat ON foreign_key.confrelid = parent_chat.table_id
    CROSS JOIN LATERAL (
        SELECT
            array_agg(child_column.attname ORDER BY pair.place) AS child_columns,
            array_agg(parent_column.attname ORDER BY pair.place) AS parent_columns
        FROM unnest(foreign_key.conkey, foreign_key.confkey) WITH ORDINALITY AS pair (child, parent, place)
        INNER JOIN pg_catalog.pg_attribute AS child_column
            ON foreign_key.conrelid = child_column.attrelid AND pair.child = child_column.attnum
        INNER JOIN pg_catalog.pg_attribute AS parent_column
            ON foreign_key.confrelid = parent_column.attrelid AND pair.parent = parent_column.attnum
    ) AS column_names
    ORDER BY nearest.depth, foreign_key.conrelid::regclass::text, foreign_key.conname;
END;
$$;

--
-- Name: FUNCTION _dependent_keys(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._dependent_keys() IS 'Internal: the foreign keys through which rows hang on chat rows, with what becomes of these rows.';

--
-- Name: _end_checked_move(uuid[], text[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._end_checked_move(session_ids uuid[], images text[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_sqlstate text;
    v_message text;
BEGIN
    PERFORM _check_gone('live', session_ids);
    PERFORM _compare_images(images, _chat_images('archive', session_ids, FALSE));

    IF
        EXISTS (
            SELECT 1
            FROM pg_catalog.pg_trigger AS row_trigger
            WHERE
                row_trigger.tgrelid IN (
                    SELECT chat.table_id FROM _chat_tables() AS chat
                    WHERE chat.place = 'live'
                    UNION ALL
                    SELECT dependent.child_id FROM _dependent_keys() AS dependent
                    WHERE dependent.handling = 'move'
                )
                AND NOT row_trigger.tgisinternal
                AND row_trigger.tgenabled <> 'D'
                -- the bits of INSERT and UPDATE
                AND row_trigger.tgtype & 20 <> 0
        )
    THEN
        BEGIN
            PERFORM restore_sessions(session_ids);
            RAISE EXCEPTION USING ERRCODE = 'no_data_found';
        EXCEPTION
            WHEN no_data_found THEN
                NULL;
            WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS v_sqlstate = RETURNED_SQLSTATE, v_message = MESSAGE_TEXT;
                IF v_sqlstate ~ '^(40|53|57|55P03)' THEN
                    RAISE;
                END IF;
                RAISE EXCEPTION 'the way back is barred: %', v_message
                    USING ERRCODE = 'AR006',
                    DETAIL = format('SQLSTATE %s', v_sqlstate),
                    HINT = 'Nothing was moved, because it could not be restored. Let the triggers on the live '
                        'tables leave restored rows as they are.';
        END;
    END IF;
    PERFORM _set_constraints(FALSE);
END;
$$;

--
-- Name: FUNCTION _end_checked_move(session_ids uuid[], images text[]); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._end_checked_move(session_ids uuid[], images text[]) IS 'Internal to the moves: compares what is archived with what was locked, and tries the way back.';

--
-- Name: _excess_privileges(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._excess_privileges() RETURNS TABLE(object_type text, object text, privilege text, grantee text, is_grantable boolean)
    LANGUAGE plpgsql STABLE
    AS $$
BEGIN
    RETURN QUERY
    WITH
    known AS (
        SELECT
            covered.object,
            covered.privilege,
            CASE
                -- PostgreSQL 15 refuses to look for a function by a name without arguments.
                WHEN covered.privilege = 'EXECUTE' THEN to_regprocedure(covered.object)::oid
                ELSE to_regclass(covered.object)::oid
            END AS id
        FROM archive_access() AS covered
        WHERE covered.object NOT IN ('engine_chat_sessions', 'engine_chat_messages')
    ),

    own_relations AS (
        SELECT known.id FROM known
        WHERE known.privilege <> 'EXECUTE'
        UNION
        SELECT internal_view.oid FROM pg_catalog.pg_class AS internal_view
        INNER JOIN pg_catalog.pg_proc AS moving ON internal_view.relnamespace = moving.pronamespace
        WHERE
            moving.oid = 'archive_sessions(uuid[], bigint, text)'::regprocedure
            AND internal_view.relkind = 'v'
            AND internal_view.relname LIKE E'\\_%'
            AND obj_description(internal_view.oid, 'pg_class') LIKE 'Internal%'
        UNION
        SELECT chat.table_id FROM _chat_tables() AS chat
        WHERE chat.place = 'archive'
        UNION
        SELECT dependent.archive_id FROM _dependent_archives() AS dependent
    ),

    granted (object_type, id, object, owner_id, grantee_id, privilege, is_grantable) AS (
        SELECT
            'ROUTINE',
            routine.oid,
            format('%I.%I(%s)', namespace.nspname, routine.proname, oidvectortypes(routine.proargtypes)),
            routine.proowner,
            entry.grantee,
            entry.privilege_type,
            entry.is_grantable
        FROM pg_catalog.pg_proc AS moving
        INNER JOIN pg_catalog.pg_proc AS routine ON moving.pronamespace = routine.pronamespace
        INNER JOIN pg_catalog.pg_namespace AS namespace ON routine.pronamespace = namespace.oid
        -- without a list of privileges PUBLIC has EXECUTE
        CROSS JOIN LATERAL aclexplode(coalesce(routine.proacl, acldefault('f', routine.proowner))) AS entry
        WHERE
            moving.oid = 'archive_sessions(uuid[], bigint, text)'::regprocedure
            AND (
                routine.oid IN (SELECT known.id FROM known)
                OR routine.oid IN (
                    'archive_access()'::regprocedure,
                    'grant_archive_access(text, text, boolean, boolean)'::regprocedure,
                    'repair_archive_access(boolean)'::regprocedure,
                    'set_archive_dependent(text, text, text)'::regprocedure
                )
                OR (routine.proname LIKE E'\\_%' AND obj_description(routine.oid, 'pg_proc') LIKE 'Internal%')
            )
        UNION ALL
        SELECT
            CASE relation.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
            relation.oid,
            format('%I.%I', namespace.nspname, relation.relname),
            relation.relowner,
            entry.grantee,
            entry.privilege_type,
            entry.is_grantable
        FROM pg_catalog.pg_class AS relation
        INNER JOIN pg_catalog.pg_namespace AS namespace ON relation.relnamespace = namespace.oid
        CROSS JOIN LATERAL (
            SELECT * FROM aclexplode(relation.relacl)
            UNION ALL
            SELECT of_column.* FROM pg_catalog.pg_attribute AS its_column
            CROSS JOIN LATERAL aclexplode(its_column.attacl) AS of_column
            WHERE its_column.attrelid = relation.oid
        ) AS entry
        WHERE
            relation.oid IN (SELECT own_relations.id FROM own_relations)
            OR (
                relation.relkind = 'S'
                -- the sequences of identity columns
                AND EXISTS (
                    SELECT 1 FROM pg_catalog.pg_depend AS owned
                    WHERE
                        owned.classid = 'pg_class'::regclass
                        AND owned.objid = relation.oid
                        AND owned.refclassid = 'pg_class'::regclass
                        AND owned.refobjid IN (SELECT own_relations.id FROM own_relations)
                )
            )
    )

    SELECT
        granted.object_type,
        granted.object,
        granted.privilege,
        coalesce(quote_ident(grantee_role.rolname), 'PUBLIC'),
        bool_or(granted.is_grantable)
    FROM granted
    LEFT JOIN pg_catalog.pg_roles AS grantee_role ON granted.grantee_id = grantee_role.oid
    WHERE
        granted.privilege <> 'SELECT'
        AND NOT coalesce(pg_has_role(grantee_role.oid, granted.owner_id, 'MEMBER'), FALSE)
        AND (
            grantee_role.oid IS NULL
            OR NOT EXISTS (
                SELECT 1 FROM known
                WHERE known.id = granted.id AND known.privilege = granted.privilege
            )
        )
    GROUP BY granted.object_type, granted.object, granted.privilege, grantee_role.rolname
    ORDER BY 4, 1, 2, 3;
END;
$$;

--
-- Name: FUNCTION _excess_privileges(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._excess_privileges() IS 'Internal: privileges on the objects of aria-db that archive_access() does not list.';

--
-- Name: _fill_missing_values(uuid[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._fill_missing_values(session_ids uuid[]) RETURNS boolean
    LANGUAGE plpgsql
    AS $_$
DECLARE
    v_missing record;
    v_is_filled boolean := FALSE;
    v_rows bigint;
BEGIN
    FOR v_missing IN
        SELECT
            pairs.archive_id,
            pairs.session_key,
            live_column.attname,
            pg_get_expr(column_default.adbin, column_default.adrelid) AS value
        FROM (
            SELECT
                live.table_id,
                archive.table_id AS archive_id,
                archive.session_key
            FROM _chat_tables() AS live
            INNER JOIN _chat_tables() AS archive ON live.kind = archive.kind AND archive.place = 'archive'
            WHERE live.place = 'live' AND live.depth = 0 AND archive.depth = 0
            UNION ALL
            SELECT
                dependent.table_id,
                dependent.archive_id,
                'archived_session_id'
            FROM _dependent_archives() AS dependent
        ) AS pairs
        INNER JOIN pg_catalog.pg_attribute AS live_column
            ON pairs.table_id = live_column.attrelid AND live_column.attnotnull AND live_column.attgenerated = ''
        INNER JOIN pg_catalog.pg_attrdef AS column_default
            ON live_column.attrelid = column_default.adrelid AND live_column.attnum = column_default.adnum
        INNER JOIN pg_catalog.pg_attribute AS archive_column
            ON
                pairs.archive_id = archive_column.attrelid
                AND live_column.attname = archive_column.attname
                AND NOT archive_column.attnotnull
    LOOP
        EXECUTE format(
            'UPDATE %1$s AS archived SET %2$I = %3$s WHERE archived.%4$I = ANY($1) AND archived.%2$I IS NULL',
            v_missing.archive_id::regclass, v_missing.attname, v_missing.value, v_missing.session_key
        ) USING session_ids;
        GET DIAGNOSTICS v_rows = ROW_COUNT;
        v_is_filled := v_is_filled OR v_rows > 0;
    END LOOP;
    RETURN v_is_filled;
END;
$_$;

--
-- Name: FUNCTION _fill_missing_values(session_ids uuid[]); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._fill_missing_values(session_ids uuid[]) IS 'Internal to restore_sessions: the defaults of columns that archived rows do not have.';

--
-- Name: _find_dependents(text, uuid[], boolean); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._find_dependents(place text, session_ids uuid[], is_deletion boolean) RETURNS TABLE(child_id oid, row_table oid, row_id tid, session_id uuid)
    LANGUAGE plpgsql
    AS $_$
DECLARE
    v_key record;
    v_statement text;
    v_children oid[] := '{}';
    v_tables oid[] := '{}';
    v_ids tid[] := '{}';
    v_sessions uuid[] := '{}';
    -- the rows that the level before found: their first and last place in the four arrays
    v_first integer := 1;
    v_last integer := 0;
    v_found record;
    v_session_id uuid;
BEGIN
    LOOP
        FOR v_key IN SELECT * FROM _dependent_keys() LOOP
            -- The rows of a chat table are looked at once; those of others as they are found.
            CONTINUE WHEN
                (v_key.parent_place IS NOT NULL AND (v_key.parent_place <> place OR v_last > 0))
                OR (v_key.parent_place IS NULL AND v_key.parent_id <> ALL(v_children))
                OR (is_deletion AND v_key.action <> 'c');

            v_statement := format(
                'SELECT child.tableoid AS row_table, child.ctid AS row_id, %s AS session_id%s FROM %s AS child '
                'INNER JOIN %s AS parent ON %s %s',
                coalesce('parent.' || quote_ident(v_key.parent_key), 'found.session_id'),
                coalesce(', child.' || quote_ident(v_key.child_key) || ' AS child_session', ''),
                v_key.child_id::regclass,
                v_key.parent_id::regclass,
                _key_join(v_key.child_columns, v_key.parent_columns),
                coalesce(
                    'WHERE parent.' || quote_ident(v_key.parent_key) || ' = ANY($1)',
                    'INNER JOIN unnest($2, $3, $4) AS found (row_table, row_id, session_id) '
                    'ON parent.tableoid = found.row_table AND parent.ctid = found.row_id'
                )
            );

            IF v_key.child_place IS NOT NULL THEN
                EXECUTE format(
                    'SELECT refers.* FROM (%s) AS refers WHERE refers.child_session <> ALL($1) LIMIT 1', v_statement
                )
                INTO v_found
                USING session_ids, v_tables[v_first:v_last], v_ids[v_first:v_last], v_sessions[v_first:v_last];
                IF v_found.session_id IS NOT NULL THEN
                    RAISE EXCEPTION 'session % refers to session %, by % of %',
                        v_found.child_session, v_found.session_id, v_key.constraint_name, v_key.child_id::regclass
                        USING ERRCODE = 'AR005',
                        HINT = CASE WHEN is_deletion
                            THEN 'Nothing was deleted. Delete the session that refers to it first.'
                            ELSE 'Nothing was moved. Name both sessions in one call, or move the one that refers '
                                'to it first.'
                        END;
                END IF;
                CONTINUE;
            END IF;

            IF NOT is_deletion AND (
                coalesce(v_key.handling, 'refuse') = 'refuse'
                OR place = 'archive'
                OR (v_key.handling = 'detach' AND v_key.action = 'c')
                OR (v_key.handling = 'delete' AND v_key.action IN ('n', 'd'))
            ) THEN
                EXECUTE format('SELECT refers.session_id FROM (%s) AS refers LIMIT 1', v_statement)
                INTO v_session_id
                USING session_ids, v_tables[v_first:v_last], v_ids[v_first:v_last], v_sessions[v_first:v_last];
                IF v_session_id IS NOT NULL THEN
                    PERFORM _refuse_dependent(v_key.child_id, v_key.constraint_name, v_key.action, v_session_id, place);
                END IF;
                CONTINUE;
            END IF;
            CONTINUE WHEN v_key.handling = 'detach';

            EXECUTE format(
                $statement$
                SELECT
                    coalesce(array_agg(refers.row_table), '{}') AS tables,
                    coalesce(array_agg(refers.row_id), '{}') AS ids,
                    coalesce(array_agg(refers.session_id), '{}') AS sessions
                FROM (
                    SELECT DISTINCT ON (locked.row_table, locked.row_id) locked.*
                    FROM (%s FOR UPDATE OF child) AS locked
                    WHERE (locked.row_table, locked.row_id) NOT IN (SELECT * FROM unnest($5, $6))
                ) AS refers
                $statement$,
                v_statement
            )
            INTO v_found
            USING
                session_ids, v_tables[v_first:v_last], v_ids[v_first:v_last], v_sessions[v_first:v_last],
                v_tables, v_ids;
            v_children := v_children || array_fill(v_key.child_id, ARRAY[cardinality(v_found.ids)]);
            v_tables := v_tables || v_found.tables;
            v_ids := v_ids || v_found.ids;
            v_sessions := v_sessions || v_found.sessions;
        END LOOP;
        EXIT WHEN cardinality(v_ids) = v_last;
        v_first := v_last + 1;
        v_last := cardinality(v_ids);
    END LOOP;
    IF is_deletion THEN
        RETURN;
    END IF;

    -- What moves must hang on nothing that stays.
    FOR v_key IN
        SELECT dependent.* FROM _dependent_keys() AS dependent
        WHERE dependent.handling = 'move' AND dependent.child_id = ANY(v_children)
    LOOP
        CONTINUE WHEN v_key.parent_place IS NULL AND v_key.parent_id <> ALL(v_children);
        EXECUTE format(
            'SELECT found.session_id FROM unnest($2, $3, $4, $5) AS found (child_id, row_table, row_id, session_id) '
            'INNER JOIN %s AS child ON child.tableoid = found.row_table AND child.ctid = found.row_id '
            'INNER JOIN %s AS parent ON %s WHERE found.child_id = $6 AND %s LIMIT 1',
            v_key.child_id::regclass,
            v_key.parent_id::regclass,
            _key_join(v_key.child_columns, v_key.parent_columns),
            coalesce(
                'parent.' || quote_ident(v_key.parent_key) || ' <> ALL($1)',
                '(parent.tableoid, parent.ctid) NOT IN (SELECT * FROM unnest($3, $4))'
            )
        )
        INTO v_session_id
        USING session_ids, v_children, v_tables, v_ids, v_sessions, v_key.child_id;
        IF v_session_id IS NOT NULL THEN
            RAISE EXCEPTION 'a row of % hangs on session % and on another one, by %',
                v_key.child_id::regclass, v_session_id, v_key.constraint_name
                USING ERRCODE = 'AR005',
                HINT = 'Nothing was moved. Name both sessions in one call.';
        END IF;
    END LOOP;

    RETURN QUERY
    SELECT
        found.child_id,
        found.row_table,
        found.row_id,
        found.session_id
    FROM unnest(v_children, v_tables, v_ids, v_sessions) AS found (child_id, row_table, row_id, session_id)
    WHERE
        found.child_id IN (
            SELECT dependent.child_id FROM _dependent_keys() AS dependent
            WHERE dependent.handling = 'move'
        );
END;
$_$;

--
-- Name: FUNCTION _find_dependents(place text, session_ids uuid[], is_deletion boolean); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._find_dependents(place text, session_ids uuid[], is_deletion boolean) IS 'Internal to the moves: locks the rows that hang on sessions, raises AR005, returns those that move.';

--
-- Name: _insertable_columns(regclass, boolean); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._insertable_columns(chat_table regclass, is_new boolean DEFAULT true) RETURNS text
    LANGUAGE sql STABLE
    AS $$
    SELECT string_agg(quote_ident(chat_column.attname), ', ' ORDER BY chat_column.attnum)
    FROM pg_catalog.pg_attribute AS chat_column
    WHERE
        chat_column.attrelid = chat_table
        AND chat_column.attnum > 0
        AND NOT chat_column.attisdropped
        AND NOT EXISTS (
            SELECT 1
            FROM pg_catalog.pg_attribute AS table_column
            WHERE
                table_column.attname = chat_column.attname
                AND table_column.attrelid IN (
                    SELECT beneath.table_id
                    FROM _table_beneath AS beneath
                    WHERE beneath.relation = chat_table
                )
                AND (
                    table_column.attgenerated <> ''
                    OR (table_column.attidentity = 'a' AND NOT is_new)
                )
        );
$$;

--
-- Name: FUNCTION _insertable_columns(chat_table regclass, is_new boolean); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._insertable_columns(chat_table regclass, is_new boolean) IS 'Internal to the moves: the columns of a chat table that are not generated, as a list for SQL.';

--
-- Name: _key_join(name[], name[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._key_join(child_columns name[], parent_columns name[]) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT string_agg(format('child.%I = parent.%I', pair.child, pair.parent), ' AND ')
    FROM unnest(child_columns, parent_columns) AS pair (child, parent);
$$;

--
-- Name: FUNCTION _key_join(child_columns name[], parent_columns name[]); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._key_join(child_columns name[], parent_columns name[]) IS 'Internal: the condition that joins the two sides of a foreign key.';

--
-- Name: _lock_and_check_tables(boolean); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._lock_and_check_tables(is_move boolean DEFAULT true) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_drift record;
    v_are_different boolean;
    v_is_plain boolean;
BEGIN
    LOCK TABLE
        engine_chat_sessions,
        engine_chat_messages,
        engine_chat_session_archive,
        engine_chat_message_archive
    IN ROW EXCLUSIVE MODE;

    -- A stricter level than READ COMMITTED shows the catalogue as of the caller's snapshot,
    -- and would compare columns that are not those of now. has_column_privilege does look
    -- at now, and gives null for a column that is not there. Of a view, the table beneath
    -- it is looked at as well.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        IF
            EXISTS (
                WITH
                chat_relations (id) AS (
                    VALUES
                    ('engine_chat_sessions'::regclass::oid),
                    ('engine_chat_messages'::regclass),
                    ('engine_chat_session_archive'::regclass),
                    ('engine_chat_message_archive'::regclass)
                )

                SELECT 1
                FROM pg_catalog.pg_attribute AS chat_column
                WHERE
                    -- an array: of a join, the plan of an EXISTS would read every column there is
                    chat_column.attrelid = ANY(
                        ARRAY(
                            SELECT chat_relations.id
                            FROM chat_relations
                            UNION ALL
                            SELECT beneath.table_id
                            FROM chat_relations
                            INNER JOIN _table_beneath AS beneath ON chat_relations.id = beneath.relation
                        )
                    )
                    AND chat_column.attnum > 0
                GROUP BY chat_column.attrelid
                HAVING
                    bool_or(
                        NOT chat_column.attisdropped
                        AND has_column_privilege(chat_column.attrelid, chat_column.attnum, 'SELECT') IS NULL
                    )
                    OR has_column_privilege(
                        chat_column.attrelid, (max(chat_column.attnum) + 1)::smallint, 'SELECT'
                    ) IS NOT NULL
            )
        THEN
            RAISE EXCEPTION 'the columns of the chat tables have changed since this transaction began'
                USING ERRCODE = 'serialization_failure',
                HINT = 'Nothing was moved. Try again in a new transaction.';
        END IF;
    END IF;

    -- One look at the catalogue, because each archive takes it: whether the columns of both tables are
    -- the same, and whether these are four plain tables, of which the live ones have the two triggers that
    -- the messages' key on session_id makes on each, and the archives none.
    SELECT
        (
            SELECT bool_or(pairs.are_different)
            FROM (
                SELECT
                    ARRAY[('archived_at'::name, 'timestamptz'::regtype::oid, -1)] || ARRAY(
                        SELECT (live_column.attname, live_column.atttypid, live_column.atttypmod)
                        FROM pg_catalog.pg_attribute AS live_column
                        WHERE
                            live_column.attrelid = table_pairs.live
                            AND live_column.attnum > 0
                            AND NOT live_column.attisdropped
                        ORDER BY live_column.attnum
                    )
                    <> ARRAY(
                        SELECT (archive_column.attname, archive_column.atttypid, archive_column.atttypmod)
                        FROM pg_catalog.pg_attribute AS archive_column
                        WHERE
                            archive_column.attrelid = table_pairs.archive
                            AND archive_column.attnum > 0
                            AND NOT archive_column.attisdropped
                        ORDER BY archive_column.attnum
                    ) AS are_different
                FROM (
                    VALUES
                    ('engine_chat_sessions'::regclass, 'engine_chat_session_archive'::regclass),
                    ('engine_chat_messages'::regclass, 'engine_chat_message_archive'::regclass)
                ) AS table_pairs (live, archive)
            ) AS pairs
        ),
        current_setting('session_replication_role') <> 'replica'
        AND bool_and(
            chat.relkind = 'r'
            AND NOT chat.relhasrules
            AND NOT chat.relhassubclass
            AND (
                key_trigger.oid IS NULL
                OR key_trigger.tgisinternal
                AND key_trigger.tgenabled = 'O'
                AND NOT key_trigger.tgdeferrable
                AND (chat.oid, key_trigger.tgconstrrelid) IN (
                    ('engine_chat_sessions'::regclass, 'engine_chat_messages'::regclass),
                    ('engine_chat_messages'::regclass, 'engine_chat_sessions'::regclass)
                )
            )
        )
        -- All four triggers belong to one key, and that key is on session_id. On the messages, it has one
        -- for INSERT (tgtype & 4).
        AND count(key_trigger.oid) = 4
        AND min(key_trigger.tgconstraint) = max(key_trigger.tgconstraint)
        AND min(pg_get_constraintdef(key_trigger.tgconstraint)) FILTER (
            WHERE chat.oid = 'engine_chat_messages'::regclass AND key_trigger.tgtype & 4 <> 0
        ) LIKE 'FOREIGN KEY (session_id) %'
    INTO v_are_different, v_is_plain
    FROM pg_catalog.pg_class AS chat
    LEFT JOIN pg_catalog.pg_trigger AS key_trigger ON chat.oid = key_trigger.tgrelid
    WHERE
        chat.oid = ANY(
            ARRAY[
                'engine_chat_sessions'::regclass,
                'engine_chat_messages'::regclass,
                'engine_chat_session_archive'::regclass,
                'engine_chat_message_archive'::regclass
            ]
        );

    -- Of a view, the table beneath it is looked at as well.
    IF is_move AND (v_are_different OR NOT v_is_plain) THEN
        SELECT * INTO v_drift FROM archive_column_drift() LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'column %.% %', v_drift.live_table, v_drift.column_name, v_drift.problem
                USING ERRCODE = 'AR002',
                HINT = 'Nothing was moved. ' || CASE
                    WHEN
                        EXISTS (
                            SELECT 1 FROM pg_catalog.pg_class AS chat
                            WHERE chat.oid = 'engine_chat_sessions'::regclass AND chat.relkind = 'v'
                        )
                        THEN 'Run `aria-db adopt` again: it gives the archives and the views what the tables have.'
                    ELSE 'Give the archive archived_at first and then the columns of the live table in their order.'
                END || ' SELECT * FROM archive_column_drift() lists every difference.';
        END IF;
    END IF;

    IF v_is_plain OR _are_tables_plain() THEN
        RETURN TRUE;
    END IF;

    PERFORM _lock_dependent_tables();
    PERFORM _refuse_unsafe_tables();
    PERFORM _set_constraints(TRUE);
    RETURN FALSE;
END;
$$;

--
-- Name: FUNCTION _lock_and_check_tables(is_move boolean); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._lock_and_check_tables(is_move boolean) IS 'Internal to the moves: locks the chat tables, raises AR002 on column drift, tells whether to compare.';

--
-- Name: _lock_dependent_tables(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._lock_dependent_tables() RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_locked oid[] := '{}';
    v_child oid;
    v_found boolean;
BEGIN
    LOOP
        v_found := FALSE;
        FOR v_child IN
            SELECT DISTINCT dependent.child_id
            FROM _dependent_keys() AS dependent
            WHERE dependent.child_place IS NULL AND dependent.child_id <> ALL(v_locked)
            ORDER BY dependent.child_id
        LOOP
            EXECUTE format('LOCK TABLE %s IN ROW EXCLUSIVE MODE', v_child::regclass);
            v_locked := v_locked || v_child;
            v_found := TRUE;
        END LOOP;
        EXIT WHEN NOT v_found;
    END LOOP;
END;
$$;

--
-- Name: FUNCTION _lock_dependent_tables(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._lock_dependent_tables() IS 'Internal to the moves: locks the tables that hang on chat rows against further foreign keys.';

--
-- Name: _move_back(uuid[], boolean); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._move_back(session_ids uuid[], is_plain boolean) RETURNS void
    LANGUAGE plpgsql
    AS $_$
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
$_$;

--
-- Name: FUNCTION _move_back(session_ids uuid[], is_plain boolean); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._move_back(session_ids uuid[], is_plain boolean) IS 'Internal to restore_sessions: moves locked rows of the archive into the live tables.';

--
-- Name: _raise_move_error(text, text, text, text, text, text, text, boolean); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._raise_move_error(place text, sqlstate_raised text, message text, detail text, constraint_schema text, constraint_table text, constraint_name text, is_plain boolean) RETURNS void
    LANGUAGE plpgsql STABLE
    AS $$
DECLARE
    v_detail CONSTANT text := concat_ws(' ', message || '.', nullif(detail, ''));
    v_table CONSTANT oid := to_regclass(
        CASE WHEN constraint_table <> '' THEN format('%I.%I', constraint_schema, constraint_table) END
    );
    v_is_chat boolean;
    v_is_destination boolean;
    v_is_key boolean;
BEGIN
    IF sqlstate_raised ~ '^(AR|40|42501|53|55P03|57|22023|0A000)' THEN
        RETURN;
    END IF;
    v_is_chat := EXISTS (
        SELECT 1 FROM _chat_tables() AS chat
        WHERE chat.table_id = v_table AND chat.place = _raise_move_error.place
    );
    v_is_destination := v_is_chat OR (
        place = 'live' AND EXISTS (SELECT 1 FROM _dependent_archives() AS dependent WHERE dependent.table_id = v_table)
    );

    IF sqlstate_raised = '23505' AND v_is_chat THEN
        SELECT coalesce(bool_and(key_column.attname IN ('id', 'session_id')), FALSE) INTO v_is_key
        FROM pg_catalog.pg_index AS key_index
        INNER JOIN pg_catalog.pg_class AS index_name ON key_index.indexrelid = index_name.oid
        INNER JOIN pg_catalog.pg_attribute AS key_column
            ON key_index.indrelid = key_column.attrelid AND key_column.attnum = ANY(key_index.indkey::int2[])
        WHERE key_index.indrelid = v_table AND index_name.relname = constraint_name;
        IF v_is_key THEN
            RETURN;
        END IF;
    END IF;

    IF sqlstate_raised IN ('23502', '23505', '23514', '23P01') AND v_is_destination THEN
        RAISE EXCEPTION '% does not take a row: %', v_table::regclass, message
            USING ERRCODE = 'AR007',
            DETAIL = v_detail,
            HINT = 'Nothing was moved. ' || CASE
                WHEN place = 'archive' AND sqlstate_raised = '23502' THEN
                    'The archive must take what the live table takes: ALTER TABLE ... ALTER COLUMN ... DROP NOT '
                    'NULL on it (`aria-db adopt` does).'
                WHEN place = 'archive' THEN
                    format(
                        'The archive must take what the live table takes: ALTER TABLE %s DROP CONSTRAINT %I, or '
                        'DROP INDEX.', v_table::regclass, constraint_name
                    )
                WHEN sqlstate_raised = '23505' THEN
                    'Another live session has the value by now: change it there, or in the archived row, and try '
                    'again.'
                ELSE
                    'The live table has become stricter since: change the archived row so that it fits, and try '
                    'again.'
            END;
    ELSIF sqlstate_raised = '428C9' AND place = 'archive' THEN
        RAISE EXCEPTION 'the archive computes a column: %', message
            USING ERRCODE = 'AR007',
            DETAIL = v_detail,
            HINT = 'Nothing was moved. SELECT * FROM archive_hazards() names the column: DROP EXPRESSION, or DROP '
                'IDENTITY.';
    ELSIF
        sqlstate_raised = '23503'
        AND v_is_destination
        -- a session that did not arrive is a trigger's doing
        AND NOT EXISTS (
            SELECT 1
            FROM _session_keys() AS session_key
            INNER JOIN pg_catalog.pg_constraint AS named ON session_key.constraint_id = named.oid
            WHERE session_key.message_table = v_table AND named.conname = constraint_name
        )
    THEN
        RAISE EXCEPTION 'a row of % refers to one that is not there: %', v_table::regclass, message
            USING ERRCODE = 'AR007',
            DETAIL = v_detail,
            HINT = 'Nothing was moved. ' || CASE place
                WHEN 'archive' THEN format(
                    'An archive needs no foreign key: ALTER TABLE %s DROP CONSTRAINT %I.',
                    v_table::regclass, constraint_name
                )
                ELSE 'If it is an archived session, restore it first or in the same call; else insert the missing '
                    'row, or change the column of the archived row.'
            END;
    ELSIF
        sqlstate_raised IN ('23503', '23001')
        AND EXISTS (
            SELECT 1 FROM _dependent_keys() AS dependent
            WHERE dependent.child_id = v_table AND dependent.constraint_name = _raise_move_error.constraint_name
        )
    THEN
        RAISE EXCEPTION 'rows of % refer to what would be deleted: %',
            coalesce(v_table::regclass::text, constraint_table), message
            USING ERRCODE = 'AR005',
            DETAIL = v_detail,
            HINT = 'Nothing was done. SELECT * FROM archive_dependents() lists such tables; '
                'set_archive_dependent() says what becomes of their rows.';
    ELSIF NOT is_plain THEN
        RAISE EXCEPTION 'a trigger stopped the move: %', message
            USING ERRCODE = 'AR006',
            DETAIL = format('SQLSTATE %s. %s', sqlstate_raised, v_detail),
            HINT = 'Nothing was moved. SELECT * FROM archive_hazards() names the triggers; let them leave moves '
                'alone.';
    END IF;
END;
$$;

--
-- Name: FUNCTION _raise_move_error(place text, sqlstate_raised text, message text, detail text, constraint_schema text, constraint_table text, constraint_name text, is_plain boolean); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._raise_move_error(place text, sqlstate_raised text, message text, detail text, constraint_schema text, constraint_table text, constraint_name text, is_plain boolean) IS 'Internal to the moves: raises an error in the middle of a move as one of AR005, AR006 and AR007.';

--
-- Name: _record_archive_batch(bigint, bigint, bigint, timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._record_archive_batch(run_id bigint, sessions bigint, messages bigint, reached timestamp with time zone DEFAULT NULL::timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE engine_archive_run AS run
    SET
        batches = run.batches + 1,
        sessions = run.sessions + _record_archive_batch.sessions,
        messages = run.messages + _record_archive_batch.messages,
        last_batch_at = clock_timestamp(),
        reached = _record_archive_batch.reached,
        backend_pid = pg_backend_pid()
    WHERE run.id = _record_archive_batch.run_id AND run.finished_at IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'run % has finished', run_id
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'The batch was rolled back. Begin another run: begin_archive_run().';
    END IF;
END;
$$;

--
-- Name: FUNCTION _record_archive_batch(run_id bigint, sessions bigint, messages bigint, reached timestamp with time zone); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._record_archive_batch(run_id bigint, sessions bigint, messages bigint, reached timestamp with time zone) IS 'Internal to bulk work: adds a batch to the row of its run.';

--
-- Name: _record_left_sessions(bigint, uuid[], text[], text[], text[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._record_left_sessions(run_id bigint, session_ids uuid[], sqlstates text[], messages text[], remedies text[]) RETURNS void
    LANGUAGE sql
    AS $$
    INSERT INTO engine_archive_left AS left_before (session_id, run_id, sqlstate, message, remedy)
    SELECT
        live.id,
        _record_left_sessions.run_id,
        refused.state,
        refused.message,
        refused.remedy
    FROM unnest(session_ids, sqlstates, messages, remedies) AS refused (id, state, message, remedy)
    INNER JOIN engine_chat_sessions AS live ON refused.id = live.id
    FOR NO KEY UPDATE OF live SKIP LOCKED
    ON CONFLICT ON CONSTRAINT engine_archive_left_pkey DO UPDATE
    SET
        run_id = excluded.run_id,
        sqlstate = excluded.sqlstate,
        message = excluded.message,
        remedy = excluded.remedy,
        at = excluded.at;
$$;

--
-- Name: FUNCTION _record_left_sessions(run_id bigint, session_ids uuid[], sqlstates text[], messages text[], remedies text[]); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._record_left_sessions(run_id bigint, session_ids uuid[], sqlstates text[], messages text[], remedies text[]) IS 'Internal to bulk work: writes down the live sessions that a batch had to leave.';

--
-- Name: _referring_keys(text[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._referring_keys(handlings text[] DEFAULT '{refuse}'::text[]) RETURNS TABLE(child text, condition text)
    LANGUAGE sql STABLE ROWS 2
    AS $$
    SELECT
        dependent.child_id::regclass::text AS child,
        format(
            'EXISTS (SELECT 1 FROM %s AS parent INNER JOIN %s AS child ON %s WHERE parent.%I = candidate.id%s)',
            dependent.parent_id::regclass,
            dependent.child_id::regclass,
            _key_join(dependent.child_columns, dependent.parent_columns),
            dependent.parent_key,
            coalesce(' AND child.' || quote_ident(dependent.child_key) || ' <> candidate.id', '')
        ) AS condition
    FROM _dependent_keys() AS dependent
    WHERE
        dependent.parent_place = 'live'
        AND (dependent.child_place IS NOT NULL OR coalesce(dependent.handling, 'refuse') = ANY(handlings));
$$;

--
-- Name: FUNCTION _referring_keys(handlings text[]); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._referring_keys(handlings text[]) IS 'Internal to bulk work: the keys through which rows keep a session where it is, with a condition as SQL.';

--
-- Name: _refuse_dependent(oid, name, text, uuid, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._refuse_dependent(child_id oid, constraint_name name, action text, session_id uuid, place text) RETURNS void
    LANGUAGE plpgsql STABLE
    AS $$
DECLARE
    v_choices CONSTANT text := CASE
        WHEN action = 'c' THEN 'move or delete'
        WHEN action IN ('n', 'd') THEN 'move or detach'
        ELSE 'move'
    END;
BEGIN
    RAISE EXCEPTION 'session % has rows in %, which refer to it by %', session_id, child_id::regclass, constraint_name
        USING ERRCODE = 'AR005',
        HINT = CASE place
            WHEN 'archive' THEN format(
                'Nothing was moved. No key should refer to an archive: delete these rows, or ALTER TABLE %s DROP '
                'CONSTRAINT %I.', child_id::regclass, constraint_name
            )
            ELSE (
                SELECT format(
                    'Nothing was moved. Say what becomes of them (%s): set_archive_dependent(%L, %L, ''move''), or '
                    '`aria-db dependents set %s --move`.',
                    v_choices, namespace.nspname, child.relname, child_id::regclass
                )
                FROM pg_catalog.pg_class AS child
                INNER JOIN pg_catalog.pg_namespace AS namespace ON child.relnamespace = namespace.oid
                WHERE child.oid = child_id
            )
        END;
END;
$$;

--
-- Name: FUNCTION _refuse_dependent(child_id oid, constraint_name name, action text, session_id uuid, place text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._refuse_dependent(child_id oid, constraint_name name, action text, session_id uuid, place text) IS 'Internal to the moves: AR005 for rows of a table without handling.';

--
-- Name: _refuse_if_held(uuid[], text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._refuse_if_held(session_ids uuid[], outcome text) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_hold record;
BEGIN
    SELECT
        hold.session_id,
        hold.reason,
        hold.placed_by
    INTO v_hold
    FROM engine_session_hold AS hold
    WHERE hold.session_id = ANY(session_ids)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'session % is on hold: %', v_hold.session_id, v_hold.reason
            USING ERRCODE = 'AR003',
            DETAIL = format('The hold was placed by %s.', v_hold.placed_by),
            HINT = format('Nothing was %s. release_hold() ends the hold when its reason is gone.', outcome);
    END IF;

    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM _check_unseen_holds(session_ids);
    END IF;
END;
$$;

--
-- Name: FUNCTION _refuse_if_held(session_ids uuid[], outcome text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._refuse_if_held(session_ids uuid[], outcome text) IS 'Internal to the moves: AR003 for a session on hold; 40001 for a hold that the snapshot does not show.';

--
-- Name: _refuse_unsafe_tables(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._refuse_unsafe_tables() RETURNS void
    LANGUAGE plpgsql STABLE
    AS $$
DECLARE
    v_found record;
BEGIN
    IF current_setting('session_replication_role') = 'replica' THEN
        RAISE EXCEPTION 'session_replication_role is replica, which switches foreign keys off'
            USING ERRCODE = 'AR006',
            HINT = 'Nothing was done. SET session_replication_role = origin, and try again.';
    END IF;

    SELECT
        chat.table_id::regclass AS table_name,
        chat.relation,
        holding.relkind NOT IN ('r', 'p') AS is_foreign,
        chat.depth > 0 AND NOT holding.relispartition AS inherits,
        (
            SELECT min(row_rule.rulename) FROM pg_catalog.pg_rewrite AS row_rule
            WHERE row_rule.ev_class IN (chat.relation, chat.table_id) AND row_rule.rulename <> '_RETURN'
        ) AS rule_name,
        (
            -- the bit of INSTEAD OF
            SELECT min(row_trigger.tgname) FROM pg_catalog.pg_trigger AS row_trigger
            WHERE row_trigger.tgrelid = chat.relation AND row_trigger.tgtype & 64 <> 0
        ) AS instead_of
    INTO v_found
    FROM _chat_tables() AS chat
    INNER JOIN pg_catalog.pg_class AS holding ON chat.table_id = holding.oid
    WHERE
        holding.relkind NOT IN ('r', 'p')
        OR (chat.depth > 0 AND NOT holding.relispartition)
        OR EXISTS (
            SELECT 1 FROM pg_catalog.pg_rewrite AS row_rule
            WHERE row_rule.ev_class IN (chat.relation, chat.table_id) AND row_rule.rulename <> '_RETURN'
        )
        OR EXISTS (
            SELECT 1 FROM pg_catalog.pg_trigger AS row_trigger
            WHERE row_trigger.tgrelid = chat.relation AND row_trigger.tgtype & 64 <> 0
        )
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '%', CASE
            WHEN v_found.is_foreign THEN format('%s is a foreign table', v_found.table_name)
            WHEN v_found.inherits THEN format(
                '%s inherits from %s and is no partition', v_found.table_name, v_found.relation
            )
            WHEN v_found.rule_name IS NOT NULL THEN format(
                'the rule %I on %s rewrites statements', v_found.rule_name, v_found.table_name
            )
            ELSE format('the INSTEAD OF trigger %I on %s takes rows', v_found.instead_of, v_found.relation)
        END
            USING ERRCODE = 'AR006',
            HINT = 'Nothing was done. The chat tables must be plain or partitioned tables without rules; '
                'SELECT * FROM archive_hazards() lists what else is in the way.';
    END IF;

    SELECT
        chat.table_id::regclass AS message_table,
        session_key.constraint_id
    INTO v_found
    FROM _chat_tables() AS chat
    LEFT JOIN _session_keys() AS session_key ON chat.table_id = session_key.message_table
    WHERE (chat.place, chat.kind) = ('live', 'message') AND session_key.is_enforced IS NOT TRUE
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '%', CASE
            WHEN v_found.constraint_id IS NULL
                THEN format('%s has no foreign key on session_id to the sessions', v_found.message_table)
            ELSE format('the foreign key of %s to the sessions is not enforced', v_found.message_table)
        END
            USING ERRCODE = 'AR006',
            HINT = 'Nothing was done. The key is what makes a new message wait for the move of its session: '
                'add it, or ALTER TABLE ... ENABLE TRIGGER ALL.';
    END IF;

    SELECT
        archive_key.conrelid::regclass AS archive,
        archive_key.conname AS name,
        archive_key.confrelid::regclass AS live
    INTO v_found
    FROM _chat_tables() AS child
    INNER JOIN pg_catalog.pg_constraint AS archive_key
        ON child.table_id = archive_key.conrelid AND archive_key.contype = 'f'
    INNER JOIN _chat_tables() AS parent ON archive_key.confrelid = parent.table_id
    WHERE child.place = 'archive' AND parent.place = 'live'
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the archive % refers to the live table % by %', v_found.archive, v_found.live, v_found.name
            USING ERRCODE = 'AR005',
            HINT = format(
                'Nothing was done. An archived row must not depend on a live one: ALTER TABLE %s DROP '
                'CONSTRAINT %I.', v_found.archive, v_found.name
            );
    END IF;
END;
$$;

--
-- Name: FUNCTION _refuse_unsafe_tables(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._refuse_unsafe_tables() IS 'Internal to the moves: AR006 for rules, INSTEAD OF triggers and a missing key of the messages.';

--
-- Name: _remove_archived_copies(uuid[], bigint, text, boolean); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._remove_archived_copies(session_ids uuid[], run_id bigint, actor text, is_plain boolean) RETURNS void
    LANGUAGE plpgsql
    AS $$
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
$$;

--
-- Name: FUNCTION _remove_archived_copies(session_ids uuid[], run_id bigint, actor text, is_plain boolean); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._remove_archived_copies(session_ids uuid[], run_id bigint, actor text, is_plain boolean) IS 'Internal to archive_sessions: removes live sessions that the archive holds bit for bit; AR001 otherwise.';

--
-- Name: _restore_dependents(uuid[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._restore_dependents(session_ids uuid[]) RETURNS void
    LANGUAGE plpgsql
    AS $_$
DECLARE
    v_dependent record;
    v_has_rows boolean;
    v_moves text[] := '{}';
    v_results text[] := '{}';
    v_children oid[] := '{}';
    v_expected text[] := '{}';
    v_found text[] := '{}';
    v_tables oid[];
    v_ids tid[];
BEGIN
    FOR v_dependent IN SELECT * FROM _dependent_archives() LOOP
        EXECUTE format(
            'SELECT EXISTS (SELECT 1 FROM %s AS archived WHERE archived.archived_session_id = ANY($1))',
            v_dependent.archive_id::regclass
        ) INTO v_has_rows USING session_ids;
        CONTINUE WHEN NOT v_has_rows;
        IF v_dependent.table_id IS NULL THEN
            RAISE EXCEPTION 'rows of table %.% are archived with the sessions, and there is no such table',
                v_dependent.schema_name, v_dependent.table_name
                USING ERRCODE = 'AR007',
                HINT = format(
                    'Nothing was moved. Create the table again, or change its name in engine_archive_dependent if '
                    'it was renamed, or delete the rows from %s.', v_dependent.archive_id::regclass
                );
        END IF;
        -- without the id of the session, which a restored row need not have
        v_expected := v_expected || ARRAY(
            SELECT substr(seen.image, 38)
            FROM unnest(
                _session_images(
                    v_dependent.archive_id,
                    'archived_session_id',
                    session_ids,
                    _insertable_columns(v_dependent.table_id),
                    v_dependent.table_id
                )
            ) AS seen (image)
        );
        v_children := v_children || v_dependent.table_id;
        v_moves := v_moves || format(
            'moved_%1$s AS (DELETE FROM %2$s AS archived WHERE archived.archived_session_id = ANY($1) '
            'RETURNING archived.*), restored_%1$s AS (INSERT INTO %3$s AS child (%4$s) OVERRIDING SYSTEM VALUE '
            'SELECT %4$s FROM moved_%1$s RETURNING child.tableoid, child.ctid)',
            v_dependent.table_id,
            v_dependent.archive_id::regclass,
            v_dependent.table_id::regclass,
            _insertable_columns(v_dependent.table_id)
        );
        v_results := v_results || format('SELECT tableoid, ctid FROM restored_%s', v_dependent.table_id);
    END LOOP;
    IF v_children = '{}' THEN
        RETURN;
    END IF;

    EXECUTE format(
        'WITH %s SELECT array_agg(restored.tableoid), array_agg(restored.ctid) FROM (%s) AS restored',
        array_to_string(v_moves, ', '), array_to_string(v_results, ' UNION ALL ')
    ) INTO v_tables, v_ids USING session_ids;

    FOR v_dependent IN
        SELECT * FROM _dependent_archives() AS dependent
        WHERE dependent.table_id = ANY(v_children)
    LOOP
        v_found := v_found || _row_images(
            v_dependent.table_id, _insertable_columns(v_dependent.table_id), v_tables, v_ids, NULL
        );
    END LOOP;
    PERFORM _compare_images(v_expected, v_found);
END;
$_$;

--
-- Name: FUNCTION _restore_dependents(session_ids uuid[]); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._restore_dependents(session_ids uuid[]) IS 'Internal to restore_sessions: brings back the rows that were archived with sessions.';

--
-- Name: _restored_columns(regclass, boolean); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._restored_columns(chat_table regclass, is_new boolean DEFAULT true) RETURNS text
    LANGUAGE sql STABLE
    AS $_$
    SELECT regexp_replace(
        _insertable_columns(chat_table, is_new),
        '(^|, )status(,|$)',
        E'\\1CASE status WHEN ''archived'' THEN ''active'' ELSE status END\\2'
    );
$_$;

--
-- Name: FUNCTION _restored_columns(chat_table regclass, is_new boolean); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._restored_columns(chat_table regclass, is_new boolean) IS 'Internal to the moves: the values that a restore gives a row of the sessions, as a list for SQL.';

--
-- Name: _row_images(oid, text, oid[], tid[], uuid[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._row_images(table_id oid, columns text, row_tables oid[], row_ids tid[], session_ids uuid[]) RETURNS text[]
    LANGUAGE plpgsql STABLE
    SET extra_float_digits TO '1'
    AS $_$
DECLARE
    v_images text[];
BEGIN
    EXECUTE format(
        $statement$
        SELECT array_agg(seen.image ORDER BY seen.image COLLATE "C")
        FROM (
            SELECT concat_ws(' ', found.session_id, %1$L, row_values.printed) AS image
            FROM unnest($1, $2, $3) AS found (row_table, row_id, session_id)
            CROSS JOIN LATERAL (
                SELECT ROW(%2$s)::text AS printed
                FROM %3$s AS held
                WHERE held.tableoid = found.row_table AND held.ctid = found.row_id
            ) AS row_values
        ) AS seen
        $statement$,
        table_id::regclass, columns, table_id::regclass
    ) INTO v_images USING row_tables, row_ids, session_ids;
    RETURN coalesce(v_images, '{}');
END;
$_$;

--
-- Name: FUNCTION _row_images(table_id oid, columns text, row_tables oid[], row_ids tid[], session_ids uuid[]); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._row_images(table_id oid, columns text, row_tables oid[], row_ids tid[], session_ids uuid[]) IS 'Internal to the moves: what some rows of a table hold, a text for each row.';

--
-- Name: _schema_creators(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._schema_creators() RETURNS TABLE(schema_name text, grantee text, role_id oid)
    LANGUAGE plpgsql STABLE
    AS $$
BEGIN
    RETURN QUERY
    SELECT
        quote_ident(namespace.nspname),
        coalesce(quote_ident(grantee_role.rolname), 'PUBLIC'),
        grantee_role.oid
    FROM pg_catalog.pg_proc AS moving
    INNER JOIN pg_catalog.pg_namespace AS namespace ON moving.pronamespace = namespace.oid
    INNER JOIN pg_catalog.pg_database AS this_database ON this_database.datname = current_database()
    CROSS JOIN LATERAL aclexplode(namespace.nspacl) AS entry
    LEFT JOIN pg_catalog.pg_roles AS grantee_role ON entry.grantee = grantee_role.oid
    WHERE
        moving.oid = 'archive_sessions(uuid[], bigint, text)'::regprocedure
        AND entry.privilege_type = 'CREATE'
        AND (
            grantee_role.oid IS NULL
            OR NOT (
                grantee_role.rolname = 'pg_database_owner'
                OR pg_has_role(grantee_role.oid, moving.proowner, 'MEMBER')
                OR pg_has_role(grantee_role.oid, namespace.nspowner, 'MEMBER')
                OR pg_has_role(grantee_role.oid, this_database.datdba, 'MEMBER')
            )
        )
    GROUP BY namespace.nspname, grantee_role.rolname, grantee_role.oid
    ORDER BY 2;
END;
$$;

--
-- Name: FUNCTION _schema_creators(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._schema_creators() IS 'Internal: who else may create objects in the schema of the functions.';

--
-- Name: _session_images(oid, name, uuid[], text, regclass); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._session_images(table_id oid, session_key name, session_ids uuid[], columns text, meant regclass) RETURNS text[]
    LANGUAGE plpgsql STABLE
    SET extra_float_digits TO '1'
    AS $_$
DECLARE
    v_images text[];
BEGIN
    EXECUTE format(
        $statement$
        SELECT array_agg(seen.image ORDER BY seen.image COLLATE "C")
        FROM (
            SELECT concat_ws(' ', held.%1$I, %2$L, ROW(%3$s)::text) AS image
            FROM %4$s AS held
            WHERE held.%1$I = ANY($1)
        ) AS seen
        $statement$,
        session_key, meant, columns, table_id::regclass
    ) INTO v_images USING session_ids;
    RETURN coalesce(v_images, '{}');
END;
$_$;

--
-- Name: FUNCTION _session_images(table_id oid, session_key name, session_ids uuid[], columns text, meant regclass); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._session_images(table_id oid, session_key name, session_ids uuid[], columns text, meant regclass) IS 'Internal to the moves: what a table holds of some sessions, a text for each row.';

--
-- Name: _session_keys(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._session_keys() RETURNS TABLE(constraint_id oid, place text, message_table oid, is_enforced boolean)
    LANGUAGE plpgsql STABLE ROWS 2
    AS $$
BEGIN
    RETURN QUERY
    WITH
    chat AS MATERIALIZED (SELECT * FROM _chat_tables())

    SELECT
        message_key.oid AS constraint_id,
        message.place,
        message.table_id AS message_table,
        -- PostgreSQL 18 knows keys that are not enforced.
        to_jsonb(message_key) ->> 'conenforced' IS DISTINCT FROM 'false'
        AND NOT EXISTS (
            SELECT 1 FROM pg_catalog.pg_trigger AS key_trigger
            WHERE key_trigger.tgconstraint = message_key.oid AND key_trigger.tgenabled NOT IN ('O', 'A')
        ) AS is_enforced
    FROM chat AS message
    INNER JOIN pg_catalog.pg_constraint AS message_key
        ON message.table_id = message_key.conrelid AND message_key.contype = 'f'
    INNER JOIN chat AS session
        ON
            message_key.confrelid = session.table_id
            AND session.kind = 'session'
            AND message.place = session.place
    INNER JOIN pg_catalog.pg_attribute AS key_column
        ON
            message_key.conrelid = key_column.attrelid
            AND message_key.conkey = ARRAY[key_column.attnum]
            AND key_column.attname = 'session_id'
    INNER JOIN pg_catalog.pg_attribute AS session_column
        ON
            message_key.confrelid = session_column.attrelid
            AND message_key.confkey = ARRAY[session_column.attnum]
            AND session_column.attname = 'id'
    WHERE message.kind = 'message';
END;
$$;

--
-- Name: FUNCTION _session_keys(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._session_keys() IS 'Internal: the foreign keys by which messages refer to their session, with whether they are enforced.';

--
-- Name: _set_constraints(boolean); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public._set_constraints(is_immediate boolean) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_tables oid[] := ARRAY(
        SELECT chat.table_id FROM _chat_tables() AS chat
        UNION
        SELECT dependent.child_id FROM _dependent_keys() AS dependent
    );
    v_names text;
BEGIN
    SELECT string_agg(DISTINCT format('%s.%I', chat_constraint.connamespace::regnamespace, chat_constraint.conname), ', ')
    INTO v_names
    FROM pg_catalog.pg_constraint AS chat_constraint
    WHERE
        (chat_constraint.conrelid = ANY(v_tables) OR chat_constraint.confrelid = ANY(v_tables))
        AND chat_constraint.condeferrable
        AND (chat_constraint.condeferred OR is_immediate);
    IF v_names IS NOT NULL THEN
        EXECUTE format(
            'SET CONSTRAINTS %s %s', v_names, CASE WHEN is_immediate THEN 'IMMEDIATE' ELSE 'DEFERRED' END
        );
    END IF;
END;
$$;

--
-- Name: FUNCTION _set_constraints(is_immediate boolean); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public._set_constraints(is_immediate boolean) IS 'Internal to the moves: makes deferrable constraints on chat rows immediate, or deferred again.';

--
-- Name: archive_access(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.archive_access() RETURNS TABLE(access text, object text, privilege text)
    LANGUAGE sql IMMUTABLE
    BEGIN ATOMIC
 WITH matrix(object, reader, support, app, operator) AS (
          VALUES ('engine_chat_session_list'::text,'SELECT'::text,'SELECT'::text,'SELECT'::text,'SELECT'::text), ('engine_chat_session_archive_list'::text,'SELECT'::text,'SELECT'::text,'SELECT'::text,'SELECT'::text), ('engine_chat_session_all'::text,'SELECT'::text,'SELECT'::text,'SELECT'::text,'SELECT'::text), ('engine_archive_run_list'::text,'SELECT'::text,NULL::text,NULL::text,'SELECT'::text), ('engine_archive_health'::text,'SELECT'::text,NULL::text,NULL::text,'SELECT'::text), ('archive_column_drift()'::text,'EXECUTE'::text,NULL::text,NULL::text,'EXECUTE'::text), ('archive_hazards()'::text,'EXECUTE'::text,NULL::text,NULL::text,'EXECUTE'::text), ('archive_dependents()'::text,'EXECUTE'::text,NULL::text,NULL::text,'EXECUTE'::text), ('estimate_sessions(text, text, text, timestamptz, timestamptz)'::text,'EXECUTE'::text,'EXECUTE'::text,'EXECUTE'::text,'EXECUTE'::text), ('last_message_times(text, uuid[])'::text,'EXECUTE'::text,'EXECUTE'::text,'EXECUTE'::text,'EXECUTE'::text), ('archive_session(uuid, text)'::text,NULL::text,NULL::text,'EXECUTE'::text,'EXECUTE'::text), ('archive_sessions(uuid[], bigint, text)'::text,NULL::text,NULL::text,'EXECUTE'::text,'EXECUTE'::text), ('restore_session(uuid, text)'::text,NULL::text,NULL::text,'EXECUTE'::text,'EXECUTE'::text), ('restore_sessions(uuid[], bigint, text)'::text,NULL::text,NULL::text,'EXECUTE'::text,'EXECUTE'::text), ('delete_chat_session(uuid, text)'::text,NULL::text,NULL::text,'EXECUTE'::text,'EXECUTE'::text), ('delete_chat_message(uuid, uuid, text)'::text,NULL::text,NULL::text,'EXECUTE'::text,'EXECUTE'::text), ('delete_archived_session(uuid, text)'::text,NULL::text,NULL::text,'EXECUTE'::text,'EXECUTE'::text), ('engine_chat_sessions'::text,NULL::text,'SELECT'::text,NULL::text,NULL::text), ('engine_chat_messages'::text,NULL::text,'SELECT'::text,NULL::text,NULL::text), ('engine_chat_session_archive'::text,NULL::text,'SELECT'::text,'SELECT'::text,'SELECT'::text), ('engine_chat_message_archive'::text,NULL::text,'SELECT'::text,'SELECT'::text,'SELECT'::text), ('archive_history(uuid)'::text,NULL::text,'EXECUTE'::text,'EXECUTE'::text,'EXECUTE'::text), ('engine_session_hold'::text,NULL::text,NULL::text,NULL::text,'SELECT'::text), ('aria_db_version'::text,NULL::text,NULL::text,'SELECT'::text,'SELECT'::text), ('prune_sessions(interval, text, integer, bigint, text)'::text,NULL::text,NULL::text,NULL::text,'EXECUTE'::text), ('count_prunable_sessions(interval, text)'::text,NULL::text,NULL::text,NULL::text,'EXECUTE'::text), ('prune_old_sessions(interval, text, integer, interval, text)'::text,NULL::text,NULL::text,NULL::text,'EXECUTE'::text), ('count_zombie_sessions()'::text,NULL::text,NULL::text,NULL::text,'EXECUTE'::text), ('end_zombie_sessions(integer)'::text,NULL::text,NULL::text,NULL::text,'EXECUTE'::text), ('count_empty_sessions(interval)'::text,NULL::text,NULL::text,NULL::text,'EXECUTE'::text), ('delete_empty_sessions(interval, integer, bigint, text)'::text,NULL::text,NULL::text,NULL::text,'EXECUTE'::text), ('purge_archive(text, integer, bigint, text)'::text,NULL::text,NULL::text,NULL::text,'EXECUTE'::text), ('count_purgeable_sessions(text)'::text,NULL::text,NULL::text,NULL::text,'EXECUTE'::text), ('count_restorable_sessions(bigint)'::text,NULL::text,NULL::text,NULL::text,'EXECUTE'::text), ('restore_run(bigint, integer, bigint, text)'::text,NULL::text,NULL::text,NULL::text,'EXECUTE'::text), ('begin_archive_run(text, jsonb, text)'::text,NULL::text,NULL::text,NULL::text,'EXECUTE'::text), ('finish_archive_run(bigint, text, text)'::text,NULL::text,NULL::text,NULL::text,'EXECUTE'::text), ('place_hold(uuid, text, text)'::text,NULL::text,NULL::text,NULL::text,'EXECUTE'::text), ('release_hold(uuid, text)'::text,NULL::text,NULL::text,NULL::text,'EXECUTE'::text), ('session_conflict_differences(uuid)'::text,NULL::text,NULL::text,NULL::text,'EXECUTE'::text), ('resolve_session_conflict(uuid, text, text, text)'::text,NULL::text,NULL::text,NULL::text,'EXECUTE'::text), ('verify_archive(timestamptz)'::text,NULL::text,NULL::text,NULL::text,'EXECUTE'::text), ('engine_archive_policy'::text,NULL::text,NULL::text,NULL::text,'SELECT, INSERT, UPDATE, DELETE'::text), ('engine_archive_run'::text,NULL::text,NULL::text,NULL::text,'SELECT'::text), ('engine_archive_event'::text,NULL::text,NULL::text,NULL::text,'SELECT'::text), ('engine_archive_left'::text,NULL::text,NULL::text,NULL::text,'SELECT'::text), ('engine_archive_dependent'::text,NULL::text,NULL::text,NULL::text,'SELECT'::text), ('engine_archive_candidate'::text,NULL::text,NULL::text,NULL::text,'SELECT'::text), ('engine_session_conflict'::text,NULL::text,NULL::text,NULL::text,'SELECT'::text), ('engine_conflict_resolution'::text,NULL::text,NULL::text,NULL::text,'SELECT'::text)
         )
  SELECT kind.access,
     matrix.object,
     privilege.name AS privilege
    FROM ((matrix
      CROSS JOIN ( VALUES ('reader'::text), ('support'::text), ('app'::text), ('operator'::text)) kind(access))
      CROSS JOIN LATERAL string_to_table(
         CASE kind.access
             WHEN 'reader'::text THEN matrix.reader
             WHEN 'support'::text THEN matrix.support
             WHEN 'app'::text THEN matrix.app
             ELSE matrix.operator
         END, ', '::text) privilege(name));
END;

--
-- Name: FUNCTION archive_access(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.archive_access() IS 'The privileges of each kind of access (reader, support, app, operator), one per row. grant_archive_access() grants them.';

--
-- Name: archive_column_drift(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.archive_column_drift() RETURNS TABLE(live_table text, column_name text, problem text)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
    WITH
    table_pairs (live, archive) AS (
        VALUES
        ('engine_chat_sessions'::regclass, 'engine_chat_session_archive'::regclass),
        ('engine_chat_messages'::regclass, 'engine_chat_message_archive'::regclass)
    ),

    expected_columns AS (
        SELECT
            table_pairs.live,
            table_pairs.archive,
            'archived_at'::name AS attname,
            'timestamptz'::regtype::oid AS atttypid,
            -1 AS atttypmod,
            1 AS place
        FROM table_pairs
        UNION ALL
        SELECT
            table_pairs.live,
            table_pairs.archive,
            live_column.attname,
            live_column.atttypid,
            live_column.atttypmod,
            1 + row_number() OVER (PARTITION BY table_pairs.live ORDER BY live_column.attnum) AS place
        FROM table_pairs
        INNER JOIN pg_catalog.pg_attribute AS live_column ON table_pairs.live = live_column.attrelid
        WHERE live_column.attnum > 0 AND NOT live_column.attisdropped
    ),

    archive_columns AS (
        SELECT
            table_pairs.live,
            table_pairs.archive,
            archive_column.attname,
            archive_column.atttypid,
            archive_column.atttypmod,
            row_number() OVER (PARTITION BY table_pairs.archive ORDER BY archive_column.attnum) AS place
        FROM table_pairs
        INNER JOIN pg_catalog.pg_attribute AS archive_column ON table_pairs.archive = archive_column.attrelid
        WHERE archive_column.attnum > 0 AND NOT archive_column.attisdropped
    ),

    -- what the rule of a view depends on: its table, and the columns that it shows
    shown_columns AS (
        SELECT
            table_pairs.live,
            view_rule.ev_class::regclass AS view_name,
            shown.refobjid::regclass AS table_name,
            shown.refobjsubid AS attnum
        FROM table_pairs
        INNER JOIN pg_catalog.pg_rewrite AS view_rule
            ON view_rule.ev_class IN (table_pairs.live, table_pairs.archive)
        INNER JOIN pg_catalog.pg_depend AS shown
            ON
                view_rule.oid = shown.objid
                AND shown.classid = 'pg_rewrite'::regclass
                AND shown.refclassid = 'pg_class'::regclass
                AND view_rule.ev_class <> shown.refobjid
    ),

    hidden_columns AS (
        SELECT DISTINCT
            shown_columns.live,
            shown_columns.view_name,
            shown_columns.table_name,
            table_column.attname
        FROM shown_columns
        INNER JOIN pg_catalog.pg_attribute AS table_column
            ON shown_columns.table_name = table_column.attrelid
        WHERE
            table_column.attnum > 0
            AND NOT table_column.attisdropped
            AND NOT EXISTS (
                SELECT 1 FROM shown_columns AS same_view
                WHERE
                    same_view.view_name = shown_columns.view_name
                    AND same_view.table_name = shown_columns.table_name
                    AND same_view.attnum = table_column.attnum
            )
    ),

    problems AS (
        SELECT
            coalesce(expected.live, archived.live)::text AS live_table,
            coalesce(expected.attname, archived.attname)::text AS column_name,
            coalesce(expected.place, archived.place) AS place,
            CASE
                WHEN archived.attname IS NULL
                    THEN format('is missing from %s', expected.archive)
                WHEN expected.attname IS NULL
                    THEN format('is in %s only', archived.archive)
                WHEN (expected.atttypid, expected.atttypmod) <> (archived.atttypid, archived.atttypmod)
                    THEN format(
                        'is %s, but %s in %s',
                        format_type(expected.atttypid, expected.atttypmod),
                        format_type(archived.atttypid, archived.atttypmod),
                        expected.archive
                    )
                ELSE format(
                    'belongs in place %s of %s, and is in place %s',
                    expected.place, expected.archive, archived.place
                )
            END AS problem
        FROM expected_columns AS expected
        FULL JOIN archive_columns AS archived
            ON expected.live = archived.live AND expected.attname = archived.attname
        WHERE
            expected.attname IS NULL
            OR archived.attname IS NULL
            OR (expected.atttypid, expected.atttypmod, expected.place)
            <> (archived.atttypid, archived.atttypmod, archived.place)
        UNION ALL
        SELECT
            hidden_columns.live::text AS live_table,
            hidden_columns.attname::text AS column_name,
            NULL AS place,
            format(
                'is in %s, and not in its view %s', hidden_columns.table_name, hidden_columns.view_name
            ) AS problem
        FROM hidden_columns
    )

    SELECT
        problems.live_table,
        problems.column_name,
        problems.problem
    FROM problems
    ORDER BY problems.live_table, problems.place, problems.column_name;
END;
$$;

--
-- Name: FUNCTION archive_column_drift(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.archive_column_drift() IS 'Columns that would not be archived faithfully: a row each, none when all is well.';

--
-- Name: archive_dependents(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.archive_dependents() RETURNS TABLE(schema_name text, table_name text, constraint_name text, refers_to text, on_delete text, is_indexed boolean, handling text, estimated_rows bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET jit TO 'off'
    AS $$
BEGIN
    RETURN QUERY
    SELECT
        namespace.nspname::text,
        child.relname::text,
        dependent.constraint_name::text,
        dependent.parent_id::regclass::text,
        CASE dependent.action
            WHEN 'c' THEN 'CASCADE'
            WHEN 'n' THEN 'SET NULL'
            WHEN 'd' THEN 'SET DEFAULT'
            WHEN 'r' THEN 'RESTRICT'
            ELSE 'NO ACTION'
        END,
        dependent.is_indexed,
        coalesce(dependent.handling, 'refuse'),
        greatest(child.reltuples, 0)::bigint
    FROM _dependent_keys() AS dependent
    INNER JOIN pg_catalog.pg_class AS child ON dependent.child_id = child.oid
    INNER JOIN pg_catalog.pg_namespace AS namespace ON child.relnamespace = namespace.oid
    ORDER BY dependent.depth, 1, 2, 3;
END;
$$;

--
-- Name: FUNCTION archive_dependents(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.archive_dependents() IS 'The foreign keys through which rows of other tables hang on chat rows, with what becomes of these rows.';

--
-- Name: archive_hazards(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.archive_hazards() RETURNS TABLE(hazard text, object text, effect text, detail text, remedy text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET jit TO 'off'
    AS $$
BEGIN
    RETURN QUERY
    SELECT
        'column drift',
        drifted.live_table || '.' || drifted.column_name,
        'refuses',
        drifted.problem,
        'Run `aria-db adopt` where the tables are the application''s; else give both tables the same columns, in '
        'order.'
    FROM archive_column_drift() AS drifted
    UNION ALL
    SELECT
        'column drift',
        drifted.table_id::regclass || '.' || drifted.column_name,
        'refuses',
        drifted.problem,
        'Run `aria-db dependents set ' || drifted.table_id::regclass || ' --move` again: it adds missing columns.'
    FROM _dependent_drift() AS drifted;

    -- Foreign keys.
    RETURN QUERY
    SELECT
        found.hazard,
        format('%s.%I', dependent.child_id::regclass, dependent.constraint_name),
        found.effect,
        found.detail,
        found.remedy
    FROM _dependent_keys() AS dependent
    CROSS JOIN LATERAL (
        SELECT
            CASE dependent.action
                WHEN 'c' THEN '--move or --delete'
                WHEN 'n' THEN '--move or --detach'
                WHEN 'd' THEN '--move or --detach'
                ELSE '--move'
            END AS options
    ) AS choice
    CROSS JOIN LATERAL (
        VALUES
        (
            dependent.child_place = 'archive' AND dependent.parent_place = 'live',
            'key from an archive', 'refuses',
            format('an archive refers to the live table %s', dependent.parent_id::regclass),
            format(
                'ALTER TABLE %s DROP CONSTRAINT %I: an archived row must not depend on a live one.',
                dependent.child_id::regclass, dependent.constraint_name
            )
        ),
        (
            dependent.parent_place = 'archive',
            'key to an archive', 'refuses',
            format('sessions to which its rows refer in %s cannot be restored', dependent.parent_id::regclass),
            format(
                'ALTER TABLE %s DROP CONSTRAINT %I.', dependent.child_id::regclass, dependent.constraint_name
            )
        ),
        (
            dependent.parent_place IS DISTINCT FROM 'archive'
            AND dependent.child_place IS NULL
            AND coalesce(dependent.handling, 'refuse') = 'refuse',
            'dependent without handling', 'refuses',
            format('sessions to which its rows refer, through %s, are not archived', dependent.parent_id::regclass),
            format(
                'Say what becomes of these rows: `aria-db dependents set %s` %s.',
                dependent.child_id::regclass, choice.options
            )
        ),
        (
            (dependent.handling = 'detach' AND dependent.action = 'c')
            OR (dependent.handling = 'delete' AND dependent.action IN ('n', 'd')),
            'handling does not fit', 'refuses',
            format('the handling is %s, and the key has another action by now', dependent.handling),
            format(
                'Say again what becomes of these rows: `aria-db dependents set %s` %s.',
                dependent.child_id::regclass, choice.options
            )
        ),
        (
            NOT dependent.is_indexed,
            'reference without index', 'slow',
            'each archived row reads the whole table',
            format(
                'CREATE INDEX CONCURRENTLY ON %s (%s).',
                dependent.child_id::regclass,
                (
                    SELECT string_agg(quote_ident(child_column.name), ', ')
                    FROM unnest(dependent.child_columns) AS child_column (name)
                )
            )
        )
    ) AS found (is_found, hazard, effect, detail, remedy)
    WHERE found.is_found
    UNION ALL
    -- of an archive to a table that is no chat table
    SELECT
        'key from an archive',
        format('%s.%I', archive_key.conrelid::regclass, archive_key.conname),
        CASE WHEN archive_key.confdeltype IN ('c', 'n', 'd') THEN 'loses' ELSE 'refuses' END,
        format(
            CASE
                WHEN archive_key.confdeltype = 'c' THEN 'archived rows go when the row of %s goes'
                WHEN archive_key.confdeltype IN ('n', 'd') THEN 'archived rows change when the row of %s goes'
                ELSE 'sessions whose row of %s is gone are not archived'
            END,
            archive_key.confrelid::regclass
        ),
        format('ALTER TABLE %s DROP CONSTRAINT %I.', archive_key.conrelid::regclass, archive_key.conname)
    FROM _chat_tables() AS archive
    INNER JOIN pg_catalog.pg_constraint AS archive_key
        ON archive.table_id = archive_key.conrelid AND archive_key.contype = 'f' AND archive_key.conparentid = 0
    WHERE
        archive.place = 'archive'
        AND archive_key.confrelid NOT IN (SELECT chat.table_id FROM _chat_tables() AS chat);

    -- The key of the messages.
    RETURN QUERY
    SELECT
        'message key',
        chat.table_id::regclass::text,
        'refuses',
        CASE
            WHEN session_key.constraint_id IS NULL THEN 'no foreign key on session_id to the sessions'
            ELSE 'the foreign key to the sessions is switched off or not enforced'
        END,
        'Add the key, or ALTER TABLE ... ENABLE TRIGGER ALL: it makes a new message wait for the move.'
    FROM _chat_tables() AS chat
    LEFT JOIN _session_keys() AS session_key ON chat.table_id = session_key.message_table
    WHERE (chat.place, chat.kind) = ('live', 'message') AND session_key.is_enforced IS NOT TRUE;

    -- Tables and what acts on them.
    RETURN QUERY
    SELECT
        found.hazard,
        found.object,
        found.effect,
        found.detail,
        found.remedy
    FROM _chat_tables() AS chat
    INNER JOIN pg_catalog.pg_class AS holding ON chat.table_id = holding.oid
    CROSS JOIN LATERAL (
        SELECT
            'unlogged table' AS hazard,
            chat.table_id::regclass::text AS object,
            'unsafe' AS effect,
            'a crash of the server empties it' AS detail,
            format('ALTER TABLE %s SET LOGGED.', chat.table_id::regclass) AS remedy
        WHERE holding.relpersistence = 'u'
        UNION ALL
        SELECT
            'kind of table',
            chat.table_id::regclass::text,
            'refuses',
            CASE
                WHEN holding.relkind NOT IN ('r', 'p') THEN 'it is not a table of this database'
                ELSE 'it inherits from the chat table and is no partition'
            END,
            'Use a plain or a partitioned table.'
        WHERE holding.relkind NOT IN ('r', 'p') OR (chat.depth > 0 AND NOT holding.relispartition)
        UNION ALL
        SELECT
            'rule',
            format('%s.%I', row_rule.ev_class::regclass, row_rule.rulename),
            'refuses',
            'it rewrites statements',
            format('DROP RULE %I ON %s.', row_rule.rulename, row_rule.ev_class::regclass)
        FROM pg_catalog.pg_rewrite AS row_rule
        WHERE row_rule.ev_class IN (chat.relation, chat.table_id) AND row_rule.rulename <> '_RETURN'
        UNION ALL
        SELECT
            'trigger',
            format('%s.%I', row_trigger.tgrelid::regclass, row_trigger.tgname),
            CASE WHEN row_trigger.tgtype & 64 <> 0 THEN 'refuses' ELSE 'slow' END,
            CASE
                WHEN row_trigger.tgtype & 64 <> 0 THEN 'it takes the rows instead of the table'
                WHEN chat.depth > 0 THEN 'on a partition: moves compare the rows, and refuse what it changes'
                ELSE 'moves compare the rows, and refuse what it changes'
            END,
            format('Check that it leaves moved rows alone; else DROP TRIGGER %I ON %s.',
                row_trigger.tgname, row_trigger.tgrelid::regclass)
        FROM pg_catalog.pg_trigger AS row_trigger
        WHERE
            row_trigger.tgrelid IN (chat.relation, chat.table_id)
            AND NOT row_trigger.tgisinternal
            AND row_trigger.tgenabled <> 'D'
            -- the triggers of a partition that come from its parent are named once
            AND row_trigger.tgparentid = 0
    ) AS found;

    -- What an archive refuses and the live table takes.
    RETURN QUERY
    SELECT
        found.hazard,
        found.object,
        'refuses',
        found.detail,
        found.remedy
    FROM _chat_tables() AS archive
    INNER JOIN _chat_tables() AS live ON archive.kind = live.kind AND live.place = 'live' AND live.depth = 0
    CROSS JOIN LATERAL (
        SELECT
            CASE
                WHEN archive_column.attgenerated <> '' THEN 'generated column in the archive'
                WHEN archive_column.attidentity = 'a' THEN 'identity column in the archive'
                ELSE 'stricter NOT NULL'
            END AS hazard,
            format('%s.%I', archive.table_id::regclass, archive_column.attname) AS object,
            CASE
                WHEN archive_column.attgenerated <> '' OR archive_column.attidentity = 'a'
                    THEN 'it takes no value from a moved row'
                ELSE 'the live column may be NULL'
            END AS detail,
            format(
                'ALTER TABLE %s ALTER COLUMN %I DROP %s.',
                archive.table_id::regclass,
                archive_column.attname,
                CASE
                    WHEN archive_column.attgenerated <> '' THEN 'EXPRESSION'
                    WHEN archive_column.attidentity = 'a' THEN 'IDENTITY'
                    ELSE 'NOT NULL'
                END
            ) AS remedy
        FROM pg_catalog.pg_attribute AS archive_column
        INNER JOIN pg_catalog.pg_attribute AS live_column
            ON live.table_id = live_column.attrelid AND archive_column.attname = live_column.attname
        WHERE
            archive_column.attrelid = archive.table_id
            AND archive_column.attnum > 0
            AND NOT archive_column.attisdropped
            AND (
                archive_column.attgenerated <> ''
                OR archive_column.attidentity = 'a'
                OR (archive_column.attnotnull AND NOT live_column.attnotnull)
            )
        UNION ALL
        SELECT
            CASE archive_check.contype WHEN 'c' THEN 'stricter CHECK' ELSE 'stricter exclusion' END,
            format('%s.%I', archive.table_id::regclass, archive_check.conname),
            pg_get_constraintdef(archive_check.oid),
            format('ALTER TABLE %s DROP CONSTRAINT %I.', archive.table_id::regclass, archive_check.conname)
        FROM pg_catalog.pg_constraint AS archive_check
        WHERE
            archive_check.conrelid = archive.table_id
            AND archive_check.contype IN ('c', 'x')
            AND NOT EXISTS (
                SELECT 1 FROM pg_catalog.pg_constraint AS live_check
                WHERE
                    live_check.conrelid = live.table_id
                    AND live_check.contype = archive_check.contype
                    AND pg_get_constraintdef(live_check.oid) = pg_get_constraintdef(archive_check.oid)
            )
        UNION ALL
        SELECT
            'stricter UNIQUE',
            unique_index.indexrelid::regclass::text,
            'a value may come again after its session was archived',
            format('Drop the constraint or the index %s.', unique_index.indexrelid::regclass)
        FROM pg_catalog.pg_index AS unique_index
        WHERE
            unique_index.indrelid = archive.table_id
            AND unique_index.indisunique
            AND NOT unique_index.indisprimary
            -- what contains the id is unique anyhow
            AND NOT EXISTS (
                SELECT 1 FROM pg_catalog.pg_attribute AS id_column
                WHERE
                    id_column.attrelid = archive.table_id
                    AND id_column.attname = 'id'
                    AND id_column.attnum = ANY(unique_index.indkey::int2[])
            )
    ) AS found
    WHERE archive.place = 'archive' AND archive.depth = 0;

    -- What publications make of a move. A published partition counts as its table.
    RETURN QUERY
    WITH
    holding AS (
        SELECT
            tables.content,
            tables.place,
            held.oid AS table_id,
            held.relnamespace,
            held.relkind,
            held.relreplident,
            held.relpersistence = 't' AS is_stand_in,
            coalesce(pg_partition_root(held.oid), held.oid) AS root_id,
            -- the stand-in of a table that an adoption will create has its name in the comment
            CASE held.relpersistence WHEN 't' THEN obj_description(held.oid, 'pg_class') ELSE held.oid::regclass::text END
                AS name
        FROM (
            SELECT chat.kind AS content, chat.place, chat.table_id FROM _chat_tables() AS chat
            UNION ALL
            SELECT dependent.archive_id::text, moved.place, moved.table_id
            FROM _dependent_archives() AS dependent
            CROSS JOIN LATERAL (
                VALUES ('live', dependent.table_id), ('archive', dependent.archive_id)
            ) AS moved (place, table_id)
        ) AS tables
        INNER JOIN pg_catalog.pg_class AS held ON tables.table_id = held.oid
    ),

    published AS MATERIALIZED (
        SELECT DISTINCT
            publication.oid AS publication_id,
            publication.pubname,
            publication.puballtables,
            coalesce(pg_partition_root(published_table.oid), published_table.oid) AS root_id
        FROM pg_catalog.pg_publication AS publication
        INNER JOIN pg_catalog.pg_publication_tables AS member ON publication.pubname = member.pubname
        INNER JOIN pg_catalog.pg_namespace AS namespace ON member.schemaname = namespace.nspname
        INNER JOIN pg_catalog.pg_class AS published_table
            ON namespace.oid = published_table.relnamespace AND member.tablename = published_table.relname
        WHERE publication.pubdelete
    )

    SELECT
        'archive not published',
        archive.name,
        'loses',
        format(
            'publication %I has %s and not its archive: archived rows vanish at the subscriber',
            published.pubname, live.name
        ),
        format(
            'ALTER PUBLICATION %I ADD TABLE %s, once the subscriber has that table; then ALTER SUBSCRIPTION ... '
            'REFRESH PUBLICATION there.', published.pubname, archive.name
        )
    FROM published
    INNER JOIN holding AS live ON published.root_id = live.table_id AND live.place = 'live'
    INNER JOIN holding AS archive
        ON
            live.content = archive.content
            AND archive.place = 'archive'
            AND archive.table_id = archive.root_id
    WHERE
        NOT EXISTS (
            SELECT 1 FROM published AS other
            WHERE
                other.publication_id = published.publication_id
                AND (
                    other.root_id = archive.table_id
                    -- the archive that an adoption will replace, and keep in its publications
                    OR (archive.is_stand_in AND other.root_id = to_regclass(archive.name))
                )
        )
        -- a table that an adoption will create, in the schema of the live one
        AND NOT (
            archive.is_stand_in
            AND (
                published.puballtables
                OR EXISTS (
                    SELECT 1 FROM pg_catalog.pg_publication_namespace AS whole
                    WHERE whole.pnpubid = published.publication_id AND whole.pnnspid = live.relnamespace
                )
            )
        )
    UNION ALL
    SELECT DISTINCT
        'no replica identity',
        held.name,
        'refuses',
        format('publication %I sends deletes, and PostgreSQL refuses to delete rows of this table', published.pubname),
        format('ALTER TABLE %s REPLICA IDENTITY FULL.', held.name)
    FROM published
    INNER JOIN holding AS held ON published.root_id = held.root_id
    WHERE
        held.relkind = 'r'
        AND held.relreplident <> 'f'
        AND NOT EXISTS (
            SELECT 1 FROM pg_catalog.pg_index AS identity
            WHERE
                identity.indrelid = held.table_id
                AND CASE held.relreplident
                    WHEN 'd' THEN identity.indisprimary
                    WHEN 'i' THEN identity.indisreplident
                    ELSE FALSE
                END
        );

    -- What others may do.
    RETURN QUERY
    SELECT
        CASE excess.is_routine WHEN TRUE THEN 'functions open to others' ELSE 'tables open to others' END,
        excess.grantee,
        'unsafe',
        format(
            CASE excess.is_routine WHEN TRUE THEN '%s may call %s%s' ELSE '%s may change %s%s' END,
            excess.grantee,
            excess.objects[1],
            CASE WHEN cardinality(excess.objects) > 1 THEN format(' and %s more', cardinality(excess.objects) - 1) ELSE '' END
        ),
        'SELECT repair_archive_access() (`aria-db grant --repair`) revokes it.'
    FROM (
        SELECT
            found.grantee,
            found.object_type = 'ROUTINE' AS is_routine,
            array_agg(DISTINCT found.object ORDER BY found.object) AS objects
        FROM _excess_privileges() AS found
        GROUP BY 1, 2
    ) AS excess
    UNION ALL
    SELECT
        'schema open to others',
        creator.schema_name,
        'unsafe',
        creator.grantee || ' may create operators and functions in it, which would run as the owner of the functions',
        format('REVOKE CREATE ON SCHEMA %s FROM %s.', creator.schema_name, creator.grantee)
    FROM _schema_creators() AS creator;
END;
$$;

--
-- Name: FUNCTION archive_hazards(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.archive_hazards() IS 'What the catalogue says would make a move refuse, lose rows, be unsafe or be slow: a row per hazard.';

--
-- Name: archive_history(uuid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.archive_history(session_id uuid) RETURNS TABLE(at timestamp with time zone, event text, actor text, role text, run_id bigint, message_count bigint, detail jsonb)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
    SELECT
        journal.at,
        journal.event,
        journal.actor,
        journal.role,
        journal.run_id,
        journal.message_count,
        journal.detail
    FROM engine_archive_event AS journal
    WHERE journal.session_id = archive_history.session_id
    ORDER BY journal.at, journal.id;
$$;

--
-- Name: FUNCTION archive_history(session_id uuid); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.archive_history(session_id uuid) IS 'Who archived, restored, held, released, resolved, purged or deleted a session, and when; oldest first.';

--
-- Name: archive_session(uuid, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.archive_session(session_id uuid, actor text DEFAULT NULL::text) RETURNS TABLE(id uuid, archived_at timestamp with time zone, message_count bigint, newly_archived boolean)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    IF session_id IS NULL THEN
        RAISE EXCEPTION 'session_id must not be NULL'
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass the id of the session to archive.';
    END IF;
    RETURN QUERY SELECT * FROM archive_sessions(ARRAY[session_id], NULL, actor);
END;
$$;

--
-- Name: FUNCTION archive_session(session_id uuid, actor text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.archive_session(session_id uuid, actor text) IS 'Moves one session and all its messages into the archive. No row: no such session. Safe to repeat.';

--
-- Name: archive_sessions(uuid[], bigint, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.archive_sessions(session_ids uuid[], run_id bigint DEFAULT NULL::bigint, actor text DEFAULT NULL::text) RETURNS TABLE(id uuid, archived_at timestamp with time zone, message_count bigint, newly_archived boolean)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET jit TO 'off'
    SET row_security TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
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
$$;

--
-- Name: FUNCTION archive_sessions(session_ids uuid[], run_id bigint, actor text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.archive_sessions(session_ids uuid[], run_id bigint, actor text) IS 'Moves sessions and all their messages into the archive: all of them, or none and an error. Returns a row per session that exists; newly_archived = false where it was archived already.';

--
-- Name: begin_archive_run(text, jsonb, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.begin_archive_run(kind text, arguments jsonb DEFAULT '{}'::jsonb, actor text DEFAULT NULL::text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    v_run_id bigint;
BEGIN
    IF kind = 'prune' THEN
        PERFORM _check_prune_arguments((arguments ->> 'older_than')::interval, arguments ->> 'session_type');
    ELSIF kind = 'purge' THEN
        PERFORM _check_session_type(arguments ->> 'session_type');
    ELSIF kind = 'empty' THEN
        PERFORM _check_older_than((arguments ->> 'older_than')::interval);
    ELSIF kind = 'undo' THEN
        PERFORM _check_undoable_run((arguments ->> 'run_id')::bigint);
    END IF;
    IF (arguments ->> 'batch_size')::bigint < 1 THEN
        RAISE EXCEPTION 'batch_size is %, and must be at least 1', arguments ->> 'batch_size'
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Say how many sessions one transaction may take, for example 500.';
    END IF;
    INSERT INTO engine_archive_run AS run (kind, arguments, started_by, role, backend_pid)
    VALUES (
        begin_archive_run.kind,
        coalesce(begin_archive_run.arguments, '{}'),
        _actor(begin_archive_run.actor),
        session_user,
        pg_backend_pid()
    )
    RETURNING run.id INTO v_run_id;
    RETURN v_run_id;
EXCEPTION
    WHEN check_violation OR not_null_violation THEN
        RAISE EXCEPTION 'kind is %, and must be prune, purge, archive, restore, undo or empty',
            coalesce(quote_literal(kind), 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Say what the run does.';
END;
$$;

--
-- Name: FUNCTION begin_archive_run(kind text, arguments jsonb, actor text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.begin_archive_run(kind text, arguments jsonb, actor text) IS 'Opens a row of the run log: prune, purge, archive, restore, undo or empty. Returns its id.';

--
-- Name: count_empty_sessions(interval); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.count_empty_sessions(older_than interval) RETURNS bigint
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET jit TO 'off'
    SET row_security TO 'off'
    AS $_$
DECLARE
    v_sessions bigint;
BEGIN
    PERFORM _check_older_than(older_than);
    EXECUTE format(
        'SELECT count(*) FROM _empty_candidate AS candidate WHERE candidate.age_from < now() - $1 AND NOT (%s)',
        (
            SELECT coalesce(string_agg(referring.condition, ' OR '), 'FALSE')
            FROM _referring_keys('{refuse, move}') AS referring
        )
    )
    INTO v_sessions
    USING older_than;
    RETURN v_sessions;
END;
$_$;

--
-- Name: FUNCTION count_empty_sessions(older_than interval); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.count_empty_sessions(older_than interval) IS 'The dry run of delete_empty_sessions: how many live sessions without a message it would delete.';

--
-- Name: count_prunable_sessions(interval, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.count_prunable_sessions(older_than interval DEFAULT NULL::interval, session_type text DEFAULT NULL::text) RETURNS TABLE(of_type text, sessions bigint, messages bigint, held bigint, conflicting bigint, referred bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET jit TO 'off'
    AS $_$
BEGIN
    PERFORM _check_prune_arguments(older_than, session_type);
    RETURN QUERY EXECUTE format(
        $statement$
        SELECT
            due.of_type,
            count(*) FILTER (WHERE due.reason IS NULL),
            coalesce(sum(due.messages) FILTER (WHERE due.reason IS NULL), 0)::bigint,
            count(*) FILTER (WHERE due.reason = 'held'),
            count(*) FILTER (WHERE due.reason = 'conflicting'),
            count(*) FILTER (WHERE due.reason = 'referred')
        FROM (
            SELECT
                candidate.session_type::text AS of_type,
                CASE
                    WHEN candidate.is_held THEN 'held'
                    WHEN candidate.is_conflicting THEN 'conflicting'
                    WHEN %s THEN 'referred'
                END AS reason,
                (
                    SELECT count(*) FROM engine_chat_messages AS message
                    WHERE message.session_id = candidate.id
                ) AS messages
            FROM engine_archive_candidate AS candidate
            WHERE
                (candidate.is_soft_deleted OR candidate.age_from < now() - coalesce($1, candidate.archive_after))
                AND candidate.session_type = coalesce($2, candidate.session_type)
        ) AS due
        GROUP BY due.of_type
        ORDER BY due.of_type
        $statement$,
        (SELECT coalesce(string_agg(referring.condition, ' OR '), 'FALSE') FROM _referring_keys() AS referring)
    ) USING older_than, session_type;
END;
$_$;

--
-- Name: FUNCTION count_prunable_sessions(older_than interval, session_type text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.count_prunable_sessions(older_than interval, session_type text) IS 'The dry run of prune_sessions: what it would archive, per session type, and what waits and why.';

--
-- Name: count_purgeable_sessions(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.count_purgeable_sessions(session_type text DEFAULT NULL::text) RETURNS TABLE(of_type text, sessions bigint, messages bigint, oldest_archived_at timestamp with time zone, newest_archived_at timestamp with time zone, held bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET jit TO 'off'
    SET row_security TO 'off'
    AS $$
BEGIN
    PERFORM _check_session_type(session_type);
    RETURN QUERY
    SELECT
        due.of_type,
        count(*) FILTER (WHERE NOT due.is_held),
        coalesce(sum(due.messages) FILTER (WHERE NOT due.is_held), 0)::bigint,
        min(due.archived_at) FILTER (WHERE NOT due.is_held),
        max(due.archived_at) FILTER (WHERE NOT due.is_held),
        count(*) FILTER (WHERE due.is_held)
    FROM (
        SELECT
            candidate.session_type::text AS of_type,
            candidate.archived_at,
            candidate.is_held,
            (
                SELECT count(*) FROM engine_chat_message_archive AS message
                WHERE message.session_id = candidate.id
            ) AS messages
        FROM _purge_candidate AS candidate
        WHERE
            candidate.session_type
            = coalesce(count_purgeable_sessions.session_type, candidate.session_type)
    ) AS due
    GROUP BY due.of_type
    ORDER BY due.of_type;
END;
$$;

--
-- Name: FUNCTION count_purgeable_sessions(session_type text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.count_purgeable_sessions(session_type text) IS 'The dry run of purge_archive: what it would delete, per session type, how old that is, and what is on hold.';

--
-- Name: count_restorable_sessions(bigint); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.count_restorable_sessions(run_id bigint) RETURNS TABLE(sessions bigint, messages bigint, conflicting bigint, changed bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET jit TO 'off'
    AS $$
BEGIN
    PERFORM _check_undoable_run(run_id);
    RETURN QUERY
    SELECT
        count(*) FILTER (WHERE found.reason IS NULL),
        coalesce(sum(found.messages) FILTER (WHERE found.reason IS NULL), 0)::bigint,
        count(*) FILTER (WHERE found.reason = 'conflicting'),
        count(*) FILTER (WHERE found.reason = 'changed')
    FROM (
        SELECT
            CASE
                WHEN archived.id IS NULL THEN 'changed'
                WHEN EXISTS (SELECT 1 FROM engine_chat_sessions AS live WHERE live.id = archived.id)
                    THEN 'conflicting'
            END AS reason,
            (
                SELECT count(*) FROM engine_chat_message_archive AS message
                WHERE message.session_id = archived.id
            ) AS messages
        FROM engine_archive_event AS journal
        LEFT JOIN engine_chat_session_archive AS archived
            ON journal.session_id = archived.id AND journal.at = archived.archived_at
        WHERE journal.run_id = count_restorable_sessions.run_id AND journal.event = 'archived'
    ) AS found;
END;
$$;

--
-- Name: FUNCTION count_restorable_sessions(run_id bigint); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.count_restorable_sessions(run_id bigint) IS 'The dry run of restore_run: what it would bring back, and what it would leave.';

--
-- Name: count_zombie_sessions(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.count_zombie_sessions() RETURNS bigint
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET row_security TO 'off'
    AS $$
    SELECT count(*) FROM _zombie_session;
$$;

--
-- Name: FUNCTION count_zombie_sessions(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.count_zombie_sessions() IS 'The dry run of end_zombie_sessions: how many sessions it would end.';

--
-- Name: delete_archived_session(uuid, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.delete_archived_session(session_id uuid, actor text DEFAULT NULL::text) RETURNS TABLE(id uuid, deleted_at timestamp with time zone, message_count bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET jit TO 'off'
    SET row_security TO 'off'
    AS $$
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
$$;

--
-- Name: FUNCTION delete_archived_session(session_id uuid, actor text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.delete_archived_session(session_id uuid, actor text) IS 'Deletes an archived session and its messages for good; AR003 while it is on hold. No row: no such archived session.';

--
-- Name: delete_chat_message(uuid, uuid, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.delete_chat_message(session_id uuid, message_id uuid, actor text DEFAULT NULL::text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET row_security TO 'off'
    AS $$
DECLARE
    v_deleted bigint;
BEGIN
    IF session_id IS NULL OR message_id IS NULL THEN
        RAISE EXCEPTION 'session_id and message_id must not be NULL'
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass the id of the session and that of the message to delete.';
    END IF;

    -- The session first, as everything that locks both.
    PERFORM 1
    FROM engine_chat_sessions AS live
    WHERE live.id = delete_chat_message.session_id
    FOR UPDATE;
    PERFORM 1
    FROM engine_chat_messages AS live
    WHERE live.session_id = delete_chat_message.session_id AND live.id = delete_chat_message.message_id
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN FALSE;
    END IF;
    PERFORM _refuse_if_held(ARRAY[session_id], 'deleted');

    DELETE FROM engine_chat_messages AS live
    WHERE live.session_id = delete_chat_message.session_id AND live.id = delete_chat_message.message_id;
    GET DIAGNOSTICS v_deleted = ROW_COUNT;
    IF v_deleted = 0 THEN
        RAISE EXCEPTION 'a trigger or rule of engine_chat_messages kept message %', message_id
            USING ERRCODE = 'AR006',
            HINT = 'Nothing was deleted. SELECT * FROM archive_hazards() (`aria-db check`) lists the triggers.';
    END IF;
    UPDATE engine_chat_sessions AS live
    SET message_count = greatest(live.message_count - 1, 0)
    WHERE live.id = delete_chat_message.session_id;

    INSERT INTO engine_archive_event AS journal
    (session_id, event, at, actor, role, message_count, detail)
    VALUES (
        delete_chat_message.session_id,
        'message_deleted',
        clock_timestamp(),
        _actor(delete_chat_message.actor),
        session_user,
        1,
        jsonb_build_object('message_id', message_id)
    );
    RETURN TRUE;
END;
$$;

--
-- Name: FUNCTION delete_chat_message(session_id uuid, message_id uuid, actor text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.delete_chat_message(session_id uuid, message_id uuid, actor text) IS 'Deletes a message of a live session for good; AR003 while the session is on hold. False: no such message.';

--
-- Name: delete_chat_session(uuid, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.delete_chat_session(session_id uuid, actor text DEFAULT NULL::text) RETURNS TABLE(id uuid, deleted_at timestamp with time zone, message_count bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET jit TO 'off'
    SET row_security TO 'off'
    AS $$
BEGIN
    IF session_id IS NULL THEN
        RAISE EXCEPTION 'session_id must not be NULL'
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass the id of the session to delete.';
    END IF;

    RETURN QUERY
    SELECT
        deleted.id,
        deleted.deleted_at,
        deleted.message_count
    FROM _delete_chat_sessions(ARRAY[session_id], NULL, actor) AS deleted;
END;
$$;

--
-- Name: FUNCTION delete_chat_session(session_id uuid, actor text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.delete_chat_session(session_id uuid, actor text) IS 'Deletes a live session and its messages for good; AR003 while it is on hold. No row: no such live session.';

--
-- Name: delete_empty_sessions(interval, integer, bigint, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.delete_empty_sessions(older_than interval, batch_size integer DEFAULT 500, run_id bigint DEFAULT NULL::bigint, actor text DEFAULT NULL::text) RETURNS TABLE(sessions bigint, left_behind bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET jit TO 'off'
    SET row_security TO 'off'
    SET lock_timeout TO '100ms'
    AS $_$
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
$_$;

--
-- Name: FUNCTION delete_empty_sessions(older_than interval, batch_size integer, run_id bigint, actor text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.delete_empty_sessions(older_than interval, batch_size integer, run_id bigint, actor text) IS 'Deletes one batch of live sessions without a message that are older than older_than. Returns how many; 0 when nothing is left that can be deleted now.';

--
-- Name: end_zombie_sessions(integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.end_zombie_sessions(batch_size integer DEFAULT 500) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET row_security TO 'off'
    SET lock_timeout TO '100ms'
    AS $$
DECLARE
    -- A variable: a distributed table takes no condition on what is only known to be stable.
    v_now CONSTANT timestamptz := now();
    v_ended bigint;
BEGIN
    IF batch_size IS NULL OR batch_size < 1 THEN
        RAISE EXCEPTION 'batch_size is %, and must be at least 1', batch_size
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass how many sessions one transaction may end, for example 500.';
    END IF;

    UPDATE engine_chat_sessions AS live
    SET
        status = 'ended',
        ended_at = coalesce(live.ended_at, v_now),
        -- metadata that is no object has no place for it
        metadata = CASE
            WHEN coalesce(jsonb_typeof(live.metadata), 'object') <> 'object' THEN live.metadata
            ELSE coalesce(live.metadata, '{}') || '{"ended": true}'
        END
    WHERE
        live.id = ANY(
            ARRAY(
                SELECT zombie.id
                FROM _zombie_session AS zombie
                ORDER BY zombie.id
                LIMIT batch_size
                FOR NO KEY UPDATE SKIP LOCKED
            )
        );
    GET DIAGNOSTICS v_ended = ROW_COUNT;
    RETURN v_ended;
END;
$$;

--
-- Name: FUNCTION end_zombie_sessions(batch_size integer); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.end_zombie_sessions(batch_size integer) IS 'Ends one batch of sessions of the types scoped and cron that are active two hours after their last update.';

--
-- Name: estimate_sessions(text, text, text, timestamp with time zone, timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.estimate_sessions(place text, agent_id text DEFAULT NULL::text, session_type text DEFAULT NULL::text, created_from timestamp with time zone DEFAULT NULL::timestamp with time zone, created_before timestamp with time zone DEFAULT NULL::timestamp with time zone) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    v_list text := CASE place
        WHEN 'live' THEN 'engine_chat_session_list'
        WHEN 'archive' THEN 'engine_chat_session_archive_list'
    END;
    v_plan json;
BEGIN
    IF v_list IS NULL THEN
        RAISE EXCEPTION 'place is %, and must be live or archive', coalesce(quote_literal(place), 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass live for the main list, or archive.';
    END IF;
    EXECUTE format(
        'EXPLAIN (FORMAT json) SELECT 1 FROM %I AS listed WHERE true%s%s%s%s',
        v_list,
        -- format() makes an empty text of NULL
        CASE WHEN agent_id IS NOT NULL THEN format(' AND listed.agent_id = %L', agent_id) END,
        CASE WHEN session_type IS NOT NULL THEN format(' AND listed.session_type = %L', session_type) END,
        CASE WHEN created_from IS NOT NULL THEN format(' AND listed.created_at >= %L', created_from) END,
        CASE WHEN created_before IS NOT NULL THEN format(' AND listed.created_at < %L', created_before) END
    ) INTO v_plan;
    RETURN (v_plan -> 0 -> 'Plan' ->> 'Plan Rows')::bigint;
END;
$$;

--
-- Name: FUNCTION estimate_sessions(place text, agent_id text, session_type text, created_from timestamp with time zone, created_before timestamp with time zone); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.estimate_sessions(place text, agent_id text, session_type text, created_from timestamp with time zone, created_before timestamp with time zone) IS 'About how many sessions the list of live or archived ones has, from the planner''s statistics.';

--
-- Name: finish_archive_run(bigint, text, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.finish_archive_run(run_id bigint, stop_reason text, error text DEFAULT NULL::text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    v_run record;
BEGIN
    IF stop_reason IS NULL
        OR stop_reason NOT IN ('nothing left', 'max_runtime', 'max_sessions', 'interrupted', 'failed')
    THEN
        RAISE EXCEPTION 'stop_reason is %, and must be nothing left, max_runtime, max_sessions, interrupted '
            'or failed', coalesce(quote_literal(stop_reason), 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Say why the run stopped.';
    END IF;
    UPDATE engine_archive_run AS run
    SET
        finished_at = clock_timestamp(),
        stop_reason = finish_archive_run.stop_reason,
        error = finish_archive_run.error
    WHERE run.id = finish_archive_run.run_id AND run.finished_at IS NULL
    RETURNING run.kind, run.arguments, run.started_at INTO v_run;

    IF v_run.kind = 'prune' AND stop_reason = 'nothing left' AND NOT v_run.arguments ?| '{older_than, session_type}' THEN
        DELETE FROM engine_archive_left AS left_behind
        WHERE
            left_behind.at < v_run.started_at
            AND NOT EXISTS (
                SELECT 1 FROM engine_archive_run AS undo
                WHERE undo.id = left_behind.run_id AND undo.kind = 'undo'
            );
    ELSIF v_run.kind = 'undo' AND stop_reason = 'nothing left' THEN
        DELETE FROM engine_archive_left AS left_behind
        USING engine_archive_run AS undo
        WHERE
            left_behind.at < v_run.started_at
            AND left_behind.run_id = undo.id
            AND undo.kind = 'undo'
            AND undo.arguments -> 'run_id' = v_run.arguments -> 'run_id';
    END IF;
END;
$$;

--
-- Name: FUNCTION finish_archive_run(run_id bigint, stop_reason text, error text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.finish_archive_run(run_id bigint, stop_reason text, error text) IS 'Closes the row of a run in the log: nothing left, max_runtime, max_sessions, interrupted or failed.';

--
-- Name: grant_archive_access(text, text, boolean, boolean); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.grant_archive_access(role_name text, access text, revoking boolean DEFAULT false, dry_run boolean DEFAULT false) RETURNS SETOF text
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    v_schema text := current_schema();
    v_role oid;
    v_statement text;
    v_object record;
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM archive_access() AS known
        WHERE known.access = grant_archive_access.access
    ) THEN
        RAISE EXCEPTION 'access is %, and must be reader, support, app or operator', access
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'SELECT * FROM archive_access() lists what each of them may do.';
    END IF;
    SELECT found.oid INTO v_role
    FROM pg_catalog.pg_roles AS found
    WHERE found.rolname::text = role_name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'role % does not exist', quote_ident(role_name)
            USING ERRCODE = 'undefined_object',
            HINT = 'Create it first: CREATE ROLE ... LOGIN.';
    END IF;
    IF
        revoking
        AND v_role = (SELECT proowner FROM pg_catalog.pg_proc WHERE oid = 'archive_sessions(uuid[], bigint, text)'::regprocedure)
    THEN
        RAISE EXCEPTION 'role % owns the functions, which work with its privileges', quote_ident(role_name)
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Nothing was changed. Give the functions to another role before, or let it be.';
    END IF;

    FOR v_statement IN
        SELECT format('GRANT USAGE ON SCHEMA %I TO %I', v_schema, role_name)
        WHERE NOT revoking
        UNION ALL
        SELECT
            format(
                CASE WHEN revoking THEN 'REVOKE %s ON %s %s FROM %I' ELSE 'GRANT %s ON %s %s TO %I' END,
                covered.privilege,
                CASE WHEN covered.privilege = 'EXECUTE' THEN 'ROUTINE' ELSE 'TABLE' END,
                string_agg(format('%I.%s', v_schema, covered.object), ', ' ORDER BY covered.object),
                role_name
            )
        FROM archive_access() AS covered
        WHERE covered.access = grant_archive_access.access
        GROUP BY covered.privilege
    LOOP
        IF NOT dry_run THEN
            EXECUTE v_statement;
        END IF;
        RETURN NEXT v_statement || ';';
    END LOOP;
    IF dry_run THEN
        RETURN;
    END IF;

    -- PostgreSQL only warns a caller who may not grant, or revoke what somebody else granted.
    FOR v_object IN
        SELECT
            covered.object,
            covered.privilege
        FROM archive_access() AS covered
        INNER JOIN (
            SELECT
                'pg_proc' AS catalogue,
                oid,
                proacl AS privileges
            FROM pg_catalog.pg_proc
            UNION ALL
            SELECT
                'pg_class',
                oid,
                relacl
            FROM pg_catalog.pg_class
        ) AS installed
            ON
                -- A function may have the same oid as a relation; after pg_upgrade many do.
                installed.catalogue = CASE covered.privilege WHEN 'EXECUTE' THEN 'pg_proc' ELSE 'pg_class' END
                AND installed.oid = CASE
                    -- PostgreSQL 15 refuses to look for a function by a name without arguments.
                    WHEN covered.privilege = 'EXECUTE' THEN to_regprocedure(covered.object)::oid
                    ELSE to_regclass(covered.object)::oid
                END
        WHERE
            covered.access = grant_archive_access.access
            AND revoking = EXISTS (
                SELECT 1 FROM aclexplode(installed.privileges) AS entry
                WHERE entry.grantee = v_role AND entry.privilege_type = covered.privilege
            )
    LOOP
        RAISE EXCEPTION 'role % may not % % on %',
            current_user,
            CASE WHEN revoking THEN 'revoke' ELSE 'grant' END,
            v_object.privilege,
            v_object.object
            USING ERRCODE = 'insufficient_privilege',
            HINT = 'Nothing was changed. Connect as the role that owns the functions and tables, or that '
                'granted the privilege.';
    END LOOP;
END;
$$;

--
-- Name: FUNCTION grant_archive_access(role_name text, access text, revoking boolean, dry_run boolean); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.grant_archive_access(role_name text, access text, revoking boolean, dry_run boolean) IS 'Grants a role one kind of access (reader, support, app or operator), or revokes it. archive_access() lists the privileges. Returns the statements.';

--
-- Name: last_message_times(text, uuid[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.last_message_times(place text, session_ids uuid[]) RETURNS TABLE(session_id uuid, last_message_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    IF place = 'live' THEN
        RETURN QUERY
        SELECT
            message.session_id,
            max(message.created_at)
        FROM engine_chat_messages AS message
        WHERE message.session_id = ANY(session_ids)
        GROUP BY message.session_id;
    ELSIF place = 'archive' THEN
        RETURN QUERY
        SELECT
            message.session_id,
            max(message.created_at)
        FROM engine_chat_message_archive AS message
        WHERE message.session_id = ANY(session_ids)
        GROUP BY message.session_id;
    ELSE
        RAISE EXCEPTION 'place is %, and must be live or archive', coalesce(quote_literal(place), 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass live for the live sessions, or archive.';
    END IF;
END;
$$;

--
-- Name: FUNCTION last_message_times(place text, session_ids uuid[]); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.last_message_times(place text, session_ids uuid[]) IS 'When the last message of some sessions was written, live or archived; a row per session with messages.';

--
-- Name: place_hold(uuid, text, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.place_hold(session_id uuid, reason text, actor text DEFAULT NULL::text) RETURNS TABLE(id uuid, hold_reason text, placed_by text, placed_at timestamp with time zone)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    v_locked boolean;
BEGIN
    IF session_id IS NULL OR coalesce(trim(reason), '') = '' THEN
        RAISE EXCEPTION 'a hold needs a session_id and a reason'
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Say why the session must stay, for those who may want to release it.';
    END IF;

    -- The lock makes a move that is under way finish first, and the next one see the
    -- hold. In which table it found the session is all the same.
    LOOP
        PERFORM 1 FROM engine_chat_sessions AS live
        WHERE live.id = place_hold.session_id
        FOR KEY SHARE;
        v_locked := FOUND;
        EXIT WHEN v_locked;
        PERFORM 1 FROM engine_chat_session_archive AS archived
        WHERE archived.id = place_hold.session_id
        FOR KEY SHARE;
        v_locked := FOUND;
        EXIT WHEN
            v_locked
            OR NOT EXISTS (SELECT 1 FROM engine_chat_session_all AS place WHERE place.id = place_hold.session_id);
    END LOOP;
    IF NOT v_locked THEN
        RETURN;
    END IF;

    INSERT INTO engine_session_hold AS hold (session_id, reason, placed_by)
    VALUES (place_hold.session_id, place_hold.reason, _actor(place_hold.actor))
    ON CONFLICT ON CONSTRAINT engine_session_hold_pkey DO UPDATE
    SET reason = excluded.reason
    WHERE hold.reason <> excluded.reason;

    -- A hold that is there already, for the same reason, is no event.
    IF FOUND THEN
        INSERT INTO engine_archive_event AS journal
        (session_id, event, at, actor, role, detail)
        VALUES (
            place_hold.session_id,
            'held',
            clock_timestamp(),
            _actor(place_hold.actor),
            session_user,
            jsonb_build_object('reason', place_hold.reason)
        );
    END IF;

    RETURN QUERY
    SELECT
        hold.session_id,
        hold.reason,
        hold.placed_by,
        hold.placed_at
    FROM engine_session_hold AS hold
    WHERE hold.session_id = place_hold.session_id;
END;
$$;

--
-- Name: FUNCTION place_hold(session_id uuid, reason text, actor text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.place_hold(session_id uuid, reason text, actor text) IS 'Keeps a session from being archived, pruned, purged or deleted. No row: no such session.';

--
-- Name: prune_old_sessions(interval, text, integer, interval, text); Type: PROCEDURE; Schema: public; Owner: -
--

CREATE PROCEDURE public.prune_old_sessions(IN older_than interval DEFAULT NULL::interval, IN session_type text DEFAULT NULL::text, IN batch_size integer DEFAULT 500, IN max_runtime interval DEFAULT NULL::interval, IN actor text DEFAULT NULL::text)
    LANGUAGE plpgsql
    AS $_$
DECLARE
    c_statement_timeout CONSTANT interval := current_setting('statement_timeout');
    v_context text;
    v_schema text;
    v_run_id bigint;
    v_batch record;
    v_started_at timestamptz := clock_timestamp();
    v_ends_zombies boolean := session_type IS NULL;
    v_zombies bigint;
    v_batches bigint := 0;
    v_sessions bigint := 0;
    v_messages bigint := 0;
    v_stop_reason text;
    v_sqlstate text;
    v_error text;
    v_hint text;
BEGIN
    IF max_runtime <= interval '0' THEN
        RAISE EXCEPTION 'max_runtime is %, and must be more than zero', max_runtime
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass a time such as interval ''10 minutes'', or NULL for no limit.';
    END IF;

    -- The context names this procedure as the caller's path must, which is what
    -- regprocedure reads.
    GET DIAGNOSTICS v_context = PG_CONTEXT;
    SELECT routine.pronamespace::regnamespace::text INTO STRICT v_schema
    FROM pg_catalog.pg_proc AS routine
    WHERE
        routine.oid = substring(
            v_context FROM E'(?:"(?:[^"]|"")+"\\.|[^\\s"]+\\.)?prune_old_sessions\\([^)]*\\)'
        )::regprocedure;

    EXECUTE format('SELECT %s.begin_archive_run($1, $2, $3)', v_schema)
    INTO v_run_id
    USING 'prune'::text, jsonb_strip_nulls(
        jsonb_build_object(
            'older_than', older_than,
            'session_type', session_type,
            'batch_size', batch_size,
            'max_runtime', max_runtime
        )
    ), actor;
    COMMIT;

    WHILE v_stop_reason IS NULL LOOP
        BEGIN
            IF v_ends_zombies THEN
                EXECUTE format('SELECT %s.end_zombie_sessions($1)', v_schema)
                INTO v_zombies
                USING batch_size;
            ELSE
                EXECUTE format(
                    'SELECT sessions, messages, left_behind FROM %s.prune_sessions($1, $2, $3, $4, $5)', v_schema
                )
                INTO v_batch
                USING older_than, session_type, batch_size, v_run_id, actor;
            END IF;
        EXCEPTION
            WHEN query_canceled THEN
                GET STACKED DIAGNOSTICS
                    v_sqlstate = RETURNED_SQLSTATE, v_error = MESSAGE_TEXT, v_hint = PG_EXCEPTION_HINT;
                -- Not somebody, but a setting of the role or the database: each night again.
                v_stop_reason := CASE
                    WHEN
                        c_statement_timeout > interval '0'
                        AND clock_timestamp() >= statement_timestamp() + c_statement_timeout
                        THEN 'failed'
                    ELSE 'interrupted'
                END;
            WHEN OTHERS THEN
                v_stop_reason := 'failed';
                GET STACKED DIAGNOSTICS
                    v_sqlstate = RETURNED_SQLSTATE, v_error = MESSAGE_TEXT, v_hint = PG_EXCEPTION_HINT;
        END;
        COMMIT;

        -- After a failed batch v_batch may have no value at all, and must not be read.
        CONTINUE WHEN v_stop_reason IS NOT NULL;
        IF v_ends_zombies THEN
            v_ends_zombies := v_zombies > 0;
            CONTINUE;
        END IF;
        IF v_batch.sessions = 0 THEN
            v_stop_reason := 'nothing left';
            CONTINUE;
        END IF;
        v_batches := v_batches + 1;
        v_sessions := v_sessions + v_batch.sessions;
        v_messages := v_messages + v_batch.messages;
        RAISE NOTICE 'batch %: % sessions, % messages; % sessions, % messages in all',
            v_batches, v_batch.sessions, v_batch.messages, v_sessions, v_messages;
        IF clock_timestamp() >= v_started_at + max_runtime THEN
            v_stop_reason := 'max_runtime';
        END IF;
    END LOOP;

    EXECUTE format('SELECT %s.finish_archive_run($1, $2, $3)', v_schema)
    USING v_run_id, v_stop_reason, v_error;
    COMMIT;

    IF v_error IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = v_sqlstate, MESSAGE = v_error, HINT = v_hint;
    END IF;
END;
$_$;

--
-- Name: PROCEDURE prune_old_sessions(IN older_than interval, IN session_type text, IN batch_size integer, IN max_runtime interval, IN actor text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON PROCEDURE public.prune_old_sessions(IN older_than interval, IN session_type text, IN batch_size integer, IN max_runtime interval, IN actor text) IS 'Archives what is soft-deleted or old, in batches, with a COMMIT after each; for psql and pg_cron.';

--
-- Name: prune_sessions(interval, text, integer, bigint, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.prune_sessions(older_than interval DEFAULT NULL::interval, session_type text DEFAULT NULL::text, batch_size integer DEFAULT 500, run_id bigint DEFAULT NULL::bigint, actor text DEFAULT NULL::text) RETURNS TABLE(sessions bigint, messages bigint, left_behind bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET jit TO 'off'
    SET row_security TO 'off'
    SET lock_timeout TO '100ms'
    SET enable_seqscan TO 'off'
    AS $_$
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
$_$;

--
-- Name: FUNCTION prune_sessions(older_than interval, session_type text, batch_size integer, run_id bigint, actor text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.prune_sessions(older_than interval, session_type text, batch_size integer, run_id bigint, actor text) IS 'Archives one batch of sessions that are soft-deleted or older than older_than (or their policy). Returns how many sessions and messages; 0 when nothing is left that can be moved now.';

--
-- Name: purge_archive(text, integer, bigint, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.purge_archive(session_type text DEFAULT NULL::text, batch_size integer DEFAULT 500, run_id bigint DEFAULT NULL::bigint, actor text DEFAULT NULL::text) RETURNS TABLE(sessions bigint, messages bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET jit TO 'off'
    SET row_security TO 'off'
    SET lock_timeout TO '100ms'
    AS $$
DECLARE
    v_picked uuid[];
    v_is_plain boolean;
    v_actor CONSTANT text := _actor(actor);
BEGIN
    IF batch_size IS NULL OR batch_size < 1 THEN
        RAISE EXCEPTION 'batch_size is %, and must be at least 1', batch_size
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass how many sessions one transaction may delete, for example 500.';
    END IF;
    IF run_id IS NOT NULL THEN
        PERFORM _check_archive_run(run_id, '{purge}');
    END IF;
    -- A run checked its type when it began. Since then a batch may have deleted the last session of the type.
    IF NOT EXISTS (
        SELECT 1 FROM engine_archive_run AS run
        WHERE run.id = purge_archive.run_id AND run.arguments ->> 'session_type' = purge_archive.session_type
    )
    THEN
        PERFORM _check_session_type(session_type);
    END IF;

    v_is_plain := _lock_and_check_tables(is_move => FALSE);

    v_picked := ARRAY(
        SELECT candidate.id
        FROM _purge_candidate AS candidate
        WHERE
            candidate.session_type = coalesce(purge_archive.session_type, candidate.session_type)
            AND NOT candidate.is_held
        ORDER BY candidate.archived_at
        LIMIT batch_size
        FOR UPDATE SKIP LOCKED
    );

    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM _check_unseen_holds(v_picked);
    END IF;

    -- A hold that was placed while the rows were being locked is visible from here on,
    -- and no other can be placed any more.
    v_picked := ARRAY(
        SELECT picked.id FROM unnest(v_picked) AS picked (id)
        WHERE NOT EXISTS (SELECT 1 FROM engine_session_hold AS hold WHERE hold.session_id = picked.id)
    );
    IF NOT v_is_plain THEN
        PERFORM _find_dependents('archive', v_picked, is_deletion => TRUE);
    END IF;
    PERFORM _delete_dependents(v_picked);

    WITH
    purged_messages AS (
        DELETE FROM engine_chat_message_archive AS archived
        WHERE archived.session_id = ANY(v_picked)
        RETURNING archived.session_id
    ),

    purged_sessions AS (
        DELETE FROM engine_chat_session_archive AS archived
        WHERE archived.id = ANY(v_picked)
        RETURNING archived.id
    ),

    no_longer_left AS (
        DELETE FROM engine_archive_left AS left_behind
        WHERE left_behind.session_id = ANY(v_picked)
    ),

    purged_events AS (
        INSERT INTO engine_archive_event AS journal
        (session_id, event, at, actor, role, run_id, message_count)
        SELECT
            purged_sessions.id,
            'purged',
            clock_timestamp(),
            v_actor,
            session_user,
            purge_archive.run_id,
            coalesce(message_counts.messages, 0)
        FROM purged_sessions
        LEFT JOIN (
            SELECT
                purged_messages.session_id,
                count(*) AS messages
            FROM purged_messages
            GROUP BY purged_messages.session_id
        ) AS message_counts ON purged_sessions.id = message_counts.session_id
        RETURNING journal.message_count
    )

    SELECT
        count(*),
        coalesce(sum(purged_events.message_count), 0)
    INTO sessions, messages
    FROM purged_events;
    IF NOT v_is_plain THEN
        PERFORM _check_gone('archive', v_picked);
        PERFORM _set_constraints(FALSE);
    END IF;
    IF run_id IS NOT NULL AND sessions > 0 THEN
        PERFORM _record_archive_batch(run_id, sessions, messages);
    END IF;
    RETURN NEXT;
END;
$$;

--
-- Name: FUNCTION purge_archive(session_type text, batch_size integer, run_id bigint, actor text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.purge_archive(session_type text, batch_size integer, run_id bigint, actor text) IS 'Deletes one batch of archived sessions that their policy no longer keeps. Without a policy: nothing.';

--
-- Name: release_hold(uuid, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.release_hold(session_id uuid, actor text DEFAULT NULL::text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    DELETE FROM engine_session_hold AS hold
    WHERE hold.session_id = release_hold.session_id;
    IF NOT FOUND THEN
        RETURN FALSE;
    END IF;
    INSERT INTO engine_archive_event AS journal (session_id, event, at, actor, role)
    VALUES (
        release_hold.session_id,
        'released',
        clock_timestamp(),
        _actor(release_hold.actor),
        session_user
    );
    RETURN TRUE;
END;
$$;

--
-- Name: FUNCTION release_hold(session_id uuid, actor text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.release_hold(session_id uuid, actor text) IS 'Ends the hold on a session. False: there was none.';

--
-- Name: repair_archive_access(boolean); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.repair_archive_access(dry_run boolean DEFAULT false) RETURNS SETOF text
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    v_statement text;
    v_excess record;
BEGIN
    FOR v_statement IN
        SELECT
            format(
                'REVOKE %s ON %s %s FROM %s%s',
                of_object.privileges,
                of_object.object_type,
                string_agg(of_object.object, ', ' ORDER BY of_object.object),
                of_object.grantee,
                CASE WHEN bool_or(of_object.is_grantable) THEN ' CASCADE' ELSE '' END
            )
        FROM (
            SELECT
                excess.object_type,
                excess.object,
                excess.grantee,
                string_agg(excess.privilege, ', ' ORDER BY excess.privilege) AS privileges,
                bool_or(excess.is_grantable) AS is_grantable
            FROM _excess_privileges() AS excess
            GROUP BY excess.object_type, excess.object, excess.grantee
        ) AS of_object
        GROUP BY of_object.grantee, of_object.object_type, of_object.privileges
        ORDER BY of_object.grantee, of_object.object_type, of_object.privileges
    LOOP
        IF NOT dry_run THEN
            EXECUTE v_statement;
        END IF;
        RETURN NEXT v_statement || ';';
    END LOOP;
    IF dry_run THEN
        RETURN;
    END IF;

    -- If the caller may not revoke, PostgreSQL only warns; if another role granted, it does nothing.
    SELECT * INTO v_excess
    FROM _excess_privileges()
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'role % may not revoke % on % from %',
            current_user, v_excess.privilege, v_excess.object, v_excess.grantee
            USING ERRCODE = 'insufficient_privilege',
            HINT = 'Nothing was changed. Connect as the role that owns it, or that granted the privilege.';
    END IF;
END;
$$;

--
-- Name: FUNCTION repair_archive_access(dry_run boolean); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.repair_archive_access(dry_run boolean) IS 'Revokes privileges on the objects of aria-db that archive_access() does not list. Returns the statements.';

--
-- Name: resolve_session_conflict(uuid, text, text, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.resolve_session_conflict(session_id uuid, destination text, keep text DEFAULT NULL::text, actor text DEFAULT NULL::text) RETURNS TABLE(id uuid, place text, message_count bigint, newly_resolved boolean)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET jit TO 'off'
    SET row_security TO 'off'
    SET extra_float_digits TO '1'
    AS $_$
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
$_$;

--
-- Name: FUNCTION resolve_session_conflict(session_id uuid, destination text, keep text, actor text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.resolve_session_conflict(session_id uuid, destination text, keep text, actor text) IS 'Merges a session that is live and archived into one place. AR001 where a message differs, or the session''s row does and keep does not say which stays. No row: no such session. Safe to repeat.';

--
-- Name: restore_run(bigint, integer, bigint, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.restore_run(run_id bigint, batch_size integer DEFAULT 500, undo_run_id bigint DEFAULT NULL::bigint, actor text DEFAULT NULL::text) RETURNS TABLE(sessions bigint, messages bigint, left_behind bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET jit TO 'off'
    SET row_security TO 'off'
    SET lock_timeout TO '100ms'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    c_enough_messages CONSTANT bigint := 5000;
    v_is_plain boolean;
    v_picked uuid[];
    v_parents uuid[];
    v_messages_picked bigint;
    v_waiting uuid[];
    v_refused uuid[] := '{}';
    v_session_id uuid;
    v_messages bigint;
    v_hint text;
    -- rows for engine_archive_left: of the last attempt, and of all
    v_failed jsonb;
    v_left jsonb := '[]';
BEGIN
    IF batch_size IS NULL OR batch_size < 1 THEN
        RAISE EXCEPTION 'batch_size is %, and must be at least 1', batch_size
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass how many sessions one transaction may move, for example 500.';
    END IF;
    PERFORM _check_undoable_run(run_id);
    IF undo_run_id IS NOT NULL THEN
        PERFORM _check_archive_run(undo_run_id, '{undo}');
    END IF;
    v_is_plain := _lock_and_check_tables();

    sessions := 0;
    messages := 0;
    <<pick>>
    LOOP
        BEGIN
            v_picked := '{}';
            v_messages_picked := 0;
            FOR v_session_id, v_messages IN
                SELECT
                    archived.id,
                    journal.message_count
                FROM engine_archive_event AS journal
                INNER JOIN engine_chat_session_archive AS archived
                    ON journal.session_id = archived.id AND journal.at = archived.archived_at
                WHERE
                    journal.run_id = restore_run.run_id
                    AND journal.event = 'archived'
                    AND archived.id <> ALL(v_refused)
                    AND NOT EXISTS (SELECT 1 FROM engine_chat_sessions AS live WHERE live.id = archived.id)
                    AND NOT EXISTS (
                        SELECT 1 FROM engine_archive_left AS left_already
                        WHERE left_already.session_id = archived.id AND left_already.run_id = undo_run_id
                    )
                ORDER BY journal.at DESC
                LIMIT batch_size
                FOR UPDATE OF archived SKIP LOCKED
            LOOP
                v_picked := v_picked || v_session_id;
                v_messages_picked := v_messages_picked + v_messages;
                EXIT WHEN v_messages_picked >= c_enough_messages;
            END LOOP;
            EXIT pick WHEN v_picked = '{}';

            WHILE NOT v_is_plain LOOP
                v_parents := _archived_parents(v_picked);
                v_parents := ARRAY(
                    SELECT archived.id
                    FROM engine_chat_session_archive AS archived
                    WHERE
                        archived.id = ANY(v_parents)
                        AND archived.id <> ALL(v_refused)
                        AND EXISTS (
                            SELECT 1 FROM engine_archive_event AS journal
                            WHERE
                                journal.session_id = archived.id
                                AND journal.run_id = restore_run.run_id
                                AND journal.event = 'archived'
                                AND journal.at = archived.archived_at
                        )
                    FOR UPDATE SKIP LOCKED
                );
                EXIT WHEN v_parents = '{}';
                v_picked := v_parents || v_picked;
            END LOOP;

            BEGIN
                SELECT count(*), coalesce(sum(restored.message_count), 0) INTO sessions, messages
                FROM restore_sessions(v_picked, undo_run_id, actor) AS restored;
            EXCEPTION
                WHEN
                    lock_not_available
                    OR deadlock_detected
                    OR integrity_constraint_violation
                    OR SQLSTATE 'AR001'
                    OR SQLSTATE 'AR005'
                    OR SQLSTATE 'AR006'
                    OR SQLSTATE 'AR007'
                    THEN
                    sessions := 0;
                    messages := 0;
                    v_waiting := v_picked;
                    -- One by one. Those that failed are tried again while that restores some: one may refer
                    -- to another.
                    LOOP
                        v_failed := '[]';
                        FOREACH v_session_id IN ARRAY v_waiting LOOP
                            BEGIN
                                SELECT restored.message_count INTO STRICT v_messages
                                FROM restore_sessions(ARRAY[v_session_id], undo_run_id, actor) AS restored;
                                sessions := sessions + 1;
                                messages := messages + v_messages;
                            EXCEPTION
                                WHEN lock_not_available OR deadlock_detected THEN
                                    v_refused := v_refused || v_session_id;
                                    RAISE NOTICE 'session % is in use and stays in the archive for now', v_session_id;
                                WHEN
                                    integrity_constraint_violation
                                    OR SQLSTATE 'AR001'
                                    OR SQLSTATE 'AR005'
                                    OR SQLSTATE 'AR006'
                                    OR SQLSTATE 'AR007'
                                    THEN
                                    GET STACKED DIAGNOSTICS v_hint = PG_EXCEPTION_HINT;
                                    v_failed := v_failed || jsonb_build_object(
                                        'session_id', v_session_id,
                                        'run_id', undo_run_id,
                                        'sqlstate', sqlstate,
                                        'message', sqlerrm,
                                        'remedy', nullif(v_hint, ''),
                                        'at', clock_timestamp()
                                    );
                            END;
                        END LOOP;
                        EXIT WHEN jsonb_array_length(v_failed) IN (0, cardinality(v_waiting));
                        v_waiting := ARRAY(
                            SELECT failed.session_id
                            FROM jsonb_populate_recordset(NULL::engine_archive_left, v_failed) AS failed
                        );
                    END LOOP;
                    v_left := v_left || v_failed;
                    v_refused := v_refused || ARRAY(
                        SELECT failed.session_id
                        FROM jsonb_populate_recordset(NULL::engine_archive_left, v_failed) AS failed
                    );
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

    -- At the end: a batch of which nothing could be moved was rolled back, and its locks are gone.
    INSERT INTO engine_archive_left AS left_before
    SELECT failed.*
    FROM jsonb_populate_recordset(NULL::engine_archive_left, v_left) AS failed
    INNER JOIN engine_chat_session_archive AS archived ON failed.session_id = archived.id
    FOR NO KEY UPDATE OF archived SKIP LOCKED
    ON CONFLICT ON CONSTRAINT engine_archive_left_pkey DO UPDATE
    SET
        run_id = excluded.run_id,
        sqlstate = excluded.sqlstate,
        message = excluded.message,
        remedy = excluded.remedy,
        at = excluded.at;
    left_behind := jsonb_array_length(v_left);
    IF undo_run_id IS NOT NULL AND sessions > 0 THEN
        PERFORM _record_archive_batch(undo_run_id, sessions, messages);
    END IF;
    RETURN NEXT;
END;
$$;

--
-- Name: FUNCTION restore_run(run_id bigint, batch_size integer, undo_run_id bigint, actor text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.restore_run(run_id bigint, batch_size integer, undo_run_id bigint, actor text) IS 'Undoes one batch of a run: restores what it archived and nobody has touched since. Returns how many sessions and messages; 0 when nothing is left that can be restored now.';

--
-- Name: restore_session(uuid, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.restore_session(session_id uuid, actor text DEFAULT NULL::text) RETURNS TABLE(id uuid, restored_at timestamp with time zone, message_count bigint, newly_restored boolean, due_from timestamp with time zone)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    IF session_id IS NULL THEN
        RAISE EXCEPTION 'session_id must not be NULL'
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass the id of the session to restore.';
    END IF;
    RETURN QUERY SELECT * FROM restore_sessions(ARRAY[session_id], NULL, actor);
END;
$$;

--
-- Name: FUNCTION restore_session(session_id uuid, actor text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.restore_session(session_id uuid, actor text) IS 'Moves an archived session and all its messages back into the live tables. No row: no such session. Safe to repeat.';

--
-- Name: restore_sessions(uuid[], bigint, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.restore_sessions(session_ids uuid[], run_id bigint DEFAULT NULL::bigint, actor text DEFAULT NULL::text) RETURNS TABLE(id uuid, restored_at timestamp with time zone, message_count bigint, newly_restored boolean, due_from timestamp with time zone)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET jit TO 'off'
    SET row_security TO 'off'
    AS $$
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
$$;

--
-- Name: FUNCTION restore_sessions(session_ids uuid[], run_id bigint, actor text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.restore_sessions(session_ids uuid[], run_id bigint, actor text) IS 'Moves archived sessions and all their messages back into the live tables: all of them, or none and an error. Returns a row per session that exists; newly_restored = false where it was live already.';

--
-- Name: session_conflict_differences(uuid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.session_conflict_differences(session_id uuid) RETURNS TABLE(message_id uuid, difference text, column_name text, live_value text, archive_value text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET row_security TO 'off'
    AS $_$
DECLARE
    v_drift record;
    v_tables record;
BEGIN
    IF session_id IS NULL THEN
        RAISE EXCEPTION 'session_id must not be NULL'
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass the id of a session; engine_session_conflict lists those in both places.';
    END IF;
    SELECT * INTO v_drift FROM archive_column_drift() LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'column %.% %', v_drift.live_table, v_drift.column_name, v_drift.problem
            USING ERRCODE = 'AR002',
            HINT = 'Rows cannot be compared until both tables have the same columns; '
                'SELECT * FROM archive_column_drift() lists every difference.';
    END IF;
    IF NOT EXISTS (
        SELECT 1 FROM engine_archive_candidate AS candidate
        WHERE candidate.id = session_conflict_differences.session_id AND candidate.is_conflicting
    ) THEN
        RETURN;
    END IF;

    FOR v_tables IN
        SELECT
            chat.live,
            chat.archive,
            chat.session_column,
            chat.message_id,
            string_agg(
                format(
                    '(%1$s, %2$L, live.%2$I::text, archived.%2$I::text, '
                    'record_image_eq(ROW(live.%2$I), ROW(archived.%2$I)))',
                    chat_column.attnum, chat_column.attname
                ),
                ', '
            ) AS compared
        FROM (
            VALUES
            (
                1, 'engine_chat_sessions'::regclass, 'engine_chat_session_archive'::regclass,
                'id', 'NULL::uuid'
            ),
            (
                2, 'engine_chat_messages'::regclass, 'engine_chat_message_archive'::regclass,
                'session_id', 'coalesce(live.id, archived.id)'
            )
        ) AS chat (place, live, archive, session_column, message_id)
        INNER JOIN pg_catalog.pg_attribute AS chat_column ON chat.live = chat_column.attrelid
        WHERE chat_column.attnum > 0 AND NOT chat_column.attisdropped
        GROUP BY chat.place, chat.live, chat.archive, chat.session_column, chat.message_id
        ORDER BY chat.place
    LOOP
        -- Column by column has no static form. Column 0 is the whole row.
        RETURN QUERY EXECUTE format(
            $statement$
            SELECT
                %4$s,
                CASE
                    WHEN archived.id IS NULL THEN 'only live'
                    WHEN live.id IS NULL THEN 'only archive'
                    ELSE 'different'
                END,
                compared.name,
                compared.live_value,
                compared.archive_value
            FROM (SELECT * FROM %1$s WHERE %3$s = $1) AS live
            FULL JOIN (SELECT * FROM %2$s WHERE %3$s = $1) AS archived ON live.id = archived.id
            CROSS JOIN LATERAL (
                VALUES
                (0, NULL::text, to_jsonb(live)::text, to_jsonb(archived)::text, FALSE),
                %5$s
            ) AS compared (place, name, live_value, archive_value, is_equal)
            WHERE
                NOT compared.is_equal
                AND (compared.place = 0) = (live.id IS NULL OR archived.id IS NULL)
            ORDER BY
                coalesce(live.created_at, archived.created_at),
                coalesce(live.id, archived.id),
                compared.place
            $statement$,
            v_tables.live,
            v_tables.archive,
            v_tables.session_column,
            v_tables.message_id,
            v_tables.compared
        ) USING session_id;
    END LOOP;
END;
$_$;

--
-- Name: FUNCTION session_conflict_differences(session_id uuid); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.session_conflict_differences(session_id uuid) IS 'What differs in a session that is live and archived: a row per column, or for a row in one place only.';

--
-- Name: set_archive_dependent(text, text, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.set_archive_dependent(schema_name text, table_name text, handling text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    SET jit TO 'off'
    AS $_$
DECLARE
    v_table CONSTANT oid := to_regclass(format('%I.%I', schema_name, table_name));
    v_actions text;
    v_archive text;
    v_grantee text;
    v_column record;
BEGIN
    IF (handling IN ('move', 'delete', 'detach', 'refuse')) IS NOT TRUE THEN
        RAISE EXCEPTION 'handling is %, and must be move, delete, detach or refuse', coalesce(handling, 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Say what becomes of the rows that refer to a session when it is archived.';
    END IF;

    SELECT string_agg(DISTINCT dependent.action, '') INTO v_actions
    FROM _dependent_keys() AS dependent
    WHERE dependent.child_id = v_table AND dependent.parent_place IS DISTINCT FROM 'archive'
        AND dependent.child_place IS NULL;
    IF v_actions IS NULL AND handling <> 'refuse' THEN
        RAISE EXCEPTION 'no foreign key of %.% refers to chat rows', schema_name, table_name
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'SELECT * FROM archive_dependents() (`aria-db dependents`) lists the tables. One that refers to '
                'another of them is listed once that one is set.';
    ELSIF handling = 'delete' AND v_actions ~ '[nd]|^[ar]+$' THEN
        RAISE EXCEPTION 'a foreign key of %.% is not ON DELETE CASCADE, so that its rows would stay',
            schema_name, table_name
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Choose move, which keeps the rows with their session.';
    ELSIF handling = 'detach' AND v_actions ~ 'c|^[ar]+$' THEN
        RAISE EXCEPTION 'a foreign key of %.% is not ON DELETE SET NULL or SET DEFAULT, so that its rows could not '
            'stay', schema_name, table_name
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Choose move, which keeps the rows with their session.';
    END IF;

    SELECT dependent.archive_table INTO v_archive
    FROM engine_archive_dependent AS dependent
    WHERE
        (dependent.schema_name, dependent.table_name)
        = (set_archive_dependent.schema_name, set_archive_dependent.table_name);

    IF handling = 'move' THEN
        IF v_archive IS NULL OR to_regclass(format('%I.%I', schema_name, v_archive)) IS NULL THEN
            v_archive := table_name || '_archive';
            IF length(v_archive) > 63 THEN
                RAISE EXCEPTION '% is longer than a name may be', v_archive
                    USING ERRCODE = 'invalid_parameter_value',
                    HINT = 'Rename the table: its archive has its name and _archive.';
            END IF;
            IF to_regclass(format('%I.%I', schema_name, v_archive)) IS NOT NULL THEN
                RAISE EXCEPTION '%.% exists already', schema_name, v_archive
                    USING ERRCODE = 'duplicate_table',
                    HINT = 'Rename it: set_archive_dependent() creates this table.';
            END IF;
            EXECUTE format(
                'CREATE TABLE %1$I.%2$I (archived_at timestamptz NOT NULL, archived_session_id uuid NOT NULL, '
                'LIKE %1$I.%3$I)',
                schema_name, v_archive, table_name
            );
            EXECUTE format('CREATE INDEX ON %I.%I (archived_session_id)', schema_name, v_archive);
            -- revoke what default privileges granted: only the functions change archived rows
            FOR v_grantee IN
                SELECT DISTINCT coalesce(quote_ident(grantee.rolname), 'PUBLIC')
                FROM pg_catalog.pg_class AS archive
                CROSS JOIN LATERAL aclexplode(archive.relacl) AS entry
                LEFT JOIN pg_catalog.pg_roles AS grantee ON entry.grantee = grantee.oid
                WHERE
                    archive.oid = to_regclass(format('%I.%I', schema_name, v_archive))
                    AND entry.grantee <> archive.relowner
            LOOP
                EXECUTE format('REVOKE ALL ON TABLE %I.%I FROM %s', schema_name, v_archive, v_grantee);
            END LOOP;
            -- it has no key, and in a publication of all tables PostgreSQL would refuse to delete its rows
            EXECUTE format('ALTER TABLE %I.%I REPLICA IDENTITY FULL', schema_name, v_archive);
            EXECUTE format(
                'COMMENT ON TABLE %I.%I IS %L',
                schema_name, v_archive, format('Rows of %s that were archived with their session.', table_name)
            );
        END IF;
        -- Columns that the table has got since; and an archive must take what the table took.
        FOR v_column IN
            SELECT
                format('ADD COLUMN %I %s', drifted.column_name, (
                    SELECT format_type(table_column.atttypid, table_column.atttypmod)
                    FROM pg_catalog.pg_attribute AS table_column
                    WHERE table_column.attrelid = v_table AND table_column.attname = drifted.column_name
                )) AS change
            FROM (
                SELECT table_column.attname AS column_name
                FROM pg_catalog.pg_attribute AS table_column
                WHERE
                    table_column.attrelid = v_table
                    AND table_column.attnum > 0
                    AND NOT table_column.attisdropped
                    AND NOT EXISTS (
                        SELECT 1 FROM pg_catalog.pg_attribute AS archive_column
                        WHERE
                            archive_column.attrelid = to_regclass(format('%I.%I', schema_name, v_archive))
                            AND archive_column.attname = table_column.attname
                            AND NOT archive_column.attisdropped
                    )
                ORDER BY table_column.attnum
            ) AS drifted
            UNION ALL
            SELECT format('ALTER COLUMN %I DROP NOT NULL', archive_column.attname)
            FROM pg_catalog.pg_attribute AS archive_column
            WHERE
                archive_column.attrelid = to_regclass(format('%I.%I', schema_name, v_archive))
                AND archive_column.attnotnull
                AND archive_column.attnum > 2
        LOOP
            EXECUTE format('ALTER TABLE %I.%I %s', schema_name, v_archive, v_column.change);
        END LOOP;
    END IF;

    INSERT INTO engine_archive_dependent AS dependent (schema_name, table_name, handling, archive_table, set_by)
    VALUES (
        set_archive_dependent.schema_name,
        set_archive_dependent.table_name,
        set_archive_dependent.handling,
        v_archive,
        _actor(NULL)
    )
    ON CONFLICT ON CONSTRAINT engine_archive_dependent_pkey DO UPDATE
    SET
        handling = excluded.handling,
        archive_table = excluded.archive_table,
        set_by = excluded.set_by,
        set_at = clock_timestamp();
END;
$_$;

--
-- Name: FUNCTION set_archive_dependent(schema_name text, table_name text, handling text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.set_archive_dependent(schema_name text, table_name text, handling text) IS 'Says what becomes of the rows of a table that refers to chat rows: move, delete, detach or refuse.';

--
-- Name: verify_archive(timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.verify_archive(since timestamp with time zone DEFAULT NULL::timestamp with time zone) RETURNS TABLE(finding text, session_id uuid, messages bigint, detail text, remedy text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET row_security TO 'off'
    SET plan_cache_mode TO 'force_custom_plan'
    AS $_$
DECLARE
    -- Later than the snapshot, and so than every move that it shows.
    v_now timestamptz := clock_timestamp();
    v_unreadable boolean;
    v_recent uuid[];
    v_dependent record;
BEGIN
    RETURN QUERY
    SELECT
        'column drift',
        NULL::uuid,
        NULL::bigint,
        format('%s.%s %s', drifted.live_table, drifted.column_name, drifted.problem),
        'No session can be archived. Run `aria-db adopt` where the tables are the application''s; else give '
        'both tables the same columns, in order.'
    FROM archive_column_drift() AS drifted;

    -- The views hold on to every other column that is read below.
    SELECT bool_or(drifted.column_name = 'archived_at') INTO v_unreadable
    FROM archive_column_drift() AS drifted;
    IF v_unreadable THEN
        RETURN;
    END IF;

    -- Rows of other tables that are archived with a session must be where their session is.
    FOR v_dependent IN SELECT * FROM _dependent_archives() LOOP
        RETURN QUERY EXECUTE format(
            $statement$
            SELECT
                'archived rows without a session',
                archived.archived_session_id,
                NULL::bigint,
                format('%%s rows in %%s', count(*), %1$L),
                'Nothing brings them back. Restore their session from a backup, or delete them.'
            FROM %1$s AS archived
            WHERE
                NOT EXISTS (
                    SELECT 1 FROM engine_chat_session_archive AS session
                    WHERE session.id = archived.archived_session_id
                )
                AND ($1 IS NULL OR archived.archived_at >= $1)
            GROUP BY archived.archived_session_id
            $statement$,
            v_dependent.archive_id::regclass
        ) USING since;
    END LOOP;

    IF since IS NOT NULL THEN
        v_recent := ARRAY(
            SELECT archived.id
            FROM engine_chat_session_archive AS archived
            WHERE archived.archived_at >= since
        );
    END IF;

    RETURN QUERY
    WITH
    live_sessions AS (
        SELECT
            live.id,
            TRUE AS is_live
        FROM engine_chat_sessions AS live
        WHERE since IS NULL OR live.id = ANY(v_recent)
    ),

    live_messages AS (
        SELECT
            live.session_id AS id,
            count(*) AS live
        FROM engine_chat_messages AS live
        WHERE since IS NULL OR live.session_id = ANY(v_recent)
        GROUP BY live.session_id
    ),

    archived_sessions AS (
        SELECT
            archived.id,
            archived.archived_at,
            TRUE AS is_archived
        FROM engine_chat_session_archive AS archived
        WHERE since IS NULL OR archived.id = ANY(v_recent)
    ),

    archived_messages AS (
        SELECT
            archived.session_id AS id,
            count(*) AS archived,
            count(*) - count(archived.archived_at) AS undated,
            min(archived.archived_at) AS oldest,
            max(archived.archived_at) AS newest
        FROM engine_chat_message_archive AS archived
        WHERE since IS NULL OR archived.session_id = ANY(v_recent)
        GROUP BY archived.session_id
    ),

    places AS (
        SELECT
            id,
            coalesce(live_sessions.is_live, FALSE) AS is_live,
            coalesce(live_messages.live, 0) AS live,
            coalesce(archived_sessions.is_archived, FALSE) AS is_archived,
            archived_sessions.archived_at,
            coalesce(archived_messages.archived, 0) AS archived,
            coalesce(archived_messages.undated, 0) AS undated,
            archived_messages.oldest,
            archived_messages.newest
        FROM live_sessions
        FULL JOIN live_messages USING (id)
        FULL JOIN archived_sessions USING (id)
        FULL JOIN archived_messages USING (id)
    )

    SELECT
        found.finding,
        places.id,
        found.messages,
        found.detail,
        found.remedy
    FROM places
    CROSS JOIN LATERAL (
        VALUES
        (
            places.live > 0 AND NOT places.is_live,
            'live messages without a session',
            places.live,
            CASE WHEN places.is_archived THEN 'the session is archived' ELSE 'the session is nowhere' END,
            'Insert their session again, from a backup, or delete them; then validate the foreign key.'
        ),
        (
            places.archived > 0 AND NOT places.is_archived AND NOT places.is_live,
            'archived messages without a session',
            places.archived,
            'the session is nowhere',
            'Nothing shows them. Insert their session into the archive again, from a backup, or delete them.'
        ),
        (
            places.is_live AND (places.is_archived OR places.archived > 0),
            'session in both places',
            places.live + places.archived,
            format(
                'live with %s messages; in the archive %s and %s messages',
                places.live,
                CASE WHEN places.is_archived THEN 'its row' ELSE 'no row of it' END,
                places.archived
            ),
            'Run `aria-db conflicts`: it lists them, shows what differs and merges them.'
        ),
        (
            places.archived_at IS NULL AND places.is_archived OR places.undated > 0,
            'archived_at is missing',
            places.undated,
            'of the ' || concat_ws(
                ' and the ',
                CASE WHEN places.is_archived AND places.archived_at IS NULL THEN 'session' END,
                CASE WHEN places.undated > 0 THEN 'messages' END
            ),
            'Set it to when they were archived: the purge counts from it, and leaves a session that has none.'
        ),
        (
            greatest(places.archived_at, places.newest) > v_now,
            'archived_at is in the future',
            places.archived,
            format('%s, and it is %s', greatest(places.archived_at, places.newest), v_now),
            'Set it to when they were archived: the purge counts from it.'
        )
    ) AS found (is_found, finding, messages, detail, remedy)
    WHERE found.is_found
    UNION ALL
    SELECT
        'messages in both places',
        places.id,
        same.messages,
        'live and in the archive, with the same id',
        'Run `aria-db conflicts`; where it does not list their session, compare them and delete the wrong ones.'
    FROM places
    CROSS JOIN LATERAL (
        SELECT count(*) AS messages
        FROM engine_chat_messages AS live
        INNER JOIN engine_chat_message_archive AS archived
            ON live.session_id = archived.session_id AND live.id = archived.id
        WHERE live.session_id = places.id
    ) AS same
    WHERE places.live > 0 AND places.archived > 0 AND same.messages > 0
    UNION ALL
    SELECT
        'archived_at differs',
        places.id,
        different.messages,
        format('%s for the session, %s to %s for its messages', places.archived_at, places.oldest, places.newest),
        'One move gives both the same; other code made these. Nothing is lost: set that of the messages to '
        'their session''s.'
    FROM places
    CROSS JOIN LATERAL (
        SELECT count(*) AS messages
        FROM engine_chat_message_archive AS archived
        WHERE archived.session_id = places.id AND archived.archived_at <> places.archived_at
    ) AS different
    WHERE places.archived_at <> places.oldest OR places.archived_at <> places.newest
    UNION ALL
    SELECT
        'held session is gone',
        held.session_id,
        NULL,
        format('held by %s since %s: %s', held.placed_by, held.placed_at, held.reason),
        'Something other than aria-db deleted it. Bring it back from a backup, or `aria-db release` it.'
    FROM engine_session_hold AS held
    WHERE
        NOT EXISTS (SELECT 1 FROM engine_chat_sessions AS live WHERE live.id = held.session_id)
        AND NOT EXISTS (SELECT 1 FROM engine_chat_session_archive AS archived WHERE archived.id = held.session_id)
    ORDER BY 1, 2;
END;
$_$;

--
-- Name: FUNCTION verify_archive(since timestamp with time zone); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.verify_archive(since timestamp with time zone) IS 'What contradicts that every session and message is in exactly one place: a row per finding, none when all is well. Read-only; since: only sessions archived since then.';

--
-- Name: engine_archive_event; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.engine_archive_event (
    session_id uuid NOT NULL,
    id bigint NOT NULL,
    event text NOT NULL,
    at timestamp with time zone NOT NULL,
    actor text NOT NULL,
    role text NOT NULL,
    run_id bigint,
    message_count bigint,
    detail jsonb
);

--
-- Name: TABLE engine_archive_event; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.engine_archive_event IS 'The journal: who archived, restored, purged, deleted, held, released or resolved which session, and when.';

--
-- Name: engine_archive_policy; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.engine_archive_policy (
    session_type character varying(50) NOT NULL,
    archive_after interval,
    purge_after interval,
    enabled boolean DEFAULT true NOT NULL,
    CONSTRAINT engine_archive_policy_archive_after_check CHECK (((archive_after > '00:00:00'::interval) AND (archive_after <= '365000 days'::interval))),
    CONSTRAINT engine_archive_policy_purge_after_check CHECK (((purge_after > '00:00:00'::interval) AND (purge_after <= '365000 days'::interval)))
);

--
-- Name: TABLE engine_archive_policy; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.engine_archive_policy IS 'The age at which sessions are archived, and archived ones purged, per session_type; * for all others.';

--
-- Name: engine_chat_message_archive; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.engine_chat_message_archive (
    archived_at timestamp with time zone NOT NULL,
    id uuid CONSTRAINT engine_chat_messages_id_not_null NOT NULL,
    session_id uuid CONSTRAINT engine_chat_messages_session_id_not_null NOT NULL,
    agent_id character varying(100),
    role character varying(20) CONSTRAINT engine_chat_messages_role_not_null NOT NULL,
    content text CONSTRAINT engine_chat_messages_content_not_null NOT NULL,
    thinking text,
    tool_calls jsonb,
    tool_results jsonb,
    model character varying(200),
    tokens_input integer,
    tokens_output integer,
    cost numeric(10,6),
    latency_ms integer,
    metadata jsonb,
    created_at timestamp with time zone
);

--
-- Name: TABLE engine_chat_message_archive; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.engine_chat_message_archive IS 'Messages of archived chat sessions. Created by aria-db.';

--
-- Name: engine_chat_session_archive; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.engine_chat_session_archive (
    archived_at timestamp with time zone NOT NULL,
    id uuid CONSTRAINT engine_chat_sessions_id_not_null NOT NULL,
    agent_id character varying(100) CONSTRAINT engine_chat_sessions_agent_id_not_null NOT NULL,
    session_type character varying(50) CONSTRAINT engine_chat_sessions_session_type_not_null NOT NULL,
    title character varying(500),
    system_prompt text,
    model character varying(200),
    temperature double precision,
    max_tokens integer,
    context_window integer,
    status character varying(20) CONSTRAINT engine_chat_sessions_status_not_null NOT NULL,
    message_count integer,
    total_tokens integer,
    total_cost numeric(10,6),
    metadata jsonb,
    created_at timestamp with time zone,
    updated_at timestamp with time zone,
    ended_at timestamp with time zone
);

--
-- Name: TABLE engine_chat_session_archive; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.engine_chat_session_archive IS 'Archived chat sessions, each with the time of its move. Created by aria-db.';

--
-- Name: engine_chat_sessions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.engine_chat_sessions (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    agent_id character varying(100) DEFAULT 'aria'::character varying NOT NULL,
    session_type character varying(50) DEFAULT 'interactive'::character varying NOT NULL,
    title character varying(500),
    system_prompt text,
    model character varying(200),
    temperature double precision DEFAULT 0.7,
    max_tokens integer DEFAULT 4096,
    context_window integer DEFAULT 50,
    status character varying(20) DEFAULT 'active'::character varying NOT NULL,
    message_count integer DEFAULT 0,
    total_tokens integer DEFAULT 0,
    total_cost numeric(10,6) DEFAULT 0,
    metadata jsonb DEFAULT '{}'::jsonb,
    created_at timestamp with time zone DEFAULT now(),
    updated_at timestamp with time zone DEFAULT now(),
    ended_at timestamp with time zone
);

--
-- Name: TABLE engine_chat_sessions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.engine_chat_sessions IS 'Live chat sessions. Created by aria-db.';

--
-- Name: engine_session_hold; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.engine_session_hold (
    session_id uuid NOT NULL,
    reason text NOT NULL,
    placed_by text DEFAULT SESSION_USER NOT NULL,
    placed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT engine_session_hold_reason_check CHECK ((TRIM(BOTH FROM reason) <> ''::text))
);

--
-- Name: TABLE engine_session_hold; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.engine_session_hold IS 'Sessions that must stay where they are; place_hold() and release_hold() write it.';

--
-- Name: engine_archive_candidate; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.engine_archive_candidate AS
 SELECT id,
    session_type,
    updated_at,
    age_from,
    archive_after,
    message_count,
    is_soft_deleted,
    is_held,
    is_conflicting,
        CASE
            WHEN (age_from < '290000-01-01 00:00:00+00'::timestamp with time zone) THEN (age_from + archive_after)
            ELSE NULL::timestamp with time zone
        END AS due_from
   FROM ( SELECT live.id,
            live.session_type,
            live.updated_at,
            live.message_count,
            GREATEST(COALESCE(live.updated_at, live.created_at), ( SELECT max(journal.at) AS max
                   FROM public.engine_archive_event journal
                  WHERE ((journal.session_id = live.id) AND (journal.event = 'restored'::text)))) AS age_from,
            ( SELECT
                        CASE
                            WHEN policy.enabled THEN policy.archive_after
                            ELSE NULL::interval
                        END AS "case"
                   FROM public.engine_archive_policy policy
                  WHERE ((policy.session_type)::text = ANY ((ARRAY[live.session_type, '*'::character varying])::text[]))
                  ORDER BY ((policy.session_type)::text = '*'::text)
                 LIMIT 1) AS archive_after,
            ((live.status)::text = 'archived'::text) AS is_soft_deleted,
            (EXISTS ( SELECT 1
                   FROM public.engine_session_hold held
                  WHERE (held.session_id = live.id))) AS is_held,
            (EXISTS ( SELECT 1
                   FROM public.engine_chat_session_archive archived
                  WHERE (archived.id = live.id)
                UNION ALL
                 SELECT 1
                   FROM public.engine_chat_message_archive archived
                  WHERE (archived.session_id = live.id))) AS is_conflicting
           FROM public.engine_chat_sessions live) seen;

--
-- Name: VIEW engine_archive_candidate; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.engine_archive_candidate IS 'Live sessions as the prune sees them: age, policy, when they are due, soft delete, hold, conflict.';

--
-- Name: engine_chat_messages; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.engine_chat_messages (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    session_id uuid NOT NULL,
    agent_id character varying(100),
    role character varying(20) NOT NULL,
    content text NOT NULL,
    thinking text,
    tool_calls jsonb,
    tool_results jsonb,
    model character varying(200),
    tokens_input integer,
    tokens_output integer,
    cost numeric(10,6),
    latency_ms integer,
    metadata jsonb DEFAULT '{}'::jsonb,
    created_at timestamp with time zone DEFAULT now()
);

--
-- Name: TABLE engine_chat_messages; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.engine_chat_messages IS 'Messages of live chat sessions. Created by aria-db.';

--
-- Name: _empty_candidate; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public._empty_candidate AS
 SELECT id,
    updated_at,
    age_from
   FROM public.engine_archive_candidate candidate
  WHERE ((NOT (EXISTS ( SELECT 1
           FROM public.engine_chat_messages message
          WHERE (message.session_id = candidate.id)))) AND (NOT is_soft_deleted) AND (NOT is_held) AND (NOT is_conflicting));

--
-- Name: VIEW _empty_candidate; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public._empty_candidate IS 'Internal to delete_empty_sessions and its dry run: live sessions without a message.';

--
-- Name: _purge_candidate; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public._purge_candidate AS
 SELECT id,
    session_type,
    archived_at,
    (EXISTS ( SELECT 1
           FROM public.engine_session_hold held
          WHERE (held.session_id = archived.id))) AS is_held
   FROM public.engine_chat_session_archive archived
  WHERE ((archived_at < ( SELECT max((now() - policy.purge_after)) AS max
           FROM public.engine_archive_policy policy
          WHERE policy.enabled)) AND (archived_at < (now() - ( SELECT
                CASE
                    WHEN policy.enabled THEN policy.purge_after
                    ELSE NULL::interval
                END AS "case"
           FROM public.engine_archive_policy policy
          WHERE ((policy.session_type)::text = ANY ((ARRAY[archived.session_type, '*'::character varying])::text[]))
          ORDER BY ((policy.session_type)::text = '*'::text)
         LIMIT 1))) AND (NOT (EXISTS ( SELECT 1
           FROM public.engine_chat_sessions live
          WHERE (live.id = archived.id)))));

--
-- Name: VIEW _purge_candidate; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public._purge_candidate IS 'Internal to the purge and its dry run: archived sessions that their policy no longer keeps.';

--
-- Name: _table_beneath; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public._table_beneath AS
 SELECT named.oid AS relation,
    COALESCE(shown.table_id, named.oid) AS table_id
   FROM (pg_class named
     LEFT JOIN LATERAL ( SELECT DISTINCT dependency.refobjid AS table_id
           FROM (pg_rewrite view_rule
             JOIN pg_depend dependency ON (((view_rule.oid = dependency.objid) AND (dependency.classid = ('pg_rewrite'::regclass)::oid) AND (dependency.refclassid = ('pg_class'::regclass)::oid) AND (view_rule.ev_class <> dependency.refobjid))))
          WHERE ((view_rule.ev_class = named.oid) AND (view_rule.ev_type = '1'::"char"))) shown ON (true));

--
-- Name: VIEW _table_beneath; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public._table_beneath IS 'Internal: the table in which a relation has its rows; of a simple view, the one that it shows.';

--
-- Name: _zombie_session; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public._zombie_session AS
 SELECT id
   FROM public.engine_chat_sessions live
  WHERE (((status)::text = 'active'::text) AND ((session_type)::text = ANY ((ARRAY['scoped'::character varying, 'cron'::character varying])::text[])) AND (COALESCE(updated_at, created_at) < (now() - '02:00:00'::interval)));

--
-- Name: VIEW _zombie_session; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public._zombie_session IS 'Internal to end_zombie_sessions and its dry run: active sessions whose job is gone.';

--
-- Name: aria_db_version; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.aria_db_version (
    version_num character varying(32) NOT NULL
);

--
-- Name: engine_archive_dependent; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.engine_archive_dependent (
    schema_name text NOT NULL,
    table_name text NOT NULL,
    handling text NOT NULL,
    archive_table text,
    set_by text DEFAULT SESSION_USER NOT NULL,
    set_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT engine_archive_dependent_check CHECK (((handling <> 'move'::text) OR (archive_table IS NOT NULL))),
    CONSTRAINT engine_archive_dependent_handling_check CHECK ((handling = ANY (ARRAY['move'::text, 'delete'::text, 'detach'::text, 'refuse'::text])))
);

--
-- Name: TABLE engine_archive_dependent; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.engine_archive_dependent IS 'What a move does with the rows of each table that refers to chat rows: move, delete, detach or refuse.';

--
-- Name: engine_archive_event_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.engine_archive_event ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.engine_archive_event_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

--
-- Name: engine_archive_left; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.engine_archive_left (
    session_id uuid NOT NULL,
    run_id bigint,
    sqlstate text NOT NULL,
    message text NOT NULL,
    remedy text,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

--
-- Name: TABLE engine_archive_left; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.engine_archive_left IS 'Sessions that the last prune or undo had to leave where they are, each with the reason and what to do.';

--
-- Name: engine_archive_run; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.engine_archive_run (
    id bigint NOT NULL,
    kind text NOT NULL,
    arguments jsonb NOT NULL,
    started_by text DEFAULT SESSION_USER NOT NULL,
    role text DEFAULT SESSION_USER NOT NULL,
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    backend_pid bigint NOT NULL,
    last_batch_at timestamp with time zone,
    reached timestamp with time zone,
    batches bigint DEFAULT 0 NOT NULL,
    sessions bigint DEFAULT 0 NOT NULL,
    messages bigint DEFAULT 0 NOT NULL,
    finished_at timestamp with time zone,
    stop_reason text,
    error text,
    CONSTRAINT engine_archive_run_kind_check CHECK ((kind = ANY (ARRAY['prune'::text, 'purge'::text, 'archive'::text, 'restore'::text, 'undo'::text, 'empty'::text]))),
    CONSTRAINT engine_archive_run_stop_reason_check CHECK ((stop_reason = ANY (ARRAY['nothing left'::text, 'max_runtime'::text, 'max_sessions'::text, 'interrupted'::text, 'failed'::text])))
);

--
-- Name: TABLE engine_archive_run; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.engine_archive_run IS 'One row per bulk run: prune, purge, archive, restore, undo, empty. See engine_archive_run_list.';

--
-- Name: engine_archive_run_list; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.engine_archive_run_list AS
 SELECT id,
    kind,
    started_by,
    role,
    started_at,
    last_batch_at,
    finished_at,
    batches,
    sessions,
    messages,
    stop_reason,
    error,
    arguments,
        CASE
            WHEN (stop_reason = 'failed'::text) THEN 'failed'::text
            WHEN (finished_at IS NOT NULL) THEN 'finished'::text
            WHEN (COALESCE(last_batch_at, started_at) < (now() - '01:00:00'::interval)) THEN 'killed'::text
            WHEN (pg_is_in_recovery() OR (EXISTS ( SELECT 1
               FROM pg_stat_activity activity
              WHERE ((activity.pid = run.backend_pid) AND (COALESCE(activity.backend_start, run.started_at) <= COALESCE(run.last_batch_at, run.started_at)))))) THEN 'running'::text
            ELSE 'killed'::text
        END AS state
   FROM public.engine_archive_run run;

--
-- Name: VIEW engine_archive_run_list; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.engine_archive_run_list IS 'Prune and purge runs with their state: running, finished, failed or killed.';

--
-- Name: engine_archive_health; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.engine_archive_health AS
 WITH due_sessions AS (
         SELECT candidate.is_soft_deleted,
            candidate.due_from,
            COALESCE(named.session_type, '*'::character varying) AS policy
           FROM (public.engine_archive_candidate candidate
             LEFT JOIN public.engine_archive_policy named ON (((candidate.session_type)::text = (named.session_type)::text)))
          WHERE ((NOT candidate.is_held) AND (NOT candidate.is_conflicting) AND (candidate.is_soft_deleted OR (candidate.due_from < now())) AND (NOT (EXISTS ( SELECT 1
                   FROM public.engine_archive_left left_behind
                  WHERE (left_behind.session_id = candidate.id)))))
        ), backlog AS (
         SELECT 'backlog'::text AS figure,
            (policy.session_type)::text AS subject,
            (count(due_sessions.policy))::numeric AS value,
            'sessions'::text AS unit,
            COALESCE((min(due_sessions.due_from) > (now() - '2 days'::interval)), true) AS is_ok,
            format('%s sessions are due'::text, count(due_sessions.policy)) AS reading,
                CASE
                    WHEN (count(due_sessions.policy) > 0) THEN 'Run `aria-db prune`, and check that it is scheduled.'::text
                    ELSE NULL::text
                END AS remedy
           FROM (public.engine_archive_policy policy
             LEFT JOIN due_sessions ON ((((policy.session_type)::text = (due_sessions.policy)::text) AND (NOT due_sessions.is_soft_deleted))))
          GROUP BY policy.session_type
        ), soft_deleted AS (
         SELECT 'soft_deleted'::text AS figure,
            'engine_chat_sessions'::text AS subject,
            (count(*))::numeric AS value,
            'sessions'::text AS unit,
            true AS is_ok,
            format('%s sessions'::text, count(*)) AS reading,
                CASE
                    WHEN (count(*) > 0) THEN 'Run `aria-db prune`: it archives them, whatever their age.'::text
                    ELSE NULL::text
                END AS remedy
           FROM due_sessions
          WHERE due_sessions.is_soft_deleted
        ), conflicts AS (
         SELECT 'conflicts'::text AS figure,
            'engine_chat_sessions'::text AS subject,
            (count(*))::numeric AS value,
            'sessions'::text AS unit,
            (count(*) = 0) AS is_ok,
            format('%s sessions are live and archived'::text, count(*)) AS reading,
                CASE
                    WHEN (count(*) > 0) THEN 'Run `aria-db conflicts`: it lists them, shows what differs, merges them.'::text
                    ELSE NULL::text
                END AS remedy
           FROM public.engine_archive_candidate candidate
          WHERE candidate.is_conflicting
        ), left_sessions AS (
         SELECT 'left'::text AS figure,
            'engine_archive_left'::text AS subject,
            (count(*))::numeric AS value,
            'sessions'::text AS unit,
            (count(*) = 0) AS is_ok,
            format('%s sessions could not be archived'::text, count(*)) AS reading,
                CASE
                    WHEN (count(*) > 0) THEN 'Run `aria-db left`: it says why, and what to do.'::text
                    ELSE NULL::text
                END AS remedy
           FROM public.engine_archive_left
        ), held AS (
         SELECT 'held'::text AS figure,
            'engine_session_hold'::text AS subject,
            (count(*))::numeric AS value,
            'sessions'::text AS unit,
            true AS is_ok,
            format('%s sessions'::text, count(*)) AS reading,
                CASE
                    WHEN (count(*) > 0) THEN 'Release those whose reason is gone: `aria-db release`.'::text
                    ELSE NULL::text
                END AS remedy
           FROM public.engine_session_hold
        ), drift AS (
         SELECT 'drift'::text AS figure,
            ((drifted.live_table || '.'::text) || drifted.column_name) AS subject,
            (1)::numeric AS value,
            'columns'::text AS unit,
            false AS is_ok,
            drifted.problem AS reading,
            'No session can be archived. Run `aria-db adopt` where the tables are the application''s (behind views, or of an older shape); else give both tables the same columns, in order.'::text AS remedy
           FROM public.archive_column_drift() drifted(live_table, column_name, problem)
        ), last_runs AS (
         SELECT DISTINCT ON (run.kind) 'last_run'::text AS figure,
            run.kind AS subject,
            round(EXTRACT(epoch FROM (now() - run.started_at))) AS value,
            'seconds'::text AS unit,
            (run.state = ANY (ARRAY['running'::text, 'finished'::text])) AS is_ok,
            concat_ws(', '::text, run.state, ('began '::text || to_char(run.started_at, 'YYYY-MM-DD HH24:MI TZ'::text)), format('%s sessions'::text, run.sessions), run.stop_reason, run.error) AS reading,
                CASE
                    WHEN (run.state <> ALL (ARRAY['running'::text, 'finished'::text])) THEN 'Fix the cause named in the error and run it again. Committed batches are kept.'::text
                    ELSE NULL::text
                END AS remedy
           FROM public.engine_archive_run_list run
          ORDER BY run.kind, run.id DESC
        ), archived AS (
         SELECT 'oldest_archived'::text AS figure,
            'engine_chat_session_archive'::text AS subject,
            round(EXTRACT(epoch FROM (now() - min(archived_session.archived_at)))) AS value,
            'seconds'::text AS unit,
            true AS is_ok,
            COALESCE(((('from '::text || min(archived_session.archived_at)) || ' to '::text) || max(archived_session.archived_at)), 'nothing'::text) AS reading,
            NULL::text AS remedy
           FROM public.engine_chat_session_archive archived_session
        ), sizes AS (
         SELECT 'size'::text AS figure,
            ((beneath.table_id)::regclass)::text AS subject,
            (pg_total_relation_size((beneath.table_id)::regclass))::numeric AS value,
            'bytes'::text AS unit,
            true AS is_ok,
            pg_size_pretty(pg_total_relation_size((beneath.table_id)::regclass)) AS reading,
            NULL::text AS remedy
           FROM public._table_beneath beneath
          WHERE (beneath.relation = ANY (ARRAY[('public.engine_chat_sessions'::regclass)::oid, ('public.engine_chat_messages'::regclass)::oid, ('public.engine_chat_session_archive'::regclass)::oid, ('public.engine_chat_message_archive'::regclass)::oid]))
        )
 SELECT backlog.figure,
    backlog.subject,
    backlog.value,
    backlog.unit,
    backlog.is_ok,
    backlog.reading,
    backlog.remedy
   FROM backlog
UNION ALL
 SELECT soft_deleted.figure,
    soft_deleted.subject,
    soft_deleted.value,
    soft_deleted.unit,
    soft_deleted.is_ok,
    soft_deleted.reading,
    soft_deleted.remedy
   FROM soft_deleted
UNION ALL
 SELECT conflicts.figure,
    conflicts.subject,
    conflicts.value,
    conflicts.unit,
    conflicts.is_ok,
    conflicts.reading,
    conflicts.remedy
   FROM conflicts
UNION ALL
 SELECT left_sessions.figure,
    left_sessions.subject,
    left_sessions.value,
    left_sessions.unit,
    left_sessions.is_ok,
    left_sessions.reading,
    left_sessions.remedy
   FROM left_sessions
UNION ALL
 SELECT held.figure,
    held.subject,
    held.value,
    held.unit,
    held.is_ok,
    held.reading,
    held.remedy
   FROM held
UNION ALL
 SELECT drift.figure,
    drift.subject,
    drift.value,
    drift.unit,
    drift.is_ok,
    drift.reading,
    drift.remedy
   FROM drift
UNION ALL
 SELECT last_runs.figure,
    last_runs.subject,
    last_runs.value,
    last_runs.unit,
    last_runs.is_ok,
    last_runs.reading,
    last_runs.remedy
   FROM last_runs
UNION ALL
 SELECT archived.figure,
    archived.subject,
    archived.value,
    archived.unit,
    archived.is_ok,
    archived.reading,
    archived.remedy
   FROM archived
UNION ALL
 SELECT sizes.figure,
    sizes.subject,
    sizes.value,
    sizes.unit,
    sizes.is_ok,
    sizes.reading,
    sizes.remedy
   FROM sizes;

--
-- Name: VIEW engine_archive_health; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.engine_archive_health IS 'What an operator watches, one row per figure; is_ok is false where somebody should act.';

--
-- Name: engine_archive_run_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.engine_archive_run ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.engine_archive_run_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

--
-- Name: engine_chat_session_all; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.engine_chat_session_all AS
 SELECT NULL::timestamp with time zone AS archived_at,
    engine_chat_sessions.id,
    engine_chat_sessions.agent_id,
    engine_chat_sessions.session_type,
    engine_chat_sessions.title,
    engine_chat_sessions.system_prompt,
    engine_chat_sessions.model,
    engine_chat_sessions.temperature,
    engine_chat_sessions.max_tokens,
    engine_chat_sessions.context_window,
    engine_chat_sessions.status,
    engine_chat_sessions.message_count,
    engine_chat_sessions.total_tokens,
    engine_chat_sessions.total_cost,
    engine_chat_sessions.metadata,
    engine_chat_sessions.created_at,
    engine_chat_sessions.updated_at,
    engine_chat_sessions.ended_at
   FROM public.engine_chat_sessions
UNION ALL
 SELECT engine_chat_session_archive.archived_at,
    engine_chat_session_archive.id,
    engine_chat_session_archive.agent_id,
    engine_chat_session_archive.session_type,
    engine_chat_session_archive.title,
    engine_chat_session_archive.system_prompt,
    engine_chat_session_archive.model,
    engine_chat_session_archive.temperature,
    engine_chat_session_archive.max_tokens,
    engine_chat_session_archive.context_window,
    engine_chat_session_archive.status,
    engine_chat_session_archive.message_count,
    engine_chat_session_archive.total_tokens,
    engine_chat_session_archive.total_cost,
    engine_chat_session_archive.metadata,
    engine_chat_session_archive.created_at,
    engine_chat_session_archive.updated_at,
    engine_chat_session_archive.ended_at
   FROM public.engine_chat_session_archive;

--
-- Name: VIEW engine_chat_session_all; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.engine_chat_session_all IS 'Every session, live and archived; archived_at is null for the live ones.';

--
-- Name: engine_chat_session_archive_list; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.engine_chat_session_archive_list AS
 SELECT archived_at,
    id,
    agent_id,
    session_type,
    title,
    system_prompt,
    model,
    temperature,
    max_tokens,
    context_window,
    status,
    message_count,
    total_tokens,
    total_cost,
    metadata,
    created_at,
    updated_at,
    ended_at
   FROM public.engine_chat_session_archive;

--
-- Name: VIEW engine_chat_session_archive_list; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.engine_chat_session_archive_list IS 'Archived sessions, with the time of their move.';

--
-- Name: engine_chat_session_list; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.engine_chat_session_list AS
 SELECT id,
    agent_id,
    session_type,
    title,
    system_prompt,
    model,
    temperature,
    max_tokens,
    context_window,
    status,
    message_count,
    total_tokens,
    total_cost,
    metadata,
    created_at,
    updated_at,
    ended_at
   FROM public.engine_chat_sessions
  WHERE ((status)::text <> 'archived'::text);

--
-- Name: VIEW engine_chat_session_list; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.engine_chat_session_list IS 'Live sessions, without those that the application soft-deleted (status archived).';

--
-- Name: engine_conflict_resolution; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.engine_conflict_resolution (
    id bigint NOT NULL,
    session_id uuid NOT NULL,
    destination text NOT NULL,
    kept text,
    dropped_row jsonb,
    archived_at timestamp with time zone,
    resolved_by text DEFAULT SESSION_USER NOT NULL,
    resolved_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT engine_conflict_resolution_check CHECK (((kept IS NULL) = (dropped_row IS NULL))),
    CONSTRAINT engine_conflict_resolution_destination_check CHECK ((destination = ANY (ARRAY['live'::text, 'archive'::text]))),
    CONSTRAINT engine_conflict_resolution_kept_check CHECK ((kept = ANY (ARRAY['live'::text, 'archive'::text])))
);

--
-- Name: TABLE engine_conflict_resolution; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.engine_conflict_resolution IS 'One row per session that resolve_session_conflict() merged, with the row that was dropped.';

--
-- Name: engine_conflict_resolution_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.engine_conflict_resolution ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.engine_conflict_resolution_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

--
-- Name: engine_session_conflict; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.engine_session_conflict AS
 SELECT live.id AS session_id,
    live.title,
    archived.archived_at,
        CASE
            WHEN (archived.id IS NULL) THEN 'only live'::text
            WHEN (SUBSTRING(record_send(live.*) FROM 5) = SUBSTRING(record_send(archived.*) FROM 21)) THEN 'equal'::text
            ELSE 'different'::text
        END AS session_rows,
    ( SELECT count(*) AS count
           FROM public.engine_chat_messages live_message
          WHERE (live_message.session_id = live.id)) AS messages_live,
    ( SELECT count(*) AS count
           FROM public.engine_chat_message_archive archived_message
          WHERE (archived_message.session_id = live.id)) AS messages_archive,
    ( SELECT count(*) AS count
           FROM (public.engine_chat_messages same
             JOIN public.engine_chat_message_archive copied ON (((same.session_id = copied.session_id) AND (same.id = copied.id))))
          WHERE ((same.session_id = live.id) AND (SUBSTRING(record_send(same.*) FROM 5) = SUBSTRING(record_send(copied.*) FROM 21)))) AS messages_equal,
    ( SELECT count(*) AS count
           FROM (public.engine_chat_messages one
             JOIN public.engine_chat_message_archive other ON (((one.session_id = other.session_id) AND (one.id = other.id))))
          WHERE ((one.session_id = live.id) AND (SUBSTRING(record_send(one.*) FROM 5) <> SUBSTRING(record_send(other.*) FROM 21)))) AS messages_different
   FROM ((public.engine_archive_candidate candidate
     JOIN public.engine_chat_sessions live ON ((candidate.id = live.id)))
     LEFT JOIN public.engine_chat_session_archive archived ON ((live.id = archived.id)))
  WHERE candidate.is_conflicting;

--
-- Name: VIEW engine_session_conflict; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.engine_session_conflict IS 'Sessions that are live and in the archive as well, and how much of them is equal; resolve_session_conflict() merges them.';

--
-- Name: aria_db_version aria_db_version_pkc; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.aria_db_version
    ADD CONSTRAINT aria_db_version_pkc PRIMARY KEY (version_num);

--
-- Name: engine_archive_dependent engine_archive_dependent_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.engine_archive_dependent
    ADD CONSTRAINT engine_archive_dependent_pkey PRIMARY KEY (schema_name, table_name);

--
-- Name: engine_archive_event engine_archive_event_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.engine_archive_event
    ADD CONSTRAINT engine_archive_event_pkey PRIMARY KEY (session_id, id);

--
-- Name: engine_archive_left engine_archive_left_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.engine_archive_left
    ADD CONSTRAINT engine_archive_left_pkey PRIMARY KEY (session_id);

--
-- Name: engine_archive_policy engine_archive_policy_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.engine_archive_policy
    ADD CONSTRAINT engine_archive_policy_pkey PRIMARY KEY (session_type);

--
-- Name: engine_archive_run engine_archive_run_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.engine_archive_run
    ADD CONSTRAINT engine_archive_run_pkey PRIMARY KEY (id);

--
-- Name: engine_chat_message_archive engine_chat_message_archive_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.engine_chat_message_archive
    ADD CONSTRAINT engine_chat_message_archive_pkey PRIMARY KEY (session_id, id);

--
-- Name: engine_chat_messages engine_chat_messages_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.engine_chat_messages
    ADD CONSTRAINT engine_chat_messages_pkey PRIMARY KEY (session_id, id);

--
-- Name: engine_chat_session_archive engine_chat_session_archive_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.engine_chat_session_archive
    ADD CONSTRAINT engine_chat_session_archive_pkey PRIMARY KEY (id);

--
-- Name: engine_chat_sessions engine_chat_sessions_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.engine_chat_sessions
    ADD CONSTRAINT engine_chat_sessions_pkey PRIMARY KEY (id);

--
-- Name: engine_conflict_resolution engine_conflict_resolution_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.engine_conflict_resolution
    ADD CONSTRAINT engine_conflict_resolution_pkey PRIMARY KEY (id);

--
-- Name: engine_session_hold engine_session_hold_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.engine_session_hold
    ADD CONSTRAINT engine_session_hold_pkey PRIMARY KEY (session_id);

--
-- Name: engine_archive_event_run_id_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX engine_archive_event_run_id_at_idx ON public.engine_archive_event USING btree (run_id, at) WHERE (run_id IS NOT NULL);

--
-- Name: engine_chat_session_archive_archived_at_id_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX engine_chat_session_archive_archived_at_id_idx ON public.engine_chat_session_archive USING btree (archived_at, id);

--
-- Name: engine_chat_sessions_updated_at_id_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX engine_chat_sessions_updated_at_id_idx ON public.engine_chat_sessions USING btree (updated_at, id);

--
-- Name: engine_chat_messages engine_chat_messages_session_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.engine_chat_messages
    ADD CONSTRAINT engine_chat_messages_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.engine_chat_sessions(id) ON DELETE CASCADE;

--
-- Name: FUNCTION _actor(actor text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._actor(actor text) FROM PUBLIC;

--
-- Name: FUNCTION _all_columns(relation regclass); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._all_columns(relation regclass) FROM PUBLIC;

--
-- Name: FUNCTION _archive_dependents(session_ids uuid[], archived_at timestamp with time zone); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._archive_dependents(session_ids uuid[], archived_at timestamp with time zone) FROM PUBLIC;

--
-- Name: FUNCTION _archived_parents(session_ids uuid[]); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._archived_parents(session_ids uuid[]) FROM PUBLIC;

--
-- Name: FUNCTION _are_tables_plain(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._are_tables_plain() FROM PUBLIC;

--
-- Name: FUNCTION _begin_checked_move(session_ids uuid[], archived_at timestamp with time zone); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._begin_checked_move(session_ids uuid[], archived_at timestamp with time zone) FROM PUBLIC;

--
-- Name: FUNCTION _chat_images(place text, session_ids uuid[], for_restore boolean); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._chat_images(place text, session_ids uuid[], for_restore boolean) FROM PUBLIC;

--
-- Name: FUNCTION _chat_tables(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._chat_tables() FROM PUBLIC;

--
-- Name: FUNCTION _check_archive_run(run_id bigint, kinds text[]); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._check_archive_run(run_id bigint, kinds text[]) FROM PUBLIC;

--
-- Name: FUNCTION _check_gone(place text, session_ids uuid[]); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._check_gone(place text, session_ids uuid[]) FROM PUBLIC;

--
-- Name: FUNCTION _check_older_than(older_than interval); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._check_older_than(older_than interval) FROM PUBLIC;

--
-- Name: FUNCTION _check_prune_arguments(older_than interval, session_type text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._check_prune_arguments(older_than interval, session_type text) FROM PUBLIC;

--
-- Name: FUNCTION _check_session_type(session_type text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._check_session_type(session_type text) FROM PUBLIC;

--
-- Name: FUNCTION _check_undoable_run(run_id bigint); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._check_undoable_run(run_id bigint) FROM PUBLIC;

--
-- Name: FUNCTION _check_unseen_holds(session_ids uuid[]); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._check_unseen_holds(session_ids uuid[]) FROM PUBLIC;

--
-- Name: FUNCTION _compare_images(expected text[], actual text[]); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._compare_images(expected text[], actual text[]) FROM PUBLIC;

--
-- Name: FUNCTION _delete_chat_sessions(session_ids uuid[], run_id bigint, actor text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._delete_chat_sessions(session_ids uuid[], run_id bigint, actor text) FROM PUBLIC;

--
-- Name: FUNCTION _delete_dependents(session_ids uuid[]); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._delete_dependents(session_ids uuid[]) FROM PUBLIC;

--
-- Name: FUNCTION _dependent_archives(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._dependent_archives() FROM PUBLIC;

--
-- Name: FUNCTION _dependent_drift(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._dependent_drift() FROM PUBLIC;

--
-- Name: FUNCTION _dependent_keys(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._dependent_keys() FROM PUBLIC;

--
-- Name: FUNCTION _end_checked_move(session_ids uuid[], images text[]); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._end_checked_move(session_ids uuid[], images text[]) FROM PUBLIC;

--
-- Name: FUNCTION _excess_privileges(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._excess_privileges() FROM PUBLIC;

--
-- Name: FUNCTION _fill_missing_values(session_ids uuid[]); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._fill_missing_values(session_ids uuid[]) FROM PUBLIC;

--
-- Name: FUNCTION _find_dependents(place text, session_ids uuid[], is_deletion boolean); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._find_dependents(place text, session_ids uuid[], is_deletion boolean) FROM PUBLIC;

--
-- Name: FUNCTION _insertable_columns(chat_table regclass, is_new boolean); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._insertable_columns(chat_table regclass, is_new boolean) FROM PUBLIC;

--
-- Name: FUNCTION _key_join(child_columns name[], parent_columns name[]); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._key_join(child_columns name[], parent_columns name[]) FROM PUBLIC;

--
-- Name: FUNCTION _lock_and_check_tables(is_move boolean); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._lock_and_check_tables(is_move boolean) FROM PUBLIC;

--
-- Name: FUNCTION _lock_dependent_tables(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._lock_dependent_tables() FROM PUBLIC;

--
-- Name: FUNCTION _move_back(session_ids uuid[], is_plain boolean); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._move_back(session_ids uuid[], is_plain boolean) FROM PUBLIC;

--
-- Name: FUNCTION _raise_move_error(place text, sqlstate_raised text, message text, detail text, constraint_schema text, constraint_table text, constraint_name text, is_plain boolean); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._raise_move_error(place text, sqlstate_raised text, message text, detail text, constraint_schema text, constraint_table text, constraint_name text, is_plain boolean) FROM PUBLIC;

--
-- Name: FUNCTION _record_archive_batch(run_id bigint, sessions bigint, messages bigint, reached timestamp with time zone); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._record_archive_batch(run_id bigint, sessions bigint, messages bigint, reached timestamp with time zone) FROM PUBLIC;

--
-- Name: FUNCTION _record_left_sessions(run_id bigint, session_ids uuid[], sqlstates text[], messages text[], remedies text[]); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._record_left_sessions(run_id bigint, session_ids uuid[], sqlstates text[], messages text[], remedies text[]) FROM PUBLIC;

--
-- Name: FUNCTION _referring_keys(handlings text[]); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._referring_keys(handlings text[]) FROM PUBLIC;

--
-- Name: FUNCTION _refuse_dependent(child_id oid, constraint_name name, action text, session_id uuid, place text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._refuse_dependent(child_id oid, constraint_name name, action text, session_id uuid, place text) FROM PUBLIC;

--
-- Name: FUNCTION _refuse_if_held(session_ids uuid[], outcome text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._refuse_if_held(session_ids uuid[], outcome text) FROM PUBLIC;

--
-- Name: FUNCTION _refuse_unsafe_tables(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._refuse_unsafe_tables() FROM PUBLIC;

--
-- Name: FUNCTION _remove_archived_copies(session_ids uuid[], run_id bigint, actor text, is_plain boolean); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._remove_archived_copies(session_ids uuid[], run_id bigint, actor text, is_plain boolean) FROM PUBLIC;

--
-- Name: FUNCTION _restore_dependents(session_ids uuid[]); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._restore_dependents(session_ids uuid[]) FROM PUBLIC;

--
-- Name: FUNCTION _restored_columns(chat_table regclass, is_new boolean); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._restored_columns(chat_table regclass, is_new boolean) FROM PUBLIC;

--
-- Name: FUNCTION _row_images(table_id oid, columns text, row_tables oid[], row_ids tid[], session_ids uuid[]); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._row_images(table_id oid, columns text, row_tables oid[], row_ids tid[], session_ids uuid[]) FROM PUBLIC;

--
-- Name: FUNCTION _schema_creators(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._schema_creators() FROM PUBLIC;

--
-- Name: FUNCTION _session_images(table_id oid, session_key name, session_ids uuid[], columns text, meant regclass); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._session_images(table_id oid, session_key name, session_ids uuid[], columns text, meant regclass) FROM PUBLIC;

--
-- Name: FUNCTION _session_keys(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._session_keys() FROM PUBLIC;

--
-- Name: FUNCTION _set_constraints(is_immediate boolean); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public._set_constraints(is_immediate boolean) FROM PUBLIC;

--
-- Name: FUNCTION archive_access(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.archive_access() FROM PUBLIC;

--
-- Name: FUNCTION archive_column_drift(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.archive_column_drift() FROM PUBLIC;

--
-- Name: FUNCTION archive_dependents(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.archive_dependents() FROM PUBLIC;

--
-- Name: FUNCTION archive_hazards(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.archive_hazards() FROM PUBLIC;

--
-- Name: FUNCTION archive_history(session_id uuid); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.archive_history(session_id uuid) FROM PUBLIC;

--
-- Name: FUNCTION archive_session(session_id uuid, actor text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.archive_session(session_id uuid, actor text) FROM PUBLIC;

--
-- Name: FUNCTION archive_sessions(session_ids uuid[], run_id bigint, actor text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.archive_sessions(session_ids uuid[], run_id bigint, actor text) FROM PUBLIC;

--
-- Name: FUNCTION begin_archive_run(kind text, arguments jsonb, actor text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.begin_archive_run(kind text, arguments jsonb, actor text) FROM PUBLIC;

--
-- Name: FUNCTION count_empty_sessions(older_than interval); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.count_empty_sessions(older_than interval) FROM PUBLIC;

--
-- Name: FUNCTION count_prunable_sessions(older_than interval, session_type text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.count_prunable_sessions(older_than interval, session_type text) FROM PUBLIC;

--
-- Name: FUNCTION count_purgeable_sessions(session_type text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.count_purgeable_sessions(session_type text) FROM PUBLIC;

--
-- Name: FUNCTION count_restorable_sessions(run_id bigint); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.count_restorable_sessions(run_id bigint) FROM PUBLIC;

--
-- Name: FUNCTION count_zombie_sessions(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.count_zombie_sessions() FROM PUBLIC;

--
-- Name: FUNCTION delete_archived_session(session_id uuid, actor text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.delete_archived_session(session_id uuid, actor text) FROM PUBLIC;

--
-- Name: FUNCTION delete_chat_message(session_id uuid, message_id uuid, actor text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.delete_chat_message(session_id uuid, message_id uuid, actor text) FROM PUBLIC;

--
-- Name: FUNCTION delete_chat_session(session_id uuid, actor text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.delete_chat_session(session_id uuid, actor text) FROM PUBLIC;

--
-- Name: FUNCTION delete_empty_sessions(older_than interval, batch_size integer, run_id bigint, actor text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.delete_empty_sessions(older_than interval, batch_size integer, run_id bigint, actor text) FROM PUBLIC;

--
-- Name: FUNCTION end_zombie_sessions(batch_size integer); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.end_zombie_sessions(batch_size integer) FROM PUBLIC;

--
-- Name: FUNCTION estimate_sessions(place text, agent_id text, session_type text, created_from timestamp with time zone, created_before timestamp with time zone); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.estimate_sessions(place text, agent_id text, session_type text, created_from timestamp with time zone, created_before timestamp with time zone) FROM PUBLIC;

--
-- Name: FUNCTION finish_archive_run(run_id bigint, stop_reason text, error text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.finish_archive_run(run_id bigint, stop_reason text, error text) FROM PUBLIC;

--
-- Name: FUNCTION grant_archive_access(role_name text, access text, revoking boolean, dry_run boolean); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.grant_archive_access(role_name text, access text, revoking boolean, dry_run boolean) FROM PUBLIC;

--
-- Name: FUNCTION last_message_times(place text, session_ids uuid[]); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.last_message_times(place text, session_ids uuid[]) FROM PUBLIC;

--
-- Name: FUNCTION place_hold(session_id uuid, reason text, actor text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.place_hold(session_id uuid, reason text, actor text) FROM PUBLIC;

--
-- Name: PROCEDURE prune_old_sessions(IN older_than interval, IN session_type text, IN batch_size integer, IN max_runtime interval, IN actor text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON PROCEDURE public.prune_old_sessions(IN older_than interval, IN session_type text, IN batch_size integer, IN max_runtime interval, IN actor text) FROM PUBLIC;

--
-- Name: FUNCTION prune_sessions(older_than interval, session_type text, batch_size integer, run_id bigint, actor text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.prune_sessions(older_than interval, session_type text, batch_size integer, run_id bigint, actor text) FROM PUBLIC;

--
-- Name: FUNCTION purge_archive(session_type text, batch_size integer, run_id bigint, actor text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.purge_archive(session_type text, batch_size integer, run_id bigint, actor text) FROM PUBLIC;

--
-- Name: FUNCTION release_hold(session_id uuid, actor text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.release_hold(session_id uuid, actor text) FROM PUBLIC;

--
-- Name: FUNCTION repair_archive_access(dry_run boolean); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.repair_archive_access(dry_run boolean) FROM PUBLIC;

--
-- Name: FUNCTION resolve_session_conflict(session_id uuid, destination text, keep text, actor text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.resolve_session_conflict(session_id uuid, destination text, keep text, actor text) FROM PUBLIC;

--
-- Name: FUNCTION restore_run(run_id bigint, batch_size integer, undo_run_id bigint, actor text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.restore_run(run_id bigint, batch_size integer, undo_run_id bigint, actor text) FROM PUBLIC;

--
-- Name: FUNCTION restore_session(session_id uuid, actor text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.restore_session(session_id uuid, actor text) FROM PUBLIC;

--
-- Name: FUNCTION restore_sessions(session_ids uuid[], run_id bigint, actor text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.restore_sessions(session_ids uuid[], run_id bigint, actor text) FROM PUBLIC;

--
-- Name: FUNCTION session_conflict_differences(session_id uuid); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.session_conflict_differences(session_id uuid) FROM PUBLIC;

--
-- Name: FUNCTION set_archive_dependent(schema_name text, table_name text, handling text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.set_archive_dependent(schema_name text, table_name text, handling text) FROM PUBLIC;

--
-- Name: FUNCTION verify_archive(since timestamp with time zone); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.verify_archive(since timestamp with time zone) FROM PUBLIC;

--
-- PostgreSQL database dump complete
--

