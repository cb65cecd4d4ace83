"""Estimate how long a list is, where counting would take as long as there are sessions.

Revision ID: 0009
Revises: 0008
"""

from alembic import op

from aria_db.sql_objects import CreateSqlObject, ReplaceSqlObject

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

OPERATIONS = [
    CreateSqlObject("function", "estimate_sessions", 1),
    ReplaceSqlObject("function", "archive_access", 2),
]


def upgrade() -> None:
    for operation in OPERATIONS:
        op.invoke(operation)


def downgrade() -> None:
    for operation in reversed(OPERATIONS):
        op.invoke(operation.reverse())
