-- Rows that hang on sessions and on messages, and what must be true of them.
--
-- Each row that was committed is once in its table, where its session is live, or once in the archive of
-- the table, where its session is archived; and nowhere only if its session or its message was deleted
-- for good.
CREATE TABLE bookmark (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES engine_chat_sessions ON DELETE CASCADE
);
CREATE TABLE feedback (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_id uuid NOT NULL,
    message_id uuid NOT NULL,
    FOREIGN KEY (session_id, message_id) REFERENCES engine_chat_messages ON DELETE CASCADE
);
-- depth 2
CREATE TABLE vote (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    feedback_id bigint NOT NULL REFERENCES feedback ON DELETE CASCADE
);
SELECT set_archive_dependent(current_schema(), 'bookmark', 'move');
SELECT set_archive_dependent(current_schema(), 'feedback', 'move');
SELECT set_archive_dependent(current_schema(), 'vote', 'move');

-- What was committed, the setup included.
CREATE TABLE dependent_made (kind text, id bigint, session_id uuid, message_id uuid);

CREATE VIEW dependent_present AS
SELECT 'bookmark' AS kind, 'live' AS place, id, session_id FROM bookmark
UNION ALL
SELECT 'bookmark', 'archive', id, archived_session_id FROM bookmark_archive
UNION ALL
SELECT 'feedback', 'live', id, session_id FROM feedback
UNION ALL
SELECT 'feedback', 'archive', id, archived_session_id FROM feedback_archive
UNION ALL
SELECT 'vote', 'live', vote.id, feedback.session_id FROM vote INNER JOIN feedback ON vote.feedback_id = feedback.id
UNION ALL
SELECT 'vote', 'archive', id, archived_session_id FROM vote_archive;

ALTER PROCEDURE start_again RENAME TO start_chats_again;

CREATE PROCEDURE start_again(archived uuid[], soft_deleted uuid[], empty uuid[], clients text[]) LANGUAGE plpgsql AS $procedure$
BEGIN
    PERFORM set_config('laws.are_suspended', 'yes', TRUE);
    DELETE FROM bookmark_archive;
    DELETE FROM feedback_archive;
    DELETE FROM vote_archive;
    DELETE FROM dependent_made;
    -- first all are live, with what hangs on them; then some are archived with it
    CALL start_chats_again('{}', soft_deleted, empty, clients);
    INSERT INTO bookmark (session_id) SELECT id FROM engine_chat_sessions WHERE id <> '00000000-0000-0000-0000-000000000003';
    INSERT INTO feedback (session_id, message_id)
    SELECT session_id, id FROM engine_chat_messages WHERE session_id <> '00000000-0000-0000-0000-000000000003';
    INSERT INTO vote (feedback_id) SELECT id FROM feedback;
    INSERT INTO dependent_made SELECT 'bookmark', id, session_id, NULL FROM bookmark;
    INSERT INTO dependent_made SELECT 'feedback', id, session_id, message_id FROM feedback;
    INSERT INTO dependent_made
    SELECT 'vote', vote.id, feedback.session_id, feedback.message_id
    FROM vote INNER JOIN feedback ON vote.feedback_id = feedback.id;
    IF archived <> '{}' THEN
        PERFORM archive_sessions(archived, actor => 'setup');
        UPDATE engine_chat_session_archive SET archived_at = archived_at - interval '1 day';
        UPDATE engine_chat_message_archive SET archived_at = archived_at - interval '1 day';
        UPDATE engine_archive_event SET at = at - interval '1 day';
        DELETE FROM ledger;
        DELETE FROM journal_ledger;
        INSERT INTO ledger (place, kind, action, session_id, key, image)
        SELECT 'live', present.kind, 'INSERT', present.session_id, present.key, '{}' FROM present;
    END IF;
END;
$procedure$;

ALTER VIEW violation RENAME TO chat_violation;

CREATE VIEW violation AS
SELECT what FROM chat_violation
UNION ALL
SELECT format('%s %s is lost', made.kind, made.id)
FROM dependent_made AS made
WHERE
    NOT EXISTS (
        SELECT FROM dependent_present AS present
        WHERE (present.kind, present.id) = (made.kind, made.id)
    )
    AND NOT EXISTS (
        SELECT FROM ended
        WHERE
            (ended.kind = 'session' AND left(ended.key, 36) = made.session_id::text)
            OR (ended.kind = 'message' AND ended.key = made.message_id::text)
    )
UNION ALL
SELECT format('%s %s is there %s times', kind, id, count(*)) FROM dependent_present GROUP BY kind, id HAVING count(*) > 1
UNION ALL
SELECT format('%s %s is %s without its session', dependent.kind, dependent.id, dependent.place)
FROM dependent_present AS dependent
WHERE
    NOT EXISTS (
        SELECT FROM present
        WHERE (present.kind, present.place, present.session_id) = ('session', dependent.place, dependent.session_id)
    );
