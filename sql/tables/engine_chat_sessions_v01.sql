-- engine_chat_sessions: the application's live sessions.
--
-- The application owns the four chat tables. This is what it gets where it has none yet; a
-- table that is there stays as it is, and no later release alters its columns.
CREATE TABLE engine_chat_sessions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    agent_id varchar(100) NOT NULL DEFAULT 'aria',
    session_type varchar(50) NOT NULL DEFAULT 'interactive',
    title varchar(500),
    system_prompt text,
    model varchar(200),
    temperature double precision DEFAULT 0.7,
    max_tokens integer DEFAULT 4096,
    context_window integer DEFAULT 50,
    status varchar(20) NOT NULL DEFAULT 'active',
    message_count integer DEFAULT 0,
    total_tokens integer DEFAULT 0,
    total_cost numeric(10, 6) DEFAULT 0,
    metadata jsonb DEFAULT '{}',
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    ended_at timestamptz
);

CREATE INDEX ON engine_chat_sessions (updated_at, id);

-- The end of the comment is how the downgrade knows that the table is aria-db's to drop.
COMMENT ON TABLE engine_chat_sessions IS
'Live chat sessions. Created by aria-db.';
