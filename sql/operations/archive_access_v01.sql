-- archive_access: the privileges of each kind of access (reader, support, app, operator), one per row.
--
-- The one list of it: grant_archive_access() grants and revokes what is here, and
-- repair_archive_access() revokes what is not. A privilege on a function is enough to call it; those
-- that move rows need none on the tables. What the application does with the live tables are privileges
-- of its own, and not here. support is for people, who read transcripts of both places. A function is
-- named with its arguments: the application may have another one of the same name.
-- engine_archive_health needs EXECUTE on what it asks, and prune_old_sessions on what it calls.
CREATE OR REPLACE FUNCTION archive_access()
RETURNS TABLE (access text, object text, privilege text)
LANGUAGE sql
IMMUTABLE
BEGIN ATOMIC
    WITH
    matrix (object, reader, support, app, operator) AS (
        VALUES
        ('engine_chat_session_list', 'SELECT', 'SELECT', 'SELECT', 'SELECT'),
        ('engine_chat_session_archive_list', 'SELECT', 'SELECT', 'SELECT', 'SELECT'),
        ('engine_chat_session_all', 'SELECT', 'SELECT', 'SELECT', 'SELECT'),
        ('engine_archive_run_list', 'SELECT', NULL, NULL, 'SELECT'),
        ('engine_archive_health', 'SELECT', NULL, NULL, 'SELECT'),
        ('archive_column_drift()', 'EXECUTE', NULL, NULL, 'EXECUTE'),
        ('archive_hazards()', 'EXECUTE', NULL, NULL, 'EXECUTE'),
        ('archive_dependents()', 'EXECUTE', NULL, NULL, 'EXECUTE'),
        (
            'estimate_sessions(text, text, text, timestamptz, timestamptz)',
            'EXECUTE', 'EXECUTE', 'EXECUTE', 'EXECUTE'
        ),
        ('last_message_times(text, uuid[])', 'EXECUTE', 'EXECUTE', 'EXECUTE', 'EXECUTE'),
        ('archive_session(uuid, text)', NULL, NULL, 'EXECUTE', 'EXECUTE'),
        ('archive_sessions(uuid[], bigint, text)', NULL, NULL, 'EXECUTE', 'EXECUTE'),
        ('restore_session(uuid, text)', NULL, NULL, 'EXECUTE', 'EXECUTE'),
        ('restore_sessions(uuid[], bigint, text)', NULL, NULL, 'EXECUTE', 'EXECUTE'),
        ('delete_chat_session(uuid, text)', NULL, NULL, 'EXECUTE', 'EXECUTE'),
        ('delete_chat_message(uuid, uuid, text)', NULL, NULL, 'EXECUTE', 'EXECUTE'),
        ('delete_archived_session(uuid, text)', NULL, NULL, 'EXECUTE', 'EXECUTE'),
        ('engine_chat_sessions', NULL, 'SELECT', NULL, NULL),
        ('engine_chat_messages', NULL, 'SELECT', NULL, NULL),
        ('engine_chat_session_archive', NULL, 'SELECT', 'SELECT', 'SELECT'),
        ('engine_chat_message_archive', NULL, 'SELECT', 'SELECT', 'SELECT'),
        ('archive_history(uuid)', NULL, 'EXECUTE', 'EXECUTE', 'EXECUTE'),
        ('engine_session_hold', NULL, NULL, NULL, 'SELECT'),
        ('aria_db_version', NULL, NULL, 'SELECT', 'SELECT'),
        ('prune_sessions(interval, text, integer, bigint, text)', NULL, NULL, NULL, 'EXECUTE'),
        ('count_prunable_sessions(interval, text)', NULL, NULL, NULL, 'EXECUTE'),
        ('prune_old_sessions(interval, text, integer, interval, text)', NULL, NULL, NULL, 'EXECUTE'),
        ('count_zombie_sessions()', NULL, NULL, NULL, 'EXECUTE'),
        ('end_zombie_sessions(integer)', NULL, NULL, NULL, 'EXECUTE'),
        ('count_empty_sessions(interval)', NULL, NULL, NULL, 'EXECUTE'),
        ('delete_empty_sessions(interval, integer, bigint, text)', NULL, NULL, NULL, 'EXECUTE'),
        ('purge_archive(text, integer, bigint, text)', NULL, NULL, NULL, 'EXECUTE'),
        ('count_purgeable_sessions(text)', NULL, NULL, NULL, 'EXECUTE'),
        ('count_restorable_sessions(bigint)', NULL, NULL, NULL, 'EXECUTE'),
        ('restore_run(bigint, integer, bigint, text)', NULL, NULL, NULL, 'EXECUTE'),
        ('begin_archive_run(text, jsonb, text)', NULL, NULL, NULL, 'EXECUTE'),
        ('finish_archive_run(bigint, text, text)', NULL, NULL, NULL, 'EXECUTE'),
        ('place_hold(uuid, text, text)', NULL, NULL, NULL, 'EXECUTE'),
        ('release_hold(uuid, text)', NULL, NULL, NULL, 'EXECUTE'),
        ('session_conflict_differences(uuid)', NULL, NULL, NULL, 'EXECUTE'),
        ('resolve_session_conflict(uuid, text, text, text)', NULL, NULL, NULL, 'EXECUTE'),
        ('verify_archive(timestamptz)', NULL, NULL, NULL, 'EXECUTE'),
        ('engine_archive_policy', NULL, NULL, NULL, 'SELECT, INSERT, UPDATE, DELETE'),
        ('engine_archive_run', NULL, NULL, NULL, 'SELECT'),
        ('engine_archive_event', NULL, NULL, NULL, 'SELECT'),
        ('engine_archive_left', NULL, NULL, NULL, 'SELECT'),
        ('engine_archive_dependent', NULL, NULL, NULL, 'SELECT'),
        ('engine_archive_candidate', NULL, NULL, NULL, 'SELECT'),
        ('engine_session_conflict', NULL, NULL, NULL, 'SELECT'),
        ('engine_conflict_resolution', NULL, NULL, NULL, 'SELECT')
    )

    SELECT
        kind.access,
        matrix.object,
        privilege.name AS privilege
    FROM matrix
    CROSS JOIN (VALUES ('reader'), ('support'), ('app'), ('operator')) AS kind (access)
    CROSS JOIN string_to_table(
        CASE kind.access
            WHEN 'reader' THEN matrix.reader
            WHEN 'support' THEN matrix.support
            WHEN 'app' THEN matrix.app
            ELSE matrix.operator
        END,
        ', '
    ) AS privilege (name);
END;

COMMENT ON FUNCTION archive_access() IS
'The privileges of each kind of access (reader, support, app, operator), one per row. grant_archive_access() '
'grants them.';

REVOKE ALL ON FUNCTION archive_access() FROM public;
