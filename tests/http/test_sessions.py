"""The routes of live sessions and of the lists."""

import uuid
from typing import Any

import httpx
import psycopg
import pytest

from aria_db import models
from aria_db.database import Database
from tests.support import new_session, set_for_database
from tests.support.http import (
    ROUTES_OF_ONE_SESSION,
    SESSIONS,
    UNKNOWN,
    archive,
    create,
    problem,
    running,
)


def _ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [session["id"] for session in answer.json()["sessions"]]


def test_a_session_is_created_with_what_was_sent(client: httpx.Client) -> None:
    sent = {
        "agent_id": "other",
        "session_type": "roundtable",
        "title": "a title 🜁",
        "system_prompt": "be kind",
        "model": "a-model",
        "temperature": 0.25,
        "max_tokens": 100,
        "context_window": 7,
        "metadata": {"deep": [{"er": None}], "n": 1.5},
    }

    created = client.post(SESSIONS, json=sent)

    assert created.status_code == 201
    session = created.json()
    assert session | sent == session
    assert session["status"] == "active"
    detail = client.get(f"{SESSIONS}/{session['id']}").json()
    assert detail == {**session, "last_message_at": None, "recent_messages": []}


def test_a_session_without_anything_gets_the_defaults_of_the_table(client: httpx.Client) -> None:
    session = client.post(SESSIONS, json={}).json()

    assert (session["agent_id"], session["session_type"]) == ("aria", "interactive")
    assert (session["temperature"], session["max_tokens"], session["context_window"]) == (
        0.7,
        4096,
        50,
    )
    assert session["metadata"] == {}
    assert session["title"] is None


def test_null_is_stored_as_null_and_not_as_the_default(client: httpx.Client) -> None:
    nulls = {"temperature": None, "max_tokens": None, "context_window": None}

    session = client.post(SESSIONS, json=nulls).json()

    assert session | nulls == session


@pytest.mark.parametrize("name", ["", "/archive"])
def test_a_listed_session_has_every_column(client: httpx.Client, name: str) -> None:
    session_id = create(client, messages=1)
    if name:
        archive(client, session_id)

    [session] = client.get(SESSIONS + name).json()["sessions"]
    [message] = client.get(f"{SESSIONS}{name}/{session_id}/messages").json()["messages"]

    archived = {"archived_at"} if name else set()
    more = {"session_id", "last_message_at", *archived}
    assert set(session) == {*models.EngineChatSession.__table__.columns.keys(), *more}
    assert session["session_id"] == session["id"]
    assert session["last_message_at"] == message["created_at"]
    assert set(message) == {*models.EngineChatMessage.__table__.columns.keys(), *archived}
    detail = client.get(f"{SESSIONS}{name}/{session_id}").json()
    assert detail == {**session, "recent_messages": [message]}


def test_a_message_is_added_with_what_was_sent_and_counted(client: httpx.Client) -> None:
    session_id = create(client)
    sent = {
        "role": "assistant",
        "content": "",
        "agent_id": "aria",
        "thinking": "hm\r\n\t",
        "tool_calls": [{"name": "f", "arguments": '{"a": 1}'}],
        "tool_results": "a string is JSON too",
        "model": "a-model",
        "tokens_input": 3,
        "tokens_output": 4,
        "cost": 1234.567891,
        "latency_ms": 2**31 - 1,
        "metadata": {"k": "v"},
    }

    added = client.post(f"{SESSIONS}/{session_id}/messages", json=sent)

    assert added.status_code == 201
    message = added.json()
    assert message | sent == message
    assert message["session_id"] == session_id
    [read] = client.get(f"{SESSIONS}/{session_id}/messages").json()["messages"]
    assert read == message
    session = client.get(f"{SESSIONS}/{session_id}").json()
    assert (session["message_count"], session["total_tokens"], session["total_cost"]) == (
        1,
        7,
        1234.567891,
    )


def test_every_cost_that_the_column_holds_comes_back_with_all_its_digits(
    client: httpx.Client,
) -> None:
    session_id = create(client)
    costs = ["9999.999999", "-9999.999999", "0.000001", "1234.567890", "0.1"]
    for cost in costs:
        message = {"role": "user", "content": "", "cost": cost}
        client.post(f"{SESSIONS}/{session_id}/messages", json=message)

    messages = client.get(f"{SESSIONS}/{session_id}/messages").json()["messages"]

    assert [message["cost"] for message in messages] == list(map(float, costs))


def test_a_cost_with_more_digits_than_the_column_is_rounded(client: httpx.Client) -> None:
    message = {"role": "user", "content": "", "cost": 0.1 + 0.2}

    added = client.post(f"{SESSIONS}/{create(client)}/messages", json=message)

    assert added.json()["cost"] == 0.3


