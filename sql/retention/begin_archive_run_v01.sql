-- begin_archive_run: opens a row of the run log; its id is the run_id of the batches.
--
-- Commit before the first batch, so that a run that is killed has a row, too. Arguments that cannot be
-- meant are refused here: such a run would only be a failed one in the log.
CREATE OR REPLACE FUNCTION begin_archive_run(
    kind text,
    arguments jsonb DEFAULT '{}',
    actor text DEFAULT NULL
)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path FROM CURRENT
AS $function$
DECLARE
    v_run_id bigint;
BEGIN
    IF kind = 'prune' THEN
        PERFORM _check_prune_arguments((arguments ->> 'older_than')::interval, arguments ->> 'session_type');
    ELSIF kind = 'purge' THEN
        PERFORM _check_session_type(arguments ->> 'session_type');
    ELSIF kind = 'empty' THEN
        PERFORM _check_older_than((arguments ->> 'older_than')::interval);
    ELSIF kind = 'undo' THEN
        PERFORM _check_undoable_run((arguments ->> 'run_id')::bigint);
    END IF;
    IF (arguments ->> 'batch_size')::bigint < 1 THEN
        RAISE EXCEPTION 'batch_size is %, and must be at least 1', arguments ->> 'batch_size'
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Say how many sessions one transaction may take, for example 500.';
    END IF;
    INSERT INTO engine_archive_run AS run (kind, arguments, started_by, role, backend_pid)
    VALUES (
        begin_archive_run.kind,
        coalesce(begin_archive_run.arguments, '{}'),
        _actor(begin_archive_run.actor),
        session_user,
        pg_backend_pid()
    )
    RETURNING run.id INTO v_run_id;
    RETURN v_run_id;
EXCEPTION
    WHEN check_violation OR not_null_violation THEN
        RAISE EXCEPTION 'kind is %, and must be prune, purge, archive, restore, undo or empty',
            coalesce(quote_literal(kind), 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Say what the run does.';
END;
$function$;

COMMENT ON FUNCTION begin_archive_run(text, jsonb, text) IS
'Opens a row of the run log: prune, purge, archive, restore, undo or empty. Returns its id.';

REVOKE ALL ON FUNCTION begin_archive_run(text, jsonb, text) FROM public;
