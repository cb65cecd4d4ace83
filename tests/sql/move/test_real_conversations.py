"""A thousand real conversations, there and back, and as the file has them in either place."""

import gzip
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support.rows import ARCHIVE, LIVE, archive_many, archived, live

FILE = os.environ.get("ARIA_CONVERSATIONS")

pytestmark = pytest.mark.skipif(
    not FILE, reason="ARIA_CONVERSATIONS does not name a file of conversations (JSON Lines, gzip)"
)


SESSION_COLUMNS = ("source_id", "title", "session_type", "agent_id")
FIRST = datetime(2024, 1, 1, tzinfo=UTC)

Conversations = dict[UUID, dict[str, Any]]


def store(connection: psycopg.Connection, conversations: Conversations) -> None:
    """Copy the conversations into the live tables, a second between two messages."""
    cursor = connection.cursor()
    with cursor.copy(
        "COPY engine_chat_sessions (id, metadata, title, session_type, agent_id) FROM STDIN"
    ) as copy:
        for session_id, conversation in conversations.items():
            source_id, *columns = (conversation[name] for name in SESSION_COLUMNS)
            copy.write_row([session_id, Jsonb({"source_id": source_id}), *columns])
    with cursor.copy(
        "COPY engine_chat_messages"
        " (session_id, role, content, tool_calls, tool_results, created_at) FROM STDIN"
    ) as copy:
        for session_id, conversation in conversations.items():
            for number, message in enumerate(conversation["messages"]):
                tools = [
                    Jsonb(message[name]) if name in message else None
                    for name in ("tool_calls", "tool_results")
                ]
                created_at = FIRST + timedelta(seconds=number)
                copy.write_row(
                    [session_id, message["role"], message["content"], *tools, created_at]
                )


def stored(connection: psycopg.Connection, sessions: str, messages: str) -> Conversations:
    """Read the conversations back from a pair of tables, in the form of the file."""
    conversations: Conversations = {}
    for session_id, *columns in connection.execute(
        f"SELECT id, metadata ->> 'source_id', title, session_type, agent_id FROM {sessions}"
    ):
        conversations[session_id] = dict(zip(SESSION_COLUMNS, columns, strict=True))
        conversations[session_id]["messages"] = []
    for session_id, *columns in connection.execute(
        f"SELECT session_id, role, content, tool_calls, tool_results FROM {messages}"
        " ORDER BY created_at, id"
    ):
        message = zip(("role", "content", "tool_calls", "tool_results"), columns, strict=True)
        conversations[session_id]["messages"].append(
            {name: value for name, value in message if value is not None}
        )
    return conversations


def test_real_conversations_are_archived_and_restored_as_the_file_has_them(
    connection: psycopg.Connection,
) -> None:
    with gzip.open(Path(str(FILE)), "rt", encoding="utf-8") as lines:
        conversations = {uuid4(): json.loads(line) for line in lines}
    message_counts = {
        session_id: len(conversation["messages"])
        for session_id, conversation in conversations.items()
    }
    assert len(conversations) >= 1000
    store(connection, conversations)
    rows = live(connection)

    answers = archive_many(connection, conversations)

    assert {key: row.message_count for key, row in answers.items()} == message_counts
    assert live(connection) == []
    assert archived(connection) == rows
    assert stored(connection, *ARCHIVE) == conversations

    restored = connection.execute(
        """
        SELECT count(*), sum(restored.message_count), bool_and(restored.newly_restored)
        FROM engine_chat_session_archive AS archive
        CROSS JOIN LATERAL restore_session(archive.id) AS restored
        """
    ).fetchone()

    assert restored == (len(conversations), sum(message_counts.values()), True)
    assert archived(connection) == []
    assert live(connection) == rows
    assert stored(connection, *LIVE) == conversations
