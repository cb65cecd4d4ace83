"""Pick the sessions of a batch through indexes alone, the oldest first.

Revision ID: 0010
Revises: 0009

Looking for soft-deleted sessions took a scan of all live ones for every batch, and where the
archive was still empty when the plan was made, a scan of the archive for every candidate.
"""

from alembic import op

from aria_db.sql_objects import ReplaceSqlObject

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

OPERATIONS = [ReplaceSqlObject("function", "prune_sessions", 3)]


def upgrade() -> None:
    for operation in OPERATIONS:
        op.invoke(operation)


def downgrade() -> None:
    for operation in reversed(OPERATIONS):
        op.invoke(operation.reverse())
