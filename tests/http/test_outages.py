"""What callers hear when the database cannot do the work, and /health in every state."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import httpx
import psycopg
import pytest
import sqlalchemy as sa

from aria_db.database import Database, parse_url
from aria_db.http import health
from aria_db.install import migrate
from tests.support import new_session, places, set_for_database
from tests.support.http import SESSIONS, archive, create, problem, running


def _try_later(answer: httpx.Response) -> dict[str, object]:
    refused = problem(answer, 503)
    assert int(answer.headers["retry-after"]) > 0
    return refused


def _upgrade(database: Database, revision: str = "head") -> None:
    with database.engine(poolclass=sa.NullPool).connect() as connection:
        migrate.upgrade(connection, database.schema, revision)


@contextmanager
def _listener(*, answers: bool, connect_timeout: int = 2) -> Iterator[Database]:
    """Give a database at a port that refuses connections, or takes them and is silent."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if answers:
            listener.listen()
        port = listener.getsockname()[1]
        address = f"postgresql://u:hush@127.0.0.1:{port}/d?connect_timeout={connect_timeout}"
        yield Database(parse_url(address))


# Health


def test_health_tells_the_revision(client: httpx.Client) -> None:
    answer = client.get("/health")

    assert answer.status_code == 200
    revision = answer.json()["revision"]
    assert revision
    assert answer.json() == {
        "status": "ok",
        "database": "ok",
        "revision": revision,
        "newest": revision,
        "archive": "ok",
    }


