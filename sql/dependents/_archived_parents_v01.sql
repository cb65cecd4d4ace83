-- _archived_parents: the archived sessions that archived sessions refer to, through foreign keys between
-- chat tables. Without those that are asked about.
CREATE OR REPLACE FUNCTION _archived_parents(session_ids uuid[])
RETURNS uuid[]
LANGUAGE plpgsql
STABLE
AS $function$
DECLARE
    v_query text;
    v_parents uuid[];
BEGIN
    SELECT string_agg(
        format(
            'SELECT parent.%I AS id FROM %s AS child INNER JOIN %s AS parent ON %s '
            'WHERE child.%I = ANY($1) AND parent.%1$I <> ALL($1)',
            dependent.parent_key,
            CASE dependent.child_key WHEN 'id' THEN 'engine_chat_session_archive' ELSE 'engine_chat_message_archive' END,
            CASE dependent.parent_key WHEN 'id' THEN 'engine_chat_session_archive' ELSE 'engine_chat_message_archive' END,
            _key_join(dependent.child_columns, dependent.parent_columns),
            dependent.child_key
        ),
        ' UNION '
    )
    INTO v_query
    FROM _dependent_keys() AS dependent
    WHERE (dependent.child_place, dependent.parent_place) = ('live', 'live');
    IF v_query IS NOT NULL THEN
        EXECUTE format('SELECT array_agg(parents.id) FROM (%s) AS parents', v_query) INTO v_parents USING session_ids;
    END IF;
    RETURN coalesce(v_parents, '{}');
END;
$function$;

COMMENT ON FUNCTION _archived_parents(uuid[]) IS
'Internal to the undo of a run: the archived sessions that archived sessions refer to.';

REVOKE ALL ON FUNCTION _archived_parents(uuid[]) FROM public;
