-- _end_checked_move: after live rows were archived where others act on them.
--
-- Compares what is there with what was locked. Where inserts into the live tables set off triggers,
-- it also tries the way back and undoes it: a restore must not be the first to find out.
CREATE OR REPLACE FUNCTION _end_checked_move(session_ids uuid[], images text[])
RETURNS void
LANGUAGE plpgsql
VOLATILE
AS $function$
DECLARE
    v_sqlstate text;
    v_message text;
BEGIN
    PERFORM _check_gone('live', session_ids);
    PERFORM _compare_images(images, _chat_images('archive', session_ids, FALSE));

    IF
        EXISTS (
            SELECT 1
            FROM pg_catalog.pg_trigger AS row_trigger
            WHERE
                row_trigger.tgrelid IN (
                    SELECT chat.table_id FROM _chat_tables() AS chat
                    WHERE chat.place = 'live'
                    UNION ALL
                    SELECT dependent.child_id FROM _dependent_keys() AS dependent
                    WHERE dependent.handling = 'move'
                )
                AND NOT row_trigger.tgisinternal
                AND row_trigger.tgenabled <> 'D'
                -- the bits of INSERT and UPDATE
                AND row_trigger.tgtype & 20 <> 0
        )
    THEN
        BEGIN
            PERFORM restore_sessions(session_ids);
            RAISE EXCEPTION USING ERRCODE = 'no_data_found';
        EXCEPTION
            WHEN no_data_found THEN
                NULL;
            WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS v_sqlstate = RETURNED_SQLSTATE, v_message = MESSAGE_TEXT;
                IF v_sqlstate ~ '^(40|53|57|55P03)' THEN
                    RAISE;
                END IF;
                RAISE EXCEPTION 'the way back is barred: %', v_message
                    USING ERRCODE = 'AR006',
                    DETAIL = format('SQLSTATE %s', v_sqlstate),
                    HINT = 'Nothing was moved, because it could not be restored. Let the triggers on the live '
                        'tables leave restored rows as they are.';
        END;
    END IF;
    PERFORM _set_constraints(FALSE);
END;
$function$;

COMMENT ON FUNCTION _end_checked_move(uuid[], text[]) IS
'Internal to the moves: compares what is archived with what was locked, and tries the way back.';

REVOKE ALL ON FUNCTION _end_checked_move(uuid[], text[]) FROM public;
