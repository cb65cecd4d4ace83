"""Changing a session, and deleting those without a message, over HTTP."""

import httpx
import psycopg
import pytest

from tests.support import events, new_session, places
from tests.support.http import SESSIONS, UNKNOWN, archive, create, problem
from tests.support.retention import GONE, runs, session_of_age


def test_what_is_sent_of_a_session_is_changed_and_the_rest_stays(client: httpx.Client) -> None:
    session_id = create(client, title="a title", model="a-model", metadata={"a": 1})
    path = f"{SESSIONS}/{session_id}"
    before = client.get(path).json()

    changed = client.patch(path, json={"model": "another", "title": None})

    assert changed.status_code == 200
    session = changed.json()
    assert (session["title"], session["model"], session["metadata"]) == (None, "another", {"a": 1})
    assert session["status"] == "active"
    assert session["updated_at"] > before["updated_at"]
    titled = client.patch(f"{path}/title", json={"title": "a new title"})
    assert (titled.status_code, titled.json()["title"]) == (200, "a new title")
    assert client.patch(path, json={"metadata": {}}).json()["metadata"] == {}


@pytest.mark.parametrize(
    ("path", "body", "wrong"),
    [
        ("", {}, "give title, model or metadata"),
        ("", {"status": "archived"}, "status"),
        ("", {"title": "x" * 501}, "title"),
        ("", {"model": "x" * 201}, "model"),
        ("", {"title": "a\0"}, "title"),
        ("", {"metadata": None}, "metadata"),
        ("", {"metadata": [1]}, "metadata"),
        ("/title", {}, "title"),
        ("/title", {"model": "x"}, "title"),
    ],
)
def test_a_change_that_cannot_be_meant_is_refused(
    client: httpx.Client, path: str, body: dict[str, object], wrong: str
) -> None:
    session_id = create(client, title="a title")
    before = client.get(f"{SESSIONS}/{session_id}").json()

    refused = problem(client.patch(f"{SESSIONS}/{session_id}{path}", json=body), 422)

    assert wrong in refused["detail"]
    assert client.get(f"{SESSIONS}/{session_id}").json() == before


def test_only_a_session_of_the_main_list_is_changed(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    archived, soft_deleted = new_session(connection), new_session(connection, status="archived")
    archive(client, archived)

    for session_id in (archived, soft_deleted, UNKNOWN):
        for path in ("", "/title"):
            changed = client.patch(f"{SESSIONS}/{session_id}{path}", json={"title": "another"})
            assert problem(changed, 404)["detail"] == f"Session {session_id} not found"


def test_sessions_without_a_message_are_counted_and_deleted(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    ghost, young = (session_of_age(connection, age, 0) for age in ("16 minutes", "14 minutes"))
    chat = session_of_age(connection, "16 minutes")
    ghosts = f"{SESSIONS}/ghosts"

    counted = client.delete(ghosts, params={"dry_run": True}).json()
    assert counted == {"deleted": 0, "ghosts": 1, "dry_run": True}
    assert places(connection, ghost) == (1, 0, 0, 0)

    done = client.delete(ghosts)

    assert done.status_code == 200
    assert done.json() == {"deleted": 1, "ghosts": 1, "dry_run": False}
    assert places(connection, ghost) == GONE
    assert places(connection, young) == (1, 0, 0, 0)
    assert places(connection, chat) == (1, 3, 0, 0)
    (run,) = runs(connection)
    assert (run.kind, run.sessions) == ("empty", 1)
    assert [event.event for event in events(connection, ghost)] == ["deleted"]
    assert client.delete(ghosts, params={"older_than_minutes": 13}).json()["deleted"] == 1


@pytest.mark.parametrize("minutes", ["0", "-1", "x", "525600001"])
def test_an_age_that_is_none_deletes_nothing(
    client: httpx.Client, connection: psycopg.Connection, minutes: str
) -> None:
    ghost = session_of_age(connection, "2 hours", 0)

    refused = client.delete(f"{SESSIONS}/ghosts", params={"older_than_minutes": minutes})

    assert "older_than_minutes" in problem(refused, 422)["detail"]
    assert places(connection, ghost) == (1, 0, 0, 0)


def test_the_cleanup_ends_the_zombies_first(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    zombie = session_of_age(connection, "3 hours", session_type="scoped")
    cleanup = f"{SESSIONS}/cleanup"

    assert client.post(cleanup).json()["zombies_closed"] == 1
    assert client.get(f"{SESSIONS}/{zombie}").json()["status"] == "active"
    assert client.post(cleanup, params={"dry_run": False}).json()["zombies_closed"] == 1

    session = client.get(f"{SESSIONS}/{zombie}").json()
    assert (session["status"], session["metadata"]) == ("ended", {"ended": True})


def test_the_agent_of_a_message_is_found_in_its_metadata(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection, 2)
    connection.execute(
        """
        UPDATE engine_chat_messages SET metadata = '{"agent_id": "scout"}'
        WHERE content = 'message 1'
        """
    )

    messages = client.get(f"{SESSIONS}/{session_id}/messages").json()["messages"]

    assert [message["agent_id"] for message in messages] == ["scout", None]
    detail = client.get(f"{SESSIONS}/{session_id}").json()
    assert detail["recent_messages"] == messages
