"""What is too large, too slow or too deep is refused, and costs the server little."""

import dataclasses
import inspect
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import psutil
import psycopg
import pytest

from aria_db.cli.serving import serve
from aria_db.database import Database
from aria_db.errors import InvalidConfiguration
from aria_db.http import settings
from aria_db.http.limits import DEFAULT, Limits
from tests.support.http import SESSIONS, create, problem, running
from tests.support.processes import serving

JSON = {"Content-Type": "application/json"}
MEGABYTE = 2**20
TOO_LARGE = 100 * MEGABYTE

INJECTIONS = [
    "'; DROP TABLE engine_chat_sessions; --",
    "' OR '1'='1",
    '"; SELECT pg_sleep(100); --',
    "%s %(id)s :id {} $1 $$",
    "%_\\",
    "\\'; COMMIT; --",
    "\x01\x1b[2J\r\n",
    "\U0010ffff\u202e\ufeff",
]


def _count(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM engine_chat_sessions").fetchone()
    assert row is not None
    found: int = row[0]
    return found


def _sized(size: int) -> bytes:
    """Return a session of so many bytes."""
    empty = len(json.dumps({"system_prompt": ""}))
    return json.dumps({"system_prompt": "x" * (size - empty)}).encode()


# Sizes


def test_a_body_of_the_greatest_length_is_taken_and_one_byte_more_is_413(
    database: Database, connection: psycopg.Connection
) -> None:
    with running(database, limits=Limits(max_body=1000)) as client:
        for number, length in enumerate((1000, 1001, 100_000, 1000)):
            whole = _sized(length)
            parts = [whole[:400], whole[400:900], whole[900:]]
            for body in (whole, iter(parts)):  # with its length, and chunked
                answer = client.post(SESSIONS, content=body, headers=JSON)
                if length == 1000:
                    assert answer.status_code == 201
                else:
                    assert "1000 bytes" in problem(answer, 413)["detail"]
            assert _count(connection) == (2 if number < 3 else 4)


@pytest.mark.slow
@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
def test_memory_stays_flat_under_bodies_of_100_megabytes(
    database: Database, is_chunked: bool
) -> None:
    with serving(database) as served:
        create(served.client)
        # One of the greatest length first: what it takes is what a server must have.
        assert served.client.post(SESSIONS, content=_sized(DEFAULT.max_body), headers=JSON)
        server = psutil.Process(served.process.pid)
        before = most = server.memory_info().rss

        def body() -> Iterator[bytes]:
            nonlocal most
            yield b'{"title": "'
            for _ in range(TOO_LARGE // MEGABYTE):
                most = max(most, server.memory_info().rss)
                yield b"x" * MEGABYTE
            yield b'"}'

        headers = JSON if is_chunked else {**JSON, "Content-Length": str(TOO_LARGE + 13)}
        for _ in range(3):
            problem(served.client.post(SESSIONS, content=body(), headers=headers), 413)

        assert most < before * 1.3


def test_who_asks_first_need_not_send_what_is_too_large(database: Database) -> None:
    with running(database, limits=Limits(max_body=1000)) as client:
        raw = _connect(client)
        raw.sendall(_head("Content-Length: 1001", "Expect: 100-continue"))

        assert _read_to_end(raw).startswith(b"HTTP/1.1 413 ")


@pytest.mark.slow
def test_a_wrong_request_is_told_in_few_words_however_wrong_it_is(client: httpx.Client) -> None:
    many = {f"unknown{number}": 1 for number in range(100_000)}
    for body in (many, {"x" * MEGABYTE: 1}, {"metadata": "x" * MEGABYTE}):
        answer = client.post(SESSIONS, json=body)
        told = problem(answer, 422)
        assert len(answer.content) < 10_000
        assert len(told["errors"]) <= 20
    assert "99980 more" in problem(client.post(SESSIONS, json=many), 422)["detail"]


@pytest.mark.slow
def test_what_is_too_deep_or_too_wide_is_refused_and_leaves_no_memory_behind(
    database: Database,
) -> None:
    size = DEFAULT.max_body // 2
    bodies = [
        (b"[" * size, 400),
        (b'{"a":' * (size // 5), 400),
        (b'{"metadata":' + b"[" * (size - 12), 400),
        *(
            (b'{"nothing": [' + inside * (size // len(inside) - 20) + b"0]}", 422)
            for inside in (b"[],", b"{},", b"0,")
        ),
    ]
    with serving(database) as served:

        def send_all() -> int:
            for body, status in bodies:
                problem(served.client.post(SESSIONS, content=body, headers=JSON), status)
            found: int = psutil.Process(served.process.pid).memory_info().rss
            return found

        assert send_all() * 1.3 > max(send_all() for _ in range(3))


def test_what_is_no_http_or_too_long_for_it_is_a_problem_as_all_others(database: Database) -> None:
    with serving(database) as served:
        for sent in (
            b"nonsense\r\n\r\n",
            b"GET /?search=" + b"x" * 70_000,
            b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000,
            _head("Content-Length: -1"),
            _head("Content-Length: 1", "Content-Length: 2"),
        ):
            with _connect(served.client) as raw:
                raw.sendall(sent)
                head, _, body = raw.recv(65536).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 400 ")
            assert b"application/problem+json" in head
            assert json.loads(body)["status"] == 400
        assert served.client.get(SESSIONS).status_code == 200


# Slowness


def _connect(client: httpx.Client) -> socket.socket:
    raw = socket.create_connection((client.base_url.host, client.base_url.port or 0))
    raw.settimeout(60)
    return raw


def _head(*headers: str) -> bytes:
    lines = (f"POST {SESSIONS} HTTP/1.1", "Host: x", "Content-Type: application/json", *headers)
    return "\r\n".join((*lines, "", "")).encode()


def _read_to_end(raw: socket.socket) -> bytes:
    """Return what is read until the server closes the connection."""
    found = b""
    with raw:
        while part := raw.recv(65536):
            found += part
    return found


def test_a_body_that_does_not_come_is_408_and_frees_the_connection(database: Database) -> None:
    with running(database, limits=Limits(body_timeout=0.3)) as client, ExitStack() as stack:
        slow = [stack.enter_context(_connect(client)) for _ in range(50)]
        for raw in slow:
            raw.sendall(_head("Content-Length: 100") + b'{"title')
        # Meanwhile the others are served: those hold neither a thread nor a connection
        # to the database.
        assert client.get(SESSIONS).status_code == 200
        for raw in slow:
            head, _, body = _read_to_end(raw).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 408 ")
            assert b"application/problem+json" in head
            assert json.loads(body)["status"] == 408
        assert client.get(f"{SESSIONS}").json()["total"] == 0


@pytest.mark.parametrize(("size", "status"), [(DEFAULT.max_body, 408), (10, 413)])
def test_a_body_that_drips_is_cut_off(database: Database, size: int, status: int) -> None:
    limits = Limits(max_body=size, body_timeout=0.5)
    with running(database, limits=limits) as client, _connect(client) as raw:
        is_over = threading.Event()

        def drip() -> None:
            while not is_over.wait(0.02):
                try:
                    raw.sendall(b"1\r\nx\r\n")
                except OSError:
                    return

        raw.sendall(_head("Transfer-Encoding: chunked") + b"b\r\n" + b"x" * 11 + b"\r\n")
        thread = threading.Thread(target=drip)
        thread.start()
        try:
            answer = raw.recv(65536)
        finally:
            is_over.set()
            thread.join()

    assert answer.startswith(f"HTTP/1.1 {status} ".encode())


# Values


def test_text_that_looks_like_sql_is_text(client: httpx.Client) -> None:
    for text in INJECTIONS:
        create(client, title=text, session_type=text, agent_id=text)

    for text in INJECTIONS:
        query = {"search": text, "session_type": text, "agent_id": text}
        found = client.get(SESSIONS, params=query).json()["sessions"]
        assert [session["title"] for session in found] == [text]
        refused = client.get(SESSIONS, params={"sort": text, "date_from": text})
        assert "SELECT count" not in refused.text
        problem(refused, 422)


@pytest.mark.parametrize(
    "time",
    [
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "0001-01-01",
        "9999-12-31T23:59:59.999999Z",
        "9999-12-31T23:59:59.999999-23:59",
        "1900-01-01T00:00:00.000001",
    ],
)
def test_dates_at_the_ends_of_time_are_dates(client: httpx.Client, time: str) -> None:
    create(client)
    is_early = time < "2"

    for path in (SESSIONS, f"{SESSIONS}/archive"):
        for name, expected in (("date_from", is_early), ("date_to", not is_early)):
            found = client.get(path, params={name: time})
            assert found.status_code == 200, found.text
            assert found.json()["total"] == int(expected and path == SESSIONS)
        between = {"date_from": "0001-01-01T00:00+23:59", "date_to": "9999-12-31T23:59-23:59"}
        assert client.get(path, params=between).json()["total"] == int(path == SESSIONS)


def test_the_greatest_limit_and_offset_find_nothing(client: httpx.Client) -> None:
    session_id = create(client, messages=1)
    for path in (SESSIONS, f"{SESSIONS}/archive", f"{SESSIONS}/{session_id}/messages"):
        found = client.get(path, params={"limit": 500, "offset": 2**63 - 1})
        assert found.status_code == 200
        assert found.json()["has_more"] is False


@pytest.mark.parametrize("value", ["true", '"1"', "1.5", "[1]"])
def test_what_is_no_number_is_not_taken_for_one(client: httpx.Client, value: str) -> None:
    for body in (f'{{"max_tokens": {value}}}', f'{{"context_window": {value}}}'):
        problem(client.post(SESSIONS, content=body, headers=JSON), 422)
    problem(client.get(f"{SESSIONS}?date_from=0.5"), 422)


# Settings


def test_serve_and_the_environment_have_the_same_limits_with_the_same_defaults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = inspect.signature(serve, eval_str=True).parameters
    defaults = settings.read()
    names = [*(field.name for field in dataclasses.fields(Limits)), "wait"]
    for name in names:
        option = options[name]
        assert option.default is None
        [described] = option.annotation.__metadata__
        assert described.show_default == str(getattr(defaults, name))
        assert f"ARIA_DB_{name.upper()}." in described.help
        monkeypatch.setenv(f"ARIA_DB_{name.upper()}", "7")

    assert defaults.limits() == DEFAULT
    assert dataclasses.astuple(settings.read().limits()) == (7, 7, 7, 7)
    assert settings.read(wait=8, max_body=None).model_dump(include={"wait", "max_body"}) == {
        "wait": 8,
        "max_body": 7,
    }


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARIA_DB_MAX_BODY", "")

    assert settings.read().limits() == DEFAULT


@pytest.mark.parametrize("value", ["0", "-1", "many", "nan", "1e999"])
def test_what_is_no_limit_is_refused_with_the_name_of_the_variable_or_the_option(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARIA_DB_BODY_TIMEOUT", value)

    with pytest.raises(InvalidConfiguration, match=r"^ARIA_DB_BODY_TIMEOUT: "):
        settings.read()
    with pytest.raises(InvalidConfiguration, match=r"^--wait: "):
        settings.read(body_timeout=1, wait=-1)


@pytest.mark.parametrize(("given", "taken"), [("", ""), ("/api", "/api"), ("/a/b/", "/a/b")])
def test_a_root_path_is_taken_with_and_without_a_slash_at_its_end(given: str, taken: str) -> None:
    assert settings.read(root_path=given).root_path == taken


@pytest.mark.parametrize("value", ["api", "https://host/api", "/api?x=1", "/a b"])
def test_what_is_no_root_path_is_refused_with_the_form_of_one(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidConfiguration, match=r"^--root-path: .* such as /api$"):
        settings.read(root_path=value)
    monkeypatch.setenv("ARIA_DB_ROOT_PATH", value)
    with pytest.raises(InvalidConfiguration, match=r"^ARIA_DB_ROOT_PATH: .* such as /api$"):
        settings.read()
