"""What contradicts that everything is in exactly one place is found; nothing else is."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.support import new_session
from tests.support.access import found, verify, without_triggers
from tests.support.layouts import BOTH_LAYOUTS
from tests.support.rows import archive, archive_many, copy_to_archive, restore

# What other code does to a session, and what is found then, of how many messages. Nothing else
# is found. `live`, `archived` and `held` are sessions of three messages.
DAMAGE = {
    "a live session is deleted without its messages": (
        "DELETE FROM engine_chat_sessions WHERE id = %(live)s",
        {("live messages without a session", "live", 3)},
    ),
    "a message is written to a session that is not there": (
        """
        INSERT INTO engine_chat_messages (session_id, role, content)
        VALUES (%(unknown)s, 'user', 'hello')
        """,
        {("live messages without a session", "unknown", 1)},
    ),
    "a message is written to an archived session": (
        """
        INSERT INTO engine_chat_messages (session_id, role, content)
        VALUES (%(archived)s, 'user', 'late')
        """,
        {("live messages without a session", "archived", 1)},
    ),
    "a message of an archived session is copied back": (
        """
        INSERT INTO engine_chat_messages (id, session_id, role, content)
        SELECT id, session_id, role, content FROM engine_chat_message_archive
        WHERE session_id = %(archived)s AND content = 'message 2'
        """,
        {
            ("live messages without a session", "archived", 1),
            ("messages in both places", "archived", 1),
        },
    ),
    "an archived session is deleted without its messages": (
        "DELETE FROM engine_chat_session_archive WHERE id = %(archived)s",
        {("archived messages without a session", "archived", 3)},
    ),
    "a session is copied into the archive": (
        """
        INSERT INTO engine_chat_session_archive
        SELECT now(), live.* FROM engine_chat_sessions AS live WHERE live.id = %(live)s
        """,
        {("session in both places", "live", 3)},
    ),
    "messages are copied into the archive": (
        """
        INSERT INTO engine_chat_message_archive
        SELECT now(), live.* FROM engine_chat_messages AS live
        WHERE live.session_id = %(live)s AND live.content <> 'message 2'
        """,
        {("session in both places", "live", 5), ("messages in both places", "live", 2)},
    ),
    "an archived session is created again": (
        "INSERT INTO engine_chat_sessions (id) VALUES (%(archived)s)",
        {("session in both places", "archived", 3)},
    ),
    "the archived_at of a session is changed": (
        """
        UPDATE engine_chat_session_archive SET archived_at = archived_at - interval '1 s'
        WHERE id = %(archived)s
        """,
        {("archived_at differs", "archived", 3)},
    ),
    "the archived_at of a message is changed": (
        """
        UPDATE engine_chat_message_archive SET archived_at = archived_at - interval '1 us'
        WHERE session_id = %(archived)s AND content = 'message 2'
        """,
        {("archived_at differs", "archived", 1)},
    ),
    "a session is dated into the future": (
        """
        UPDATE engine_chat_session_archive SET archived_at = archived_at + interval '1 day'
        WHERE id = %(archived)s
        """,
        {("archived_at is in the future", "archived", 3), ("archived_at differs", "archived", 3)},
    ),
    "a session loses its archived_at": (
        "UPDATE engine_chat_session_archive SET archived_at = NULL WHERE id = %(archived)s",
        {("archived_at is missing", "archived", 0)},
    ),
    "a message loses its archived_at": (
        """
        UPDATE engine_chat_message_archive SET archived_at = NULL
        WHERE session_id = %(archived)s AND content = 'message 2'
        """,
        {("archived_at is missing", "archived", 1)},
    ),
    "a held session is deleted": (
        "DELETE FROM engine_chat_sessions WHERE id = %(held)s",
        # its messages stay here; the foreign key, where it is asked, deletes them
        {("held session is gone", "held", None), ("live messages without a session", "held", 3)},
    ),
}


@pytest.fixture
def ids(connection: psycopg.Connection) -> dict[str, UUID]:
    """A live session, an archived one and one on hold, beside others that are not touched."""
    ids = {"unknown": uuid4()}
    for name in ("live", "other", "held", "archived", "other archived"):
        ids[name] = new_session(connection)
    new_session(connection, messages=0)
    archive_many(connection, [ids["archived"], ids["other archived"], new_session(connection, 0)])
    connection.execute("SELECT place_hold(%s, 'case 17')", [ids["held"]])
    for table in ("session", "message"):
        name = connection.execute(
            """
            SELECT table_id::regclass::text FROM _table_beneath
            WHERE relation = to_regclass(%s)
            """,
            [f"engine_chat_{table}_archive"],
        ).fetchone()
        assert name is not None
        # as an application's own table may be
        connection.execute(f"ALTER TABLE {name[0]} ALTER archived_at DROP NOT NULL")
    return ids


@BOTH_LAYOUTS
@pytest.mark.parametrize("damage", DAMAGE)
def test_what_other_code_does_is_found_and_nothing_but_that(
    connection: psycopg.Connection, ids: dict[str, UUID], layout: str, damage: str
) -> None:
    statement, expected = DAMAGE[damage]
    assert verify(connection) == []

    with without_triggers(connection):
        assert connection.execute(statement, ids).rowcount > 0

    rows = verify(connection)
    assert {(row.finding, row.session_id, row.messages) for row in rows} == {
        (finding, ids[name], messages) for finding, name, messages in expected
    }
    assert all(row.detail and row.remedy for row in rows)


@BOTH_LAYOUTS
def test_nothing_is_found_after_every_operation_there_is(
    connection: psycopg.Connection, layout: str
) -> None:
    """Archived, restored, pruned, purged, deleted, held, and merged in both directions."""
    ids = [new_session(connection, messages) for messages in (0, 1, 3, 3, 3, 3)]
    unwanted = [new_session(connection) for _ in range(2)]
    old = new_session(connection, session_type="cron", updated_at=datetime(2020, 1, 1, tzinfo=UTC))
    archive_many(connection, [*ids[:4], unwanted[0]])
    restore(connection, ids[1])
    restore(connection, ids[2])
    archive(connection, ids[2])
    connection.execute("SELECT place_hold(%s, 'case 17'), place_hold(%s, 'case 18')", ids[2:4])
    connection.execute("SELECT * FROM prune_sessions()")
    for session_id, destination in zip(ids[4:], ("live", "archive"), strict=True):
        copy_to_archive(connection, session_id)
        connection.execute("SELECT resolve_session_conflict(%s, %s)", (session_id, destination))
    connection.execute(
        "SELECT delete_archived_session(%s), delete_chat_session(%s)", (unwanted[0], unwanted[1])
    )
    connection.execute("SELECT * FROM restore_sessions(%s)", [ids[:1]])
    connection.execute("SELECT * FROM archive_sessions(%s)", [ids[:1]])
    assert found(connection) == set()

    connection.execute("UPDATE engine_archive_policy SET purge_after = '1 us'")
    purged = connection.execute("SELECT sessions FROM purge_archive()").fetchone()
    assert purged == (3,)  # the pruned one among them, not those on hold
    assert connection.execute(
        "SELECT count(*) FROM engine_chat_session_all WHERE id = %s", [old]
    ).fetchone() == (0,)
    assert found(connection) == set()


@BOTH_LAYOUTS
def test_a_column_that_would_not_be_archived_is_found(
    connection: psycopg.Connection, ids: dict[str, UUID], layout: str
) -> None:
    table = "chat_messages" if layout == "views" else "engine_chat_messages"
    connection.execute(f"ALTER TABLE {table} ADD COLUMN mood text")

    (row,) = verify(connection)

    assert (row.finding, row.session_id) == ("column drift", None)
    assert "engine_chat_messages.mood" in row.detail


@pytest.mark.parametrize("change", ["DROP COLUMN archived_at", "ALTER archived_at TYPE text"])
def test_an_archive_that_cannot_be_compared_is_a_finding_and_no_error(
    connection: psycopg.Connection, ids: dict[str, UUID], change: str
) -> None:
    connection.execute(f"ALTER TABLE engine_chat_message_archive {change}")

    assert {row.finding for row in verify(connection)} == {"column drift"}


@BOTH_LAYOUTS
def test_since_looks_only_at_what_was_archived_since_then(
    connection: psycopg.Connection, ids: dict[str, UUID], layout: str
) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    old = ids["other archived"]
    for table, key in (("session", "id"), ("message", "session_id")):
        connection.execute(
            f"UPDATE engine_chat_{table}_archive SET archived_at = archived_at - interval '2 days'"
            f" WHERE {key} = %s",
            [old],
        )
    assert found(connection) == set()
    for session_id in (ids["archived"], old):
        connection.execute("INSERT INTO engine_chat_sessions (id) VALUES (%s)", [session_id])

    assert found(connection, yesterday) == {("session in both places", ids["archived"])}
    assert found(connection, yesterday - timedelta(days=2)) == found(connection)
    assert found(connection) == {
        ("session in both places", ids["archived"]),
        ("session in both places", old),
    }
    assert found(connection, datetime.now(UTC)) == set()


@BOTH_LAYOUTS
def test_it_waits_for_nobody_and_nobody_for_it(
    a: psycopg.Connection,
    b: psycopg.Connection,
    connection: psycopg.Connection,
    ids: dict[str, UUID],
    layout: str,
) -> None:
    """A move under way is not seen, and the locks are those of any SELECT."""
    a.execute("BEGIN")
    archive(a, ids["live"])
    restore(a, ids["archived"])
    b.execute("BEGIN READ ONLY")

    assert found(b) == set()

    modes = connection.execute(
        "SELECT DISTINCT mode FROM pg_locks WHERE pid = %s AND locktype = 'relation'",
        [b.info.backend_pid],
    ).fetchall()
    assert modes == [("AccessShareLock",)]
    a.execute("COMMIT")
    assert found(b) == set()


def test_sessions_on_the_move_are_never_found(
    connection: psycopg.Connection, a: psycopg.Connection, threads: ThreadPoolExecutor
) -> None:
    ids = [new_session(connection) for _ in range(20)]
    hour_ago = datetime.now(UTC) - timedelta(hours=1)

    def move() -> None:
        for _ in range(5):
            archive_many(a, ids[:10])
            for session_id in ids:
                archive(a, session_id)
            for session_id in ids:
                restore(a, session_id)

    moving = threads.submit(move)
    looks = 0
    while not moving.done():
        assert found(connection) == set()
        assert found(connection, hour_ago) == set()
        looks += 1
    moving.result()
    assert looks > 5


def test_rows_that_a_policy_hides_are_an_error_and_not_nothing(
    connection: psycopg.Connection, role: str, ids: dict[str, UUID]
) -> None:
    """Where the owner of the functions has subjected itself to row-level security."""
    connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    connection.execute(f"GRANT CREATE ON SCHEMA public TO {role}")
    connection.execute(f"ALTER FUNCTION verify_archive OWNER TO {role}")
    connection.execute(
        f"GRANT EXECUTE ON FUNCTION archive_column_drift, _dependent_archives TO {role}"
    )
    assert found(connection) == set()
    connection.execute("ALTER TABLE engine_chat_message_archive ENABLE ROW LEVEL SECURITY")

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        verify(connection)
