"""Conflicts: list the sessions that are in both places, show what differs, merge them.

Revision ID: 0004
Revises: 0003

The table is this package's own. It is not dropped while it holds rows.
"""

from alembic import op

from aria_db.sql_objects import CreateSqlObject, ReplaceSqlObject

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE engine_conflict_resolution (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- no foreign key: the row stays whatever becomes of the session
    session_id uuid NOT NULL,
    destination text NOT NULL CHECK (destination IN ('live', 'archive')),
    -- which row of the session stayed; null where there was nothing to choose
    kept text CHECK (kept IN ('live', 'archived')),
    -- the other one
    dropped_row jsonb,
    -- of the archived row, which is gone; null if there were archived messages only
    archived_at timestamptz,
    resolved_by text NOT NULL DEFAULT session_user,
    resolved_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((kept IS NULL) = (dropped_row IS NULL))
);

COMMENT ON TABLE engine_conflict_resolution IS
'A row per session that resolve_session_conflict() merged, with the row that was dropped.';
"""

OPERATIONS = [
    CreateSqlObject("view", "engine_session_conflict", 1),
    CreateSqlObject("function", "insertable_columns", 1),
    CreateSqlObject("function", "session_conflict_differences", 1),
    CreateSqlObject("function", "resolve_session_conflict", 1),
    ReplaceSqlObject("view", "engine_archive_health", 2),
]


def upgrade() -> None:
    op.execute(TABLES)
    for operation in OPERATIONS:
        op.invoke(operation)


def downgrade() -> None:
    op.execute(
        """
DO $revision$
BEGIN
    LOCK TABLE engine_conflict_resolution IN ACCESS EXCLUSIVE MODE;
    IF EXISTS (SELECT FROM engine_conflict_resolution) THEN
        RAISE EXCEPTION 'table engine_conflict_resolution holds rows and is not dropped'
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Nothing was changed. It holds the rows of sessions that were dropped when a '
                'conflict was resolved: keep what you need of them elsewhere, and delete them.';
    END IF;
END;
$revision$
        """
    )
    for operation in reversed(OPERATIONS):
        op.invoke(operation.reverse())
    op.execute("DROP TABLE engine_conflict_resolution")
