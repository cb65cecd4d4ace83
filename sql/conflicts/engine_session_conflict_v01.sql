-- engine_session_conflict: sessions that are in both places, a row each.
--
-- A live session whose id has an archived row, or archived messages. session_rows says
-- whether its two rows are equal, bit for bit; the messages are counted in both
-- places, and messages_equal and messages_different count those whose id is in both.
--
-- The rows are compared by what record_send makes of them, without the number of
-- columns (4 bytes) and without the archived_at of the archived one (16 more). The
-- star that the functions compare by would here stay as it is when the view is
-- created: a column that is added to both tables later would make every reader fail.
CREATE OR REPLACE VIEW engine_session_conflict AS
SELECT
    live.id AS session_id,
    live.title,
    archived.archived_at,
    CASE
        WHEN archived.id IS NULL THEN 'only live'
        WHEN substring(record_send(live) FROM 5) = substring(record_send(archived) FROM 21) THEN 'equal'
        ELSE 'different'
    END AS session_rows,
    (
        SELECT count(*) FROM engine_chat_messages AS live_message
        WHERE live_message.session_id = live.id
    ) AS messages_live,
    (
        SELECT count(*) FROM engine_chat_message_archive AS archived_message
        WHERE archived_message.session_id = live.id
    ) AS messages_archive,
    (
        SELECT count(*)
        FROM engine_chat_messages AS same
        INNER JOIN engine_chat_message_archive AS copied
            ON same.session_id = copied.session_id AND same.id = copied.id
        WHERE
            same.session_id = live.id
            AND substring(record_send(same) FROM 5) = substring(record_send(copied) FROM 21)
    ) AS messages_equal,
    (
        SELECT count(*)
        FROM engine_chat_messages AS one
        INNER JOIN engine_chat_message_archive AS other
            ON one.session_id = other.session_id AND one.id = other.id
        WHERE
            one.session_id = live.id
            AND substring(record_send(one) FROM 5) <> substring(record_send(other) FROM 21)
    ) AS messages_different
FROM engine_archive_candidate AS candidate
INNER JOIN engine_chat_sessions AS live ON candidate.id = live.id
LEFT JOIN engine_chat_session_archive AS archived ON live.id = archived.id
WHERE candidate.is_conflicting;

COMMENT ON VIEW engine_session_conflict IS
'Sessions that are live and in the archive as well, and how much of them is equal; '
'resolve_session_conflict() merges them.';
