-- engine_chat_session_archive: archived sessions; archive_sessions alone inserts here.
--
-- archived_at first and then every column of the live table: the move inserts
-- `archived_at, moved.*`.
CREATE TABLE engine_chat_session_archive (
    archived_at timestamptz NOT NULL,
    LIKE engine_chat_sessions,
    PRIMARY KEY (id)
);

CREATE INDEX ON engine_chat_session_archive (archived_at, id);

COMMENT ON TABLE engine_chat_session_archive IS
'Archived chat sessions, each with the time of its move. Created by aria-db.';
