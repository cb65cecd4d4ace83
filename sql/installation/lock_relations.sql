-- lock_relations: locks the tables and views that a revision may change, all of them or none.
--
-- Clients take these locks in whatever order their statements need them, and a revision keeps
-- what it has until it commits. To avoid a deadlock, in which PostgreSQL might end the client, an
-- attempt at all locks is shorter than deadlock_timeout (1 s by default) and then lets go of all
-- of them. The first takes at most 100 ms, so that clients hardly notice it; where they are never
-- idle, each takes longer than the one before, up to half of deadlock_timeout. The attempts end
-- after lock_timeout. LOCK TABLE on a view would lock the chat tables, which it reads; ALTER VIEW
-- ... DROP DEFAULT, of a default that is not there, locks the view alone.
CREATE OR REPLACE FUNCTION pg_temp.lock_relations(relation_names text[])
RETURNS void
LANGUAGE plpgsql
AS $function$
DECLARE
    c_lock_timeout CONSTANT text := current_setting('lock_timeout');
    c_until CONSTANT timestamptz := clock_timestamp() + c_lock_timeout::interval;
    c_longest_attempt CONSTANT interval := current_setting('deadlock_timeout')::interval / 2;
    v_attempt interval := least(interval '100 ms', c_longest_attempt);
    v_attempt_until timestamptz;
    v_relation record;
BEGIN
    LOOP
        v_attempt_until := clock_timestamp() + v_attempt;
        BEGIN
            FOR v_relation IN
                SELECT
                    relation.oid::regclass AS name,
                    CASE relation.relkind
                        WHEN 'v' THEN format(
                            'ALTER VIEW %s ALTER COLUMN %I DROP DEFAULT', relation.oid::regclass, first_column.attname
                        )
                        ELSE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', relation.oid::regclass)
                    END AS statement
                FROM unnest(relation_names) WITH ORDINALITY AS named (name, place)
                INNER JOIN pg_catalog.pg_class AS relation ON to_regclass(named.name) = relation.oid
                INNER JOIN pg_catalog.pg_attribute AS first_column
                    ON relation.oid = first_column.attrelid AND first_column.attnum = 1
                WHERE pg_has_role(relation.relowner, 'USAGE')
                ORDER BY named.place
            LOOP
                PERFORM set_config(
                    'lock_timeout',
                    greatest(1, extract(EPOCH FROM v_attempt_until - clock_timestamp()) * 1000)::integer::text,
                    TRUE
                );
                EXECUTE v_relation.statement;
            END LOOP;
            PERFORM set_config('lock_timeout', c_lock_timeout, TRUE);
            RETURN;
        EXCEPTION
            WHEN lock_not_available THEN
                IF clock_timestamp() > c_until THEN
                    RAISE EXCEPTION 'could not lock % within %', v_relation.name, c_lock_timeout
                        USING ERRCODE = 'lock_not_available',
                        HINT = 'Nothing was changed. Run it again when no long transaction uses it: '
                            'pg_stat_activity shows them.';
                END IF;
                PERFORM pg_sleep(0.05);
                v_attempt := least(v_attempt * 1.5, c_longest_attempt);
        END;
    END LOOP;
END;
$function$;
