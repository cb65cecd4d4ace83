-- _find_dependents: locks the rows that hang on some sessions and tells which of them move.
--
-- Level by level, FOR UPDATE, one statement per key: first the rows that refer to the sessions and
-- their messages, then those that refer to these rows, and so on. The caller has locked the sessions
-- and the messages, so that no further row can arrive. Returns the rows of the tables whose handling
-- is move, each with the session that it hangs on: child_id is the table of the key, row_table and
-- row_id are tableoid and ctid.
--
-- Raises AR005 for rows of a table without handling, for a session that refers to one of these and
-- is not among them, and for a row that hangs on another session as well.
-- is_deletion: the sessions are deleted for good, by the keys of the application. Nothing is returned,
-- and AR005 is for a cascade that would reach another session.
CREATE OR REPLACE FUNCTION _find_dependents(place text, session_ids uuid[], is_deletion boolean)
RETURNS TABLE (child_id oid, row_table oid, row_id tid, session_id uuid)
LANGUAGE plpgsql
VOLATILE
AS $function$
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
$function$;

COMMENT ON FUNCTION _find_dependents(text, uuid[], boolean) IS
'Internal to the moves: locks the rows that hang on sessions, raises AR005, returns those that move.';

REVOKE ALL ON FUNCTION _find_dependents(text, uuid[], boolean) FROM public;
