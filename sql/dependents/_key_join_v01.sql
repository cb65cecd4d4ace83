-- _key_join: the condition that joins the two sides of a foreign key, for SQL: child.a = parent.b AND ...
CREATE OR REPLACE FUNCTION _key_join(child_columns name[], parent_columns name[])
RETURNS text
LANGUAGE sql
IMMUTABLE
AS $function$
    SELECT string_agg(format('child.%I = parent.%I', pair.child, pair.parent), ' AND ')
    FROM unnest(child_columns, parent_columns) AS pair (child, parent);
$function$;

COMMENT ON FUNCTION _key_join(name[], name[]) IS
'Internal: the condition that joins the two sides of a foreign key.';

REVOKE ALL ON FUNCTION _key_join(name[], name[]) FROM public;
