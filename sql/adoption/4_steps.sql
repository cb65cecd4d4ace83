-- adoption_steps: the locks and statements that make the functions work on the tables.
--
-- Layout A: archive tables where they are missing, columns that they lack, and simple
-- updatable views under the names of aria-db. Layout B: columns that an archive lacks, and
-- a new archive for one that has its columns in another order.
-- A table that is replaced is renamed, the new table or view gets its name, and every view
-- over the old one is created again from its own text, so that its privileges and comment
-- stay. No function of aria-db depends on a chat table; whatever else does makes the
-- adoption fail.
CREATE OR REPLACE FUNCTION pg_temp.adoption_steps(layout text, source text, target text)
RETURNS TABLE (kind text, object text, description text, remedy text, statement text)
LANGUAGE plpgsql
AS $function$
DECLARE
    v_chat record;
    v_columns record;
    v_alter text;
    v_lay text;
    v_replace text;
    v_count bigint;
    v_replaced oid[] := '{}';
    v_drops text[] := '{}';
BEGIN
    FOR v_chat IN
        SELECT * FROM pg_temp.adoption_tables(layout, source, target) AS chat_table
        ORDER BY chat_table.place
    LOOP
        SELECT
            string_agg(quote_ident(wanted.column_name), ', ' ORDER BY wanted.place) AS list,
            string_agg(quote_ident(wanted.column_name), ', ' ORDER BY wanted.place)
                FILTER (WHERE there.place IS NOT NULL) AS list_there,
            string_agg(quote_ident(wanted.column_name), ', ' ORDER BY wanted.place)
                FILTER (WHERE there.place IS NULL) AS list_missing,
            string_agg(
                format('ADD COLUMN %I %s', wanted.column_name, format_type(wanted.type_id, wanted.type_modifier)),
                ', ' ORDER BY wanted.place
            ) FILTER (WHERE there.place IS NULL) AS additions,
            string_agg(format('ALTER COLUMN %I DROP NOT NULL', wanted.column_name), ', ')
                FILTER (WHERE there.place IS NULL AND wanted.is_not_null) AS relaxations,
            coalesce(bool_and(there.place = wanted.place), TRUE) AS is_in_order,
            count(*) AS wanted_count,
            count(*) FILTER (
                WHERE (shown.place, shown.type_id, shown.type_modifier)
                = (wanted.place, wanted.type_id, wanted.type_modifier)
            ) AS shown_count
        INTO v_columns
        FROM (
            SELECT
                'archived_at'::name AS column_name,
                'timestamptz'::regtype::oid AS type_id,
                -1 AS type_modifier,
                TRUE AS is_not_null,
                1 AS place
            WHERE v_chat.live IS NOT NULL
            UNION ALL
            SELECT
                live_column.attname,
                live_column.atttypid,
                live_column.atttypmod,
                live_column.attnotnull,
                (v_chat.live IS NOT NULL)::integer + row_number() OVER (ORDER BY live_column.attnum)
            FROM pg_catalog.pg_attribute AS live_column
            WHERE
                live_column.attrelid = coalesce(v_chat.live, v_chat.chat)
                AND live_column.attnum > 0
                AND NOT live_column.attisdropped
        ) AS wanted
        LEFT JOIN (
            SELECT
                chat_column.attname AS column_name,
                row_number() OVER (ORDER BY chat_column.attnum) AS place
            FROM pg_catalog.pg_attribute AS chat_column
            WHERE chat_column.attrelid = v_chat.chat AND chat_column.attnum > 0 AND NOT chat_column.attisdropped
        ) AS there ON wanted.column_name = there.column_name
        LEFT JOIN (
            SELECT
                view_column.attname AS column_name,
                view_column.atttypid AS type_id,
                view_column.atttypmod AS type_modifier,
                row_number() OVER (ORDER BY view_column.attnum) AS place
            FROM pg_catalog.pg_attribute AS view_column
            WHERE view_column.attrelid = v_chat.named AND view_column.attnum > 0 AND NOT view_column.attisdropped
        ) AS shown ON wanted.column_name = shown.column_name;

        -- v_alter: what the table lacks. v_lay: the view under the name of aria-db. v_replace:
        -- the table that has that name, and makes room.
        v_alter := NULL;
        v_lay := NULL;
        v_replace := NULL;
        IF v_chat.live IS NOT NULL AND v_chat.chat IS NOT NULL AND v_columns.additions IS NOT NULL
            AND (layout = 'A' OR v_columns.is_in_order)
        THEN
            v_alter := format('ALTER TABLE %s %s', v_chat.table_path, v_columns.additions);
        END IF;
        IF layout = 'A' THEN
            v_lay := format(
                'CREATE OR REPLACE VIEW %s AS SELECT %s FROM %s',
                v_chat.path, v_columns.list, v_chat.table_path
            );
            IF v_chat.named_kind IS DISTINCT FROM 'v' THEN
                v_lay := v_lay || format(
                    '; COMMENT ON VIEW %s IS %L', v_chat.path, format('Laid by aria-db over %s.', v_chat.table_path)
                );
            END IF;
            IF v_chat.named_kind = 'v' THEN
                IF
                    -- a plain updatable view over this table, whose columns can be added to
                    (pg_relation_is_updatable(v_chat.named, FALSE) & 28) = 28
                    AND pg_get_viewdef(v_chat.named) !~ '\mWHERE\M'
                    AND EXISTS (
                        SELECT 1 FROM pg_catalog.pg_rewrite AS view_rule
                        INNER JOIN pg_catalog.pg_depend AS shown ON view_rule.oid = shown.objid
                        WHERE view_rule.ev_class = v_chat.named AND shown.refobjid = v_chat.chat
                    )
                    AND v_columns.shown_count = (
                        SELECT count(*) FROM pg_catalog.pg_attribute
                        WHERE attrelid = v_chat.named AND attnum > 0 AND NOT attisdropped
                    )
                THEN
                    IF v_columns.shown_count = v_columns.wanted_count THEN
                        v_lay := NULL;
                    END IF;
                ELSE
                    RETURN QUERY SELECT
                        'problem', v_chat.path,
                        format('is a view, and not a plain one of all columns of %s', v_chat.table_path),
                        'Drop or rename it: aria-db needs the name.', NULL;
                END IF;
            ELSIF
                v_chat.named_kind = 'r' AND obj_description(v_chat.named, 'pg_class') LIKE '% Created by aria-db.'
            THEN
                EXECUTE format('SELECT count(*) FROM (SELECT 1 FROM %s LIMIT 1) AS _', v_chat.path) INTO v_count;
                IF v_count > 0 THEN
                    RETURN QUERY SELECT
                        'problem', v_chat.path,
                        'is a table of aria-db and holds rows',
                        format('Move its rows to %s, or drop them, and run this again.', v_chat.table_path),
                        NULL;
                END IF;
                v_replace := 'the empty table that aria-db created';
            ELSIF v_chat.named IS NOT NULL THEN
                RETURN QUERY SELECT
                    'problem', v_chat.path,
                    'has the name that aria-db needs for its view',
                    'Rename it, or install aria-db into another schema: --schema NAME.', NULL;
            END IF;
        ELSIF v_chat.live IS NOT NULL AND NOT v_columns.is_in_order THEN
            v_replace := 'the archive of the older shape';
            RETURN QUERY
            SELECT
                'problem', v_chat.path,
                'has triggers, row-level security or partitions, which the new archive would not have',
                'Remove triggers and row-level security, and add them again afterwards. Give a partitioned '
                'archive archived_at as its first column yourself.', NULL
            FROM pg_catalog.pg_class AS old_archive
            WHERE
                old_archive.oid = v_chat.chat
                AND (
                    old_archive.relrowsecurity
                    OR old_archive.relkind <> 'r'
                    OR EXISTS (
                        SELECT 1 FROM pg_catalog.pg_trigger AS old_trigger
                        WHERE old_trigger.tgrelid = v_chat.chat AND NOT old_trigger.tgisinternal
                    )
                );
        END IF;

        RETURN QUERY
        SELECT
            'problem', changed.oid::regclass::text,
            format('has to be changed, and role %I does not own it', current_user),
            format('Run this as %I, or as a member of that role.', pg_get_userbyid(changed.relowner)),
            NULL
        FROM pg_catalog.pg_class AS changed
        WHERE
            (
                (changed.oid = v_chat.chat AND v_alter IS NOT NULL)
                OR (changed.oid = v_chat.named AND (v_lay IS NOT NULL OR v_replace IS NOT NULL))
            )
            AND NOT pg_has_role(changed.relowner, 'USAGE');

        -- Locks, in the order in which the moves and the readers of the views take them:
        -- from what is asked for to what is beneath it. LOCK on a view would lock its table.
        IF v_chat.live IS NULL THEN
            RETURN QUERY SELECT
                'lock', v_chat.table_path, 'against changes of its columns; reads and writes go on', NULL,
                format('LOCK TABLE %s IN ACCESS SHARE MODE', v_chat.table_path);
        END IF;
        RETURN QUERY
        SELECT
            'lock', locked.oid::regclass::text, 'the view alone, while it is replaced', NULL,
            format('ALTER VIEW %s ALTER COLUMN %I DROP DEFAULT', locked.oid::regclass, view_column.attname)
        FROM pg_catalog.pg_class AS locked
        CROSS JOIN LATERAL (
            SELECT attname FROM pg_catalog.pg_attribute
            WHERE attrelid = locked.oid AND attnum > 0 AND NOT attisdropped AND NOT atthasdef
            LIMIT 1
        ) AS view_column
        WHERE
            locked.relkind = 'v'
            AND (
                (locked.oid = v_chat.named AND (v_lay IS NOT NULL OR v_alter IS NOT NULL))
                OR v_replace IS NOT NULL
                AND EXISTS (
                    SELECT 1 FROM pg_catalog.pg_rewrite AS view_rule
                    INNER JOIN pg_catalog.pg_depend AS shown ON view_rule.oid = shown.objid
                    WHERE view_rule.ev_class = locked.oid AND shown.refobjid = v_chat.named
                )
            );
        RETURN QUERY
        SELECT
            'lock', locked.path, 'until the adoption is committed', NULL,
            format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', locked.path)
        FROM (
            SELECT v_chat.table_path WHERE v_alter IS NOT NULL
            UNION
            SELECT v_chat.path WHERE v_replace IS NOT NULL
        ) AS locked (path);
        IF v_chat.place = 3 AND v_chat.chat IS NOT NULL AND layout = 'A' THEN
            RETURN QUERY
            SELECT
                'lock', v_chat.table_path, 'against writes, while a table that refers to it is created', NULL,
                format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', v_chat.table_path)
            FROM pg_temp.adoption_tables(layout, source, target) AS messages
            WHERE messages.place = 4 AND messages.chat IS NULL;
        END IF;

        -- Steps

        IF v_replace IS NOT NULL THEN
            v_replaced := v_replaced || v_chat.named;
            v_drops := v_chat.name || v_drops;
            RETURN QUERY SELECT
                'step', v_chat.path, 'rename ' || v_replace, NULL,
                format('ALTER TABLE %s RENAME TO %I', v_chat.path, v_chat.name || '_replaced');
            RETURN QUERY
            SELECT
                'step', old_index.indexrelid::regclass::text, 'rename its index', NULL,
                format('ALTER INDEX %s RENAME TO %I', old_index.indexrelid::regclass, named.relname || '_replaced')
            FROM pg_catalog.pg_index AS old_index
            INNER JOIN pg_catalog.pg_class AS named ON old_index.indexrelid = named.oid
            WHERE old_index.indrelid = v_chat.named
            ORDER BY named.relname;
        END IF;

        IF v_chat.chat IS NULL THEN
            RETURN QUERY SELECT
                'step', v_chat.table_path, 'create the table', NULL,
                CASE WHEN layout = 'A' THEN
                    format(
                        'CREATE TABLE %s (LIKE %s, archived_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (id)',
                        v_chat.table_path, v_chat.live_path
                    )
                    || CASE v_chat.place
                        WHEN 3 THEN format('); CREATE INDEX ON %s (archived_at DESC)', v_chat.table_path)
                        ELSE format(
                            ', FOREIGN KEY (session_id) REFERENCES %I.chat_sessions_archive (id) ON DELETE CASCADE); '
                            'CREATE INDEX ON %s (session_id, created_at)',
                            source, v_chat.table_path
                        )
                    END
                END;
        ELSIF v_alter IS NOT NULL THEN
            RETURN QUERY SELECT
                'step', v_chat.table_path, 'add what it lacks: ' || v_columns.list_missing, NULL, v_alter;
        END IF;

        IF v_lay IS NOT NULL THEN
            RETURN QUERY SELECT
                'step', v_chat.path,
                CASE
                    WHEN v_chat.named_kind = 'v' THEN 'show the new columns'
                    ELSE 'lay a view over ' || v_chat.table_path
                END,
                NULL, v_lay;
        ELSIF v_replace IS NOT NULL THEN
            EXECUTE format('SELECT count(*) FROM %s', v_chat.path) INTO v_count;
            RETURN QUERY SELECT
                'step', v_chat.path, 'create the archive of the new shape', NULL,
                format(
                    'CREATE TABLE %s (archived_at timestamptz NOT NULL, LIKE %s, PRIMARY KEY (%s))',
                    v_chat.path, v_chat.live_path, array_to_string(v_chat.key_columns, ', ')
                )
                || CASE v_chat.place WHEN 3 THEN format('; CREATE INDEX ON %s (archived_at, id)', v_chat.path) ELSE '' END
                || coalesce(format('; ALTER TABLE %s ', v_chat.path) || v_columns.relaxations, '');
            RETURN QUERY SELECT
                'step', v_chat.path, format('move its %s rows', v_count), NULL,
                format(
                    'INSERT INTO %s (%s) SELECT %2$s FROM %I.%I',
                    v_chat.path, v_columns.list_there, target, v_chat.name || '_replaced'
                );
        END IF;

        IF v_replace IS NOT NULL THEN
            RETURN QUERY
            SELECT
                'step', v_chat.path,
                format('keep what %s may do', coalesce(quote_ident(grantee.rolname), 'PUBLIC')), NULL,
                format(
                    'GRANT %s%s ON %s TO %s%s',
                    granted.privilege_type, granted.of_column, v_chat.path,
                    coalesce(quote_ident(grantee.rolname), 'PUBLIC'),
                    CASE WHEN granted.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
                )
            FROM (
                SELECT
                    '' AS of_column,
                    of_table.grantee,
                    of_table.privilege_type,
                    of_table.is_grantable
                FROM pg_catalog.pg_class AS old_table
                CROSS JOIN LATERAL aclexplode(old_table.relacl) AS of_table
                WHERE old_table.oid = v_chat.named AND of_table.grantee <> old_table.relowner
                UNION ALL
                SELECT
                    format(' (%I)', old_column.attname),
                    of_column.grantee,
                    of_column.privilege_type,
                    of_column.is_grantable
                FROM pg_catalog.pg_attribute AS old_column
                CROSS JOIN LATERAL aclexplode(old_column.attacl) AS of_column
                WHERE old_column.attrelid = v_chat.named
            ) AS granted
            LEFT JOIN pg_catalog.pg_roles AS grantee ON granted.grantee = grantee.oid
            ORDER BY 3, 5;
            RETURN QUERY
            SELECT
                'step', v_chat.path, 'keep its comments', NULL,
                CASE described.objsubid
                    WHEN 0 THEN format('COMMENT ON TABLE %s IS %L', v_chat.path, described.description)
                    ELSE format(
                        'COMMENT ON COLUMN %s.%I IS %L', v_chat.path, commented.attname, described.description
                    )
                END
            FROM pg_catalog.pg_description AS described
            LEFT JOIN pg_catalog.pg_attribute AS commented
                ON
                    described.objoid = commented.attrelid
                    AND described.objsubid = commented.attnum
                    AND commented.attnum > 0
            WHERE
                described.objoid = v_chat.named
                AND described.classoid = 'pg_class'::regclass
                AND v_lay IS NULL
            ORDER BY described.objsubid;
            RETURN QUERY
            SELECT
                'step', v_chat.path, 'keep its owner', NULL,
                format('ALTER TABLE %s OWNER TO %I', v_chat.path, pg_get_userbyid(old_table.relowner))
            FROM pg_catalog.pg_class AS old_table
            WHERE
                old_table.oid = v_chat.named
                AND v_lay IS NULL
                AND pg_get_userbyid(old_table.relowner) <> current_user;
        END IF;

        RETURN QUERY
        SELECT
            'advice', v_chat.table_path,
            format('has no index that begins with %s: %s', helpful.column_name, helpful.reason), NULL,
            format('CREATE INDEX CONCURRENTLY ON %s (%s)', v_chat.table_path, helpful.column_name)
        FROM (
            VALUES
            (1, 'updated_at', 'a prune would sort the whole table for every batch'),
            (2, 'session_id', 'every move would read the whole table'),
            (4, 'session_id', 'every restore would read the whole table')
        ) AS helpful (place, column_name, reason)
        WHERE
            helpful.place = v_chat.place
            AND v_chat.chat IS NOT NULL
            AND v_replace IS NULL
            AND NOT EXISTS (
                SELECT 1 FROM pg_catalog.pg_index AS its_index
                INNER JOIN pg_catalog.pg_attribute AS first_column
                    ON
                        its_index.indrelid = first_column.attrelid
                        AND its_index.indkey [0] = first_column.attnum
                WHERE
                    its_index.indrelid = v_chat.chat
                    AND its_index.indisvalid
                    AND its_index.indpred IS NULL
                    AND first_column.attname = helpful.column_name
            );
    END LOOP;

    -- The text of a view is read now, while the table still has its name.
    RETURN QUERY
    SELECT
        'step', dependent.oid::regclass::text, 'let it read the new table or view', NULL,
        format(
            'CREATE OR REPLACE VIEW %s%s AS %s',
            dependent.oid::regclass,
            coalesce(' WITH (' || array_to_string(dependent.reloptions, ', ') || ')', ''),
            pg_get_viewdef(dependent.oid)
        )
    FROM pg_catalog.pg_class AS dependent
    WHERE
        dependent.relkind = 'v'
        AND dependent.oid IN (
            SELECT view_rule.ev_class
            FROM pg_catalog.pg_rewrite AS view_rule
            INNER JOIN pg_catalog.pg_depend AS shown ON view_rule.oid = shown.objid
            WHERE shown.refobjid = ANY(v_replaced)
        )
    ORDER BY dependent.oid;
    RETURN QUERY
    SELECT
        'step', format('%I.%I', target, dropped.name), 'drop the renamed table', NULL,
        format('DROP TABLE %I.%I', target, dropped.name || '_replaced')
    FROM unnest(v_drops) AS dropped (name);
END;
$function$;
