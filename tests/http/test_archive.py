"""Archiving and restoring: the answers, and what they refuse."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
import sqlalchemy as sa

from aria_db.database import Database
from aria_db.install import migrate
from tests.support import new_session, places, set_for_database
from tests.support.http import SESSIONS, archive, create, problem, running


def _restore(client: httpx.Client, session_id: object) -> httpx.Response:
    return client.post(f"{SESSIONS}/{session_id}/restore")


def _everything(client: httpx.Client, path: str) -> tuple[Any, Any]:
    """Return a session and its messages, without when they were archived."""
    session = client.get(path).json()
    messages = client.get(f"{path}/messages").json()["messages"]
    for row in (session, *session["recent_messages"], *messages):
        row.pop("archived_at", None)
    return session, messages


def test_archiving_twice_gives_the_same_answer(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    session_id = create(client, messages=3)

    first, second = archive(client, session_id), archive(client, session_id)

    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()
    assert places(connection, session_id) == (0, 0, 1, 3)


def test_a_session_archived_by_20_at_once_moves_once_and_all_get_the_same_answer(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    session_id = create(client, messages=3)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: archive(client, session_id), range(20)))

    assert {answer.status_code for answer in answers} == {200}
    [text] = {answer.text for answer in answers}
    assert f'"session_id":"{session_id}"' in text
    assert places(connection, session_id) == (0, 0, 1, 3)


def test_archived_and_restored_a_session_is_what_it_was(client: httpx.Client) -> None:
    session_id = create(client, messages=3, title="a title", metadata={"k": [1, None]})
    live, archived = f"{SESSIONS}/{session_id}", f"{SESSIONS}/archive/{session_id}"
    before = _everything(client, live)

    archive(client, session_id)
    assert _everything(client, archived) == before
    problem(client.get(live), 404)
    answer = _restore(client, session_id)

    assert answer.status_code == 200
    assert answer.json() == {
        "status": "restored",
        "session_id": session_id,
        "restored_at": answer.json()["restored_at"],
        "message_count": 3,
        "due_from": answer.json()["due_from"],
    }
    assert answer.json()["restored_at"] is not None
    assert _everything(client, live) == before
    problem(client.get(archived), 404)


def test_restoring_a_live_session_says_so_and_changes_nothing(client: httpx.Client) -> None:
    session_id = create(client, messages=1)
    before = _everything(client, f"{SESSIONS}/{session_id}")

    answer = _restore(client, session_id)

    assert answer.json() == {
        "status": "restored",
        "session_id": session_id,
        "restored_at": None,
        "message_count": 1,
        "due_from": answer.json()["due_from"],
    }
    assert _everything(client, f"{SESSIONS}/{session_id}") == before


def test_a_restored_session_is_due_an_age_of_its_policy_after_its_restore(
    client: httpx.Client,
) -> None:
    for session_type, age in {"interactive": 30, "cron": 1}.items():
        session_id = create(client, session_type=session_type)
        archive(client, session_id)

        restored = _restore(client, session_id).json()

        restored_at = datetime.fromisoformat(restored["restored_at"])
        due_from = datetime.fromisoformat(restored["due_from"])
        assert due_from - restored_at == timedelta(days=age)
        # A retry says the same.
        again = _restore(client, session_id).json()
        assert again == restored | {"restored_at": None}


def test_a_live_session_is_due_an_age_of_its_policy_after_its_last_update(
    client: httpx.Client,
) -> None:
    session_id = create(client)
    updated_at = datetime.fromisoformat(client.get(f"{SESSIONS}/{session_id}").json()["updated_at"])

    due_from = _restore(client, session_id).json()["due_from"]

    assert datetime.fromisoformat(due_from) - updated_at == timedelta(days=30)


@pytest.mark.parametrize(
    "change", ["archive_after = NULL", "enabled = FALSE"], ids=["kept for ever", "not enabled"]
)
def test_a_session_whose_policy_never_archives_it_is_never_due(
    client: httpx.Client, connection: psycopg.Connection, change: str
) -> None:
    connection.execute(f"UPDATE engine_archive_policy SET {change} WHERE session_type = '*'")
    session_id = create(client)
    archive(client, session_id)

    restored = _restore(client, session_id).json()

    assert restored["restored_at"] is not None
    assert restored["due_from"] is None


def test_restoring_a_soft_deleted_session_makes_it_active(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection, status="archived")

    restored = _restore(client, session_id).json()

    assert restored["restored_at"] is not None
    assert client.get(f"{SESSIONS}/{session_id}").json()["status"] == "active"
    assert [row["id"] for row in client.get(SESSIONS).json()["sessions"]] == [str(session_id)]
    assert places(connection, session_id) == (1, 3, 0, 0)


# Deleting from the archive


def _delete_archived(client: httpx.Client, session_id: object) -> httpx.Response:
    return client.delete(f"{SESSIONS}/archive/{session_id}")


def test_a_session_deleted_from_the_archive_is_nowhere(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    session_id, other_id = create(client, messages=2), create(client, messages=1)
    for each in (session_id, other_id):
        archive(client, each)

    deleted = _delete_archived(client, session_id)

    assert deleted.status_code == 200
    assert deleted.json() == {"status": "deleted", "session_id": session_id, "message_count": 2}
    assert places(connection, UUID(session_id)) == (0, 0, 0, 0)
    assert places(connection, UUID(other_id)) == (0, 0, 1, 1)
    problem(_delete_archived(client, session_id), 404)
    problem(_restore(client, session_id), 404)


def test_a_live_session_is_not_deleted_as_an_archived_one(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    session_id = create(client, messages=2)

    refused = problem(_delete_archived(client, session_id), 404)

    assert refused["detail"] == f"Session {session_id} not found"
    assert places(connection, UUID(session_id)) == (1, 2, 0, 0)


def test_a_session_that_is_live_as_well_is_not_deleted_from_the_archive(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    session_id = create(client, messages=1)
    archive(client, session_id)
    new_session(connection, 2, id=UUID(session_id))

    refused = problem(_delete_archived(client, session_id), 409)

    assert refused["code"] == "AR001"
    assert session_id in refused["detail"]
    assert refused["hint"].startswith("Nothing was deleted.")
    assert "aria-db conflicts" in refused["hint"]
    assert places(connection, UUID(session_id)) == (1, 2, 1, 1)


def test_the_archive_list_begins_with_the_newest_archived(client: httpx.Client) -> None:
    ids = [create(client) for _ in range(3)]
    for session_id in (ids[1], ids[2], ids[0]):
        archive(client, session_id)

    listed = client.get(f"{SESSIONS}/archive", params={"limit": 2}).json()

    assert [session["id"] for session in listed["sessions"]] == [ids[0], ids[2]]
    assert all(session["archived_at"] for session in listed["sessions"])
    following = client.get(f"{SESSIONS}/archive", params={"cursor": listed.pop("next_cursor")})
    assert [session["id"] for session in following.json()["sessions"]] == [ids[1]]
    assert {name: value for name, value in listed.items() if name != "sessions"} == {
        "total": 3,
        "total_is_estimate": False,
        "limit": 2,
        "offset": 0,
        "has_more": True,
    }


def test_different_rows_in_both_places_are_a_conflict_and_stay(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    session_id = create(client, messages=1)
    archive(client, session_id)
    new_session(connection, 2, id=session_id)
    before = places(connection, session_id)

    for answer in (archive(client, session_id), _restore(client, session_id)):
        refused = problem(answer, 409)
        assert refused["code"] == "AR001"
        assert session_id in refused["detail"]
        assert refused["hint"].startswith("Nothing was moved.")

    assert places(connection, session_id) == before == (1, 2, 1, 1)


def test_a_column_that_would_be_lost_is_a_conflict_that_names_it(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    session_id = create(client, messages=1)
    connection.execute("ALTER TABLE engine_chat_messages ADD COLUMN mood text")

    for answer in (archive(client, session_id), _restore(client, session_id)):
        refused = problem(answer, 409)
        assert refused["code"] == "AR002"
        assert "engine_chat_messages.mood" in refused["detail"]
        assert refused["hint"]
    assert places(connection, session_id) == (1, 1, 0, 0)

    connection.execute("ALTER TABLE engine_chat_message_archive ADD COLUMN mood text")
    assert archive(client, session_id).status_code == 200


def test_a_session_that_is_in_use_is_503_and_to_be_tried_again(
    database: Database, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection)
    set_for_database(connection, "lock_timeout = '100ms'")

    with running(database) as client:
        with connection.transaction():
            connection.execute(
                "SELECT FROM engine_chat_sessions WHERE id = %s FOR UPDATE", (session_id,)
            )
            refused = archive(client, session_id)
            assert problem(refused, 503)["code"] == "55P03"
            assert int(refused.headers["retry-after"]) > 0

        assert archive(client, session_id).status_code == 200


def test_in_a_schema_of_its_own_everything_is_found_there(empty_database: Database) -> None:
    database = Database(empty_database.url, "aria")
    with database.engine(poolclass=sa.NullPool).connect() as connection:
        migrate.upgrade(connection, "aria")

    with running(database) as client:
        session_id = create(client, messages=2)
        answer = archive(client, session_id)
        health = client.get("/health")

    assert answer.json()["message_count"] == 2
    assert health.json()["status"] == "ok"
    with psycopg.connect(empty_database.libpq_url()) as plain:
        rows = plain.execute("SELECT id::text FROM aria.engine_chat_session_archive").fetchall()
    assert rows == [(session_id,)]