def test_a_transcript_comes_in_parts_that_join_without_gap(client: httpx.Client) -> None:
    session_id = create(client, messages=5)
    parts = [
        client.get(f"{SESSIONS}/{session_id}/messages", params={"limit": 2, "offset": offset})
        for offset in (0, 2, 4, 6)
    ]

    contents = [[message["content"] for message in part.json()["messages"]] for part in parts]

    assert contents == [["message 1", "message 2"], ["message 3", "message 4"], ["message 5"], []]
    assert [part.json()["has_more"] for part in parts] == [True, True, False, False]


def test_the_list_comes_in_parts_that_join_without_gap(client: httpx.Client) -> None:
    ids = [create(client, title=str(number)) for number in range(5)]
    query: dict[str, Any] = {"limit": 2, "sort": "title", "order": "asc"}
    parts = [client.get(SESSIONS, params={**query, "offset": offset}) for offset in (0, 2, 4, 6)]

    assert [_ids(part) for part in parts] == [ids[:2], ids[2:4], ids[4:], []]
    assert [part.json()["has_more"] for part in parts] == [True, True, False, False]
    assert {part.json()["total"] for part in parts} == {5}
    assert set(parts[0].json()) == {
        "sessions",
        "total",
        "total_is_estimate",
        "limit",
        "offset",
        "has_more",
        "next_cursor",
    }


@pytest.mark.parametrize("path", [SESSIONS, f"{SESSIONS}/archive", f"{SESSIONS}/{{}}/messages"])
def test_the_greatest_offset_is_answered_with_an_empty_part(
    client: httpx.Client, path: str
) -> None:
    answer = client.get(path.format(create(client)), params={"limit": 500, "offset": 2**63 - 1})

    assert answer.status_code == 200
    assert answer.json().get("sessions", answer.json().get("messages")) == []
    assert not answer.json()["has_more"]


def test_the_list_is_sorted_as_asked(client: httpx.Client, connection: psycopg.Connection) -> None:
    rows = {"b": ("2024-01-01", "2024-02-03"), "a": ("2024-01-02", "2024-02-02")}
    ids = {
        title: str(
            new_session(connection, title=title, created_at=created_at, updated_at=updated_at)
        )
        for title, (created_at, updated_at) in rows.items()
    }
    orders = {
        ("title", "asc"): "ab",
        ("title", "desc"): "ba",
        ("created_at", "asc"): "ba",
        ("created_at", "desc"): "ab",
        ("updated_at", "asc"): "ab",
        ("updated_at", "desc"): "ba",
    }
    for (sort, order), titles in orders.items():
        listed = client.get(SESSIONS, params={"sort": sort, "order": order})
        assert _ids(listed) == [ids[title] for title in titles], (sort, order)


FILTERS = [
    ({}, "first second"),
    ({"agent_id": "aria"}, "first"),
    ({"agent_id": "nobody"}, ""),
    ({"session_type": "cron"}, "second"),
    ({"session_type": "cron", "agent_id": "aria"}, ""),
    ({"search": "FIRST"}, "first"),
    ({"search": "message 1"}, "second"),  # in a message, not in the title
    ({"search": "%"}, ""),
    ({"search": "' OR true --"}, ""),
    ({"search": ""}, "first second"),
    ({"date_from": "2024-01-02T00:00:00Z"}, "second"),
    ({"date_from": "2024-01-02"}, "second"),  # without an offset: UTC
    ({"date_from": "2024-01-02T01:00:00+01:00"}, "second"),
    ({"date_from": "2024-01-02T00:00:00.000001"}, ""),
    ({"date_to": "2024-01-02T00:00:00Z"}, "first"),
    ({"date_to": "2024-01-01"}, "first"),  # the day is included
    ({"date_to": "2024-01-02T00:00:00.000001"}, "first second"),
    ({"date_from": "2024-01-01", "date_to": "2024-01-01"}, "first"),
    ({"date_from": "2024-01-01", "date_to": "2024-01-02"}, "first second"),
    ({"date_from": "0001-01-01T00:00:00+14:00"}, "first second"),
    ({"date_to": "9999-12-31T23:59:59-14:00"}, "first second"),
]


