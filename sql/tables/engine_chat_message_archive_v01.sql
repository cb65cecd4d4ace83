-- engine_chat_message_archive: the messages of archived sessions.
--
-- No foreign key, and no index but the primary key: on PostgreSQL 18 a second index in
-- random order was measured to halve the speed of a prune.
CREATE TABLE engine_chat_message_archive (
    archived_at timestamptz NOT NULL,
    LIKE engine_chat_messages,
    PRIMARY KEY (session_id, id)
);

COMMENT ON TABLE engine_chat_message_archive IS
'Messages of archived chat sessions. Created by aria-db.';
