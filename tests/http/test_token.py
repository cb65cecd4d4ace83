"""With a token, nothing answers without it; without one, nothing asks for it."""

from collections.abc import Iterator

import httpx
import pytest

from aria_db.database import Database, parse_url
from aria_db.errors import InvalidConfiguration
from aria_db.http.app import create_app
from tests.support.http import SESSIONS, UNKNOWN, create, problem, running
from tests.support.processes import PATIENCE_SECONDS, SERVE, UVICORN, read, serving, starting

TOKEN = "s3cret-Token.~+/="
RIGHT = {"Authorization": f"Bearer {TOKEN}"}
NOWHERE = Database(parse_url("postgresql:///"))

from_either_start = pytest.mark.parametrize("command", [SERVE, UVICORN], ids=["serve", "uvicorn"])


@pytest.fixture
def guarded(database: Database) -> Iterator[httpx.Client]:
    """A client, without the token, of a server that asks for it."""
    with running(database, TOKEN) as client:
        yield client


def _refused(answer: httpx.Response) -> None:
    problem(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"


def test_every_route_asks_for_the_token(guarded: httpx.Client) -> None:
    described = guarded.get("/openapi.json", headers=RIGHT).json()["paths"]
    routes = [(method, path) for path, methods in described.items() for method in methods]
    assert len(routes) == 25
    for method, path in [
        *routes,
        ("get", "/openapi.json"),
        ("get", "/docs"),
        ("get", "/docs/oauth2-redirect"),
        ("get", "/redoc"),
        ("get", "/"),
        ("get", "/nothing"),
        ("put", SESSIONS),
        ("options", SESSIONS),
        ("head", "/docs"),
        ("get", f"{SESSIONS}/"),
        ("get", f"{SESSIONS}/malformed"),
    ]:
        answer = guarded.request(method, path.replace("{session_id}", UNKNOWN))
        assert answer.status_code == 401, (method, path)
        if method != "head":
            _refused(answer)


def test_every_route_answers_with_the_token(guarded: httpx.Client) -> None:
    guarded.headers.update(RIGHT)
    session_id = create(guarded, messages=1)

    for path in ("/health", "/docs", "/openapi.json", SESSIONS, f"{SESSIONS}/{session_id}"):
        assert guarded.get(path).status_code == 200, path
    problem(guarded.get("/nothing"), 404)


def test_anything_but_the_token_is_refused(guarded: httpx.Client) -> None:
    for header in (
        "",
        "Bearer",
        "Bearer x",
        TOKEN,
        f"Basic {TOKEN}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN.lower()}",
        f"Bearer {TOKEN} {TOKEN}",
        f"Bearer, Bearer {TOKEN}",
        "Bearer s3cret-Tokené".encode(),
        b"Bearer \xff\xfe",
    ):
        _refused(guarded.get("/health", headers={"Authorization": header}))


def test_the_schemes_name_is_taken_in_any_case(guarded: httpx.Client) -> None:
    for scheme in ("Bearer", "bearer", "BEARER"):
        header = {"Authorization": f"{scheme} {TOKEN}"}
        assert guarded.get(SESSIONS, headers=header).status_code == 200


def test_nothing_is_done_without_the_token(guarded: httpx.Client) -> None:
    session_id = guarded.post(SESSIONS, json={}, headers=RIGHT).json()["id"]

    _refused(guarded.delete(f"{SESSIONS}/{session_id}"))
    _refused(guarded.post(f"{SESSIONS}/{session_id}/archive"))

    assert guarded.get(f"{SESSIONS}/{session_id}", headers=RIGHT).status_code == 200


def test_the_token_may_come_as_an_api_key(guarded: httpx.Client) -> None:
    assert guarded.get(SESSIONS, headers={"X-API-Key": TOKEN}).status_code == 200
    assert guarded.get(SESSIONS, headers={"X-API-Key": TOKEN, **RIGHT}).status_code == 200
    for wrong in ("", "x", f"Bearer {TOKEN}", TOKEN.lower()):
        _refused(guarded.get(SESSIONS, headers={"X-API-Key": wrong}))
        # A caller that sends two tokens must be right twice.
        _refused(guarded.get(SESSIONS, headers={"X-API-Key": wrong, **RIGHT}))
    _refused(guarded.get(SESSIONS, headers={"X-API-Key": TOKEN, "Authorization": "Bearer x"}))


def test_openapi_declares_the_token_where_it_is_asked_for(
    guarded: httpx.Client, client: httpx.Client
) -> None:
    document = guarded.get("/openapi.json", headers=RIGHT).json()
    schemes = document["components"]["securitySchemes"]
    assert {
        scheme["type"]: scheme.get("name", scheme.get("scheme")) for scheme in schemes.values()
    } == {
        "http": "bearer",
        "apiKey": "X-API-Key",
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["security"] == [{name: []} for name in schemes], path
            assert "application/problem+json" in operation["responses"]["401"]["content"]

    document = client.get("/openapi.json").json()
    assert "securitySchemes" not in document["components"]
    for operations in document["paths"].values():
        for operation in operations.values():
            assert "security" not in operation
            assert "401" not in operation["responses"]


@pytest.mark.parametrize("token", ["", " ", "a b", " a", "a\n", "é", "a\x00"])
def test_a_token_that_nobody_can_send_or_anybody_can_is_refused_at_once(token: str) -> None:
    with pytest.raises(InvalidConfiguration, match="token"):
        create_app(NOWHERE, token=token)


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [
        {"ARIA_API_TOKEN": TOKEN},
        {"ARIA_API_TOKEN": TOKEN, "ARIA_DB_TOKEN": ""},
        {"ARIA_API_TOKEN": ""},
    ],
    ids=["only the old name", "the new name empty", "the old name empty"],
)
@from_either_start
def test_a_server_with_only_the_tokens_old_name_does_not_start_and_names_the_new_one(
    command: tuple[str, ...], environment: dict[str, str]
) -> None:
    with starting(NOWHERE, *command, **environment) as (process, log):
        status = process.wait(PATIENCE_SECONDS)
        written = read(log)

    assert status == (2 if command == SERVE else 1)
    assert "ARIA_API_TOKEN was renamed: set ARIA_DB_TOKEN instead" in written
    assert "running on" not in written
    assert TOKEN not in written


@from_either_start
def test_a_server_with_an_empty_token_does_not_start(command: tuple[str, ...]) -> None:
    with starting(NOWHERE, *command, ARIA_DB_TOKEN="") as (process, log):
        status = process.wait(PATIENCE_SECONDS)
        written = read(log)

    assert status == (2 if command == SERVE else 1)
    assert "the API token is empty" in written
    assert "running on" not in written


@pytest.mark.slow
@from_either_start
def test_a_server_with_both_names_asks_for_the_token_of_the_new_one(
    database: Database, command: tuple[str, ...]
) -> None:
    with serving(database, *command, ARIA_DB_TOKEN=TOKEN, ARIA_API_TOKEN="old") as served:
        _refused(served.client.get(SESSIONS))
        _refused(served.client.get(SESSIONS, headers={"Authorization": "Bearer old"}))
        assert served.client.get(SESSIONS, headers=RIGHT).status_code == 200


def test_the_old_name_is_harmless_beside_the_new_one_with_the_same_token(
    database: Database,
) -> None:
    with serving(database, ARIA_DB_TOKEN=TOKEN, ARIA_API_TOKEN=TOKEN) as served:
        _refused(served.client.get(SESSIONS))
        assert served.client.get(SESSIONS, headers=RIGHT).status_code == 200
