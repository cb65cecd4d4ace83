-- _check_undoable_run: refuses to undo a run that archives nothing, or that is still running.
--
-- A run that was killed can be undone: its connection is gone.
CREATE OR REPLACE FUNCTION _check_undoable_run(run_id bigint)
RETURNS void
LANGUAGE plpgsql
STABLE
AS $function$
DECLARE
    v_run record;
BEGIN
    SELECT
        run.kind,
        run.state
    INTO v_run
    FROM engine_archive_run_list AS run
    WHERE run.id = _check_undoable_run.run_id;

    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no run %', coalesce(run_id::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
            HINT = '`aria-db runs` (engine_archive_run_list) lists the runs.';
    ELSIF v_run.kind NOT IN ('prune', 'archive') THEN
        RAISE EXCEPTION 'run % is of the kind %, and only a prune or an archive can be undone', run_id, v_run.kind
            USING ERRCODE = 'invalid_parameter_value',
            HINT = '`aria-db runs` (engine_archive_run_list) lists the runs with their kinds.';
    ELSIF v_run.state = 'running' THEN
        RAISE EXCEPTION 'run % is still running', run_id
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Nothing was restored. Stop it, or wait until it ends. If only its connection is still there, '
                'close the run with finish_archive_run().';
    END IF;
END;
$function$;

COMMENT ON FUNCTION _check_undoable_run(bigint) IS
'Internal to the undo of a run: refuses one that archives nothing, or that is still running.';

REVOKE ALL ON FUNCTION _check_undoable_run(bigint) FROM public;
