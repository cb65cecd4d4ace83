"""Find out in half the time that all columns would be archived faithfully.

Revision ID: 0007
Revises: 0006

Every move asks first. Where the columns are the same at first sight, the list of what differs is
not made any more.
"""

from alembic import op

from aria_db.sql_objects import ReplaceSqlObject

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

OPERATIONS = [ReplaceSqlObject("function", "lock_and_check_tables", 3)]


def upgrade() -> None:
    for operation in OPERATIONS:
        op.invoke(operation)


def downgrade() -> None:
    for operation in reversed(OPERATIONS):
        op.invoke(operation.reverse())
