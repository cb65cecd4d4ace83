"""The journal records exactly what was done, whichever client did it."""

import random
from collections.abc import Callable
from uuid import UUID

import httpx
import psycopg
import pytest

from aria_db.database import Database
from aria_db.http.tokens import Token
from aria_db.session_manager import NativeSessionManager
from tests.support import call, new_session
from tests.support.command_line import Cli, document, lines
from tests.support.http import SESSIONS, running

ACTORS = ("ada", "bob", "carol", "dan", "eve")
DEEDS = {"archive": "archived", "restore": "restored", "hold": "held", "release": "released"}


def possible(is_archived: bool, is_held: bool) -> list[str]:
    """Return what would change the session."""
    moves = ["restore"] if is_archived else [] if is_held else ["archive"]
    return [*moves, "release" if is_held else "hold"]


@pytest.mark.anyio
@pytest.mark.parametrize("seed", [1, 2])
async def test_the_history_is_exactly_what_five_actors_did_through_four_clients(
    database: Database,
    connection: psycopg.Connection,
    manager: NativeSessionManager,
    cli: Cli,
    seed: int,
) -> None:
    session_id = new_session(connection)
    chance = random.Random(seed)
    functions = {"archive": "archive_session", "restore": "restore_session"} | {
        "hold": "place_hold",
        "release": "release_hold",
    }

    def by_sql(deed: str, actor: str) -> None:
        reason = {"reason": "case 17"} if deed == "hold" else {}
        call(connection, functions[deed], session_id=session_id, actor=actor, **reason)

    def by_command(deed: str, actor: str) -> None:
        reason = ("--reason", "case 17") if deed == "hold" else ()
        assert lines(cli(deed, session_id, *reason, "--actor", actor))

    def by_http(deed: str, actor: str) -> None:
        headers = {"Authorization": f"Bearer token-of-{actor}"}
        method, path, body = {
            "hold": ("PUT", "hold", {"reason": "case 17"}),
            "release": ("DELETE", "hold", None),
        }.get(deed, ("POST", deed, None))
        url = f"{SESSIONS}/{session_id}/{path}"
        assert client.request(method, url, json=body, headers=headers).status_code == 200

    async def by_manager(deed: str, actor: str) -> None:
        acting = manager.acting_as(actor)
        reason = ("case 17",) if deed == "hold" else ()
        assert await getattr(acting, functions[deed])(session_id, *reason)

    clients: list[Callable[[str, str], None]] = [by_sql, by_command, by_http]
    done: list[tuple[str, str]] = []
    is_archived = is_held = False
    tokens = [Token(f"token-of-{actor}", name=actor) for actor in ACTORS]
    with running(database, tokens=tokens) as client:
        for _ in range(20):
            deed = chance.choice(possible(is_archived, is_held))
            actor = chance.choice(ACTORS)
            number = chance.randrange(4)
            if number == 3:
                await by_manager(deed, actor)
            else:
                clients[number](deed, actor)
            done.append((DEEDS[deed], actor))
            is_archived = {"archive": True, "restore": False}.get(deed, is_archived)
            is_held = {"hold": True, "release": False}.get(deed, is_held)

        assert {actor for _, actor in done} == set(ACTORS)
        assert told_by_http(client, session_id) == done
    events = await manager.get_history(session_id)
    assert [(event.event, event.actor) for event in events or []] == done
    by_cli = document(cli("history", session_id, "--json"))["events"]
    assert [(event["event"], event["actor"]) for event in by_cli] == done
    rows = call(connection, "archive_history", session_id=session_id)
    assert [(row.event, row.actor) for row in rows] == done


def told_by_http(client: httpx.Client, session_id: UUID) -> list[tuple[str, str]]:
    answer = client.get(
        f"{SESSIONS}/{session_id}/history", headers={"Authorization": "Bearer token-of-ada"}
    )
    return [(event["event"], event["actor"]) for event in answer.json()["events"]]
