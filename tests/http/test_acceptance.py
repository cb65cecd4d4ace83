"""What an archived session must look like from outside: checked with real curl and psql."""

import json
import shutil
import subprocess
from datetime import datetime
from typing import Any

import httpx
import pytest

from aria_db import embedded
from aria_db.database import Database
from tests.support.http import SESSIONS, create

curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def _curl(client: httpx.Client, *arguments: str) -> dict[str, Any]:
    *options, path = arguments
    answer: dict[str, Any] = json.loads(_run("curl", "-sS", *options, f"{client.base_url}{path}"))
    return answer


def _psql(database: Database, query: str) -> list[str]:
    psql = str(embedded.program("psql"))
    return _run(psql, "-XAtq", "-d", database.libpq_url(), "-c", query).splitlines()


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@curl
def test_an_archived_session_is_gone_from_the_live_table_and_in_the_archive_table(
    client: httpx.Client, database: Database
) -> None:
    session_id = create(client, messages=2)

    answer = _curl(client, "-X", "POST", f"{SESSIONS}/{session_id}/archive")

    live = f"SELECT id FROM engine_chat_sessions WHERE id = '{session_id}'"
    assert _psql(database, live) == []
    archived = f"SELECT id, archived_at FROM engine_chat_session_archive WHERE id = '{session_id}'"
    [row] = _psql(database, archived)
    found_id, archived_at = row.split("|")
    assert found_id == session_id
    assert answer == {
        "status": "archived",
        "session_id": session_id,
        "archived_at": answer["archived_at"],
        "message_count": 2,
    }
    assert datetime.fromisoformat(answer["archived_at"]) == datetime.fromisoformat(archived_at)


@curl
def test_an_archived_session_is_in_the_archive_list_alone(client: httpx.Client) -> None:
    session_id, other_id = create(client), create(client)

    answer = _curl(client, "-X", "POST", f"{SESSIONS}/{session_id}/archive")

    assert [row["id"] for row in _curl(client, SESSIONS)["sessions"]] == [other_id]
    [row] = _curl(client, f"{SESSIONS}/archive")["sessions"]
    assert (row["id"], row["archived_at"]) == (session_id, answer["archived_at"])
