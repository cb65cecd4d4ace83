"""Notice, under stricter isolation levels, holds and columns that the snapshot does not show.

Revision ID: 0006
Revises: 0005

A transaction under REPEATABLE READ or SERIALIZABLE could move or purge a session that had been
put on hold since it began, and move rows through a view whose table had got a column since.
"""

from alembic import op

from aria_db.sql_objects import CreateSqlObject, ReplaceSqlObject

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

OPERATIONS = [
    CreateSqlObject("function", "check_unseen_holds", 1),
    ReplaceSqlObject("function", "lock_and_check_tables", 2),
    ReplaceSqlObject("function", "remove_archived_copies", 2),
    ReplaceSqlObject("function", "archive_sessions", 3),
    ReplaceSqlObject("function", "restore_session", 2),
    ReplaceSqlObject("function", "purge_archive", 2),
]


def upgrade() -> None:
    for operation in OPERATIONS:
        op.invoke(operation)


def downgrade() -> None:
    for operation in reversed(OPERATIONS):
        op.invoke(operation.reverse())
