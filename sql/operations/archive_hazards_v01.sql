-- archive_hazards: what the catalogue says would make a move refuse, lose rows, be unsafe or be slow.
--
-- A row per hazard, none when there is none. effect: refuses (the move ends in an error and nothing
-- moves), loses (rows disappear, later and without aria-db, or at a subscriber), unsafe (a crash of the
-- server empties a table, or somebody may do what archive_access() does not say), slow. A refusal may be
-- of some sessions only: those to which such rows refer, or those with a value that the archive does not
-- take.
CREATE OR REPLACE FUNCTION archive_hazards()
RETURNS TABLE (hazard text, object text, effect text, detail text, remedy text)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path FROM CURRENT
-- looking at the catalogue costs little, whatever the planner thinks
SET jit = 'off'
AS $function$
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
$function$;

COMMENT ON FUNCTION archive_hazards() IS
'What the catalogue says would make a move refuse, lose rows, be unsafe or be slow: a row per hazard.';

REVOKE ALL ON FUNCTION archive_hazards() FROM public;
