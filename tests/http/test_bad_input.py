"""What the columns cannot hold is refused with 422 before anything happens, never a 500."""

import json
from typing import Any

import httpx
import psycopg
import pytest

from aria_db.validation import DEEPEST_JSON
from tests.support.http import (
    ROUTES_OF_ONE_SESSION,
    SESSIONS,
    UNKNOWN,
    archive,
    create,
    problem,
)

NUL = '"a\\u0000b"'
SURROGATE = '"\\ud83d"'


def _post(client: httpx.Client, path: str, body: str | bytes) -> httpx.Response:
    return client.post(path, content=body, headers={"Content-Type": "application/json"})


def _nested(depth: int) -> str:
    return "[" * depth + "]" * depth


BAD_VALUES = {
    "text": [NUL, SURROGATE, "1", "[]"],
    "integer": ["2147483648", "-2147483649", "1e10", "1.5", "NaN", "Infinity", '"x"', "9" * 4000],
    "float": ["NaN", "Infinity", "-Infinity", "1e309", '"x"', "[]"],
    "cost": ["10000", "-10000", "9999.9999995", "1e400", "NaN", "Infinity", '"NaN"', '"x"'],
    "json": [
        NUL,
        SURROGATE,
        "NaN",
        "[1e999]",
        '{"a": {"b": [-Infinity]}}',
        f"[{NUL}]",
        f"{{{NUL}: 1}}",
        f"{{{SURROGATE}: 1}}",
        _nested(DEEPEST_JSON + 1),
    ],
}
BAD_VALUES["object"] = ["1", '"x"', "[]", *(f'{{"k": {bad}}}' for bad in BAD_VALUES["json"])]
SESSION_FIELDS = {
    "agent_id": "text",
    "session_type": "text",
    "title": "text",
    "system_prompt": "text",
    "model": "text",
    "temperature": "float",
    "max_tokens": "integer",
    "context_window": "integer",
    "metadata": "object",
}
MESSAGE_FIELDS = {
    "agent_id": "text",
    "role": "text",
    "content": "text",
    "thinking": "text",
    "tool_calls": "json",
    "tool_results": "json",
    "model": "text",
    "tokens_input": "integer",
    "tokens_output": "integer",
    "cost": "cost",
    "latency_ms": "integer",
    "metadata": "object",
}
LONGEST = {"agent_id": 100, "session_type": 50, "title": 500, "model": 200, "role": 20}


def _bodies(fields: dict[str, str], required: dict[str, str]) -> list[tuple[str, str]]:
    """Return (field, body) for every bad value of every field."""
    bad = [(field, value) for field, kind in fields.items() for value in BAD_VALUES[kind]]
    bad += [(field, json.dumps("🜁" * (LONGEST[field] + 1))) for field in fields if field in LONGEST]
    bad += [(field, "null") for field in ("agent_id", "session_type") if not required]
    bad += [(field, "null") for field in required]
    bad += [("unknown", "1")]
    bodies = []
    for field, value in bad:
        members = (f'"{name}": {text}' for name, text in {**required, field: value}.items())
        bodies.append((field, "{" + ", ".join(members) + "}"))
    return bodies


@pytest.mark.parametrize(
    ("path", "fields", "required"),
    [
        (SESSIONS, SESSION_FIELDS, {}),
        (SESSIONS + "/{}/messages", MESSAGE_FIELDS, {"role": '"user"', "content": '""'}),
    ],
)
def test_a_value_that_its_column_cannot_hold_is_named_and_nothing_is_stored(
    client: httpx.Client,
    connection: psycopg.Connection,
    path: str,
    fields: dict[str, str],
    required: dict[str, str],
) -> None:
    session_id = create(client)

    for field, body in _bodies(fields, required):
        refused = problem(_post(client, path.format(session_id), body), 422)
        assert any(error["loc"][:2] == ["body", field] for error in refused["errors"]), body
        assert field in refused["detail"]

    counts = (
        "SELECT (SELECT count(*) FROM engine_chat_sessions), count(*) FROM engine_chat_messages"
    )
    assert connection.execute(counts).fetchone() == (1, 0)


def test_the_greatest_values_that_the_columns_hold_are_stored(client: httpx.Client) -> None:
    text = {field: "🜁" * length for field, length in LONGEST.items()}
    deep = json.loads(_nested(DEEPEST_JSON))
    most = {"max_tokens": 2**31 - 1, "context_window": -(2**31), "temperature": 1.7e308}
    session = {field: text[field] for field in ("agent_id", "session_type", "title", "model")}
    session |= most | {"metadata": {"k": deep[0], "n": 10**300}}

    stored = client.post(SESSIONS, json=session).json()

    assert stored | session == stored
    message: dict[str, Any] = {field: text[field] for field in ("agent_id", "role", "model")}
    message |= {"content": "\U0010ffff", "latency_ms": -(2**31), "tool_calls": deep}
    added = client.post(f"{SESSIONS}/{stored['id']}/messages", json=message).json()
    assert added | message == added
    archive(client, stored["id"])
    archived = client.get(f"{SESSIONS}/archive/{stored['id']}").json()
    assert archived | session == archived


