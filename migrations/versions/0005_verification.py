"""Verification: prove that nothing is lost, and grant each role what it needs.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

from aria_db.sql_objects import CreateSqlObject

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

OPERATIONS = [
    CreateSqlObject("function", "verify_archive", 1),
    CreateSqlObject("function", "archive_access", 1),
    CreateSqlObject("function", "grant_archive_access", 1),
]


def upgrade() -> None:
    for operation in OPERATIONS:
        op.invoke(operation)


def downgrade() -> None:
    for operation in reversed(OPERATIONS):
        op.invoke(operation.reverse())
