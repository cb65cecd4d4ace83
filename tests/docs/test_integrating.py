"""Each way of docs/integrating.md is taken: its lines change its application, which then runs.

The application has tables of its own, with their names and layout, and asyncpg.
"""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from aria_db.database import Database
from tests.docs.test_docs import BLOCK
from tests.support import command_line, new_session, places
from tests.support.http import UNKNOWN
from tests.support.processes import SERVE, serving

pytest.importorskip("asyncpg")

PAGE = (Path(__file__).parents[2] / "docs" / "integrating.md").read_text("utf-8")
KEY = "the-key-of-the-application"
SESSIONS = "/engine/sessions"
WAYS = ["The function", "The manager", "The router", "The service"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("layout", ["views"], indirect=True),
]


def blocks(text: str, language: str) -> list[tuple[str, str]]:
    """Return the file that each block of a language names, and what follows."""
    found = []
    for block in BLOCK.finditer(text):
        if block["language"] == language and (named := re.match(r"# (\S+)\n", block["text"])):
            found.append((named[1], block["text"][named.end() :]))
    return found


def changed(way: str, directory: Path) -> None:
    """Write the application of the page, with the changes of a way."""
    for name, text in blocks(PAGE, "py"):
        (directory / name).write_text(text, "utf-8")
    _, _, after = PAGE.partition(f"\n## {way}\n")
    section, _, _ = after.partition("\n## ")
    differences = blocks(section, "diff")
    assert differences
    for name, difference in differences:
        lines = difference.splitlines(keepends=True)
        old, new = ("".join(line[1:] for line in lines if line[0] != sign) for sign in "+-")
        text = (directory / name).read_text("utf-8")
        assert text.count(old) == 1, old
        (directory / name).write_text(text.replace(old, new), "utf-8")


@contextmanager
def running(directory: Path, database: Database) -> Iterator[httpx.Client]:
    """Run the application in a process of its own; give a client without the key."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    url = database.url.set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)
    command = [sys.executable, "-m", "uvicorn", "application:app", "--port", str(port)]
    with (
        subprocess.Popen(
            command,
            cwd=directory,
            env=command_line.environment(DATABASE_URL=url, API_KEY=KEY),
            stderr=subprocess.PIPE,
        ) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):
        deadline = time.monotonic() + 60
        while True:
            try:
                client.get("/")
                break
            except httpx.ConnectError:
                assert process.poll() is None, process.communicate()[1].decode()
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield client
        process.terminate()
        _, told = process.communicate()
        assert "Traceback" not in told.decode(), told.decode()


def check_archiving(client: httpx.Client, connection: psycopg.Connection) -> None:
    """Archive a session: it leaves the list, and is in the archive with its time and messages."""
    client.headers["X-API-Key"] = KEY
    session_id = new_session(connection)
    other = str(new_session(connection))

    archived = client.post(f"{SESSIONS}/{session_id}/archive")

    assert archived.status_code == 200, archived.text
    assert archived.json()["status"] == "archived"
    assert [row["id"] for row in client.get(SESSIONS).json()["sessions"]] == [other]
    (listed,) = client.get(f"{SESSIONS}/archive").json()["sessions"]
    assert (listed["id"], listed["title"]) == (str(session_id), "a session")
    assert listed["archived_at"]
    assert places(connection, session_id) == (0, 0, 1, 3)
    assert client.post(f"{SESSIONS}/{session_id}/archive").status_code == 200
    assert client.post(f"{SESSIONS}/{UNKNOWN}/archive").status_code == 404
    assert client.get(SESSIONS, headers={"X-API-Key": "wrong"}).status_code == 401


def test_the_application_as_it_is_only_flags_a_session(
    database: Database, connection: psycopg.Connection, tmp_path: Path
) -> None:
    for name, text in blocks(PAGE, "py"):
        (tmp_path / name).write_text(text, "utf-8")
    session_id = new_session(connection)
    with running(tmp_path, database) as client:
        client.headers["X-API-Key"] = KEY
        assert client.post(f"{SESSIONS}/{session_id}/archive").status_code == 200
        assert client.get(f"{SESSIONS}/archive").json()["total"] == 1
    assert places(connection, session_id) == (1, 3, 0, 0)


@pytest.mark.parametrize("way", WAYS[:3])
def test_with_the_lines_of_a_way_it_archives(
    database: Database, connection: psycopg.Connection, tmp_path: Path, way: str
) -> None:
    changed(way, tmp_path)

    with running(tmp_path, database) as client:
        check_archiving(client, connection)


def test_beside_the_service_the_application_leaves_the_sessions_to_it(
    database: Database, connection: psycopg.Connection, tmp_path: Path
) -> None:
    changed("The service", tmp_path)
    options = ("--root-path", "/api")
    assert f"ARIA_DB_TOKEN=$API_KEY aria-db serve {' '.join(options)}\n" in PAGE

    with running(tmp_path, database) as client:
        assert client.get(SESSIONS, headers={"X-API-Key": KEY}).status_code == 404
    with serving(database, *SERVE, *options, ARIA_DB_TOKEN=KEY) as served:
        check_archiving(served.client, connection)
