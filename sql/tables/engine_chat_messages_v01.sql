-- engine_chat_messages: the messages of the live sessions; read in the order (created_at, id).
--
-- The foreign key is what makes a new message wait for the move of its session.
CREATE TABLE engine_chat_messages (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    session_id uuid NOT NULL REFERENCES engine_chat_sessions (id) ON DELETE CASCADE,
    agent_id varchar(100),
    role varchar(20) NOT NULL,
    content text NOT NULL,
    thinking text,
    tool_calls jsonb,
    tool_results jsonb,
    model varchar(200),
    tokens_input integer,
    tokens_output integer,
    cost numeric(10, 6),
    latency_ms integer,
    metadata jsonb DEFAULT '{}',
    created_at timestamptz DEFAULT now(),
    -- reads go by session, and so does a table that is distributed by session
    PRIMARY KEY (session_id, id)
);

COMMENT ON TABLE engine_chat_messages IS
'Messages of live chat sessions. Created by aria-db.';
