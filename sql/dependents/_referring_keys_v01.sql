-- _referring_keys: for bulk work: the keys through which rows keep a session where it is, each with the
-- condition, as SQL, that such rows refer to a candidate.
--
-- One level: the keys of tables with one of these handlings (refuse: also those without any), and those of
-- sessions and messages to another session. So a prune can leave such sessions out as a set. What hangs on
-- rows that would move is found by the move itself.
CREATE OR REPLACE FUNCTION _referring_keys(handlings text[] DEFAULT '{refuse}')
RETURNS TABLE (child text, condition text)
LANGUAGE sql
STABLE
ROWS 2
AS $function$
    SELECT
        dependent.child_id::regclass::text AS child,
        format(
            'EXISTS (SELECT 1 FROM %s AS parent INNER JOIN %s AS child ON %s WHERE parent.%I = candidate.id%s)',
            dependent.parent_id::regclass,
            dependent.child_id::regclass,
            _key_join(dependent.child_columns, dependent.parent_columns),
            dependent.parent_key,
            coalesce(' AND child.' || quote_ident(dependent.child_key) || ' <> candidate.id', '')
        ) AS condition
    FROM _dependent_keys() AS dependent
    WHERE
        dependent.parent_place = 'live'
        AND (dependent.child_place IS NOT NULL OR coalesce(dependent.handling, 'refuse') = ANY(handlings));
$function$;

COMMENT ON FUNCTION _referring_keys(text[]) IS
'Internal to bulk work: the keys through which rows keep a session where it is, with a condition as SQL.';

REVOKE ALL ON FUNCTION _referring_keys(text[]) FROM public;
