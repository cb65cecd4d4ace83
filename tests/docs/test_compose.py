"""docker-compose.yml, as far as it can be tested without Docker: parsed, and run by hand."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psycopg
import yaml

from aria_db.database import Database
from aria_db.install import migrate
from tests.support import new_session, places

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]


def test_the_database_is_postgres_18_for_the_user_and_database_aria() -> None:
    service = SERVICES["aria-db"]
    assert service["image"] == "postgres:18"
    assert service["environment"]["POSTGRES_USER"] == "aria"
    assert service["environment"]["POSTGRES_DB"] == "aria"
    assert service["healthcheck"]["test"][0] == "CMD"
    assert [volume.split(":")[0] for volume in service["volumes"]] == list(COMPOSE["volumes"])


def test_secrets_come_from_env_and_have_no_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    example = (ROOT / ".env.example").read_text("utf-8")
    for variable in ("ARIA_DB_PASSWORD", "ARIA_DB_TOKEN"):
        assert f"${{{variable}:?" in text
        assert f"\n{variable}=\n" in example


def test_services_start_in_the_order_database_migrate_api() -> None:
    assert SERVICES["migrate"]["depends_on"] == {"aria-db": {"condition": "service_healthy"}}
    assert SERVICES["api"]["depends_on"] == {
        "migrate": {"condition": "service_completed_successfully"}
    }


def test_prune_starts_only_when_it_is_named() -> None:
    assert SERVICES["prune"]["profiles"] == ["cron"]
    assert SERVICES["prune"]["depends_on"] == {"aria-db": {"condition": "service_healthy"}}
    assert "restart" not in SERVICES["prune"]


def test_the_clients_find_the_database_service() -> None:
    database = SERVICES["aria-db"]
    for name in ("migrate", "api", "prune"):
        url = SERVICES[name]["environment"]["DATABASE_URL"]
        assert url == "postgresql://aria@aria-db:5432/aria"
        password = SERVICES[name]["environment"]["PGPASSWORD"]
        assert password == database["environment"]["POSTGRES_PASSWORD"]


def test_the_image_holds_what_the_commands_need() -> None:
    copied = (ROOT / "Dockerfile").read_text("utf-8")
    for needed in ("alembic.ini", "migrations", "sql", "aria_db", "constraints.txt"):
        assert needed in copied
        assert f"!{needed}" in (ROOT / ".dockerignore").read_text("utf-8")


def start(service: str, *replaced: tuple[str, str], **environment: str) -> subprocess.Popen[str]:
    """Start the command of a service here, with arguments replaced that would clash."""
    program, *arguments = SERVICES[service]["command"]
    for old, new in replaced:
        arguments[arguments.index(old)] = new
    return subprocess.Popen(
        [Path(sys.executable).parent / program, *arguments],
        env={**os.environ, **environment},
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_migrate_upgrades_and_exits(empty_database: Database) -> None:
    with start("migrate", DATABASE_URL=empty_database.libpq_url()) as process:
        _, errors = process.communicate()
    assert process.returncode == 0, errors
    engine = empty_database.engine()
    with engine.connect() as connection:
        assert migrate.status(connection).is_newest
    engine.dispose()


def test_prune_archives_what_is_due_and_exits(
    database: Database, connection: psycopg.Connection
) -> None:
    due, recent = new_session(connection, status="archived"), new_session(connection)

    with start("prune", DATABASE_URL=database.libpq_url()) as process:
        _, errors = process.communicate()

    assert process.returncode == 0, errors
    assert places(connection, due) == (0, 0, 1, 3)
    assert places(connection, recent) == (1, 3, 0, 0)


def test_api_answers_on_every_address_and_asks_for_the_token(database: Database) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    environment = {"DATABASE_URL": database.libpq_url(), "ARIA_DB_TOKEN": "secret"}
    # Not /health, which answers 503 where the database takes longer than three seconds.
    url = f"http://127.0.0.1:{port}/api/engine/sessions"
    with start("api", ("8000", str(port)), **environment) as process:
        try:
            while process.poll() is None:
                try:
                    assert httpx.get(url).status_code == 401
                    break
                except httpx.ConnectError:
                    time.sleep(0.05)
            answer = httpx.get(url, headers={"Authorization": "Bearer secret"})
            assert answer.status_code == 200
        finally:
            process.terminate()
            process.communicate()
