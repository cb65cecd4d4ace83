"""The router and the application in an application of somebody else's, each with a real server."""

import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Annotated

import httpx
import psycopg
import pytest
from fastapi import Depends, FastAPI, Header, HTTPException, Query
from fastapi.responses import JSONResponse
from sqlalchemy.ext.asyncio import create_async_engine

from aria_db.database import Database
from aria_db.http import create_app, router
from aria_db.session_manager import NativeSessionManager
from tests.support import events, new_session, places
from tests.support.http import SESSIONS, UNKNOWN, problem, serving_app
from tests.support.layouts import BOTH_LAYOUTS
from tests.support.processes import SERVE, serving

UPSTREAM = "/engine/sessions"


async def user(x_api_key: Annotated[str, Header()] = "") -> str:
    """Sign the caller in, as the application does."""
    if x_api_key != "secret":
        raise HTTPException(401, "who are you?")
    return "ada"


def check_archiving(client: httpx.Client, connection: psycopg.Connection, sessions: str) -> None:
    """Archive a session; check that it has left the list and is in the archive alone."""
    session_id = str(new_session(connection))

    archived = client.post(f"{sessions}/{session_id}/archive")

    assert archived.status_code == 200, archived.text
    assert client.get(sessions).json()["sessions"] == []
    (listed,) = client.get(f"{sessions}/archive").json()["sessions"]
    assert (listed["id"], listed["archived_at"]) == (session_id, archived.json()["archived_at"])
    assert places(connection, session_id) == (0, 0, 1, 3)  # type: ignore[arg-type]


# The application, mounted


@BOTH_LAYOUTS
def test_the_application_works_where_it_is_mounted(
    database: Database, connection: psycopg.Connection
) -> None:
    outer = FastAPI()
    outer.mount("/chat", create_app(database))
    with serving_app(outer) as client:
        check_archiving(client, connection, f"/chat{SESSIONS}")
        assert client.get("/chat/health").json()["status"] == "ok"
        assert client.get(f"/chat{SESSIONS}/").status_code == 200
        refused = client.delete(f"/chat{SESSIONS}/stats")
        assert problem(refused, 405)["detail"] == "Method Not Allowed"
        assert refused.headers["allow"] == "GET"
        assert problem(client.get("/chat/nothing"), 404)
        assert client.get("/nothing").json() == {"detail": "Not Found"}
        servers = client.get("/chat/openapi.json").json()["servers"]
        assert servers == [{"url": "/chat"}]


def test_a_mounted_application_asks_for_its_tokens_and_the_outer_one_for_none(
    database: Database,
) -> None:
    outer = FastAPI()
    outer.mount("/chat", create_app(database, token="secret"))
    with serving_app(outer) as client:
        problem(client.get(f"/chat{SESSIONS}"), 401)
        right = {"X-API-Key": "secret"}
        assert client.get(f"/chat{SESSIONS}", headers=right).status_code == 200
        assert client.get("/docs").status_code == 200


@pytest.mark.parametrize("layout", ["views"], indirect=True)
def test_a_mounted_application_finds_the_schema_when_the_database_is_there(
    database: Database, connection: psycopg.Connection
) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    unknown_schema = Database(
        database.url.difference_update_query(["host", "port"]).set(host="127.0.0.1", port=port)
    )
    outer = FastAPI()
    outer.mount("/chat", create_app(unknown_schema))
    with serving_app(outer) as client:
        problem(client.get(f"/chat{SESSIONS}"), 503)
        assert client.get("/chat/health").status_code == 503
        with forwarding(port, database):
            deadline = time.monotonic() + 30
            while client.get(f"/chat{SESSIONS}").status_code != 200:
                assert time.monotonic() < deadline
                time.sleep(0.2)
            check_archiving(client, connection, f"/chat{SESSIONS}")
            assert client.get("/chat/health").json()["status"] == "ok"


