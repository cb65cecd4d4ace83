-- _check_archive_run: 22023 for a run that is unknown, finished or of another kind.
--
-- Returns the kind. A run that finishes right after this is noticed by _record_archive_batch.
CREATE OR REPLACE FUNCTION _check_archive_run(run_id bigint, kinds text[])
RETURNS text
LANGUAGE plpgsql
STABLE
AS $function$
DECLARE
    v_run record;
BEGIN
    SELECT
        run.kind,
        run.finished_at
    INTO v_run
    FROM engine_archive_run AS run
    WHERE run.id = _check_archive_run.run_id;

    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no run %', run_id
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass what begin_archive_run() returned, or NULL.';
    ELSIF v_run.kind <> ALL(kinds) THEN
        RAISE EXCEPTION 'run % is of the kind %, and must be %', run_id, v_run.kind, array_to_string(kinds, ' or ')
            USING ERRCODE = 'invalid_parameter_value',
            HINT = format('Begin one of the right kind: begin_archive_run(%L).', kinds[1]);
    ELSIF v_run.finished_at IS NOT NULL THEN
        RAISE EXCEPTION 'run % has finished', run_id
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Nothing was done. Begin another one: begin_archive_run().';
    END IF;
    RETURN v_run.kind;
END;
$function$;

COMMENT ON FUNCTION _check_archive_run(bigint, text[]) IS
'Internal to bulk work: raises 22023 for a run that is unknown, finished or of another kind.';

REVOKE ALL ON FUNCTION _check_archive_run(bigint, text[]) FROM public;
