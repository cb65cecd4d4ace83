-- Executes the plan: all of it, or nothing and an error.
--
-- aria_db.adopt_schema is the schema to adopt, empty for the only one there is. All locks are
-- taken first; then the plan is made again, from what cannot change any more.
--
-- Other clients wait behind these locks, and may hold what is still to be locked. So an
-- attempt lets go of all its locks before anyone's deadlock_timeout is over (1 s by default):
-- the first after 100 ms, each later one after longer, up to half of deadlock_timeout. The
-- attempts end after lock_timeout.
DO $adoption$
DECLARE
    c_source CONSTANT text := nullif(current_setting('aria_db.adopt_schema'), '');
    c_lock_timeout CONSTANT text := current_setting('lock_timeout');
    c_until CONSTANT timestamptz := clock_timestamp() + c_lock_timeout::interval;
    c_longest_attempt CONSTANT interval := current_setting('deadlock_timeout')::interval / 2;
    v_attempt interval := least(interval '100 ms', c_longest_attempt);
    v_kind text;
    v_problems record;
    v_step record;
    v_attempt_until timestamptz;
    v_is_new boolean;
    v_detail text;
BEGIN
    FOREACH v_kind IN ARRAY '{lock, step}'::text [] LOOP
        SELECT
            array_agg(plan.object || ': ' || plan.description) AS descriptions,
            array_agg(plan.remedy) AS remedies
        INTO v_problems
        FROM pg_temp.adoption_plan(c_source, current_schema()) AS plan
        WHERE plan.kind = 'problem';
        IF v_problems.descriptions IS NOT NULL THEN
            RAISE EXCEPTION '%', v_problems.descriptions[1]
                USING ERRCODE = 'AR004',
                DETAIL = array_to_string(v_problems.descriptions[2:], E'\n'),
                HINT = 'Nothing was changed. ' || v_problems.remedies[1];
        END IF;

        <<attempts>>
        LOOP
            v_attempt_until := clock_timestamp() + v_attempt;
            BEGIN
                FOR v_step IN
                    SELECT * FROM pg_temp.adoption_plan(c_source, current_schema()) AS plan
                    WHERE plan.kind = v_kind AND plan.statement IS NOT NULL
                LOOP
                    PERFORM set_config(
                        'lock_timeout',
                        greatest(1, extract(EPOCH FROM v_attempt_until - clock_timestamp()) * 1000)::integer::text,
                        TRUE
                    );
                    IF v_kind = 'step' THEN
                        RAISE NOTICE '%: %', v_step.object, v_step.description;
                    END IF;
                    v_is_new := v_kind = 'step' AND to_regclass(v_step.object) IS NULL;
                    EXECUTE v_step.statement;
                    -- Others must not write through the view, which acts as its owner, nor to an archive,
                    -- which is the functions' alone. A later step grants the privileges of what was replaced.
                    IF v_is_new THEN
                        PERFORM pg_temp.revoke_default_privileges(
                            ARRAY[v_step.object],
                            keeping => CASE
                                WHEN v_step.statement LIKE 'CREATE TABLE%' THEN '{SELECT}'::text []
                                ELSE '{}'
                            END
                        );
                    END IF;
                END LOOP;
                EXIT attempts;
            EXCEPTION
                WHEN lock_not_available THEN
                    IF clock_timestamp() > c_until THEN
                        RAISE EXCEPTION 'could not lock % within %', v_step.object, c_lock_timeout
                            USING ERRCODE = 'lock_not_available',
                            HINT = 'Nothing was changed. Run it again when no long transaction uses it: '
                                'pg_stat_activity shows them.';
                    END IF;
                    PERFORM pg_sleep(0.05);
                    v_attempt := least(v_attempt * 1.5, c_longest_attempt);
            END;
        END LOOP;
    END LOOP;
    PERFORM set_config('lock_timeout', c_lock_timeout, TRUE);
EXCEPTION
    WHEN dependent_objects_still_exist THEN
        GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL;
        RAISE EXCEPTION '%: other objects depend on it', v_step.object
            USING ERRCODE = 'AR004',
            DETAIL = v_detail,
            HINT = 'Nothing was changed. Drop them, and create them again afterwards.';
END;
$adoption$;
