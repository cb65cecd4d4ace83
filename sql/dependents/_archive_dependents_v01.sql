-- _archive_dependents: moves the rows that hang on some sessions, where their tables say move.
--
-- The caller has locked the sessions and their messages; the chat rows themselves move afterwards.
-- One statement moves the rows of all tables, so that they may refer to each other. What is in the
-- archives then is compared with what was locked, and nothing may have come back: AR006.
CREATE OR REPLACE FUNCTION _archive_dependents(session_ids uuid[], archived_at timestamptz)
RETURNS void
LANGUAGE plpgsql
VOLATILE
AS $function$
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
$function$;

COMMENT ON FUNCTION _archive_dependents(uuid[], timestamptz) IS
'Internal to the moves: moves the rows that hang on sessions into the archives of their tables.';

REVOKE ALL ON FUNCTION _archive_dependents(uuid[], timestamptz) FROM public;
