"""The server as a process: where it listens, and how it begins and ends."""

import socket

import psycopg
import pytest

from aria_db.database import Database, parse_url
from aria_db.errors import InvalidConfiguration
from aria_db.http.app import from_environment
from aria_db.http.server import is_loopback, serve
from tests.support.http import SESSIONS, create
from tests.support.processes import PATIENCE_SECONDS, SERVE, UVICORN, read, serving, starting

NOWHERE = Database(parse_url("postgresql:///"))


def _connections(connection: psycopg.Connection) -> int:
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    ).fetchone()
    assert row is not None
    found: int = row[0]
    return found


def test_serve_serves_until_it_is_told_to_stop_and_leaves_no_connection(
    database: Database, connection: psycopg.Connection
) -> None:
    before = _connections(connection)

    with serving(database) as served:
        create(served.client)
        assert served.client.get(SESSIONS).json()["total"] == 1
        assert _connections(connection) > before

    assert _connections(connection) == before


def test_serve_listens_at_every_address_with_a_token(database: Database) -> None:
    with serving(database, *SERVE, "--host", "0.0.0.0", ARIA_DB_TOKEN="t") as served:
        assert served.client.get("/health").status_code == 401
        headers = {"Authorization": "Bearer t"}
        assert served.client.get("/health", headers=headers).status_code == 200


def test_uvicorn_serves_what_the_environment_names(database: Database) -> None:
    with serving(database, *UVICORN, ARIA_DB_TOKEN="t", ARIA_DB_MAX_BODY="10") as served:
        assert served.client.get("/health").status_code == 401
        headers = {"Authorization": "Bearer t"}
        assert served.client.get("/health", headers=headers).status_code == 200
        too_large = served.client.post(SESSIONS, headers=headers, json={"title": "a" * 10})
        assert too_large.status_code == 413
    with serving(database, *UVICORN, ARIA_DB_SCHEMA="nowhere") as served:
        assert served.client.get("/health").json()["status"] == "not upgraded"


def test_a_port_that_is_in_use_ends_serve_with_one_line_that_says_so(database: Database) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with starting(database, *SERVE[:-1], port) as (process, log):
            assert process.wait(PATIENCE_SECONDS) != 0
            told = read(log)

    assert "address already in use" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "0", "192.0.2.1", "2001:db8::1"])
def test_serve_refuses_to_listen_beyond_loopback_without_a_token(host: str) -> None:
    with pytest.raises(InvalidConfiguration, match="token") as refusal:
        serve(NOWHERE, host, 0)

    assert "ARIA_DB_TOKEN" in str(refusal.value.hint)


def test_serve_says_so_when_the_host_is_unknown() -> None:
    for host in ("no-such-host.invalid", "x" * 300, "a b"):
        with pytest.raises(InvalidConfiguration, match="cannot be resolved"):
            serve(NOWHERE, host, 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "127.1", "::1", "localhost"])
def test_what_only_this_machine_reaches_is_loopback(host: str) -> None:
    assert is_loopback(host)


def test_an_empty_token_is_refused_at_every_address() -> None:
    for host in ("127.0.0.1", "0.0.0.0"):
        with pytest.raises(InvalidConfiguration, match="token is empty") as refusal:
            serve(NOWHERE, host, 0, "")

        assert "unset ARIA_DB_TOKEN" in str(refusal.value.hint)


def test_without_a_configured_database_there_is_no_application(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("DATABASE_URL", "PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(InvalidConfiguration, match="no database is configured"):
        from_environment()
