"""The undo of a run, the run log and the history of a session, over HTTP."""

import httpx
import psycopg
import pytest

from tests.support.http import SESSIONS, UNKNOWN, archive, create, problem
from tests.support.retention import ARCHIVED, LIVE, begin_run, old_sessions, prune, where


def test_a_run_is_listed_counted_and_undone(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    ids = old_sessions(connection, 3)
    client.post(f"{SESSIONS}/cleanup", params={"days": 30, "dry_run": False})
    (run,) = client.get(f"{SESSIONS}/runs").json()["runs"]
    assert (run["kind"], run["state"], run["sessions"]) == ("prune", "finished", 3)

    counted = client.post(f"{SESSIONS}/runs/{run['id']}/undo").json()
    assert where(connection, ids) == [ARCHIVED] * 3
    undone = client.post(f"{SESSIONS}/runs/{run['id']}/undo", params={"dry_run": False}).json()

    assert where(connection, ids) == [LIVE] * 3
    figures = {"sessions": 3, "messages": 9, "left_behind": 0, "conflicting": 0, "changed": 0}
    assert counted == {"dry_run": True, "run_id": None, **figures}
    newest = client.get(f"{SESSIONS}/runs", params={"limit": 1}).json()["runs"][0]
    assert undone == {"dry_run": False, "run_id": newest["id"], **figures}
    assert (newest["kind"], newest["arguments"]["run_id"]) == ("undo", run["id"])


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_run_that_is_running_or_unknown_is_not_undone(
    client: httpx.Client, connection: psycopg.Connection, dry_run: bool
) -> None:
    ids = old_sessions(connection, 1)
    run_id = begin_run(connection, "prune")
    prune(connection, run_id=run_id)

    def undo(number: int) -> httpx.Response:
        return client.post(f"{SESSIONS}/runs/{number}/undo", params={"dry_run": dry_run})

    refused = problem(undo(run_id), 409)
    assert (refused["code"], "still running" in refused["detail"]) == ("55000", True)
    assert problem(undo(999), 404)["detail"] == "there is no run 999"
    purge = begin_run(connection, "purge")
    assert "of the kind purge" in problem(undo(purge), 404)["detail"]
    problem(undo(0), 422)

    assert where(connection, ids) == [ARCHIVED]


def test_history_shows_what_happened_to_a_session_even_after_it_is_gone(
    client: httpx.Client,
) -> None:
    session_id = create(client, messages=2)
    path = f"{SESSIONS}/{session_id}/history"
    assert client.get(path).json() == {"session_id": session_id, "events": []}
    archive(client, session_id)
    client.put(f"{SESSIONS}/{session_id}/hold", json={"reason": "case 17"})
    client.delete(f"{SESSIONS}/{session_id}/hold")
    client.delete(f"{SESSIONS}/archive/{session_id}")

    events = client.get(path).json()["events"]

    assert [event["event"] for event in events] == ["archived", "held", "released", "deleted"]
    assert [event["message_count"] for event in events] == [2, None, None, 2]
    assert events[1]["detail"] == {"reason": "case 17"}
    problem(client.get(f"{SESSIONS}/{UNKNOWN}/history"), 404)
