"""Parameters mean what callers mean, and one that a call does not have is refused."""

import httpx
import psycopg
import pytest

from tests.support import new_session
from tests.support.http import SESSIONS, UNKNOWN, archive, problem
from tests.support.retention import session_of_age

ARCHIVE = f"{SESSIONS}/archive"


def ids(answer: httpx.Response) -> set[str]:
    assert answer.status_code == 200, answer.text
    return {session["id"] for session in answer.json()["sessions"]}


@pytest.mark.parametrize("path", [SESSIONS, ARCHIVE])
def test_an_empty_parameter_is_no_condition(
    client: httpx.Client, connection: psycopg.Connection, path: str
) -> None:
    session_id = new_session(connection)
    if path == ARCHIVE:
        archive(client, session_id)
    described = client.get("/openapi.json").json()["paths"][path]["get"]["parameters"]

    for parameter in described:
        assert ids(client.get(path, params={parameter["name"]: ""})) == {str(session_id)}
    everything = {parameter["name"]: "" for parameter in described}
    assert ids(client.get(path, params=everything)) == {str(session_id)}


def test_an_empty_parameter_of_a_change_is_its_default(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    session_of_age(connection, "31 days")

    counted = client.post(f"{SESSIONS}/cleanup?days=&dry_run=").json()

    assert (counted["pruned_count"], counted["dry_run"]) == (1, True)


@pytest.mark.parametrize(
    ("method", "path", "query", "hint"),
    [
        ("GET", SESSIONS, "agent=aria", "did you mean agent_id?"),
        ("GET", SESSIONS, "limt=", "did you mean limit?"),
        ("GET", SESSIONS, "archived_from=2024-01-01", "there are agent_id"),
        ("GET", ARCHIVE, "xyz=1", "there are agent_id"),
        ("GET", f"{SESSIONS}/archived", "agentid=x", "did you mean agent_id?"),
        ("GET", f"{SESSIONS}/{UNKNOWN}", "limit=1", "this call has none"),
        (
            "GET",
            f"{SESSIONS}/{UNKNOWN}/messages",
            "search=x",
            "there are limit, offset, role, since",
        ),
        ("GET", f"{SESSIONS}/stats", "agent_id=x", "this call has none"),
        ("POST", f"{SESSIONS}/{UNKNOWN}/archive", "dry_run=true", "this call has none"),
        ("POST", f"{SESSIONS}/cleanup", "day=30", "did you mean days?"),
        ("DELETE", f"{SESSIONS}/ghosts", "older_than=1", "did you mean older_than_minutes?"),
    ],
)
def test_an_unknown_parameter_is_refused_with_the_nearest_name(
    client: httpx.Client, method: str, path: str, query: str, hint: str
) -> None:
    refused = problem(client.request(method, f"{path}?{query}"), 422)

    name = query.partition("=")[0]
    assert refused["detail"].startswith(f"query.{name}: there is no such parameter")
    assert hint in refused["detail"]
    (error,) = refused["errors"]
    assert (error["loc"], error["type"]) == (["query", name], "unknown_parameter")


def test_a_limit_goes_from_nothing_to_500_and_has_the_default_of_the_call(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection, 3)
    messages = f"{SESSIONS}/{session_id}/messages"

    none = client.get(SESSIONS, params={"limit": 0}).json()
    assert (none["sessions"], none["total"], none["has_more"]) == ([], 1, False)
    none = client.get(messages, params={"limit": 0}).json()
    assert (none["messages"], none["has_more"]) == ([], True)
    for path, default in ((SESSIONS, 20), (ARCHIVE, 50), (messages, 100)):
        assert client.get(path).json()["limit"] == default
        assert client.get(path, params={"limit": 500}).json()["limit"] == 500
        for wrong in (-1, 501):
            problem(client.get(path, params={"limit": wrong}), 422)


def test_an_unknown_order_is_the_default_one(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    listed = [
        str(session_of_age(connection, age, title=title))
        for age, title in (("1 hour", "b"), ("2 hours", "a"))
    ]

    for query in ({"sort": "nonsense"}, {"order": "nonsense"}, {"sort": "", "order": ""}):
        answer = client.get(SESSIONS, params=query)
        assert [session["id"] for session in answer.json()["sessions"]] == listed
    answer = client.get(SESSIONS, params={"sort": "title", "order": "asc"})
    assert [session["id"] for session in answer.json()["sessions"]] == listed[::-1]


def test_lists_are_filtered_by_types_status_messages_and_the_time_of_the_archiving(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    chat, cron, swarm = (
        str(new_session(connection, session_type=kind, status=status, message_count=count))
        for kind, status, count in (
            ("chat", "active", 2),
            ("cron", "ended", 0),
            ("swarm", "active", None),
        )
    )

    assert ids(client.get(f"{SESSIONS}?exclude_agent_sessions=true")) == {chat}
    assert ids(client.get(f"{SESSIONS}?exclude_types=cron, chat")) == {swarm}
    assert ids(client.get(f"{SESSIONS}?status=ended")) == {cron}
    assert ids(client.get(f"{SESSIONS}?message_count_max=0")) == {cron, swarm}
    assert ids(client.get(f"{SESSIONS}?message_count_min=2")) == {chat}
    archive(client, chat)
    today = client.get(ARCHIVE).json()["sessions"][0]["archived_at"][:10]
    assert ids(client.get(f"{ARCHIVE}?archived_from={today}&archived_to={today}")) == {chat}
    assert ids(client.get(f"{ARCHIVE}?archived_to=2024-01-01")) == set()
    assert ids(client.get(f"{ARCHIVE}?message_count_max=0")) == set()


def test_a_transcript_is_read_since_a_time_and_by_speaker(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection, 4)
    path = f"{SESSIONS}/{session_id}/messages"
    messages = client.get(path).json()["messages"]

    since = {"since": messages[1]["created_at"]}
    assert client.get(path, params=since).json()["messages"] == messages[2:]
    both = {**since, "role": "user"}
    assert client.get(path, params=both).json()["messages"] == messages[2:3]
    problem(client.get(path, params={"since": "yesterday"}), 422)
    archive(client, session_id)
    archived = client.get(f"{ARCHIVE}/{session_id}/messages", params=both).json()["messages"]
    assert [message["id"] for message in archived] == [messages[2]["id"]]
