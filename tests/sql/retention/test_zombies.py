"""What end_zombie_sessions ends, and what it leaves as it is."""

import psycopg
import pytest
from psycopg.rows import namedtuple_row

from tests.support import places
from tests.support.layouts import BOTH_LAYOUTS
from tests.support.retention import ARCHIVED, one, session_of_age

END = "SELECT end_zombie_sessions()"
COUNT = "SELECT count_zombie_sessions()"


def row(connection: psycopg.Connection, session_id: object) -> tuple:
    """Return the session as it is."""
    cursor = connection.cursor(row_factory=namedtuple_row)
    found = cursor.execute("SELECT * FROM engine_chat_sessions WHERE id = %s", [session_id])
    return found.fetchone() or ()


@BOTH_LAYOUTS
@pytest.mark.parametrize("session_type", ["scoped", "cron"])
def test_an_active_session_whose_job_is_gone_is_ended_and_nothing_else_of_it_changes(
    connection: psycopg.Connection, session_type: str
) -> None:
    zombie = session_of_age(
        connection, "121 minutes", session_type=session_type, metadata='{"a": 1}'
    )
    before = row(connection, zombie)
    (began,) = connection.execute("SELECT clock_timestamp()").fetchone() or ()

    assert one(connection, COUNT) == 1
    assert one(connection, END) == 1

    after = row(connection, zombie)
    assert after.status == "ended"
    assert after.ended_at > began
    assert after.metadata == {"a": 1, "ended": True}
    same = {"status": before.status, "ended_at": None, "metadata": before.metadata}
    assert after._replace(**same) == before
    assert (one(connection, COUNT), one(connection, END)) == (0, 0)


@pytest.mark.parametrize(
    ("age", "columns"),
    [
        ("119 minutes", {"session_type": "cron"}),
        ("3 hours", {"session_type": "chat"}),
        ("3 hours", {"session_type": "cron", "status": "ended"}),
        ("3 hours", {"session_type": "cron", "status": "archived"}),
    ],
)
def test_no_other_session_is_ended(
    connection: psycopg.Connection, age: str, columns: dict[str, str]
) -> None:
    session_id = session_of_age(connection, age, **columns)
    before = row(connection, session_id)

    assert (one(connection, COUNT), one(connection, END)) == (0, 0)

    assert row(connection, session_id) == before


@pytest.mark.parametrize(
    ("metadata", "ended"), [(None, {"ended": True}), ("[1]", [1]), ("null", None)]
)
def test_metadata_that_is_no_object_stays_and_no_metadata_becomes_one(
    connection: psycopg.Connection, metadata: str | None, ended: object
) -> None:
    zombie = session_of_age(connection, "3 hours", session_type="cron", metadata=metadata)

    assert one(connection, END) == 1

    assert row(connection, zombie).metadata == ended  # type: ignore[attr-defined]


def test_the_first_end_of_a_session_stays(connection: psycopg.Connection) -> None:
    ended_at = "2026-01-01 00:00:00+00"
    zombie = session_of_age(connection, "3 hours", session_type="cron", ended_at=ended_at)

    assert one(connection, END) == 1

    assert one(
        connection,
        "SELECT ended_at = %s FROM engine_chat_sessions WHERE id = %s",
        ended_at,
        zombie,
    )


def test_sessions_in_use_are_left_and_a_batch_has_its_size(
    connection: psycopg.Connection, other: psycopg.Connection
) -> None:
    ids = [session_of_age(connection, "3 hours", session_type="cron") for _ in range(3)]

    with other.transaction():
        other.execute("UPDATE engine_chat_sessions SET title = 'in use' WHERE id = %s", [ids[0]])
        assert one(connection, "SELECT end_zombie_sessions(1)") == 1
        assert one(connection, END) == 1
        assert one(connection, END) == 0

    assert one(connection, END) == 1


def test_a_session_that_becomes_active_again_is_not_ended(
    connection: psycopg.Connection, other: psycopg.Connection
) -> None:
    zombie = session_of_age(connection, "3 hours", session_type="cron")

    with other.transaction():
        other.execute("UPDATE engine_chat_sessions SET updated_at = now() WHERE id = %s", [zombie])
        assert one(connection, END) == 0

    assert one(connection, END) == 0


@pytest.mark.parametrize("batch_size", ["0", "NULL"])
def test_a_batch_of_no_size_is_refused(connection: psycopg.Connection, batch_size: str) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="batch_size is") as refusal:
        connection.execute(f"SELECT end_zombie_sessions({batch_size})")

    assert refusal.value.diag.message_hint


def test_the_procedure_ends_the_zombies_before_it_prunes_and_not_for_one_type(
    connection: psycopg.Connection,
) -> None:
    zombies = [session_of_age(connection, "3 hours", session_type="cron") for _ in range(3)]
    old = session_of_age(connection, "3 days", session_type="cron")

    connection.execute("CALL prune_old_sessions(session_type => 'cron')")
    assert places(connection, old) == ARCHIVED
    assert one(connection, COUNT) == 3

    connection.execute("CALL prune_old_sessions(batch_size => 2)")
    assert one(connection, COUNT) == 0
    assert {row(connection, zombie).status for zombie in zombies} == {"ended"}  # type: ignore[attr-defined]
