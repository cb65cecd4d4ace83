-- estimate_sessions: about how many sessions a list has, without reading them.
--
-- What the planner expects of the list's view: it knows the size of the tables and how
-- often a value occurs, from the last ANALYZE. For lists that are too long to count.
CREATE OR REPLACE FUNCTION estimate_sessions(
    place text,
    agent_id text DEFAULT NULL,
    session_type text DEFAULT NULL,
    created_from timestamptz DEFAULT NULL,
    created_before timestamptz DEFAULT NULL
)
RETURNS bigint
LANGUAGE plpgsql
-- It changes nothing, but PostgreSQL allows EXPLAIN in no other function.
VOLATILE
SECURITY DEFINER
SET search_path FROM CURRENT
AS $function$
DECLARE
    v_list text := CASE place
        WHEN 'live' THEN 'engine_chat_session_list'
        WHEN 'archive' THEN 'engine_chat_session_archive_list'
    END;
    v_plan json;
BEGIN
    IF v_list IS NULL THEN
        RAISE EXCEPTION 'place is %, and must be live or archive', coalesce(quote_literal(place), 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass live for the main list, or archive.';
    END IF;
    EXECUTE format(
        'EXPLAIN (FORMAT json) SELECT 1 FROM %I AS listed WHERE true%s%s%s%s',
        v_list,
        -- format() makes an empty text of NULL
        CASE WHEN agent_id IS NOT NULL THEN format(' AND listed.agent_id = %L', agent_id) END,
        CASE WHEN session_type IS NOT NULL THEN format(' AND listed.session_type = %L', session_type) END,
        CASE WHEN created_from IS NOT NULL THEN format(' AND listed.created_at >= %L', created_from) END,
        CASE WHEN created_before IS NOT NULL THEN format(' AND listed.created_at < %L', created_before) END
    ) INTO v_plan;
    RETURN (v_plan -> 0 -> 'Plan' ->> 'Plan Rows')::bigint;
END;
$function$;

COMMENT ON FUNCTION estimate_sessions(text, text, text, timestamptz, timestamptz) IS
'About how many sessions the list of live or archived ones has, from the planner''s statistics.';

REVOKE ALL ON FUNCTION estimate_sessions(text, text, text, timestamptz, timestamptz) FROM public;
