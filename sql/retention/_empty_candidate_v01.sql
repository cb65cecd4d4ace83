-- _empty_candidate: live sessions without a message, for their deletion and its dry run.
--
-- By the messages themselves, and not by message_count, which the application keeps. Left out are sessions
-- on hold; soft-deleted ones, which their users have put away and the prune archives; and those that are
-- in the archive as well: a person must decide which of the two is right.
-- The deletion locks rows through this view with FOR UPDATE, as the prune does through
-- engine_archive_candidate.
CREATE OR REPLACE VIEW _empty_candidate AS
SELECT
    candidate.id,
    candidate.updated_at,
    candidate.age_from
FROM engine_archive_candidate AS candidate
WHERE
    NOT EXISTS (
        SELECT 1 FROM engine_chat_messages AS message
        WHERE message.session_id = candidate.id
    )
    AND NOT candidate.is_soft_deleted
    AND NOT candidate.is_held
    AND NOT candidate.is_conflicting;

COMMENT ON VIEW _empty_candidate IS
'Internal to delete_empty_sessions and its dry run: live sessions without a message.';
