-- _table_beneath: the table in which a relation has its rows.
--
-- Of a simple view, as an adoption lays it over a table of the application, that is the table
-- that it shows; of a table, the table itself.
-- A view, and not a function: it costs a move nothing beyond the look-up itself, and
-- engine_archive_health may read it, although nobody but the owner may.
CREATE OR REPLACE VIEW _table_beneath AS
SELECT
    named.oid AS relation,
    coalesce(shown.table_id, named.oid) AS table_id
FROM pg_catalog.pg_class AS named
LEFT JOIN LATERAL (
    SELECT DISTINCT dependency.refobjid AS table_id
    FROM pg_catalog.pg_rewrite AS view_rule
    INNER JOIN pg_catalog.pg_depend AS dependency
        ON
            view_rule.oid = dependency.objid
            AND dependency.classid = 'pg_rewrite'::regclass
            AND dependency.refclassid = 'pg_class'::regclass
            AND view_rule.ev_class <> dependency.refobjid
    WHERE
        view_rule.ev_class = named.oid
        -- the rule that makes a view of it: a table may have others
        AND view_rule.ev_type = '1'
) AS shown ON TRUE;

COMMENT ON VIEW _table_beneath IS
'Internal: the table in which a relation has its rows; of a simple view, the one that it shows.';
