"""Install the archive: aria-db's own tables, functions and views.

Revision ID: 0002_archive
Revises: 0001_chat_tables
"""

from alembic import op

from aria_db.install.migrate import VERSION_TABLE
from aria_db.install.operations import CreateSqlObject

revision = "0002_archive"
down_revision = "0001_chat_tables"
branch_labels = None
depends_on = None

OPERATIONS = [
    CreateSqlObject("engine_archive_policy", 1),
    CreateSqlObject("engine_session_hold", 1),
    CreateSqlObject("engine_archive_run", 1),
    CreateSqlObject("engine_archive_event", 1),
    CreateSqlObject("engine_archive_left", 1),
    CreateSqlObject("engine_archive_dependent", 1),
    CreateSqlObject("engine_conflict_resolution", 1),
    # lists
    CreateSqlObject("engine_chat_session_list", 1),
    CreateSqlObject("engine_chat_session_archive_list", 1),
    CreateSqlObject("engine_chat_session_all", 1),
    CreateSqlObject("estimate_sessions", 1),
    CreateSqlObject("last_message_times", 1),
    # what other functions call
    CreateSqlObject("_actor", 1),
    CreateSqlObject("_table_beneath", 1),
    CreateSqlObject("_chat_tables", 1),
    CreateSqlObject("_session_keys", 1),
    CreateSqlObject("_are_tables_plain", 1),
    CreateSqlObject("archive_column_drift", 1),
    CreateSqlObject("_lock_and_check_tables", 1),
    CreateSqlObject("_insertable_columns", 1),
    CreateSqlObject("_check_unseen_holds", 1),
    CreateSqlObject("_refuse_if_held", 1),
    CreateSqlObject("_check_session_type", 1),
    CreateSqlObject("_check_older_than", 1),
    CreateSqlObject("_check_prune_arguments", 1),
    CreateSqlObject("_check_archive_run", 1),
    CreateSqlObject("engine_archive_run_list", 1),
    CreateSqlObject("_check_undoable_run", 1),
    CreateSqlObject("_record_archive_batch", 1),
    CreateSqlObject("_record_left_sessions", 1),
    # moves that compare
    CreateSqlObject("_refuse_unsafe_tables", 1),
    CreateSqlObject("_set_constraints", 1),
    CreateSqlObject("_all_columns", 1),
    CreateSqlObject("_restored_columns", 1),
    CreateSqlObject("_session_images", 1),
    CreateSqlObject("_chat_images", 1),
    CreateSqlObject("_compare_images", 1),
    CreateSqlObject("_check_gone", 1),
    CreateSqlObject("_begin_checked_move", 1),
    CreateSqlObject("_end_checked_move", 1),
    CreateSqlObject("_raise_move_error", 1),
    CreateSqlObject("_fill_missing_values", 1),
    CreateSqlObject("_move_back", 1),
    # tables that refer to chat rows
    CreateSqlObject("_key_join", 1),
    CreateSqlObject("_dependent_keys", 1),
    CreateSqlObject("_dependent_archives", 1),
    CreateSqlObject("_dependent_drift", 1),
    CreateSqlObject("_lock_dependent_tables", 1),
    CreateSqlObject("_refuse_dependent", 1),
    CreateSqlObject("_row_images", 1),
    CreateSqlObject("_find_dependents", 1),
    CreateSqlObject("_referring_keys", 1),
    CreateSqlObject("_archive_dependents", 1),
    CreateSqlObject("_restore_dependents", 1),
    CreateSqlObject("_delete_dependents", 1),
    CreateSqlObject("archive_dependents", 1),
    CreateSqlObject("set_archive_dependent", 1),
    # the moves
    CreateSqlObject("_remove_archived_copies", 1),
    CreateSqlObject("archive_sessions", 1),
    CreateSqlObject("archive_session", 1),
    CreateSqlObject("engine_archive_candidate", 1),
    CreateSqlObject("restore_sessions", 1),
    CreateSqlObject("restore_session", 1),
    CreateSqlObject("_delete_chat_sessions", 1),
    CreateSqlObject("delete_chat_session", 1),
    CreateSqlObject("delete_chat_message", 1),
    CreateSqlObject("delete_archived_session", 1),
    # retention
    CreateSqlObject("place_hold", 1),
    CreateSqlObject("release_hold", 1),
    CreateSqlObject("begin_archive_run", 1),
    CreateSqlObject("finish_archive_run", 1),
    CreateSqlObject("count_prunable_sessions", 1),
    CreateSqlObject("prune_sessions", 1),
    CreateSqlObject("_zombie_session", 1),
    CreateSqlObject("count_zombie_sessions", 1),
    CreateSqlObject("end_zombie_sessions", 1),
    CreateSqlObject("prune_old_sessions", 1),
    CreateSqlObject("_empty_candidate", 1),
    CreateSqlObject("count_empty_sessions", 1),
    CreateSqlObject("delete_empty_sessions", 1),
    CreateSqlObject("_purge_candidate", 1),
    CreateSqlObject("count_purgeable_sessions", 1),
    CreateSqlObject("purge_archive", 1),
    CreateSqlObject("_archived_parents", 1),
    CreateSqlObject("count_restorable_sessions", 1),
    CreateSqlObject("restore_run", 1),
    CreateSqlObject("archive_history", 1),
    # conflicts
    CreateSqlObject("engine_session_conflict", 1),
    CreateSqlObject("session_conflict_differences", 1),
    CreateSqlObject("resolve_session_conflict", 1),
    # operations
    CreateSqlObject("archive_access", 1),
    CreateSqlObject("grant_archive_access", 1),
    CreateSqlObject("_excess_privileges", 1),
    CreateSqlObject("repair_archive_access", 1),
    CreateSqlObject("_schema_creators", 1),
    CreateSqlObject("archive_hazards", 1),
    CreateSqlObject("engine_archive_health", 1),
    CreateSqlObject("verify_archive", 1),
]


def upgrade() -> None:
    op.apply_sql_objects(OPERATIONS)
    # Alembic has created it.
    op.revoke_default_privileges([VERSION_TABLE])
    op.run_sql_script("refuse_open_schema")


def downgrade() -> None:
    # Rows that an upgrade brings back; all others keep the table.
    op.run_sql_script("forget_default_policies")
    op.revert_sql_objects(OPERATIONS)
