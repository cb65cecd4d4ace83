-- adoption_views: which view reads which relation.
--
-- The functions of the adoption are temporary: they belong to the program that adopts,
-- not to the database, and run before it has any object of aria-db. They only look at the
-- catalogue. The search path must be the target schema and pg_temp.
--
-- A pair may come more than once: a row for each column that is read.
CREATE OR REPLACE FUNCTION pg_temp.adoption_views()
RETURNS TABLE (reader oid, relation oid)
LANGUAGE sql
STABLE
AS $function$
    SELECT
        view_rule.ev_class,
        shown.refobjid
    FROM pg_catalog.pg_rewrite AS view_rule
    INNER JOIN pg_catalog.pg_depend AS shown
        ON
            view_rule.oid = shown.objid
            AND shown.classid = 'pg_rewrite'::regclass
            AND shown.refclassid = 'pg_class'::regclass
    WHERE view_rule.ev_class <> shown.refobjid;
$function$;
