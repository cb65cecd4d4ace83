"""What callers of a deployed application send, and what they read of the answers.

A test per caller, on the application's own tables as well, at the path that its proxies send, with
the key in the header that they send.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import psycopg
import pytest

from aria_db.database import Database
from tests.support import new_session, places
from tests.support.http import running
from tests.support.layouts import BOTH_LAYOUTS
from tests.support.retention import GONE, session_of_age

pytestmark = BOTH_LAYOUTS

SESSIONS = "/engine/sessions"

Types = dict[str, type | tuple[type, ...]]
TIME = str
OPTIONAL_TIME = (str, type(None))
OPTIONAL_TEXT = (str, type(None))
LISTED: Types = {
    "id": str,
    "session_id": str,
    "title": OPTIONAL_TEXT,
    "agent_id": str,
    "session_type": str,
    "status": str,
    "message_count": int,
    "last_message_at": OPTIONAL_TIME,
    "updated_at": TIME,
    "created_at": TIME,
    "model": OPTIONAL_TEXT,
}


@pytest.fixture
def client(database: Database) -> Iterator[httpx.Client]:
    """A client as the callers are."""
    with running(database, "the-key") as client:
        client.headers["X-API-Key"] = "the-key"
        yield client


def check(found: dict[str, Any], types: Types) -> None:
    """Check that members are there, with values of these types; times have an offset."""
    for name, kind in types.items():
        assert isinstance(found[name], kind), (name, found[name])
        if name.endswith("_at") and found[name] is not None:
            assert datetime.fromisoformat(found[name]).tzinfo, name


def ok(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(answer: httpx.Response) -> list[str]:
    return [session["id"] for session in ok(answer)["sessions"]]


def test_chat_page_sidebar(client: httpx.Client, connection: psycopg.Connection) -> None:
    older, newer = (
        str(session_of_age(connection, age, 2, model="a-model")) for age in ("2 hours", "1 hour")
    )
    for kind in ("cron", "swarm", "subagent"):
        new_session(connection, session_type=kind)

    answer = client.get(
        f"{SESSIONS}?limit=200&sort=updated_at&order=desc&exclude_agent_sessions=true"
    )

    assert ids(answer) == [newer, older]
    for session in answer.json()["sessions"]:
        check(session, LISTED)
        assert session["session_id"] == session["id"]


def test_chat_page_open(client: httpx.Client, connection: psycopg.Connection) -> None:
    session_id = new_session(connection, 3, model="a-model")
    connection.execute("""UPDATE engine_chat_messages SET metadata = '{"agent_id": "scout"}'""")

    detail = ok(client.get(f"{SESSIONS}/{session_id}"))
    messages = ok(client.get(f"{SESSIONS}/{session_id}/messages?limit=200"))["messages"]
    since = {"since": messages[0]["created_at"]}
    later = ok(client.get(f"{SESSIONS}/{session_id}/messages", params=since))["messages"]

    check(detail, {"title": str, "agent_id": str, "model": str, "recent_messages": list})
    assert detail["recent_messages"] == messages
    assert later == messages[1:]
    for message in messages:
        check(message, {"role": str, "content": str, "thinking": OPTIONAL_TEXT, "agent_id": str})
        assert {"tool_calls", "model"} < set(message)
        assert message["agent_id"] == "scout"


def test_chat_page_model_and_title(client: httpx.Client, connection: psycopg.Connection) -> None:
    session_id = new_session(connection)

    both = client.patch(f"{SESSIONS}/{session_id}", json={"model": "a-model", "title": "one"})
    title = client.patch(f"{SESSIONS}/{session_id}/title", json={"title": "two"})

    for answer in (both, title):
        assert ok(answer)["status"] == "active"
    detail = ok(client.get(f"{SESSIONS}/{session_id}"))
    assert (detail["model"], detail["title"]) == ("a-model", "two")


def test_chat_page_buttons(client: httpx.Client, connection: psycopg.Connection) -> None:
    archived, deleted = new_session(connection), new_session(connection)

    assert ok(client.post(f"{SESSIONS}/{archived}/archive"))["status"] == "archived"
    assert ok(client.delete(f"{SESSIONS}/{deleted}"))["status"] == "deleted"

    assert ids(client.get(SESSIONS)) == []
    assert places(connection, archived) == (0, 0, 1, 3)
    assert places(connection, deleted) == GONE


def test_sessions_page(client: httpx.Client, connection: psycopg.Connection) -> None:
    ghost = session_of_age(connection, "1 hour", 0, message_count=0)
    new_session(connection, 1, message_count=1)

    counted = ok(client.get(f"{SESSIONS}?limit=0&message_count_max=0"))
    deleted = ok(client.delete(f"{SESSIONS}/ghosts?older_than_minutes=30"))

    assert (counted["total"], counted["sessions"]) == (1, [])
    assert deleted["deleted"] == 1
    assert places(connection, ghost) == GONE


def test_agents_page(client: httpx.Client, connection: psycopg.Connection) -> None:
    wanted = str(new_session(connection, agent_id="scout", message_count=3))
    new_session(connection, agent_id="another")

    answer = client.get(f"{SESSIONS}?agent_id=scout&limit=10")

    assert ids(answer) == [wanted]
    names = ("title", "session_type", "message_count", "status", "updated_at")
    check(answer.json()["sessions"][0], {name: LISTED[name] for name in names})


def test_skills(client: httpx.Client, connection: psycopg.Connection) -> None:
    ghost = session_of_age(connection, "1 hour", 0)
    archived, deleted = (str(new_session(connection, agent_id="scout")) for _ in range(2))

    listed = ok(client.get(SESSIONS))
    assert (listed["total"], listed["limit"], len(listed["sessions"])) == (3, 20, 3)
    assert ok(client.post(f"{SESSIONS}/{archived}/archive"))
    assert ok(client.delete(f"{SESSIONS}/{deleted}"))
    assert ok(client.delete(f"{SESSIONS}/ghosts"))["deleted"] == 1
    found = ok(client.get(f"{SESSIONS}/archived?limit=10&agent_id=scout"))

    assert [session["id"] for session in found["sessions"]] == [archived]
    assert found["total"] == 1
    check(found["sessions"][0], {**LISTED, "archived_at": TIME})
    assert ids(client.get(f"{SESSIONS}/archived?limit=10&agent_id=another")) == []
    assert places(connection, ghost) == GONE


def test_cron(client: httpx.Client, connection: psycopg.Connection) -> None:
    old = session_of_age(connection, "31 days")
    session_of_age(connection, "3 hours", session_type="scoped")

    done = ok(client.post(f"{SESSIONS}/cleanup?days=30&dry_run=false"))

    assert {name: done[name] for name in ("pruned_count", "archived_count")} == {
        "pruned_count": 1,
        "archived_count": 1,
    }
    assert (done["message_count"], done["zombies_closed"]) == (3, 1)
    assert places(connection, old) == (0, 0, 1, 3)


def test_statistics(client: httpx.Client, connection: psycopg.Connection) -> None:
    new_session(connection, 3, session_type="chat")
    new_session(connection, 1, session_type="cron", status="ended", agent_id="scout")

    found = ok(client.get(f"{SESSIONS}/stats"))

    assert (found["total_sessions"], found["total_messages"]) == (2, 4)
    assert (found["active_agents"], found["active_sessions"]) == (1, 1)
    assert found["by_type"] == {"chat": 1, "cron": 1}
    assert found["by_status"] == {"active": 1, "ended": 1}


def test_an_empty_parameter_is_no_condition_and_an_unknown_sort_the_default(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    session_id = str(new_session(connection))

    query = "agent_id=&session_type=&search=&date_from=&date_to=&sort=nonsense&order="
    assert ids(client.get(f"{SESSIONS}?{query}")) == [session_id]
