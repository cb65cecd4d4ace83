"""Archive moves every value as it is, and archive then restore is the identity."""

import base64
import json
import random
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from tests.support import new_session, places
from tests.support.layouts import BOTH_LAYOUTS
from tests.support.rows import ARCHIVE, LIVE, archive, archived, images, live, restore

# By type, in SQL: the ends of the range, what has no order, and what looks like something else.
VALUES = {
    "text": ["''", "' '", "E'\\t\\r\\n'", "'NULL'", "'\\N'", "repeat('x ', 500000)", "NULL"],
    "character varying": ["''", "' trailing  '", "'NULL'", "repeat('\U0001f600', 20)", "NULL"],
    "double precision": [
        *("'-0'", "'0'", "'NaN'", "'Infinity'", "'-Infinity'", "5e-324"),
        *("1.7976931348623157e308", "0.1", "NULL"),
    ],
    "integer": ["-2147483648", "2147483647", "0", "NULL"],
    "numeric": ["'NaN'", "9999.999999", "-9999.999999", "0.000001", "-0.000001", "0", "NULL"],
    "jsonb": [
        *("'null'", "'{}'", "'[]'", "'\"\"'", "'0'", "'1.0'", "'1.00'", "'-0.0'", "'true'", "NULL"),
        # as a key and as a value: case, composition and type tell them apart
        """'{"a": 1, "A": "1", "é": 1, "e\u0301": 1, "1": 1, "01": 1, "": 1, " ": null}'""",
        """'[1, "1", 1.0, 1.00, 1e2, 100, true, "true", null, "null", [null], {}, [], [[]]]'""",
        """'{"a": {"a": {"a": [{"a": 1, "A": {"a": 2}}, {"A": 1}]}}}'""",
        """'{"n": 123456789012345678901234567890.123456789012345678901234567890, "e": 1e400}'""",
        "(repeat('[', 2000) || repeat(']', 2000))::jsonb",
    ],
    "timestamp with time zone": [
        *("'infinity'", "'-infinity'", "'4713-01-01 BC'", "'294276-12-31 23:59:59.999999 UTC'"),
        *("'2024-10-27 02:30:00.000001+01'", "'epoch'", "NULL"),
    ],
}


def insert(connection: psycopg.Connection, table: str, **values: Any) -> None:
    connection.execute(
        sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join(sql.Placeholder() * len(values)),
        ),
        list(values.values()),
    )


def assert_there_and_back(connection: psycopg.Connection) -> None:
    """Archive all there is and restore it; no row may differ in one bit in either place."""
    before = live(connection)
    session_ids = {row.session_id for row in before}

    for session_id in session_ids:
        archive(connection, session_id)
    assert archived(connection) == before
    assert live(connection) == []

    for session_id in session_ids:
        restore(connection, session_id)
    assert live(connection) == before
    assert archived(connection) == []


@BOTH_LAYOUTS
@pytest.mark.parametrize("table", LIVE)
def test_every_column_keeps_every_value_of_its_type(
    connection: psycopg.Connection, table: str
) -> None:
    """A row for each column and each value that this column can hold."""
    session_id = new_session(connection, 0)
    columns = connection.execute(
        """
        SELECT column_name, data_type
        FROM information_schema.columns
        WHERE table_schema = current_schema() AND table_name = %s AND data_type <> 'uuid'
        """,
        [table],
    ).fetchall()
    assert {data_type for _, data_type in columns} <= VALUES.keys()
    row = "DEFAULT" if table == "engine_chat_sessions" else f"'{session_id}'"
    key = "id" if table == "engine_chat_sessions" else "session_id"
    required = {"role": "'user'", "content": "'said'"} if table == "engine_chat_messages" else {}
    for name, data_type in columns:
        for value in VALUES[data_type]:
            values = {key: row, **required, name: value}
            names, literals = ", ".join(values), ", ".join(values.values())
            try:
                connection.execute(f"INSERT INTO {table} ({names}) VALUES ({literals})")
            except psycopg.errors.NotNullViolation:
                assert value == "NULL"

    assert len(live(connection)) > 50
    assert_there_and_back(connection)


