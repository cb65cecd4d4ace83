"""engine_session_conflict and session_conflict_differences: what is in both places, and how."""

from uuid import uuid4

import psycopg
import pytest

from tests.support import new_session
from tests.support.conflicts import change, conflict, conflicts, differences, one, resolve
from tests.support.layouts import BOTH_LAYOUTS
from tests.support.rows import ARCHIVE, LIVE, archive

LOOK_ALIKE = [
    ("temperature", "0.0", "'-0'", "-0", "0"),
    ("metadata", """'{"a": 1.0}'""", """'{"a": 1.00}'""", '{"a": 1.00}', '{"a": 1.0}'),
    ("metadata", "'null'", "NULL", None, "null"),
    ("title", "''", "NULL", None, ""),
    ("total_cost", "'NaN'", "NULL", None, "NaN"),
]


@BOTH_LAYOUTS
def test_a_session_in_both_places_is_listed_with_how_much_of_it_is_equal(
    connection: psycopg.Connection,
) -> None:
    session_id = conflict(connection, only_live=1, equal=4, only_archive=2)
    connection.execute(
        "UPDATE engine_chat_messages SET content = 'another'"
        " WHERE id = (SELECT id FROM engine_chat_message_archive ORDER BY created_at LIMIT 1)"
    )
    archive(connection, new_session(connection))
    new_session(connection)

    archived_at = one(connection, f"SELECT archived_at FROM {ARCHIVE[0]} WHERE id = %s", session_id)
    assert conflicts(connection) == {
        session_id: (session_id, "a session", archived_at, "equal", 5, 6, 3, 1)
    }


@BOTH_LAYOUTS
def test_the_figures_of_one_session_do_not_mix_with_those_of_another(
    connection: psycopg.Connection,
) -> None:
    few = conflict(connection, only_live=0, equal=1, only_archive=0)
    many = conflict(connection, only_live=3, equal=4, only_archive=5)
    change(connection, LIVE[0], "title = 'another'", few)

    found = conflicts(connection)

    assert {key: row[3:] for key, row in found.items()} == {
        few: ("different", 1, 1, 1, 0),
        many: ("equal", 7, 9, 4, 0),
    }


def test_archived_messages_alone_make_a_conflict_without_archived_at(
    connection: psycopg.Connection,
) -> None:
    session_id = conflict(connection)
    connection.execute("DELETE FROM engine_chat_session_archive")

    row = conflicts(connection)[session_id]

    assert (row.archived_at, row.session_rows) == (None, "only live")
    assert differences(connection, session_id)[0][:3] == (None, "only live", None)


@pytest.mark.parametrize(
    ("column", "in_archive", "in_live", "live_value", "archive_value"), LOOK_ALIKE
)
def test_rows_that_only_look_alike_are_different_and_the_column_is_named(
    connection: psycopg.Connection,
    column: str,
    in_archive: str,
    in_live: str,
    live_value: str | None,
    archive_value: str | None,
) -> None:
    session_id = conflict(connection, only_live=0, only_archive=0)
    change(connection, ARCHIVE[0], f"{column} = {in_archive}", session_id)
    change(connection, LIVE[0], f"{column} = {in_live}", session_id)

    assert conflicts(connection)[session_id].session_rows == "different"
    assert differences(connection, session_id) == [
        (None, "different", column, live_value, archive_value)
    ]
    change(connection, LIVE[0], f"{column} = {in_archive}", session_id)
    assert conflicts(connection)[session_id].session_rows == "equal"
    assert differences(connection, session_id) == []


@BOTH_LAYOUTS
def test_differences_come_in_order_the_sessions_row_first(connection: psycopg.Connection) -> None:
    session_id = conflict(connection, only_live=1, equal=2, only_archive=1)
    ids = [
        row[0]
        for row in connection.execute(
            """
            SELECT id FROM (
                SELECT id, created_at FROM engine_chat_messages
                UNION
                SELECT id, created_at FROM engine_chat_message_archive
            ) AS message ORDER BY created_at, id
            """
        )
    ]
    first = one(connection, f"SELECT id FROM {ARCHIVE[1]} ORDER BY created_at LIMIT 1")
    change(connection, LIVE[0], "title = 'new', status = 'ended'", session_id)
    connection.execute(
        f"UPDATE {LIVE[1]} SET content = 'edited', thinking = 'hm' WHERE id = %s", [first]
    )

    found = differences(connection, session_id)

    changed = [row for row in found if row[1] == "different"]
    assert changed == [
        (None, "different", "title", "new", "a session"),
        (None, "different", "status", "ended", "active"),
        (first, "different", "content", "edited", "message 1"),
        (first, "different", "thinking", "hm", None),
    ]
    places = [row[0] and ids.index(row[0]) for row in found]
    assert places == sorted(places, key=lambda place: -1 if place is None else place)
    alone = {row[1]: row for row in found if row[2] is None}
    assert alone.keys() == {"only live", "only archive"}
    assert '"content": "only live 0"' in alone["only live"][3]
    assert alone["only live"][4] is None
    assert alone["only archive"][3] is None
    assert '"content": "message 3"' in alone["only archive"][4]


@pytest.mark.parametrize("place", ["nowhere", "live", "archived", "merged"])
def test_a_session_that_is_not_in_both_places_has_no_differences(
    connection: psycopg.Connection, place: str
) -> None:
    session_id = conflict(connection) if place == "merged" else new_session(connection)
    if place == "archived":
        archive(connection, session_id)
    if place == "merged":
        resolve(connection, session_id, "archive")

    assert differences(connection, uuid4() if place == "nowhere" else session_id) == []
    assert conflicts(connection) == {}


def test_differences_of_no_session_are_refused(connection: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        connection.execute("SELECT * FROM session_conflict_differences(NULL)")


def test_health_is_red_until_every_conflict_is_resolved_and_names_the_command(
    connection: psycopg.Connection,
) -> None:
    session_id = conflict(connection)
    query = (
        "SELECT subject, value, unit, is_ok, remedy FROM engine_archive_health"
        " WHERE figure = 'conflicts'"
    )
    (before,) = connection.execute(query)
    resolve(connection, session_id, "live")
    (after,) = connection.execute(query)

    assert before[:4] == ("engine_chat_sessions", 1, "sessions", False)
    assert "aria-db conflicts" in before[4]
    assert after == ("engine_chat_sessions", 0, "sessions", True, None)


def test_health_names_a_command_for_drift_and_for_the_soft_deleted(
    connection: psycopg.Connection,
) -> None:
    connection.execute("ALTER TABLE engine_chat_messages ADD COLUMN mood text")
    new_session(connection, status="archived")

    remedies = dict(
        connection.execute("SELECT figure, remedy FROM engine_archive_health").fetchall()
    )

    assert "`aria-db adopt`" in remedies["drift"]
    assert "same columns" in remedies["drift"]
    assert "`aria-db prune`" in remedies["soft_deleted"]
