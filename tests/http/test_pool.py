"""PostgreSQL goes away and comes back, connections run out, and the server has to end."""

import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
import sqlalchemy as sa

from aria_db import embedded
from aria_db.database import Database
from aria_db.http.limits import Limits
from aria_db.install import migrate
from tests.support import new_session, places
from tests.support.http import SESSIONS, archive, create, problem, running
from tests.support.processes import (
    PATIENCE_SECONDS,
    SERVE,
    listening,
    read,
    serving,
    starting,
    wait_for,
)
from tests.support.server import new_place


class Cluster:
    """An embedded server of its own, which may be stopped and started.

    :param data: its data directory, to be made.
    """

    def __init__(self, data: Path) -> None:
        self.data = data
        self._server = embedded.start(data)
        self.database = Database(self._server.url())
        with self.database.engine(poolclass=sa.NullPool).connect() as connection:
            migrate.upgrade(connection)

    def control(self, *words: str) -> None:
        """Run pg_ctl, and wait until it is done."""
        subprocess.run(
            [
                *(embedded.program("pg_ctl"), *words, "--wait", f"--timeout={PATIENCE_SECONDS}"),
                *("--pgdata", self.data, "--silent"),
                *(("--log", self.data / "server.log") if words[0] != "stop" else ()),
            ],
            cwd=self.data,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
            **embedded.unprivileged(),
        )

    def start(self) -> None:
        """Start the server again."""
        options = f"-D {self.data} -k {self._server.socket_directory} -p {self._server.port}"
        self.control("start", "--options", f"{options} -c listen_addresses=")

    def close(self) -> None:
        """Stop the server."""
        self._server.close()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A server of the test's own, where the account of root's may go as well."""
    with new_place() as place:
        cluster = Cluster(place / "data")
        yield cluster
        cluster.close()


def _try_later(answer: httpx.Response) -> None:
    problem(answer, 503)
    assert int(answer.headers["retry-after"]) > 0


def _wait_for_waiting(connection: psycopg.Connection, number: int = 1) -> None:
    """Return when so many others wait for a lock."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    query = """
        SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
        WHERE NOT granted AND datname = current_database()
        """
    while connection.execute(query).fetchone() != (number,):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def _in_flight(
    database: Database, send: list[tuple[httpx.Client, str, str]]
) -> Iterator[tuple[psycopg.Connection, list[Future[httpx.Response]]]]:
    """Send requests that wait for a lock; give who holds it, once they all wait."""
    with (
        ThreadPoolExecutor(len(send)) as pool,
        psycopg.connect(database.libpq_url()) as holder,
        psycopg.connect(database.libpq_url(), autocommit=True) as observer,
    ):
        holder.execute("LOCK TABLE engine_chat_sessions")
        sent = [pool.submit(client.request, method, path) for client, method, path in send]
        _wait_for_waiting(observer, len(send))
        yield holder, sent


# PostgreSQL


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_after_a_restart_of_postgresql_requests_in_flight_are_503_and_the_next_ones_work(
    cluster: Cluster, mode: str
) -> None:
    with serving(cluster.database) as served:
        client = served.client
        session_id = create(client, messages=2)
        path = f"{SESSIONS}/{session_id}"
        send = [
            (client, "GET", SESSIONS),
            (client, "GET", f"{path}/messages"),
            (client, "POST", f"{path}/archive"),
            (client, "POST", f"{path}/end"),
            (client, "DELETE", path),
        ]
        try:
            with _in_flight(cluster.database, send) as (_, sent):
                cluster.control("restart", "--mode", mode)
                for answer in sent:
                    _try_later(answer.result(PATIENCE_SECONDS))
        except psycopg.OperationalError:
            pass  # of the two that watched
        else:
            pytest.fail("PostgreSQL was not restarted")

        # More than the connections that the pool had before, at once.
        with ThreadPoolExecutor(10) as pool:
            answers = list(pool.map(lambda _: client.get(path).status_code, range(20)))
        assert answers == [200] * 20
        assert archive(client, session_id).json()["message_count"] == 2


@pytest.mark.slow
def test_while_postgresql_is_down_all_is_503_and_then_the_same_process_goes_on(
    cluster: Cluster,
) -> None:
    with serving(cluster.database) as served:
        session_id = create(served.client)
        cluster.control("stop", "--mode", "fast")
        for answer in (
            served.client.get(SESSIONS),
            served.client.post(SESSIONS, json={}),
            archive(served.client, session_id),
        ):
            _try_later(answer)
            assert "socket" not in answer.text
        health = served.client.get("/health")
        assert (health.status_code, health.json()["database"]) == (503, "unavailable")

        cluster.start()
        assert served.client.get("/health").json()["status"] == "ok"
        assert archive(served.client, session_id).json()["status"] == "archived"


@pytest.mark.slow
def test_serve_waits_for_a_database_that_is_down_and_says_so(cluster: Cluster) -> None:
    cluster.control("stop", "--mode", "fast")
    with starting(cluster.database, *SERVE) as (process, log):
        wait_for(log, "Waiting for the database, up to 60 s: it does not answer", process)
        cluster.start()
        with listening(process, log) as served:
            assert served.client.get(SESSIONS).json()["total"] == 0
            assert served.terminate() == 0
            assert served.told().count("Waiting for the database") == 1


@pytest.mark.slow
def test_serve_waits_for_a_database_that_recovers_and_says_so(cluster: Cluster) -> None:
    cluster.control("stop", "--mode", "fast")
    # A standby that nobody may read takes connections as soon as it is promoted.
    (cluster.data / "standby.signal").touch()
    with (cluster.data / "postgresql.auto.conf").open("a") as settings:
        settings.write("hot_standby = off\n")
    cluster.start()
    with starting(cluster.database, *SERVE) as (process, log):
        wait_for(log, "Waiting for the database, up to 60 s: it is starting up", process)
        cluster.control("promote")
        with listening(process, log) as served:
            assert served.client.get(SESSIONS).json()["total"] == 0
            assert served.terminate() == 0


@pytest.mark.slow
def test_serve_gives_up_on_a_database_that_does_not_come_up_and_says_so(cluster: Cluster) -> None:
    cluster.control("stop", "--mode", "fast")
    with starting(cluster.database, *SERVE, ARIA_DB_WAIT="0.1") as (process, log):
        assert process.wait(PATIENCE_SECONDS) == 1
        told = read(log).splitlines()

    assert told[-2:] == [
        "Error: the database did not come up within 0.1 s: it does not answer",
        "Hint: Check that PostgreSQL runs and that DATABASE_URL (or PGHOST, ...) names it.",
    ]


@pytest.mark.slow
def test_serve_that_waits_for_the_database_ends_when_it_is_told_to(cluster: Cluster) -> None:
    cluster.control("stop", "--mode", "fast")
    with starting(cluster.database, *SERVE) as (process, log):
        wait_for(log, "Waiting for the database", process)
        process.terminate()
        assert process.wait(PATIENCE_SECONDS) == 143
        assert "Traceback" not in read(log)


# The pool


def test_a_request_without_a_connection_waits_for_one(
    database: Database, connection: psycopg.Connection
) -> None:
    limits = Limits(connections=1, connection_timeout=PATIENCE_SECONDS)
    with running(database, limits=limits) as client, ThreadPoolExecutor(3) as pool:
        with connection.transaction():
            connection.execute("LOCK TABLE engine_chat_sessions")
            sent = [pool.submit(client.get, SESSIONS) for _ in range(3)]
            _wait_for_waiting(connection)
            assert not any(each.done() for each in sent)

        assert [each.result(PATIENCE_SECONDS).status_code for each in sent] == [200] * 3


def test_who_waits_too_long_for_a_connection_is_told_to_come_later_and_nobody_else(
    database: Database, connection: psycopg.Connection
) -> None:
    limits = Limits(connections=2, connection_timeout=0.2)
    with running(database, limits=limits) as client, ThreadPoolExecutor(10) as pool:
        with connection.transaction():
            connection.execute("LOCK TABLE engine_chat_sessions")
            first = [pool.submit(client.get, SESSIONS) for _ in range(2)]
            _wait_for_waiting(connection, 2)
            for answer in pool.map(client.get, [SESSIONS] * 5):
                _try_later(answer)
            health = client.get("/health")
            assert (health.status_code, health.json()["status"]) == (503, "unavailable")

        assert [each.result(PATIENCE_SECONDS).status_code for each in first] == [200] * 2
        assert client.get("/health").json()["status"] == "ok"


@pytest.mark.parametrize("sqlstate", ["40001", "40P01", "55P03"])
def test_work_that_collided_is_503_and_can_be_tried_again(
    database: Database, connection: psycopg.Connection, sqlstate: str
) -> None:
    session_id = new_session(connection)
    connection.execute(
        f"""
        CREATE FUNCTION collide() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE 'it collided' USING ERRCODE = '{sqlstate}'; END $$;
        CREATE TRIGGER collide BEFORE DELETE ON engine_chat_sessions
        FOR EACH ROW EXECUTE FUNCTION collide()
        """
    )
    with running(database) as client:
        for answer in (
            archive(client, session_id),
            client.delete(f"{SESSIONS}/{session_id}"),
        ):
            _try_later(answer)
            assert answer.json()["code"] == sqlstate
        connection.execute("DROP TRIGGER collide ON engine_chat_sessions")
        assert archive(client, session_id).status_code == 200

    assert places(connection, session_id) == (0, 0, 1, 3)


# The end


def test_sigterm_finishes_what_is_in_flight_and_takes_nothing_new(
    database: Database, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection)
    with serving(database) as served:
        send = [
            (served.client, "POST", f"{SESSIONS}/{session_id}/archive"),
            (served.client, "GET", SESSIONS),
        ]
        with _in_flight(database, send) as (holder, sent):
            served.process.terminate()
            wait_for(served.log, "Waiting for connections to close", served.process)
            with pytest.raises(httpx.ConnectError):
                httpx.get(served.client.base_url)
            assert not any(each.done() for each in sent)
            holder.rollback()
            assert [each.result(PATIENCE_SECONDS).status_code for each in sent] == [200, 200]
        assert served.process.wait(PATIENCE_SECONDS) == 0

    assert places(connection, session_id) == (0, 0, 1, 3)
