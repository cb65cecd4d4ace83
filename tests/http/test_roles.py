"""What the role of a token may do, and who is on record for it."""

from collections.abc import Iterator

import httpx
import psycopg
import pytest
from fastapi.routing import APIRoute

from aria_db.database import Database
from aria_db.errors import InvalidConfiguration
from aria_db.http import tokens
from aria_db.http.access import Roles
from aria_db.http.app import PREFIXES, create_app
from aria_db.http.routes import calls
from aria_db.http.tokens import Role, Token
from tests.support import events, new_session
from tests.support.http import SESSIONS, archive, problem, running
from tests.support.processes import SERVE, UVICORN, serving
from tests.support.retention import begin_run, finish_run
from tests.support.rows import all_tables

LISTS = {"reader", "support", "app", "operator"}
FIGURES = {"reader", "support", "operator"}
TRANSCRIPTS = {"support", "app", "operator"}
WORK = {"app", "operator"}
OPERATION = {"operator"}
MAY = {
    "list_sessions": LISTS,
    "create_session": WORK,
    "list_archived_sessions": LISTS,
    "get_archived_session": TRANSCRIPTS,
    "delete_archived_session": WORK,
    "get_archived_messages": TRANSCRIPTS,
    "get_stats": LISTS,
    "list_left": FIGURES,
    "cleanup": OPERATION,
    "delete_ghosts": OPERATION,
    "list_runs": FIGURES,
    "undo_run": OPERATION,
    "get_session": TRANSCRIPTS,
    "update_session": WORK,
    "update_title": WORK,
    "delete_session": WORK,
    "get_messages": TRANSCRIPTS,
    "add_message": WORK,
    "get_history": TRANSCRIPTS,
    "end_session": WORK,
    "archive_session": WORK,
    "restore_session": WORK,
    "place_hold": OPERATION,
    "release_hold": OPERATION,
}
BODIES = {
    "update_session": {"title": "another"},
    "update_title": {"title": "another"},
    "create_session": {"title": "a session"},
    "add_message": {"role": "user", "content": "hello"},
    "place_hold": {"reason": "case 17"},
}
ROUTES = [
    route
    for route in calls.router().routes
    if isinstance(route, APIRoute) and route.include_in_schema
]


def holder(role: str) -> Token:
    return Token(f"secret-of-{role}", Role(role), f"the {role}")


def bearer(token: Token) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.secret}"}


@pytest.fixture
def guarded(database: Database) -> Iterator[httpx.Client]:
    with running(database, tokens=[holder(role) for role in Role]) as client:
        yield client


def test_every_route_says_which_roles_may_call_it() -> None:
    declared = {
        route.name: {str(role) for role in depends.dependency.roles}
        for route in ROUTES
        for depends in route.dependencies
        if isinstance(depends.dependency, Roles)
    }
    assert declared == MAY
    assert len(ROUTES) == len(MAY)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_a_role_may_do_what_it_should_and_nothing_else(
    guarded: httpx.Client, connection: psycopg.Connection, route: APIRoute
) -> None:
    (method,) = route.methods
    run_id = begin_run(connection, "prune")
    finish_run(connection, run_id)
    for role in Role:
        session_id = new_session(connection)
        if "/archive/" in route.path:
            connection.execute("SELECT archive_session(%s)", (session_id,))
        path = PREFIXES[0] + route.path.format(session_id=session_id, run_id=run_id)
        before = all_tables(connection)

        answer = guarded.request(
            method, path, json=BODIES.get(route.name), headers=bearer(holder(role))
        )

        if role in MAY[route.name]:
            # There may be no such hold.
            assert answer.status_code in (200, 201, 404), answer.text
            assert (answer.status_code == 404) == (route.name == "release_hold")
        else:
            refused = problem(answer, 403)
            assert f"the token's role is {role}" in refused["detail"]
            assert "operator" in refused["detail"]
            assert all_tables(connection) == before


def test_the_name_of_the_token_is_on_record(
    guarded: httpx.Client, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection)
    hold = f"{SESSIONS}/{session_id}/hold"
    guarded.headers.update(bearer(holder("app")))
    assert archive(guarded, session_id).status_code == 200
    guarded.headers.update(bearer(holder("operator")))
    guarded.put(hold, json={"reason": "case 17"})
    guarded.delete(hold)
    guarded.headers.update(bearer(holder("app")))
    guarded.delete(f"{SESSIONS}/archive/{session_id}")

    assert [(event.event, event.actor) for event in events(connection)] == [
        ("archived", "the app"),
        ("held", "the operator"),
        ("released", "the operator"),
        ("deleted", "the app"),
    ]


def test_a_token_without_a_name_is_an_operator_and_leaves_the_role_on_record(
    database: Database, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection)
    with running(database, "alone", tokens=[holder("reader")]) as client:
        client.headers.update({"Authorization": "Bearer alone", "X-Forwarded-User": "mallory"})
        assert client.post(f"{SESSIONS}/cleanup").status_code == 200
        archive(client, session_id)
    assert [event.actor for event in events(connection)] == [connection.info.user]


def test_a_proxy_says_who_asks_in_the_header_that_was_enabled(
    database: Database, connection: psycopg.Connection
) -> None:
    session_id = new_session(connection)
    with running(database, tokens=[holder("app")], actor_header="X-Forwarded-User") as client:
        client.headers.update(bearer(holder("app")))
        problem(archive(client, session_id), 401)
        assert client.get(SESSIONS).status_code == 200
        client.headers["X-Forwarded-User"] = "ada"
        assert archive(client, session_id).status_code == 200
        problem(client.post(f"{SESSIONS}/cleanup"), 403)
    assert [event.actor for event in events(connection)] == ["ada"]


@pytest.mark.parametrize("command", [SERVE, UVICORN], ids=["serve", "uvicorn"])
def test_a_server_reads_its_tokens_from_the_environment(
    database: Database, connection: psycopg.Connection, command: list[str]
) -> None:
    session_id = new_session(connection)
    variables = {
        "ARIA_DB_TOKENS": "lea:reader:one,\n web:app:two:with:colons,",
        "ARIA_DB_ACTOR_HEADER": "",
    }
    with serving(database, *command, **variables) as served:
        for secret, status in (("one", 403), ("two:with:colons", 200), ("three", 401)):
            answer = served.client.post(
                f"{SESSIONS}/{session_id}/archive",
                headers={"Authorization": f"Bearer {secret}"},
            )
            assert answer.status_code == status
    assert [event.actor for event in events(connection)] == ["web"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "entry 1 is not name:role:token"),
        ("s3cret", "entry 1 is not name:role:token"),
        ("lea:reader:one,:app:s3cret", "entry 2 is not"),
        ("lea:admin:s3cret", "lea has the role 'admin'"),
        ("lea:reader:", "the API token of lea is empty"),
        ("lea:reader:s3cret t", "the API token of lea"),
        ("lea:reader:one,lea:app:s3cret", "two tokens of lea"),
        ("lea:reader:s3cret,web:app:s3cret", "two entries have the same token"),
    ],
)
def test_tokens_that_cannot_be_meant_are_refused_and_not_shown(text: str, reason: str) -> None:
    with pytest.raises(InvalidConfiguration, match=reason) as refused:
        tokens.parse(text)
    assert "s3cret" not in f"{refused.value} {refused.value.hint}"
    assert "s3cret" not in repr(Token("s3cret"))


def test_the_token_of_the_operator_is_nobody_elses(database: Database) -> None:
    with pytest.raises(InvalidConfiguration, match="the same token"):
        create_app(database, token="one", tokens=[Token("one", Role.READER, "lea")])
