-- rows_in_words: how many rows a table has, partitions included, as far as the catalogue can tell.
--
-- It reads no row: the table may be large, or not the caller's to read.
CREATE OR REPLACE FUNCTION pg_temp.rows_in_words(table_id oid)
RETURNS text
LANGUAGE sql
STABLE
AS $function$
    SELECT
        CASE
            WHEN sum(greatest(part.reltuples, 0)) > 0
                THEN format('about %s rows', sum(greatest(part.reltuples, 0))::bigint)
            WHEN sum(pg_relation_size(part.oid)) > 0 THEN pg_size_pretty(sum(pg_relation_size(part.oid)))
            ELSE 'empty'
        END
    FROM pg_catalog.pg_class AS part
    WHERE
        part.relkind = 'r'
        AND (
            part.oid = table_id
            OR part.oid IN (SELECT tree.relid FROM pg_partition_tree(table_id) AS tree)
        );
$function$;
