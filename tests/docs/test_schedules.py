"""The schedules of docs/operations.md: parsed, and what they start is started."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from aria_db.database import Database
from tests.docs.test_docs import ROOT, blocks
from tests.support import new_session, places

PAGE = blocks(ROOT / "docs" / "operations.md")


def _block(language: str) -> str:
    [text] = [text for found, text in PAGE if found == language]
    return text


def _cron_job() -> dict[str, Any]:
    manifest: dict[str, Any] = yaml.safe_load(_block("yaml"))
    return manifest


def _pod() -> dict[str, Any]:
    pod: dict[str, Any] = _cron_job()["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return pod


def _is_schedule(text: str) -> bool:
    ranges = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
    return all(
        part == "*" or low <= int(part) <= high
        for part, (low, high) in zip(text.split(), ranges, strict=True)
    )


def test_the_cron_job_is_one_of_kubernetes() -> None:
    manifest = _cron_job()
    assert (manifest["apiVersion"], manifest["kind"]) == ("batch/v1", "CronJob")
    assert _is_schedule(manifest["spec"]["schedule"])
    assert manifest["spec"]["concurrencyPolicy"] in {"Allow", "Forbid", "Replace"}
    # The others that a Job may not have.
    assert _pod()["restartPolicy"] in {"Never", "OnFailure"}
    [container] = _pod()["containers"]
    assert container.keys() == {"name", "image", "command", "env"}
    [variable] = container["env"]
    assert variable["name"] == "DATABASE_URL"
    assert variable["valueFrom"]["secretKeyRef"].keys() == {"name", "key"}


@pytest.mark.parametrize("where", ["kubernetes", "cron"])
def test_a_schedule_archives_what_is_due(
    where: str, database: Database, connection: psycopg.Connection, tmp_path: Path
) -> None:
    due = new_session(connection, status="archived")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "DATABASE_URL": ""}
    if where == "kubernetes":
        [container] = _pod()["containers"]
        command = container["command"]
        environment["DATABASE_URL"] = database.libpq_url()
    else:
        minute, hour, day, month, weekday, user, line = _block("crontab").split(maxsplit=6)
        assert _is_schedule(f"{minute} {hour} {day} {month} {weekday}")
        assert user == "aria"
        settings = tmp_path / "aria-db.env"
        settings.write_text(f"DATABASE_URL='{database.libpq_url()}'\n", "utf-8")
        command = ["sh", "-c", line.replace("/etc/aria-db.env", str(settings))]

    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path
    )

    assert done.returncode == 0, done.stderr
    assert places(connection, due) == (0, 0, 1, 3)
