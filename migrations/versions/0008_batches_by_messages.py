"""End a batch of the prune with the session that brings its messages to 5,000.

Revision ID: 0008
Revises: 0007

How long a batch holds its locks is a matter of its messages, and a session may have any number.
"""

from alembic import op

from aria_db.sql_objects import ReplaceSqlObject

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

OPERATIONS = [ReplaceSqlObject("function", "prune_sessions", 2)]


def upgrade() -> None:
    for operation in OPERATIONS:
        op.invoke(operation)


def downgrade() -> None:
    for operation in reversed(OPERATIONS):
        op.invoke(operation.reverse())
