"""Create the chat tables and their archives where they are absent.

Revision ID: 0001
Revises:

The tables belong to the application. Where one exists it is taken as it is, and
an archive is created after its live table's example. No later revision alters
their columns.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# By name, in the order of creation. An archive has archived_at first and then
# every column of its live table: the move inserts `archived_at, moved.*`.
TABLES = {
    "engine_chat_sessions": """
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
    """,
    "engine_chat_messages": """
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
            -- reads go by session, and so does a distributed table
            PRIMARY KEY (session_id, id)
        );
    """,
    "engine_chat_session_archive": """
        CREATE TABLE engine_chat_session_archive (
            archived_at timestamptz NOT NULL,
            LIKE engine_chat_sessions,
            PRIMARY KEY (id)
        );
        CREATE INDEX ON engine_chat_session_archive (archived_at, id);
    """,
    "engine_chat_message_archive": """
        CREATE TABLE engine_chat_message_archive (
            archived_at timestamptz NOT NULL,
            LIKE engine_chat_messages,
            PRIMARY KEY (session_id, id)
        );
    """,
}

# How the downgrade knows which tables are this revision's to drop, and which views.
MARK = "Created by aria-db, revision 0001."
MARK_OF_ADOPTION = "Laid by aria-db over %"

# Empty tables beside those that hold the sessions would be no help to anybody.
NOT_BESIDE_OTHERS = """
DO $revision$
DECLARE
    v_schema text;
BEGIN
    SELECT namespace.nspname INTO v_schema
    FROM pg_catalog.pg_class AS chat
    INNER JOIN pg_catalog.pg_namespace AS namespace ON chat.relnamespace = namespace.oid
    WHERE
        chat.relname IN ('chat_sessions', 'chat_messages')
        AND chat.relkind IN ('r', 'p')
        AND chat.relpersistence <> 't'
        AND to_regclass('engine_chat_sessions') IS NULL
        AND current_setting('aria_db.adopt', TRUE) IS DISTINCT FROM 'none'
    GROUP BY namespace.nspname
    HAVING count(*) = 2
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'schema % has chat tables, which an upgrade alone would not use', v_schema
            USING ERRCODE = 'AR004',
            HINT = format(
                'Nothing was changed. `aria-db adopt %s --dry-run` says what it takes to archive '
                'in them; `aria-db upgrade --beside` creates other tables beside them.', v_schema
            );
    END IF;
END;
$revision$
"""


def upgrade() -> None:
    op.execute(NOT_BESIDE_OTHERS)
    for table, definition in TABLES.items():
        op.execute(
            f"""
DO $revision$
BEGIN
    IF to_regclass('{table}') IS NULL THEN
        {definition.strip()}
        COMMENT ON TABLE {table} IS '{MARK}';
    END IF;
END;
$revision$
            """
        )


def downgrade() -> None:
    # All are locked before they are looked at: no row may arrive in between. The tables
    # beneath the views are the application's.
    op.execute(
        f"""
DO $revision$
DECLARE
    v_laid text[] := ARRAY(
        SELECT name
        FROM unnest('{{{", ".join(TABLES)}}}'::text[]) AS _ (name)
        WHERE obj_description(to_regclass(name), 'pg_class') LIKE '{MARK_OF_ADOPTION}'
    );
    v_created_here text[] := ARRAY(
        SELECT name
        FROM unnest('{{{", ".join(reversed(TABLES))}}}'::text[]) WITH ORDINALITY AS _ (name, place)
        WHERE obj_description(to_regclass(name), 'pg_class') = '{MARK}'
        ORDER BY place
    );
    v_table text;
    v_has_rows boolean;
BEGIN
    FOREACH v_table IN ARRAY v_created_here LOOP
        EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', v_table);
        EXECUTE format('SELECT EXISTS (SELECT FROM %I)', v_table) INTO v_has_rows;
        IF v_has_rows THEN
            RAISE EXCEPTION 'table % holds rows and is not dropped', v_table
                USING ERRCODE = 'object_not_in_prerequisite_state',
                HINT = 'Nothing was changed. Move the rows elsewhere first: '
                    'restore_session() brings archived sessions back, pg_dump keeps a copy.';
        END IF;
    END LOOP;
    FOREACH v_table IN ARRAY v_created_here LOOP
        EXECUTE format('DROP TABLE %I', v_table);
    END LOOP;
    FOREACH v_table IN ARRAY v_laid LOOP
        EXECUTE format('DROP VIEW %I', v_table);
    END LOOP;
END;
$revision$
        """
    )
