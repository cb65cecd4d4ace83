"""Pages of the lists: they join whatever the order, and long lists are not counted to the end."""

from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest

from aria_db.session_manager import COUNTED
from tests.support import new_session
from tests.support.http import SESSIONS, archive, create, problem

ARCHIVE = f"{SESSIONS}/archive"


def pages(client: httpx.Client, path: str, **query: Any) -> Iterator[list[str]]:
    """Follow the cursors from the first page to the last; give the ids of each."""
    cursor = None
    while True:
        page = client.get(path, params=query | ({"cursor": cursor} if cursor else {})).json()
        yield [session["id"] for session in page["sessions"]]
        cursor = page["next_cursor"]
        assert page["has_more"] == (cursor is not None)
        if cursor is None:
            return


@pytest.fixture
def unusual(connection: psycopg.Connection) -> int:
    """Sessions with equal keys, without keys, and with keys that Python cannot hold."""
    times = (
        *("2026-01-01", "2026-01-02 12:00:00.000001", "2026-01-02 12:00:00.000002"),
        *("infinity", "-infinity", "0044-03-15 BC", "20260-01-01"),
    )
    keys = [*times, None]
    titles = ["a", "B", "zoë", "", 'quoted "text"', "%_\\", "\U0001f600", None]
    for time, title in zip(keys, titles, strict=True):
        for _ in range(2):
            new_session(connection, 0, title=title, updated_at=time, created_at=time)
    return 2 * len(keys)


@pytest.mark.parametrize("limit", [1, 3])
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("sort", ["updated_at", "created_at", "title"])
def test_pages_after_cursors_join_to_the_whole_list_in_every_order(
    client: httpx.Client, unusual: int, sort: str, order: str, limit: int
) -> None:
    query = {"sort": sort, "order": order}
    whole = client.get(SESSIONS, params=query | {"limit": 500}).json()

    parts = list(pages(client, SESSIONS, **query, limit=limit))

    joined = [session_id for part in parts for session_id in part]
    assert joined == [session["id"] for session in whole["sessions"]]
    assert {len(part) for part in parts[:-1]} == {limit}
    assert whole["total"] == unusual


def test_what_comes_and_goes_meanwhile_does_not_move_the_pages_after_a_cursor(
    client: httpx.Client,
) -> None:
    ids = [create(client) for _ in range(6)][::-1]
    following = pages(client, SESSIONS, limit=2)

    assert next(following) == ids[:2]
    create(client)
    archive(client, ids[1])
    assert next(following) == ids[2:4]
    archive(client, ids[3])
    assert list(following) == [ids[4:]]


def test_the_archive_has_cursors_as_well(client: httpx.Client) -> None:
    ids = [create(client) for _ in range(5)]
    for session_id in ids:
        archive(client, session_id)

    assert list(pages(client, ARCHIVE, limit=2)) == [ids[:2:-1], ids[2:0:-1], ids[:1]]
    assert list(pages(client, ARCHIVE, limit=5)) == [ids[::-1]]


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "not base64!",
        "bnVsbA",
        "W10",
        "WyJ1cGRhdGVkX2F0IGRlc2MiLDEsIjAiXQ",
        "é",
        "W" * 5000,
    ],
)
def test_what_is_no_cursor_is_refused(client: httpx.Client, cursor: str) -> None:
    refused = problem(client.get(SESSIONS, params={"cursor": cursor}), 422)

    assert "cursor" in refused["detail"]


def test_a_cursor_is_refused_by_another_order_and_beside_an_offset(client: httpx.Client) -> None:
    for _ in range(2):
        archive(client, create(client))
        create(client)
    cursor = client.get(SESSIONS, params={"limit": 1}).json()["next_cursor"]

    for path, query in ((SESSIONS, {"sort": "title"}), (SESSIONS, {"order": "asc"}), (ARCHIVE, {})):
        refused = problem(client.get(path, params={"cursor": cursor, **query}), 422)
        assert refused["detail"] == "the cursor is one of another order"
        assert "next_cursor" in refused["hint"]
    refused = problem(client.get(SESSIONS, params={"cursor": cursor, "offset": 1}), 422)
    assert "cursor and offset must not both be given" in refused["detail"]


@pytest.mark.parametrize("path", [SESSIONS, ARCHIVE])
def test_a_long_list_is_counted_up_to_a_bound_and_estimated_above(
    client: httpx.Client, connection: psycopg.Connection, path: str
) -> None:
    connection.execute(
        "INSERT INTO engine_chat_sessions (agent_id)"
        " SELECT CASE WHEN number > 3 THEN 'many' ELSE 'few' END"
        " FROM generate_series(1, %s) AS number",
        (3 + COUNTED,),
    )
    if path == ARCHIVE:
        connection.execute("SELECT FROM prune_sessions('1 microsecond', batch_size => 100000)")
    connection.execute("ANALYZE engine_chat_sessions, engine_chat_session_archive")

    def total(**query: str) -> tuple[int, bool]:
        page = client.get(path, params={"limit": 1, **query}).json()
        return page["total"], page["total_is_estimate"]

    assert total(agent_id="few") == (3, False)
    assert total(agent_id="many") == (COUNTED, False)
    assert total(agent_id="none") == (0, False)
    assert total(date_to="2020-01-01") == (0, False)
    assert total() == (3 + COUNTED, True)
    assert total(date_from="2020-01-01", session_type="interactive") == (3 + COUNTED, True)
