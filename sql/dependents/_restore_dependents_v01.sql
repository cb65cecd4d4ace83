-- _restore_dependents: brings back the rows that were archived with some sessions, which are live again.
--
-- One statement for all tables, so that their rows may refer to each other. What is there then is
-- compared with what was archived: AR006.
CREATE OR REPLACE FUNCTION _restore_dependents(session_ids uuid[])
RETURNS void
LANGUAGE plpgsql
VOLATILE
AS $function$
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
$function$;

COMMENT ON FUNCTION _restore_dependents(uuid[]) IS
'Internal to restore_sessions: brings back the rows that were archived with sessions.';

REVOKE ALL ON FUNCTION _restore_dependents(uuid[]) FROM public;