def test_a_total_that_overflows_refuses_the_message(client: httpx.Client) -> None:
    session_id = create(client)
    for more in ({"tokens_input": 2**31 - 1}, {"cost": 9999.999999}):
        path, message = f"{SESSIONS}/{session_id}/messages", {"role": "user", "content": "", **more}
        assert client.post(path, json=message).status_code == 201
        refused = problem(client.post(path, json=message), 422)
        assert refused["code"] == "22003"

    assert client.get(f"{SESSIONS}/{session_id}").json()["message_count"] == 2


BAD_QUERIES = [
    "limit=501",
    "limit=-1",
    "limit=x",
    "limit=1.5",
    "offset=-1",
    "offset=9223372036854775808",
    "offset=" + "9" * 5000,
    "agent_id=%00",
    "session_type=a%00",
    "search=%00",
    "date_from=yesterday",
    "date_to=2024-02-30",
    "date_from=10000-01-01",
    "date_from=infinity",
    "date_from=1e400",
    "date_from=2024-01-03&date_to=2024-01-01",
    "date_from=2024-01-01T00:00:00&date_to=2024-01-01T00:30:00%2B01:00",
]


@pytest.mark.parametrize(
    ("path", "queries"),
    [
        (SESSIONS, BAD_QUERIES),
        (f"{SESSIONS}/archive", BAD_QUERIES),
        (f"{SESSIONS}/{UNKNOWN}/messages", BAD_QUERIES[:7]),
        (f"{SESSIONS}/archive/{UNKNOWN}/messages", BAD_QUERIES[:7]),
    ],
)
def test_a_query_out_of_range_is_refused(
    client: httpx.Client, path: str, queries: list[str]
) -> None:
    for query in queries:
        refused = problem(client.get(f"{path}?{query}"), 422)
        assert query.partition("=")[0] in refused["detail"]
        [error] = refused["errors"]
        assert set(error) == {"loc", "msg", "type"}


def test_bytes_that_are_no_utf8_in_a_query_are_no_error(client: httpx.Client) -> None:
    assert client.get(f"{SESSIONS}?search=%ff%fe%ed%a0%80").status_code == 200


def test_a_malformed_id_is_refused(client: httpx.Client) -> None:
    for method, path in ROUTES_OF_ONE_SESSION:
        for session_id in ("1", "x" * 36, "%00", "%ff", "0" * 31, "é"):
            message = {"role": "user", "content": ""}
            answer = client.request(method, path.format(session_id), json=message)
            assert "session_id" in problem(answer, 422)["detail"], (method, path, session_id)


def test_a_body_that_is_no_json_object_is_refused(client: httpx.Client) -> None:
    bodies = ["", "{", "null", "[]", "1", '"x"', '{"title": }', '{"a": "b" "c"}', "{} {}", "nan"]
    for body in bodies:
        problem(_post(client, SESSIONS, body), 422)


def test_a_body_that_cannot_be_read_is_refused(client: httpx.Client) -> None:
    bodies = [
        b'{"title": "\xff"}',
        b"\xff",
        b'{"metadata": {"k": %s}}' % (b"[" * 100_000),
        b'{"max_tokens": %s}' % (b"9" * 5000),
    ]
    for body in bodies:
        assert "body" in problem(_post(client, SESSIONS, body), 400)["detail"]


def test_a_body_that_is_not_sent_as_json_is_refused(client: httpx.Client) -> None:
    for path in (SESSIONS, f"{SESSIONS}/{create(client)}/messages"):
        for sent_as in ("text/plain", "application/x-www-form-urlencoded", "nonsense", None):
            headers = {} if sent_as is None else {"Content-Type": sent_as}
            problem(client.post(path, content='{"title": "a"}', headers=headers), 415)


def test_an_unknown_path_is_404_and_a_wrong_method_405(client: httpx.Client) -> None:
    for path in ("/", "/nothing", f"{SESSIONS}/archive/x/y", "/api", "/favicon.ico"):
        problem(client.get(path), 404)
    for method, path in [("PUT", SESSIONS), ("POST", "/health"), ("DELETE", SESSIONS)]:
        answer = client.request(method, path)
        problem(answer, 405)
        assert answer.headers["allow"]


def test_a_name_in_the_request_that_is_no_unicode_is_told_without_failing(
    client: httpx.Client,
) -> None:
    refused = problem(_post(client, SESSIONS, '{"\\ud800": 1}'), 422)

    assert refused["errors"]
