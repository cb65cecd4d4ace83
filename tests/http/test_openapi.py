"""The OpenAPI document: complete, and its examples are true."""

import re
from typing import Any

import httpx
import pydantic
import pytest
from alembic.script import ScriptDirectory

from aria_db import __version__
from aria_db.http import answers, health, requests
from aria_db.http.problems import Problem, documented
from aria_db.install import migrate, resources
from tests.support.http import SESSIONS

ROUTES = {
    ("get", SESSIONS): "list_sessions",
    ("post", SESSIONS): "create_session",
    ("get", f"{SESSIONS}/archive"): "list_archived_sessions",
    ("get", f"{SESSIONS}/archive/{{session_id}}"): "get_archived_session",
    ("delete", f"{SESSIONS}/archive/{{session_id}}"): "delete_archived_session",
    ("get", f"{SESSIONS}/archive/{{session_id}}/messages"): "get_archived_messages",
    ("get", f"{SESSIONS}/left"): "list_left",
    ("get", f"{SESSIONS}/stats"): "get_stats",
    ("get", f"{SESSIONS}/{{session_id}}"): "get_session",
    ("patch", f"{SESSIONS}/{{session_id}}"): "update_session",
    ("patch", f"{SESSIONS}/{{session_id}}/title"): "update_title",
    ("delete", f"{SESSIONS}/{{session_id}}"): "delete_session",
    ("get", f"{SESSIONS}/{{session_id}}/messages"): "get_messages",
    ("post", f"{SESSIONS}/{{session_id}}/messages"): "add_message",
    ("post", f"{SESSIONS}/{{session_id}}/end"): "end_session",
    ("post", f"{SESSIONS}/{{session_id}}/archive"): "archive_session",
    ("post", f"{SESSIONS}/{{session_id}}/restore"): "restore_session",
    ("post", f"{SESSIONS}/cleanup"): "cleanup",
    ("delete", f"{SESSIONS}/ghosts"): "delete_ghosts",
    ("get", f"{SESSIONS}/runs"): "list_runs",
    ("post", f"{SESSIONS}/runs/{{run_id}}/undo"): "undo_run",
    ("get", f"{SESSIONS}/{{session_id}}/history"): "get_history",
    ("put", f"{SESSIONS}/{{session_id}}/hold"): "place_hold",
    ("delete", f"{SESSIONS}/{{session_id}}/hold"): "release_hold",
    ("get", "/health"): "health",
}

MAY_CONFLICT = {
    ("post", f"{SESSIONS}/cleanup"),
    ("post", f"{SESSIONS}/runs/{{run_id}}/undo"),
    ("delete", f"{SESSIONS}/archive/{{session_id}}"),
    ("delete", f"{SESSIONS}/{{session_id}}"),
    ("post", f"{SESSIONS}/{{session_id}}/archive"),
    ("post", f"{SESSIONS}/{{session_id}}/restore"),
}


@pytest.fixture
def document(client: httpx.Client) -> dict[str, Any]:
    answer = client.get("/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def _operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method, path): operation
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }


def test_every_route_is_described_under_its_name(document: dict[str, Any]) -> None:
    operations = _operations(document)

    assert {key: operation["operationId"] for key, operation in operations.items()} == ROUTES
    assert document["info"]["version"] == __version__
    for key, operation in operations.items():
        assert operation["summary"], key
        assert operation["description"], key
        for parameter in operation.get("parameters", []):
            assert parameter["in"] == "path" or parameter["description"], (key, parameter)


def test_every_error_answer_is_a_problem_with_an_example(document: dict[str, Any]) -> None:
    for (method, path), operation in _operations(document).items():
        errors = {int(status): a for status, a in operation["responses"].items() if status >= "4"}
        if path == "/health":
            assert set(errors) == {503}
            continue
        assert {500, 503} <= set(errors)
        assert ("{" in path) == (404 in errors)
        assert ((method, path) in MAY_CONFLICT) == (409 in errors), path
        assert ("requestBody" in operation) == (415 in errors)
        assert ("parameters" in operation or "requestBody" in operation) == (422 in errors)
        for status, answer in errors.items():
            [(media_type, content)] = answer["content"].items()
            assert media_type == "application/problem+json"
            assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
            assert Problem.model_validate(content["example"]).status == status


def test_every_body_and_answer_has_an_example_that_fits(document: dict[str, Any]) -> None:
    models = {**vars(requests), **vars(answers), **vars(health)}
    for key, operation in _operations(document).items():
        bodies = [
            answer["content"]["application/json"]
            for status, answer in operation["responses"].items()
            if status < "3"
        ]
        if "requestBody" in operation:
            bodies.append(operation["requestBody"]["content"]["application/json"])
        for body in bodies:
            name = re.sub(r".*/", "", body["schema"]["$ref"])
            model: type[pydantic.BaseModel] = models[name]
            [example] = document["components"]["schemas"][name]["examples"]
            required = document["components"]["schemas"][name].get("required", [])
            properties = document["components"]["schemas"][name]["properties"]
            assert set(required) <= set(example) <= set(properties), key
            assert model.model_validate(example, by_name=True, by_alias=True), key


def test_examples_name_revisions_and_hints_that_there_are(document: dict[str, Any]) -> None:
    scripts = ScriptDirectory.from_config(migrate.config())
    revisions = {script.revision for script in scripts.walk_revisions()}
    sql = " ".join(path.read_text("utf-8") for path in resources.SQL.rglob("*.sql"))
    hints = re.sub(r"'\s+'", "", sql)

    [healthy] = document["components"]["schemas"]["Health"]["examples"]
    answers = document["paths"]["/health"]["get"]["responses"]
    stale = answers["503"]["content"]["application/json"]["example"]
    conflict = documented(409)[409]["content"]["application/json"]["example"]

    assert healthy["newest"] == stale["newest"] == scripts.get_current_head()
    assert {healthy["revision"], stale["revision"]} <= revisions
    assert conflict["hint"] in hints


def test_the_documentation_can_be_opened(client: httpx.Client) -> None:
    assert "/openapi.json" in client.get("/docs").text
