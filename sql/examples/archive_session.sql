-- Archive one session from psql:
--
--   psql --set=session_id=6f9619ff-8b86-d011-b42d-00cf4fc964ff --file=archive_session.sql
SELECT
    id,
    archived_at,
    message_count,
    newly_archived
FROM archive_session(:'session_id');
