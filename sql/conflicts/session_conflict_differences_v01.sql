-- session_conflict_differences: what is not the same in both places, a row each.
--
-- For a session that is live and in the archive as well. message_id is null for the
-- session's own row. Where a row is in one place only, its value there is the whole
-- row as JSON and column_name is null; else there is a row for every column whose
-- values are not equal, bit for bit, with both as text. The session's row comes
-- first, then the messages in their order. No row: both places hold the same, or the
-- session is not in both.
CREATE OR REPLACE FUNCTION session_conflict_differences(session_id uuid)
RETURNS TABLE (
    message_id uuid, difference text, column_name text, live_value text, archive_value text
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path FROM CURRENT
-- A row that a policy hides would pass for one that is not there.
SET row_security = 'off'
AS $function$
DECLARE
    v_drift record;
    v_tables record;
BEGIN
    IF session_id IS NULL THEN
        RAISE EXCEPTION 'session_id must not be NULL'
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass the id of a session; engine_session_conflict lists those in both places.';
    END IF;
    SELECT * INTO v_drift FROM archive_column_drift() LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'column %.% %', v_drift.live_table, v_drift.column_name, v_drift.problem
            USING ERRCODE = 'AR002',
            HINT = 'Rows cannot be compared until both tables have the same columns; '
                'SELECT * FROM archive_column_drift() lists every difference.';
    END IF;
    IF NOT EXISTS (
        SELECT 1 FROM engine_archive_candidate AS candidate
        WHERE candidate.id = session_conflict_differences.session_id AND candidate.is_conflicting
    ) THEN
        RETURN;
    END IF;

    FOR v_tables IN
        SELECT
            chat.live,
            chat.archive,
            chat.session_column,
            chat.message_id,
            string_agg(
                format(
                    '(%1$s, %2$L, live.%2$I::text, archived.%2$I::text, '
                    'record_image_eq(ROW(live.%2$I), ROW(archived.%2$I)))',
                    chat_column.attnum, chat_column.attname
                ),
                ', '
            ) AS compared
        FROM (
            VALUES
            (
                1, 'engine_chat_sessions'::regclass, 'engine_chat_session_archive'::regclass,
                'id', 'NULL::uuid'
            ),
            (
                2, 'engine_chat_messages'::regclass, 'engine_chat_message_archive'::regclass,
                'session_id', 'coalesce(live.id, archived.id)'
            )
        ) AS chat (place, live, archive, session_column, message_id)
        INNER JOIN pg_catalog.pg_attribute AS chat_column ON chat.live = chat_column.attrelid
        WHERE chat_column.attnum > 0 AND NOT chat_column.attisdropped
        GROUP BY chat.place, chat.live, chat.archive, chat.session_column, chat.message_id
        ORDER BY chat.place
    LOOP
        -- Column by column has no static form. Column 0 is the whole row.
        RETURN QUERY EXECUTE format(
            $statement$
            SELECT
                %4$s,
                CASE
                    WHEN archived.id IS NULL THEN 'only live'
                    WHEN live.id IS NULL THEN 'only archive'
                    ELSE 'different'
                END,
                compared.name,
                compared.live_value,
                compared.archive_value
            FROM (SELECT * FROM %1$s WHERE %3$s = $1) AS live
            FULL JOIN (SELECT * FROM %2$s WHERE %3$s = $1) AS archived ON live.id = archived.id
            CROSS JOIN LATERAL (
                VALUES
                (0, NULL::text, to_jsonb(live)::text, to_jsonb(archived)::text, FALSE),
                %5$s
            ) AS compared (place, name, live_value, archive_value, is_equal)
            WHERE
                NOT compared.is_equal
                AND (compared.place = 0) = (live.id IS NULL OR archived.id IS NULL)
            ORDER BY
                coalesce(live.created_at, archived.created_at),
                coalesce(live.id, archived.id),
                compared.place
            $statement$,
            v_tables.live,
            v_tables.archive,
            v_tables.session_column,
            v_tables.message_id,
            v_tables.compared
        ) USING session_id;
    END LOOP;
END;
$function$;

COMMENT ON FUNCTION session_conflict_differences(uuid) IS
'What differs in a session that is live and archived: a row per column, or for a row in one place only.';

REVOKE ALL ON FUNCTION session_conflict_differences(uuid) FROM public;