def test_health_is_ok_while_the_database_is_ahead_in_a_rolling_deploy(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    connection.execute("UPDATE aria_db_version SET version_num = 'of the next release'")

    answer = client.get("/health")

    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"
    assert answer.json()["revision"] == "of the next release"


@pytest.mark.parametrize("revision", ["0001", "0002", "0010"])
def test_health_says_what_to_do_with_a_database_of_an_unreleased_version(
    client: httpx.Client, connection: psycopg.Connection, revision: str
) -> None:
    newest = client.get("/health").json()["newest"]
    connection.execute("UPDATE aria_db_version SET version_num = %s", (revision,))

    answer = client.get("/health")

    assert answer.status_code == 503
    assert answer.json() == {
        "status": "not upgraded",
        "database": "ok",
        "revision": revision,
        "newest": newest,
        "hint": answer.json()["hint"],
    }
    for words in ("cannot upgrade it", "restore the archived", "downgrade to base"):
        assert words in answer.json()["hint"]


def test_health_says_to_upgrade_until_the_database_is_at_the_newest_revision(
    empty_database: Database,
) -> None:
    with running(empty_database) as client:
        for revision in (None, "0001_chat_tables"):
            if revision:
                _upgrade(empty_database, revision)
            answer = client.get("/health")
            assert answer.status_code == 503
            assert answer.json() == {
                "status": "not upgraded",
                "database": "ok",
                "revision": revision,
                "newest": answer.json()["newest"],
                "hint": answer.json()["hint"],
            }
            assert "aria-db upgrade" in answer.json()["hint"]

        _upgrade(empty_database)
        assert client.get("/health").json()["status"] == "ok"


@pytest.mark.parametrize("answers", [False, True], ids=["refused", "silent"])
def test_health_answers_soon_when_the_database_does_not(
    answers: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    patience = 60
    monkeypatch.setattr(health, "TIMEOUT_SECONDS", 0.3)
    with (
        _listener(answers=answers, connect_timeout=patience) as database,
        running(database) as client,
    ):
        start = time.monotonic()
        answer = client.get("/health")
        assert time.monotonic() - start < patience / 2

    assert answer.status_code == 503
    assert answers == ("the database did not answer in 0.3 s" in caplog.text)
    found = answer.json()
    assert (found["status"], found["database"]) == ("unavailable", "unavailable")
    assert "PostgreSQL" in found["hint"]


def test_health_says_which_privilege_the_servers_role_lacks(
    database: Database, connection: psycopg.Connection, role: str
) -> None:
    with running(_as(database, role)) as client:
        answer = client.get("/health")
        assert answer.status_code == 503
        assert answer.json()["status"] == "unavailable"
        assert "permission denied" in answer.json()["hint"]

        connection.execute(f"GRANT SELECT ON aria_db_version TO {role}")
        assert client.get("/health").json()["status"] == "ok"


# Everything else


@pytest.mark.parametrize("answers", [False, True], ids=["refused", "silent"])
def test_without_a_database_a_route_is_503_and_tells_nothing_of_it(answers: bool) -> None:
    with _listener(answers=answers) as database, running(database) as client:
        answer = client.get(SESSIONS)

    assert _try_later(answer)["hint"]
    for secret in ("127.0.0.1", str(database.url.port), "hush"):
        assert secret not in answer.text


def test_without_an_upgrade_every_route_says_so(empty_database: Database) -> None:
    with running(empty_database) as client:
        for answer in (client.get(SESSIONS), archive(client, "0" * 32)):
            assert "aria-db upgrade" in str(_try_later(answer)["hint"])


def test_after_the_database_dropped_every_connection_nobody_notices(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda _: client.get(f"{SESSIONS}/stats"), range(10)))
    dropped = connection.execute(
        """
        SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
        """
    ).fetchall()
    assert dropped

    for _ in range(10):
        assert client.get(SESSIONS).status_code == 200


def test_work_that_a_timeout_stopped_is_503(
    database: Database, connection: psycopg.Connection
) -> None:
    set_for_database(connection, "statement_timeout = '100ms'")
    with running(database) as client, connection.transaction():
        connection.execute("LOCK TABLE engine_chat_sessions")
        assert _try_later(client.get(SESSIONS))["code"] == "57014"


def test_a_role_without_a_privilege_is_the_servers_fault(
    database: Database, connection: psycopg.Connection, role: str
) -> None:
    connection.execute(f"GRANT SELECT ON engine_chat_session_list TO {role}")
    connection.execute(f"GRANT EXECUTE ON FUNCTION last_message_times TO {role}")
    session_id = new_session(connection)

    with running(_as(database, role)) as client:
        assert client.get(SESSIONS).json()["total"] == 1
        refused = problem(archive(client, session_id), 500)

    assert refused["code"] == "42501"
    assert refused["detail"] == "permission denied for function archive_session"
    assert "GRANT EXECUTE" in refused["hint"]
    assert places(connection, session_id) == (1, 3, 0, 0)


@pytest.mark.parametrize(
    "change",
    [
        # An error of PostgreSQL that nobody expects, and one that is not PostgreSQL's.
        "ALTER TABLE engine_chat_messages RENAME content TO contents",
        "ALTER TABLE engine_chat_messages ALTER content DROP NOT NULL; "
        "UPDATE engine_chat_messages SET content = NULL",
    ],
)
def test_what_nobody_expects_is_500_and_tells_nothing_of_the_inside(
    client: httpx.Client, connection: psycopg.Connection, change: str
) -> None:
    session_id = create(client, messages=1)
    connection.execute(change)

    answer = client.get(f"{SESSIONS}/{session_id}/messages")

    problem(answer, 500)
    for inside in ("SELECT", "engine_chat", "contents", "Traceback", "/"):
        assert inside not in answer.text.replace("application/", "")


def test_a_rule_of_the_applications_own_is_a_conflict(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    connection.execute(
        "ALTER TABLE engine_chat_sessions ADD CONSTRAINT polite CHECK (title <> 'no')"
    )

    refused = problem(client.post(SESSIONS, json={"title": "no"}), 409)

    assert refused["code"] == "23514"
    assert "polite" in refused["detail"]


def _as(database: Database, role: str) -> Database:
    return replace(database, url=database.url.set(username=role))
