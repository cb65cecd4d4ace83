"""A real server on a real port, and what tests ask of every answer."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from aria_db.database import Database
from aria_db.http.app import create_app
from aria_db.http.limits import DEFAULT, Limits

SESSIONS = "/api/engine/sessions"
UNKNOWN = "00000000-0000-4000-8000-000000000000"
ROUTES_OF_ONE_SESSION = [
    ("GET", SESSIONS + "/{}"),
    ("DELETE", SESSIONS + "/{}"),
    ("GET", SESSIONS + "/{}/messages"),
    ("POST", SESSIONS + "/{}/messages"),
    ("POST", SESSIONS + "/{}/end"),
    ("POST", SESSIONS + "/{}/archive"),
    ("POST", SESSIONS + "/{}/restore"),
    ("GET", SESSIONS + "/archive/{}"),
    ("DELETE", SESSIONS + "/archive/{}"),
    ("GET", SESSIONS + "/archive/{}/messages"),
]


@contextmanager
def running(
    database: Database, token: str | None = None, limits: Limits = DEFAULT, **options: Any
) -> Iterator[httpx.Client]:
    """Serve a database; give a client of the server, and stop both at the end.

    :param options: of ``create_app``.
    """
    with serving_app(create_app(database, token=token, limits=limits, **options)) as client:
        yield client


@contextmanager
def serving_app(app: FastAPI) -> Iterator[httpx.Client]:
    """Serve an application; give a client of the server, and stop both at the end."""
    # Named TCP, or asyncio does not set TCP_NODELAY and every answer takes 40 ms. It
    # listens already, so that what is sent before the server is ready waits.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    server = uvicorn.Server(uvicorn.Config(app, log_config=None))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        host, port = listener.getsockname()
        with httpx.Client(base_url=f"http://{host}:{port}", timeout=60) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


def create(client: httpx.Client, messages: int = 0, **columns: object) -> str:
    """Create a session with messages over HTTP; return its id."""
    created = client.post(SESSIONS, json=columns)
    assert created.status_code == 201, created.text
    session_id: str = created.json()["id"]
    for number in range(1, messages + 1):
        message = {"role": "user", "content": f"message {number}"}
        added = client.post(f"{SESSIONS}/{session_id}/messages", json=message)
        assert added.status_code == 201, added.text
    return session_id


def archive(client: httpx.Client, session_id: object) -> httpx.Response:
    """Ask to archive a session."""
    return client.post(f"{SESSIONS}/{session_id}/archive")


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """Check that an answer is a problem document with this status; return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert body["type"] == "about:blank"
    assert body["title"]
    assert body["detail"]
    assert body.keys() <= {"type", "title", "status", "detail", "code", "hint", "errors"}
    return body
