-- _raise_move_error: what an error in the middle of a move means. Raises it as one of ours, or returns
-- where the caller must raise it again as it is.
--
-- place is where the rows were going. constraint_table and constraint_name are what PostgreSQL names,
-- or ''. Never translated: the errors of these functions, what ends a transaction (class 40), a lock that
-- was not available, a server that is short of something (53) or stops (57), and a setting or privilege
-- of the caller's.
CREATE OR REPLACE FUNCTION _raise_move_error(
    place text, sqlstate_raised text, message text, detail text,
    constraint_schema text, constraint_table text, constraint_name text, is_plain boolean
)
RETURNS void
LANGUAGE plpgsql
STABLE
AS $function$
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
$function$;

COMMENT ON FUNCTION _raise_move_error(text, text, text, text, text, text, text, boolean) IS
'Internal to the moves: raises an error in the middle of a move as one of AR005, AR006 and AR007.';

REVOKE ALL ON FUNCTION _raise_move_error(text, text, text, text, text, text, text, boolean) FROM public;
