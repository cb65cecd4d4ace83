-- engine_archive_health: what an operator watches, one row per figure and subject.
--
--   SELECT * FROM engine_archive_health WHERE NOT is_ok;
--
-- figure is an identifier, value and unit are for a program, reading is for a person. is_ok is
-- false where somebody should act, and remedy says how; remedy is null where there is nothing
-- to do. A backlog counts when its oldest session has been due for two days: a nightly prune
-- was missed, with a day to spare. Conflicts, drift, and a last run that failed or was killed
-- count at once.
CREATE OR REPLACE VIEW engine_archive_health AS
WITH
due_sessions AS (
    SELECT
        candidate.is_soft_deleted,
        candidate.due_from,
        -- the policy that decides about it
        coalesce(named.session_type, '*') AS policy
    FROM engine_archive_candidate AS candidate
    LEFT JOIN engine_archive_policy AS named ON candidate.session_type = named.session_type
    WHERE
        NOT candidate.is_held
        AND NOT candidate.is_conflicting
        AND (candidate.is_soft_deleted OR candidate.due_from < now())
        -- another prune alone would not help
        AND NOT EXISTS (
            SELECT 1 FROM engine_archive_left AS left_behind
            WHERE left_behind.session_id = candidate.id
        )
),

backlog AS (
    SELECT
        'backlog' AS figure,
        policy.session_type::text AS subject,
        count(due_sessions.policy)::numeric AS value,
        'sessions' AS unit,
        coalesce(min(due_sessions.due_from) > now() - interval '2 days', TRUE) AS is_ok,
        format('%s sessions are due', count(due_sessions.policy)) AS reading,
        CASE
            WHEN count(due_sessions.policy) > 0 THEN 'Run `aria-db prune`, and check that it is scheduled.'
        END AS remedy
    FROM engine_archive_policy AS policy
    LEFT JOIN due_sessions
        ON policy.session_type = due_sessions.policy AND NOT due_sessions.is_soft_deleted
    GROUP BY policy.session_type
),

soft_deleted AS (
    SELECT
        'soft_deleted' AS figure,
        'engine_chat_sessions' AS subject,
        count(*)::numeric AS value,
        'sessions' AS unit,
        TRUE AS is_ok,
        format('%s sessions', count(*)) AS reading,
        CASE
            WHEN count(*) > 0 THEN 'Run `aria-db prune`: it archives them, whatever their age.'
        END AS remedy
    FROM due_sessions
    WHERE due_sessions.is_soft_deleted
),

conflicts AS (
    SELECT
        'conflicts' AS figure,
        'engine_chat_sessions' AS subject,
        count(*)::numeric AS value,
        'sessions' AS unit,
        count(*) = 0 AS is_ok,
        format('%s sessions are live and archived', count(*)) AS reading,
        CASE
            WHEN count(*) > 0 THEN 'Run `aria-db conflicts`: it lists them, shows what differs, merges them.'
        END AS remedy
    FROM engine_archive_candidate AS candidate
    WHERE candidate.is_conflicting
),

left_sessions AS (
    SELECT
        'left' AS figure,
        'engine_archive_left' AS subject,
        count(*)::numeric AS value,
        'sessions' AS unit,
        count(*) = 0 AS is_ok,
        format('%s sessions could not be archived', count(*)) AS reading,
        CASE
            WHEN count(*) > 0 THEN 'Run `aria-db left`: it says why, and what to do.'
        END AS remedy
    FROM engine_archive_left
),

held AS (
    SELECT
        'held' AS figure,
        'engine_session_hold' AS subject,
        count(*)::numeric AS value,
        'sessions' AS unit,
        TRUE AS is_ok,
        format('%s sessions', count(*)) AS reading,
        CASE
            WHEN count(*) > 0 THEN 'Release those whose reason is gone: `aria-db release`.'
        END AS remedy
    FROM engine_session_hold
),

drift AS (
    SELECT
        'drift' AS figure,
        drifted.live_table || '.' || drifted.column_name AS subject,
        1::numeric AS value,
        'columns' AS unit,
        FALSE AS is_ok,
        drifted.problem AS reading,
        'No session can be archived. Run `aria-db adopt` where the tables are the application''s (behind '
        'views, or of an older shape); else give both tables the same columns, in order.' AS remedy
    FROM archive_column_drift() AS drifted
),

last_runs AS (
    SELECT DISTINCT ON (run.kind)
        'last_run' AS figure,
        run.kind AS subject,
        round(extract(EPOCH FROM now() - run.started_at)) AS value,
        'seconds' AS unit,
        run.state IN ('running', 'finished') AS is_ok,
        concat_ws(
            ', ',
            run.state,
            'began ' || to_char(run.started_at, 'YYYY-MM-DD HH24:MI TZ'),
            format('%s sessions', run.sessions),
            run.stop_reason,
            run.error
        ) AS reading,
        CASE
            WHEN run.state NOT IN ('running', 'finished')
                THEN 'Fix the cause named in the error and run it again. Committed batches are kept.'
        END AS remedy
    FROM engine_archive_run_list AS run
    ORDER BY run.kind ASC, run.id DESC
),

-- how old the oldest session of the archive is there
archived AS (
    SELECT
        'oldest_archived' AS figure,
        'engine_chat_session_archive' AS subject,
        round(extract(EPOCH FROM now() - min(archived_session.archived_at))) AS value,
        'seconds' AS unit,
        TRUE AS is_ok,
        coalesce(
            'from ' || min(archived_session.archived_at) || ' to ' || max(archived_session.archived_at),
            'nothing'
        ) AS reading,
        NULL AS remedy
    FROM engine_chat_session_archive AS archived_session
),

-- of the tables, which adopted layouts have behind views
sizes AS (
    SELECT
        'size' AS figure,
        beneath.table_id::regclass::text AS subject,
        pg_total_relation_size(beneath.table_id)::numeric AS value,
        'bytes' AS unit,
        TRUE AS is_ok,
        pg_size_pretty(pg_total_relation_size(beneath.table_id)) AS reading,
        NULL AS remedy
    FROM _table_beneath AS beneath
    WHERE
        beneath.relation IN (
            'engine_chat_sessions'::regclass,
            'engine_chat_messages'::regclass,
            'engine_chat_session_archive'::regclass,
            'engine_chat_message_archive'::regclass
        )
)

SELECT * FROM backlog
UNION ALL
SELECT * FROM soft_deleted
UNION ALL
SELECT * FROM conflicts
UNION ALL
SELECT * FROM left_sessions
UNION ALL
SELECT * FROM held
UNION ALL
SELECT * FROM drift
UNION ALL
SELECT * FROM last_runs
UNION ALL
SELECT * FROM archived
UNION ALL
SELECT * FROM sizes;

COMMENT ON VIEW engine_archive_health IS
'What an operator watches, one row per figure; is_ok is false where somebody should act.';
