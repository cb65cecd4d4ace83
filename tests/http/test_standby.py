"""On a hot standby: reads work, changes fail with a clear error, and there is no false alarm."""

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import psycopg
import pytest

from aria_db import embedded
from aria_db.database import Database
from aria_db.demo.processes import api
from tests.support import command_line, new_session
from tests.support.command_line import document, lines, refusal
from tests.support.retention import begin_run
from tests.support.server import new_place

pytestmark = pytest.mark.slow


@pytest.fixture
def pair() -> Iterator[tuple[Database, Database]]:
    """A primary with aria-db in it, and a hot standby of it."""
    with new_place() as place, embedded.start(place / "data") as server:
        primary = Database(server.url())
        assert lines(command_line.on(primary)("upgrade"))
        account = embedded.unprivileged()
        data = place / "standby"
        data.mkdir(mode=0o700)
        if account:
            os.chown(data, account["user"], account["group"])
        run(
            "pg_basebackup",
            f"--pgdata={data}",
            f"--dbname={replace(primary, url=server.url('postgres')).libpq_url()}",
            *("--write-recovery-conf", "--checkpoint=fast", "--no-sync"),
        )
        options = f"-c listen_addresses= -c unix_socket_directories={data} -c port=6543"
        run("pg_ctl", f"--pgdata={data}", "start", "--wait", f"--options={options}")
        try:
            query = {**primary.url.query, "host": str(data), "port": "6543"}
            yield primary, Database(primary.url.set(host=None, port=None, query=query))
        finally:
            run("pg_ctl", f"--pgdata={data}", "stop", "--mode=immediate")


def run(program: str, *arguments: str) -> None:
    done = subprocess.run(
        [embedded.program(program), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=Path("/"),
        **embedded.unprivileged(),
    )
    assert done.returncode == 0, done.stderr


def test_a_standby_reads_refuses_changes_and_raises_no_false_alarm(
    pair: tuple[Database, Database],
) -> None:
    primary, standby = pair
    cli = command_line.on(standby)
    with psycopg.connect(primary.libpq_url(), autocommit=True) as connection:
        session_id = new_session(connection)
        begin_run(connection, "prune")
        caught_up = "SELECT pg_last_wal_replay_lsn() >= %s"
        (position,) = connection.execute("SELECT pg_current_wal_lsn()").fetchone() or (None,)
        with psycopg.connect(standby.libpq_url(), autocommit=True) as there:
            while there.execute(caught_up, [position]).fetchone() != (True,):
                time.sleep(0.05)

        assert len(lines(cli("list"))) == 1
        assert document(cli("runs", "--json"))["runs"][0]["state"] == "running"
        for words in (["archive", session_id], ["prune"], ["hold", session_id, "--reason", "x"]):
            told, hint = refusal(cli(*words))
            assert "read-only transaction" in told
            assert "primary" in hint
        checked = document(cli("check", "--json"))
        assert checked["is_ok"], checked
        with api(standby) as address:
            url = f"{address}/api/engine/sessions"
            assert httpx.get(url).json()["total"] == 1
            refused = httpx.post(f"{url}/{session_id}/archive")
            assert refused.status_code == 503
            assert "primary" in refused.json()["hint"]
            healthy = httpx.get(f"{address}/health")
            assert (healthy.status_code, healthy.json()["archive"]) == (200, "ok")
