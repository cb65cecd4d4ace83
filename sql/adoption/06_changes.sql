-- adoption_changes: what has to change for each of the four chat tables, a row each.
--
-- Layout A: archive tables where they are missing, columns that they lack, and simple
-- updatable views under the names of aria-db. Layout B: columns that an archive lacks, and
-- a new archive for one that has its columns in another order.
-- The locks, the steps and what is in their way are found from these rows.
CREATE OR REPLACE FUNCTION pg_temp.adoption_changes(layout text, source text, target text)
RETURNS TABLE (
    -- as adoption_tables has them
    place integer, name text, path text, named oid, named_kind text,
    table_path text, chat oid, live_path text, live oid, key_columns text[],
    -- as adoption_columns has them
    present text, missing text, not_null text, relaxations text,
    -- whether the name is that of a plain updatable view over the table, which may show too few
    -- of its columns
    is_plain_view boolean,
    -- the statement that gives the table what it lacks; null: it lacks nothing
    alteration text,
    -- the statement that lays the view under the name of aria-db; null: there is one, or no need
    laying text,
    -- what the table is that has the name, and makes room for another; null: it stays
    replaced text
)
LANGUAGE sql
STABLE
AS $function$
    SELECT
        chat_table.place,
        chat_table.name,
        chat_table.path,
        chat_table.named,
        chat_table.named_kind,
        chat_table.table_path,
        chat_table.chat,
        chat_table.live_path,
        chat_table.live,
        chat_table.key_columns,
        its_columns.present,
        its_columns.missing,
        its_columns.not_null,
        its_columns.relaxations,
        found.is_plain_view,
        CASE
            WHEN
                chat_table.live IS NOT NULL
                AND chat_table.chat IS NOT NULL
                AND its_columns.additions IS NOT NULL
                AND (layout = 'A' OR its_columns.is_in_order)
                THEN format('ALTER TABLE %s %s', chat_table.table_path, its_columns.additions)
        END,
        CASE
            WHEN layout = 'A' AND NOT (found.is_plain_view AND its_columns.shown_count = its_columns.wanted_count)
                THEN format(
                    'CREATE OR REPLACE VIEW %s AS SELECT %s FROM %s',
                    chat_table.path, its_columns.wanted, chat_table.table_path
                )
                || CASE
                    WHEN chat_table.named_kind = 'v' THEN ''
                    ELSE format(
                        '; COMMENT ON VIEW %s IS %L',
                        chat_table.path,
                        format('Laid by aria-db over %s.', chat_table.table_path)
                    )
                END
        END,
        CASE
            WHEN
                layout = 'A'
                AND chat_table.named_kind = 'r'
                AND obj_description(chat_table.named, 'pg_class') LIKE '% Created by aria-db.'
                THEN 'the empty table that aria-db created'
            WHEN layout <> 'A' AND chat_table.live IS NOT NULL AND NOT its_columns.is_in_order
                THEN 'the archive of the older shape'
        END
    FROM pg_temp.adoption_tables(layout, source, target) AS chat_table
    CROSS JOIN LATERAL pg_temp.adoption_columns(chat_table.live, chat_table.chat, chat_table.named) AS its_columns
    CROSS JOIN LATERAL (
        SELECT
            CASE
                WHEN chat_table.named_kind = 'v'
                    THEN
                        -- rows can be inserted, updated and deleted
                        (pg_relation_is_updatable(chat_table.named, FALSE) & 28) = 28
                        AND pg_get_viewdef(chat_table.named) !~ E'\\mWHERE\\M'
                        AND EXISTS (
                            SELECT 1 FROM pg_temp.adoption_views() AS reading
                            WHERE reading.reader = chat_table.named AND reading.relation = chat_table.chat
                        )
                        -- it shows nothing that is not the table's, so that columns can be added
                        AND its_columns.shown_count = (
                            SELECT count(*) FROM pg_catalog.pg_attribute
                            WHERE attrelid = chat_table.named AND attnum > 0 AND NOT attisdropped
                        )
                ELSE FALSE
            END AS is_plain_view
    ) AS found;
$function$;