def test_every_character_of_every_unicode_plane_is_kept(connection: psycopg.Connection) -> None:
    """Noncharacters, combining marks, right-to-left and unassigned ones; PostgreSQL has no NUL."""
    planes = []
    for plane in range(17):
        codes = range(plane << 16, (plane + 1) << 16)
        planes.append("".join(chr(c) for c in codes if c != 0 and not 0xD800 <= c <= 0xDFFF))
    for characters in planes:
        session_id = new_session(
            connection,
            0,
            title=characters[-500:],
            system_prompt=characters,
            metadata=json.dumps({characters[:1000]: characters}),
        )
        insert(
            connection,
            "engine_chat_messages",
            session_id=session_id,
            role=characters[:20],
            content=characters,
            tool_calls=json.dumps([characters, characters[::-1]], ensure_ascii=False),
        )

    assert_there_and_back(connection)
    stored = connection.execute("SELECT content FROM engine_chat_messages").fetchall()
    assert sorted(content for (content,) in stored) == planes


@pytest.mark.slow
@pytest.mark.parametrize("storage", ["EXTENDED", "EXTERNAL", "MAIN"])
def test_five_megabytes_are_kept_however_they_are_stored(
    connection: psycopg.Connection, storage: str
) -> None:
    """Text that compresses and text that does not, in the row or beside it."""
    connection.execute(
        f"ALTER TABLE engine_chat_messages ALTER COLUMN content SET STORAGE {storage}"
    )
    random_text = base64.b64encode(random.Random(5).randbytes(5 * 2**20 * 3 // 4)).decode()
    session_id = new_session(connection, 0, system_prompt=random_text)
    for content in (random_text, "ten bytes " * (5 * 2**20 // 10)):
        insert(
            connection,
            "engine_chat_messages",
            session_id=session_id,
            role="user",
            content=content,
            thinking=content[::-1],
            metadata=json.dumps({"text": content}),
        )

    assert_there_and_back(connection)


@pytest.mark.parametrize("messages", [0, 10_000])
def test_a_session_keeps_its_messages_however_many(
    connection: psycopg.Connection, messages: int
) -> None:
    session_id = new_session(connection, messages)

    assert_there_and_back(connection)

    assert archive(connection, session_id).message_count == messages
    assert archive(connection, session_id).message_count == messages
    assert places(connection, session_id) == (0, 0, 1, messages)
    assert restore(connection, session_id).message_count == messages


def test_message_ids_need_be_unique_within_their_session_only(
    connection: psycopg.Connection,
) -> None:
    same = UUID(int=0)
    for _ in range(3):
        insert(
            connection,
            "engine_chat_messages",
            id=same,
            session_id=new_session(connection, 0),
            role="user",
            content="said",
        )

    assert_there_and_back(connection)


def test_a_hundred_round_trips_change_nothing(connection: psycopg.Connection) -> None:
    session_id = new_session(connection, 2)
    before = live(connection)
    for _ in range(100):
        archive(connection, session_id)
        restore(connection, session_id)

    assert live(connection) == before
    assert archived(connection) == []


def test_the_comparison_that_these_tests_rest_on_tells_look_alikes_apart(
    connection: psycopg.Connection,
) -> None:
    new_session(connection, 0)
    for one, other in (
        ("temperature = 0.0", "temperature = '-0'"),
        ("temperature = 0.1", "temperature = 0.1 + 2e-17"),
        ("""metadata = '{"a": 1.0}'""", """metadata = '{"a": 1.00}'"""),
        ("metadata = 'null'", "metadata = NULL"),
        ("title = NULL", "title = ''"),
        ("title = 'a'", "title = 'a '"),
        ("title = 'é'", "title = 'e\u0301'"),
        ("created_at = '2024-01-01'", "created_at = '2024-01-01 00:00:00.000001'"),
    ):
        seen = []
        for values in (one, other, one):
            connection.execute(f"UPDATE engine_chat_sessions SET {values}")
            seen.append(images(connection, "engine_chat_sessions"))
        assert seen[0] != seen[1], other
        assert seen[0] == seen[2], one


def test_the_archives_have_the_columns_that_these_tests_compare(
    connection: psycopg.Connection,
) -> None:
    """What is read from an archive is all it holds: archived_at and the live columns."""
    for live_table, archive_table in zip(LIVE, ARCHIVE, strict=True):
        names = [
            [column.name for column in connection.execute(f"TABLE {table}").description or ()]
            for table in (live_table, archive_table)
        ]
        assert names[1] == ["archived_at", *names[0]]
