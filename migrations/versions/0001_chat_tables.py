"""Create the application's chat tables and their archives where they are absent.

Revision ID: 0001_chat_tables
Revises:

The tables belong to the application. Where one exists it stays as it is, and an archive is
created after the example of its live table. No later revision alters their columns.
"""

from alembic import op

from aria_db.install.operations import CreateSqlObject

revision = "0001_chat_tables"
down_revision = None
branch_labels = None
depends_on = None

OPERATIONS = [
    CreateSqlObject("engine_chat_sessions", 1, if_absent=True),
    CreateSqlObject("engine_chat_messages", 1, if_absent=True),
    CreateSqlObject("engine_chat_session_archive", 1, if_absent=True),
    CreateSqlObject("engine_chat_message_archive", 1, if_absent=True),
]


def upgrade() -> None:
    op.run_sql_script("rows_in_words")
    op.run_sql_script("refuse_beside_other_tables")
    op.run_sql_script("warn_of_publications")
    op.apply_sql_objects(OPERATIONS)


def downgrade() -> None:
    op.revert_sql_objects(OPERATIONS)
