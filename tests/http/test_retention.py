"""Cleaning up, holds, and what /health says of the archive."""

from dataclasses import replace
from uuid import UUID

import httpx
import psycopg
import pytest

from aria_db.database import Database
from aria_db.http import health
from tests.support import new_session, places
from tests.support.dependents import CHAT, add_bookmark, refer_to_sessions
from tests.support.http import SESSIONS, UNKNOWN, archive, create, problem, running
from tests.support.retention import forbid, forbid_a_title

REASON = "asked for by the legal department"


def _old_session(connection: psycopg.Connection, messages: int = 3, days: int = 40) -> UUID:
    session_id = new_session(connection, messages)
    connection.execute(
        "UPDATE engine_chat_sessions SET updated_at = now() - make_interval(days => %s)"
        " WHERE id = %s",
        (days, session_id),
    )
    return session_id


def _cleanup(client: httpx.Client, **query: object) -> httpx.Response:
    return client.post(f"{SESSIONS}/cleanup", params=query)


def _hold(client: httpx.Client, session_id: object, **body: object) -> httpx.Response:
    return client.put(f"{SESSIONS}/{session_id}/hold", json=body or {"reason": REASON})


def _release(client: httpx.Client, session_id: object) -> httpx.Response:
    return client.delete(f"{SESSIONS}/{session_id}/hold")


# Cleaning up