@pytest.mark.parametrize("path", [SESSIONS, f"{SESSIONS}/archive"])
def test_a_list_is_filtered(database: Database, connection: psycopg.Connection, path: str) -> None:
    # Times without an offset are UTC, and not of the database's zone.
    set_for_database(connection, "timezone = 'America/Caracas'")
    first = new_session(connection, 0, title="first", created_at="2024-01-01 00:00+00")
    second = new_session(
        connection,
        1,
        title="second",
        agent_id="other",
        session_type="cron",
        created_at="2024-01-02 00:00+00",
    )
    with running(database) as client:
        if path != SESSIONS:
            for session_id in (first, second):
                assert archive(client, session_id).status_code == 200
        for query, expected in FILTERS:
            answer = client.get(path, params=query)
            assert answer.status_code == 200, answer.text
            titles = [session["title"] for session in answer.json()["sessions"]]
            assert sorted(titles) == expected.split(), query
            assert answer.json()["total"] == len(titles)


def test_a_soft_deleted_session_is_not_in_the_list(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    soft_deleted = new_session(connection, status="archived")
    live = new_session(connection)

    assert _ids(client.get(SESSIONS)) == [str(live)]
    assert client.get(f"{SESSIONS}/{soft_deleted}").json()["status"] == "archived"


def test_ending_a_session_twice_keeps_the_first_time(client: httpx.Client) -> None:
    session_id = create(client)

    first, second = (client.post(f"{SESSIONS}/{session_id}/end") for _ in range(2))

    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()
    assert set(first.json()) == {"status", "session_id", "ended_at"}
    session = client.get(f"{SESSIONS}/{session_id}").json()
    assert (session["status"], session["ended_at"]) == ("ended", first.json()["ended_at"])


def test_a_deleted_session_is_nowhere(client: httpx.Client) -> None:
    session_id = create(client, messages=1)

    deleted = client.delete(f"{SESSIONS}/{session_id}")

    assert deleted.status_code == 200
    assert deleted.json() == {"status": "deleted", "session_id": session_id, "message_count": 1}
    problem(client.get(f"{SESSIONS}/{session_id}"), 404)
    problem(client.get(f"{SESSIONS}/archive/{session_id}"), 404)
    problem(client.delete(f"{SESSIONS}/{session_id}"), 404)


def test_an_archived_session_cannot_be_deleted_ended_or_written_to(client: httpx.Client) -> None:
    session_id = create(client, messages=1)
    archive(client, session_id)
    one = f"{SESSIONS}/{session_id}"

    problem(client.delete(one), 404)
    problem(client.post(f"{one}/end"), 404)
    problem(client.post(f"{one}/messages", json={"role": "user", "content": ""}), 404)

    assert client.get(f"{SESSIONS}/archive/{session_id}").status_code == 200


def test_stats_count_what_there_is(client: httpx.Client, connection: psycopg.Connection) -> None:
    create(client, messages=2)
    create(client, session_type="cron")
    new_session(connection, 4, status="archived")
    archive(client, create(client, messages=3))
    sessions = client.get(SESSIONS).json()["sessions"]

    assert client.get(f"{SESSIONS}/stats").json() == {
        "live_sessions": 2,
        "soft_deleted_sessions": 1,
        "archived_sessions": 1,
        "live_messages": 6,
        "archived_messages": 3,
        "by_type": {"interactive": 1, "cron": 1},
        "by_status": {"active": 2, "archived": 1},
        "total_sessions": 2,
        "total_messages": 6,
        "active_sessions": 2,
        "active_agents": 1,
        "ghost_sessions": 1,
        "oldest_session": sessions[-1]["created_at"],
        "newest_activity": sessions[0]["updated_at"],
    }


def test_an_unknown_session_is_404_on_every_route(client: httpx.Client) -> None:
    for method, path in ROUTES_OF_ONE_SESSION:
        message = {"role": "user", "content": ""}
        answer = client.request(method, path.format(UNKNOWN), json=message)
        detail = problem(answer, 404)["detail"]
        assert detail == f"Session {UNKNOWN} not found", (method, path)


def test_ids_are_taken_in_every_form_of_a_uuid(client: httpx.Client) -> None:
    session_id = uuid.UUID(create(client))

    for form in (str(session_id).upper(), session_id.hex, session_id.urn):
        assert client.get(f"{SESSIONS}/{form}").json()["id"] == str(session_id)


def test_the_list_answers_with_and_without_a_trailing_slash_and_never_redirects(
    client: httpx.Client,
) -> None:
    session_id = create(client)
    archived_id = create(client)
    archive(client, archived_id)

    for slash in ("", "/"):
        assert _ids(client.get(SESSIONS + slash)) == [session_id]
        assert _ids(client.get(f"{SESSIONS}/archive{slash}")) == [archived_id]
        assert client.get(f"{SESSIONS}/{session_id}{slash}").status_code == 200
        assert client.get(f"/health{slash}").status_code == 200
    assert client.post(f"{SESSIONS}/", json={}).status_code == 201
