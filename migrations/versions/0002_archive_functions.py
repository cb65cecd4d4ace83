"""Install the functions that archive and restore, and the views.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

from aria_db.sql_objects import CreateSqlObject

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

OPERATIONS = [
    CreateSqlObject("function", "archive_column_drift", 1),
    CreateSqlObject("function", "lock_and_check_tables", 1),
    CreateSqlObject("function", "remove_archived_copies", 1),
    CreateSqlObject("function", "archive_sessions", 1),
    CreateSqlObject("function", "archive_session", 1),
    CreateSqlObject("function", "restore_session", 1),
    CreateSqlObject("view", "engine_chat_session_list", 1),
    CreateSqlObject("view", "engine_chat_session_archive_list", 1),
    CreateSqlObject("view", "engine_chat_session_all", 1),
]


def upgrade() -> None:
    for operation in OPERATIONS:
        op.invoke(operation)


def downgrade() -> None:
    for operation in reversed(OPERATIONS):
        op.invoke(operation.reverse())
