"""Rows that other programs wrote, with values that JSON or Python cannot carry."""

import json
from typing import Any

import httpx
import psycopg
import pytest

from aria_db.database import Database
from tests.support import new_session, places, set_for_database
from tests.support.http import SESSIONS, archive, running

SATURATED = {
    "infinity": "9999-12-31T23:59:59.999999Z",
    "-infinity": "0001-01-01T00:00:00Z",
    "294276-12-31 23:59:59+00": "9999-12-31T23:59:59.999999Z",
    "10000-01-01 00:00:00+00": "9999-12-31T23:59:59.999999Z",
    # One day from the edge, which lies elsewhere in another time zone.
    "9999-12-30 23:59:59.999999+00": "9999-12-30T23:59:59.999999Z",
    "0001-01-02 00:00:00+00": "0001-01-02T00:00:00Z",
    "0001-12-31 23:59:59+00 BC": "0001-01-01T00:00:00Z",
    "4713-01-01 00:00:00+00 BC": "0001-01-01T00:00:00Z",
    "1800-01-01 00:00:00+00": "1800-01-01T00:00:00Z",
}


def _rows(client: httpx.Client, session_id: object) -> list[dict[str, Any]]:
    """Return the session from its list, and from its own path, live and then archived."""
    rows = []
    for path in (SESSIONS, f"{SESSIONS}/archive"):
        for answer in (client.get(path), client.get(f"{path}/{session_id}")):
            assert answer.status_code == 200, answer.text
        rows += [answer.json(), *client.get(path).json()["sessions"]]
        archive(client, session_id)
    return rows


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "Europe/Berlin"])
def test_a_time_outside_pythons_years_is_given_as_the_nearest_inside(
    database: Database, connection: psycopg.Connection, zone: str
) -> None:
    set_for_database(connection, f"timezone = '{zone}'")
    with running(database) as client:
        for written, given in SATURATED.items():
            session_id = new_session(connection, created_at=written, ended_at=written)
            connection.execute("UPDATE engine_chat_messages SET created_at = %s", (written,))
            for row in _rows(client, session_id):
                assert (row["created_at"], row["ended_at"]) == (given, given), written
            messages = client.get(f"{SESSIONS}/archive/{session_id}/messages").json()["messages"]
            assert {message["created_at"] for message in messages} == {given}, written
            connection.execute("DELETE FROM engine_chat_session_archive")


@pytest.mark.parametrize("updated_at", ["infinity", "294276-12-31 23:59:59+00"])
def test_a_session_that_is_never_due_in_the_years_there_are_is_archived_and_restored(
    client: httpx.Client, connection: psycopg.Connection, updated_at: str
) -> None:
    session_id = new_session(connection, updated_at=updated_at)
    assert archive(client, session_id).status_code == 200

    restored = client.post(f"{SESSIONS}/{session_id}/restore")

    assert restored.status_code == 200, restored.text
    assert restored.json()["restored_at"] is not None
    assert restored.json()["due_from"] is None
    assert places(connection, session_id) == (1, 3, 0, 0)
    # Nor does it keep the archive from being looked at.
    assert client.get("/health").json()["archive"] == "ok"


def test_a_number_that_is_not_finite_is_given_as_a_string(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    for number in ("NaN", "Infinity", "-Infinity"):
        session_id = new_session(connection, 1, temperature=number, total_cost="NaN")
        connection.execute("UPDATE engine_chat_messages SET cost = 'NaN'")
        for row in _rows(client, session_id):
            assert (row["temperature"], row["total_cost"]) == (number, "NaN")
        [message] = client.get(f"{SESSIONS}/archive/{session_id}/messages").json()["messages"]
        assert message["cost"] == "NaN"
        connection.execute("DELETE FROM engine_chat_session_archive")


def _nested(depth: int) -> str:
    return '{"k": ' * depth + "1" + "}" * depth


READABLE = [
    "[1, null]",
    '"text"',
    "null",
    "false",
    '{"": {"": ""}}',
    '{"🜁\U0010ffff": "\\\\ \\n"}',
    f'{{"n": {10**400}}}',
    _nested(100),
]
UNREADABLE = [
    _nested(101),
    _nested(2000),
    f'{{"n": {10**400}.5}}',
    f'{{"n": {"9" * 5000}}}',
]


def test_json_that_others_wrote_is_given_or_else_its_text(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    given = {written: json.loads(written) for written in READABLE} | {
        written: written for written in UNREADABLE
    }
    for written in given:
        session_id = new_session(connection, 1, metadata=written)
        connection.execute(
            "UPDATE engine_chat_messages SET metadata = %(json)s, tool_calls = %(json)s",
            {"json": written},
        )
        for row in _rows(client, session_id):
            assert row["metadata"] == given[written]
        [message] = client.get(f"{SESSIONS}/archive/{session_id}/messages").json()["messages"]
        assert message["metadata"] == message["tool_calls"] == given[written]
        connection.execute("DELETE FROM engine_chat_session_archive")


def test_nulls_in_every_column_that_may_be_null_are_given_as_null(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection, 1)
    for table in ("engine_chat_sessions", "engine_chat_messages"):
        columns = connection.execute(
            """
            SELECT string_agg(format('%%I = NULL', attname), ', ') FROM pg_attribute
            WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attnotnull
            """,
            (table,),
        ).fetchone()
        assert columns is not None
        connection.execute(f"UPDATE {table} SET {columns[0]}")

    for row in _rows(client, session_id):
        empty = {"title", "temperature", "total_cost", "metadata", "created_at", "updated_at"}
        assert {row[name] for name in empty} == {None}


def test_five_megabytes_of_text_come_back_as_they_were_sent(client: httpx.Client) -> None:
    text = "é🜁\U0010ffff\x01\x7f \\u0000 " * 350_000
    assert len(text.encode()) > 5_000_000
    session_id = client.post(SESSIONS, json={"system_prompt": text}).json()["id"]
    for columns in ({"content": text}, {"content": "", "metadata": {"k": text}}):
        client.post(f"{SESSIONS}/{session_id}/messages", json={"role": "user", **columns})

    archive(client, session_id)

    path = f"{SESSIONS}/archive/{session_id}"
    assert client.get(path).json()["system_prompt"] == text
    first, second = client.get(f"{path}/messages").json()["messages"]
    assert first["content"] == text
    assert second["metadata"] == {"k": text}
