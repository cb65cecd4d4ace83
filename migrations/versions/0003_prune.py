"""Retention: policies, holds, a run log, the prune and the purge.

Revision ID: 0003
Revises: 0002

The three tables are this package's own. They too are not dropped while they hold rows
that an upgrade would not bring back.
"""

from alembic import op

from aria_db.sql_objects import CreateSqlObject, ReplaceSqlObject

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

DEFAULT_POLICIES = "('*', interval '30 days'), ('cron', interval '1 day')"

TABLES = f"""
CREATE TABLE engine_archive_policy (
    -- '*' for every type that has no row of its own
    session_type varchar(50) PRIMARY KEY,
    -- null: not archived, not purged, however old
    archive_after interval
    CHECK (archive_after > interval '0' AND archive_after <= interval '365000 days'),
    purge_after interval
    CHECK (purge_after > interval '0' AND purge_after <= interval '365000 days'),
    enabled boolean NOT NULL DEFAULT TRUE
);

COMMENT ON TABLE engine_archive_policy IS
'At which age sessions are archived, and archived ones purged, per session_type; * for all others.';

INSERT INTO engine_archive_policy (session_type, archive_after) VALUES {DEFAULT_POLICIES};

CREATE TABLE engine_session_hold (
    -- no foreign key: the hold stays while the session moves
    session_id uuid PRIMARY KEY,
    reason text NOT NULL CHECK (trim(reason) <> ''),
    placed_by text NOT NULL DEFAULT session_user,
    placed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON TABLE engine_session_hold IS
'Sessions that must stay where they are; place_hold() and release_hold() write it.';

CREATE TABLE engine_archive_run (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('prune', 'purge')),
    arguments jsonb NOT NULL,
    started_by text NOT NULL DEFAULT session_user,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- the connection of the last batch: whether it is still there tells whether the run lives
    backend_pid bigint NOT NULL,
    last_batch_at timestamptz,
    batches bigint NOT NULL DEFAULT 0,
    sessions bigint NOT NULL DEFAULT 0,
    messages bigint NOT NULL DEFAULT 0,
    finished_at timestamptz,
    stop_reason text CHECK (
        stop_reason IN ('nothing left', 'max_runtime', 'max_sessions', 'interrupted', 'failed')
    ),
    error text
);

COMMENT ON TABLE engine_archive_run IS
'A row per run of a prune or a purge; engine_archive_run_list adds the state of each.';
"""

OPERATIONS = [
    CreateSqlObject("view", "engine_archive_candidate", 1),
    CreateSqlObject("view", "engine_archive_run_list", 1),
    CreateSqlObject("view", "engine_archive_health", 1),
    CreateSqlObject("function", "check_session_type", 1),
    CreateSqlObject("function", "check_prune_arguments", 1),
    ReplaceSqlObject("function", "archive_sessions", 2),
    CreateSqlObject("function", "prune_sessions", 1),
    CreateSqlObject("function", "count_prunable_sessions", 1),
    CreateSqlObject("function", "purge_archive", 1),
    CreateSqlObject("function", "place_hold", 1),
    CreateSqlObject("function", "release_hold", 1),
    CreateSqlObject("function", "begin_archive_run", 1),
    CreateSqlObject("function", "record_archive_batch", 1),
    CreateSqlObject("function", "finish_archive_run", 1),
    CreateSqlObject("procedure", "prune_old_sessions", 1),
]


def upgrade() -> None:
    op.execute(TABLES)
    for operation in OPERATIONS:
        op.invoke(operation)


def downgrade() -> None:
    op.execute(
        f"""
DO $revision$
DECLARE
    v_table text;
BEGIN
    LOCK TABLE engine_session_hold, engine_archive_run, engine_archive_policy
    IN ACCESS EXCLUSIVE MODE;
    SELECT kept.name INTO v_table
    FROM (
        SELECT 'engine_session_hold' AS name FROM engine_session_hold
        UNION ALL
        SELECT 'engine_archive_run' FROM engine_archive_run
        UNION ALL
        SELECT 'engine_archive_policy'
        FROM engine_archive_policy
        WHERE
            ((session_type, archive_after) IN ({DEFAULT_POLICIES})) IS NOT TRUE
            OR purge_after IS NOT NULL
            OR NOT enabled
    ) AS kept
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'table % holds rows and is not dropped', v_table
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Nothing was changed. The release before knows neither holds nor policies nor '
                'runs: keep what you need of them elsewhere, and delete the rows.';
    END IF;
END;
$revision$
        """
    )
    for operation in reversed(OPERATIONS):
        op.invoke(operation.reverse())
    op.execute("DROP TABLE engine_archive_run, engine_session_hold, engine_archive_policy")