def test_cleanup_only_counts_unless_it_is_told_otherwise(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    session_id = _old_session(connection)
    new_session(connection)

    for query in ({}, {"dry_run": "true"}, {"days": 30}):
        answer = _cleanup(client, **query)
        assert answer.status_code == 200
        assert answer.json() == {
            "pruned_count": 1,
            "archived_count": 0,
            "message_count": 3,
            "zombies_closed": 0,
            "dry_run": True,
        }
    assert places(connection, session_id) == (1, 3, 0, 0)


def test_cleanup_archives_what_the_dry_run_counted(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    session_id, recent = _old_session(connection), new_session(connection)
    counted = _cleanup(client).json()

    done = _cleanup(client, dry_run="false").json()

    assert done == {
        "pruned_count": counted["pruned_count"],
        "archived_count": 1,
        "message_count": counted["message_count"],
        "zombies_closed": 0,
        "dry_run": False,
    }
    assert places(connection, session_id) == (0, 0, 1, 3)
    assert places(connection, recent) == (1, 3, 0, 0)
    assert _cleanup(client, dry_run="false").json()["pruned_count"] == 0


def test_cleanup_takes_the_days_that_it_is_given(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    _old_session(connection, days=40)

    counts = {days: _cleanup(client, days=days).json()["pruned_count"] for days in (1, 39, 41)}
    assert counts == {1: 1, 39: 1, 41: 0}
    for dry_run in ("true", "false"):
        assert _cleanup(client, days=365_000, dry_run=dry_run).json()["pruned_count"] == 0


@pytest.mark.parametrize(
    "query",
    ["days=0", "days=-1", "days=365001", "days=1e9", "days=x", "dry_run=perhaps"],
)
def test_cleanup_refuses_what_cannot_be_meant(
    client: httpx.Client, connection: psycopg.Connection, query: str
) -> None:
    session_id = _old_session(connection)

    refused = problem(client.post(f"{SESSIONS}/cleanup?dry_run=false&{query}"), 422)

    assert query.partition("=")[0] in refused["detail"]
    assert places(connection, session_id) == (1, 3, 0, 0)


def test_cleanup_stops_for_no_held_session(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    held, other = _old_session(connection), _old_session(connection)
    _hold(client, held)

    assert _cleanup(client, dry_run="false").json()["archived_count"] == 1

    assert places(connection, held) == (1, 3, 0, 0)
    assert places(connection, other) == (0, 0, 1, 3)


def test_cleanup_leaves_an_old_session_that_was_just_restored(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    restored, other = _old_session(connection), _old_session(connection)
    archive(client, restored)
    assert client.post(f"{SESSIONS}/{restored}/restore").json()["restored_at"] is not None

    assert _cleanup(client).json()["pruned_count"] == 1
    assert _cleanup(client, dry_run="false").json()["archived_count"] == 1
    assert places(connection, restored) == (1, 3, 0, 0)
    assert places(connection, other) == (0, 0, 1, 3)

    connection.execute(
        "UPDATE engine_archive_event SET at = at - interval '31 days'"
        " WHERE session_id = %s AND event = 'restored'",
        (restored,),
    )
    assert _cleanup(client, dry_run="false").json()["archived_count"] == 1
    assert places(connection, restored) == (0, 0, 1, 3)


def test_cleanup_is_a_conflict_while_a_column_would_be_lost(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    session_id = _old_session(connection)
    connection.execute("ALTER TABLE engine_chat_messages ADD COLUMN mood text")

    assert problem(_cleanup(client, dry_run="false"), 409)["code"] == "AR002"
    assert places(connection, session_id) == (1, 3, 0, 0)


# Holds


def test_a_hold_says_why_by_whom_and_since_when(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    session_id = create(client)

    first = _hold(client, session_id)
    second = _hold(client, session_id, reason="another one")

    assert first.status_code == second.status_code == 200
    assert first.json() == {
        "session_id": session_id,
        "reason": REASON,
        "placed_by": connection.info.user,
        "placed_at": first.json()["placed_at"],
    }
    assert second.json() == first.json() | {"reason": "another one"}


def test_a_held_session_is_neither_deleted_nor_archived(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    session_id = create(client, messages=2)
    _hold(client, session_id)

    for answer in (client.delete(f"{SESSIONS}/{session_id}"), archive(client, session_id)):
        refused = problem(answer, 409)
        assert refused["code"] == "AR003"
        assert session_id in refused["detail"]
        assert REASON in refused["detail"]
        assert refused["hint"]
    assert places(connection, session_id) == (1, 2, 0, 0)


def test_a_held_session_is_not_deleted_from_the_archive(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    session_id = create(client, messages=2)
    archive(client, session_id)
    _hold(client, session_id)

    refused = problem(client.delete(f"{SESSIONS}/archive/{session_id}"), 409)

    assert refused["code"] == "AR003"
    assert session_id in refused["detail"]
    assert REASON in refused["detail"]
    assert refused["hint"].startswith("Nothing was deleted.")
    assert places(connection, UUID(session_id)) == (0, 0, 1, 2)


def test_a_released_session_can_be_archived_and_deleted(client: httpx.Client) -> None:
    archived, deleted, deleted_from_archive = create(client), create(client), create(client)
    archive(client, deleted_from_archive)
    for session_id in (archived, deleted, deleted_from_archive):
        _hold(client, session_id)
        answer = _release(client, session_id)
        assert answer.status_code == 200
        assert answer.json() == {"status": "released", "session_id": session_id}

    assert archive(client, archived).status_code == 200
    assert client.delete(f"{SESSIONS}/{deleted}").status_code == 200
    assert client.delete(f"{SESSIONS}/archive/{deleted_from_archive}").status_code == 200


def test_an_archived_session_can_be_held_and_stays_held_when_it_is_restored(
    client: httpx.Client,
) -> None:
    session_id = create(client)
    archive(client, session_id)

    assert _hold(client, session_id).status_code == 200
    assert client.post(f"{SESSIONS}/{session_id}/restore").status_code == 200

    assert problem(archive(client, session_id), 409)["code"] == "AR003"


def test_a_hold_on_nothing_and_the_release_of_no_hold_are_404(client: httpx.Client) -> None:
    session_id = create(client)

    assert problem(_hold(client, UNKNOWN), 404)["detail"] == f"Session {UNKNOWN} not found"
    for nothing in (UNKNOWN, session_id):
        refused = problem(_release(client, nothing), 404)
        assert refused["detail"] == f"Session {nothing} is not on hold"


@pytest.mark.parametrize(
    "body",
    [
        *("", "{}", "[]", '{"reason": null}', '{"reason": 1}', '{"reason": "a", "until": "b"}'),
        *('{"reason": ""}', '{"reason": "  "}', '{"reason": "a\\u0000b"}'),
    ],
)
def test_a_hold_without_a_reason_is_refused(client: httpx.Client, body: str) -> None:
    session_id = create(client)

    answer = client.put(
        f"{SESSIONS}/{session_id}/hold",
        content=body,
        headers={"Content-Type": "application/json"},
    )

    problem(answer, 422)
    problem(_release(client, session_id), 404)


def test_holds_refuse_a_malformed_id(client: httpx.Client) -> None:
    for answer in (_hold(client, "1"), _release(client, "1")):
        assert "session_id" in problem(answer, 422)["detail"]


# Health


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the archive anew each time."""
    monkeypatch.setattr(health, "REMEMBERED_SECONDS", 0)


def test_health_remembers_its_look_at_the_archive_for_the_next_probes(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    assert client.get("/health").json()["archive"] == "ok"
    _old_session(connection, days=40)

    assert client.get("/health").json()["archive"] == "ok"


@pytest.mark.usefixtures("forgetful")
def test_health_lists_what_needs_attention_and_its_remedy_and_is_200_all_the_same(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    assert client.get("/health").json()["archive"] == "ok"
    _old_session(connection, days=40)

    answer = client.get("/health")

    assert answer.status_code == 200
    found = answer.json()
    assert (found["status"], found["archive"]) == ("ok", "attention")
    [figure] = found["attention"]
    assert figure == {
        "figure": "backlog",
        "subject": "*",
        "value": 1,
        "unit": "sessions",
        "reading": "1 sessions are due",
        "remedy": "Run `aria-db prune`, and check that it is scheduled.",
    }
    assert '"value":1,' in answer.text

    _cleanup(client, dry_run="false")
    found = client.get("/health").json()
    assert found["archive"] == "ok"
    assert "attention" not in found


@pytest.mark.usefixtures("forgetful")
def test_health_works_without_the_archive_where_the_role_may_not_look_at_it(
    database: Database, connection: psycopg.Connection, role: str
) -> None:
    connection.execute(f"GRANT SELECT ON aria_db_version TO {role}")
    with running(replace(database, url=database.url.set(username=role))) as client:
        answer = client.get("/health")
        assert answer.status_code == 200
        assert answer.json()["status"] == "ok"
        assert "archive" not in answer.json()

        connection.execute(
            f"GRANT SELECT ON engine_archive_health TO {role};"
            f"GRANT EXECUTE ON FUNCTION archive_column_drift() TO {role}"
        )
        assert client.get("/health").json()["archive"] == "ok"


@pytest.mark.usefixtures("forgetful")
def test_health_does_not_wait_for_a_look_at_the_archive_that_takes_long(
    client: httpx.Client, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "TIMEOUT_SECONDS", 1)
    with connection.transaction():
        connection.execute("LOCK TABLE engine_chat_sessions")
        answer = client.get("/health")

    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"
    assert "archive" not in answer.json()
    assert client.get("/health").json()["archive"] == "ok"


def test_what_a_prune_left_is_listed_with_why_and_what_to_do(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    forbid_a_title(connection)
    session_id = _old_session(connection)
    forbid(connection, session_id)
    assert client.get(f"{SESSIONS}/left").json() == {"left": []}
    _cleanup(client, dry_run=False)

    answer = client.get(f"{SESSIONS}/left")

    assert answer.status_code == 200
    (left,) = answer.json()["left"]
    assert (left["session_id"], left["code"]) == (str(session_id), "AR007")
    assert "not_forbidden" in left["message"]
    assert "DROP CONSTRAINT" in left["remedy"]
    assert client.get(f"{SESSIONS}/left", params={"limit": 0}).json() == {"left": []}


def test_a_session_to_which_rows_refer_is_a_conflict_with_the_remedy(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    refer_to_sessions(connection, CHAT["tables"], "CASCADE")
    session_id = new_session(connection)
    add_bookmark(connection, session_id)

    refused = client.post(f"{SESSIONS}/{session_id}/archive")

    assert refused.status_code == 409
    assert refused.json()["code"] == "AR005"
    assert "set_archive_dependent('public', 'bookmark', 'move')" in refused.json()["hint"]
    assert places(connection, session_id) == (1, 3, 0, 0)