@contextmanager
def forwarding(port: int, database: Database) -> Iterator[None]:
    """Pass connections to a port on to the server of a database."""
    server = socket.create_server(("127.0.0.1", port))
    place = f"{database.url.query['host']}/.s.PGSQL.{database.url.query['port']}"

    def copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with suppress(OSError):  # the listener is closed
            while True:
                client, _ = server.accept()
                upstream = socket.socket(socket.AF_UNIX)
                upstream.connect(place)
                for ends in ((client, upstream), (upstream, client)):
                    threading.Thread(target=copy, args=ends, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield
    server.close()


# Behind a proxy


def test_both_prefixes_are_served_and_one_is_described(
    database: Database, connection: psycopg.Connection
) -> None:
    with serving_app(create_app(database)) as client:
        check_archiving(client, connection, UPSTREAM)
        assert client.get(f"{UPSTREAM}/archived").json() == client.get(f"{SESSIONS}/archive").json()
        (archived,) = client.get(f"{UPSTREAM}/archived").json()["sessions"]
        for path in ("", "/messages"):
            one = f"{archived['id']}{path}"
            assert (
                client.get(f"{UPSTREAM}/archived/{one}").json()
                == client.get(f"{SESSIONS}/archive/{one}").json()
            )
        assert client.delete(f"{UPSTREAM}/archived/{archived['id']}").status_code == 200
        refused = client.put(f"{UPSTREAM}/archived")
        assert (problem(refused, 405), refused.headers["allow"])[1] == "GET"
        described = client.get("/openapi.json").json()["paths"]
        assert not [path for path in described if "/archived" in path or path.startswith("/engine")]


def test_links_have_the_path_that_a_proxy_strips(
    database: Database, connection: psycopg.Connection
) -> None:
    with serving(database, *SERVE, "--root-path", "/api") as served:
        client = served.client
        # as the proxy sends it, and as one that strips nothing does
        check_archiving(client, connection, UPSTREAM)
        assert client.get(SESSIONS).status_code == 200
        assert client.get("/openapi.json").json()["servers"] == [{"url": "/api"}]
        assert "/api/openapi.json" in client.get("/docs").text
        refused = client.put(f"{UPSTREAM}/stats")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET")


# The router, included


@contextmanager
def including(app: FastAPI) -> Iterator[httpx.Client]:
    with serving_app(app) as client:
        client.headers["X-API-Key"] = "secret"
        yield client


@BOTH_LAYOUTS
@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_the_router_works_on_the_engine_of_the_application_behind_its_authentication(
    database: Database, connection: psycopg.Connection, driver: str
) -> None:
    if driver == "asyncpg":
        pytest.importorskip("asyncpg")
    engine = create_async_engine(database.url.set(drivername=f"postgresql+{driver}"))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)
    app.include_router(router(engine), prefix="/chats", dependencies=[Depends(user)])

    with including(app) as client:
        check_archiving(client, connection, "/chats")
        del client.headers["X-API-Key"]
        refused = client.get("/chats")
        assert (refused.status_code, refused.json()) == (401, {"detail": "who are you?"})


def test_errors_of_the_router_are_problems_and_those_of_the_application_its_own(
    database: Database,
) -> None:
    manager = NativeSessionManager(database.async_engine())
    app = FastAPI()

    @app.exception_handler(HTTPException)
    async def on_error(_: object, error: HTTPException) -> JSONResponse:
        return JSONResponse({"oops": error.detail}, error.status_code)

    app.include_router(router(manager), prefix="/chats", dependencies=[Depends(user)])
    with including(app) as client:
        assert problem(client.get(f"/chats/{UNKNOWN}"), 404)["detail"].endswith("not found")
        assert problem(client.get("/chats?limit=x"), 422)["errors"]
        assert "did you mean" in problem(client.get("/chats?limt=1"), 422)["detail"]
        assert problem(client.get("/chats?cursor=x"), 422)["code"] == "22023"
        del client.headers["X-API-Key"]
        for query in ("", "?limit=x", "?limt=1"):
            assert client.get(f"/chats{query}").json() == {"oops": "who are you?"}
        documented = client.get("/openapi.json").json()["paths"]
        assert "/chats/{session_id}/archive" in documented


def test_a_dependency_of_the_application_says_who_is_on_record(
    database: Database, connection: psycopg.Connection
) -> None:
    manager = NativeSessionManager(database.async_engine())

    def of_user(name: Annotated[str, Depends(user)]) -> NativeSessionManager:
        return manager.acting_as(name)

    app = FastAPI()
    app.include_router(router(of_user), prefix="/chats")
    with including(app) as client:
        check_archiving(client, connection, "/chats")
        del client.headers["X-API-Key"]
        assert client.get("/chats").status_code == 401
    assert [event.actor for event in events(connection)] == ["ada"]


def test_parameters_of_the_application_s_dependencies_are_known(database: Database) -> None:
    async def tenant(tenant: Annotated[str, Query()]) -> str:
        return tenant

    manager = NativeSessionManager(database.async_engine())
    app = FastAPI(dependencies=[Depends(tenant)])
    app.include_router(router(manager), prefix="/chats")
    with serving_app(app) as client:
        assert client.get("/chats?tenant=a").status_code == 200
        refused = problem(client.get("/chats?tenant=a&tenan=b"), 422)
        assert "did you mean tenant?" in refused["detail"]


def test_two_routers_of_one_application_keep_their_managers_apart(
    database: Database, empty_database: Database, connection: psycopg.Connection
) -> None:
    new_session(connection)
    app = FastAPI()
    app.include_router(router(database.async_engine()), prefix="/here")
    app.include_router(router(empty_database.async_engine()), prefix="/there")
    with serving_app(app) as client:
        assert client.get("/here").json()["total"] == 1
        assert problem(client.get("/there"), 503)["hint"]
