-- adoption_advice: what would help but is not required. Indexes, with the statement; publications, without
-- one, because the work is to be done at the subscriber.
CREATE OR REPLACE FUNCTION pg_temp.adoption_advice(layout text, source text, target text)
RETURNS TABLE (object text, description text, statement text)
LANGUAGE sql
STABLE
AS $function$
    (
        SELECT
            changes.table_path,
            format('has no index that begins with %s: %s', helpful.column_name, helpful.reason),
            format('CREATE INDEX CONCURRENTLY ON %s (%s)', changes.table_path, helpful.column_name)
        FROM pg_temp.adoption_changes(layout, source, target) AS changes
        INNER JOIN (
            VALUES
            (1, 'updated_at', 'a prune would sort the whole table for every batch'),
            (2, 'session_id', 'every move would read the whole table'),
            (4, 'session_id', 'every restore would read the whole table')
        ) AS helpful (place, column_name, reason) ON changes.place = helpful.place
        WHERE
            changes.chat IS NOT NULL
            AND changes.replaced IS NULL
            AND NOT EXISTS (
                SELECT 1 FROM pg_catalog.pg_index AS its_index
                INNER JOIN pg_catalog.pg_attribute AS first_column
                    ON
                        its_index.indrelid = first_column.attrelid
                        AND its_index.indkey [0] = first_column.attnum
                WHERE
                    its_index.indrelid = changes.chat
                    AND its_index.indisvalid
                    AND its_index.indpred IS NULL
                    AND first_column.attname = helpful.column_name
            )
        ORDER BY changes.place
    )
    UNION ALL
    SELECT
        format('publication %I', publication.pubname),
        'it will send the new tables, and a subscriber without them stops: adopt there first',
        NULL
    FROM pg_catalog.pg_publication AS publication
    WHERE
        to_regclass(format('%I.engine_archive_event', target)) IS NULL
        AND (
            publication.puballtables
            OR EXISTS (
                SELECT 1 FROM pg_catalog.pg_publication_namespace AS whole
                WHERE
                    whole.pnpubid = publication.oid
                    AND whole.pnnspid IN (
                        to_regnamespace(quote_ident(source)), to_regnamespace(quote_ident(target))
                    )
            )
        );
$function$;
