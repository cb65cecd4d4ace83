"""What tests of several layers need: rows to work with, and looks at where they are."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from psycopg.rows import namedtuple_row

Connect = Callable[..., psycopg.Connection]
Start = Callable[..., Future]


def new_session(
    connection: psycopg.Connection,
    messages: int = 3,
    *,
    id: UUID | None = None,  # noqa: A002 (the column)
    **columns: object,
) -> UUID:
    """Insert a live session with messages, as the application does; return its id."""
    values = {"id": id or uuid4(), "title": "a session", **columns}
    connection.execute(
        sql.SQL("INSERT INTO engine_chat_sessions ({}) VALUES ({})").format(
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join(sql.Placeholder() * len(values)),
        ),
        list(values.values()),
    )
    session_id = values["id"]
    connection.execute(
        """
        INSERT INTO engine_chat_messages (session_id, role, content, created_at)
        SELECT %s, CASE number %% 2 WHEN 1 THEN 'user' ELSE 'assistant' END,
            'message ' || number, clock_timestamp() + number * interval '1 ms'
        FROM generate_series(1, %s) AS number
        """,
        (session_id, messages),
    )
    return session_id


def call(connection: psycopg.Connection, function: str, **arguments: object) -> list:
    """Return the rows of ``SELECT * FROM function(name => value, ...)``, with names."""
    named = ", ".join(f"{name} => %({name})s" for name in arguments)
    cursor = connection.cursor(row_factory=namedtuple_row)
    return cursor.execute(f"SELECT * FROM {function}({named})", arguments).fetchall()


def events(connection: psycopg.Connection, *session_ids: UUID) -> list:
    """Return the journal, of all sessions or of some, in the order in which it was written."""
    cursor = connection.cursor(row_factory=namedtuple_row)
    return cursor.execute(
        """
        SELECT * FROM engine_archive_event
        WHERE session_id = ANY(%(ids)s) OR cardinality(%(ids)s::uuid[]) = 0
        ORDER BY id
        """,
        {"ids": list(session_ids)},
    ).fetchall()


def places(connection: psycopg.Connection, session_id: UUID) -> tuple[int, int, int, int]:
    """Count the rows of a session: live, its messages, archived, its messages."""
    row = connection.execute(
        """
        SELECT
            (SELECT count(*) FROM engine_chat_sessions WHERE id = %(id)s),
            (SELECT count(*) FROM engine_chat_messages WHERE session_id = %(id)s),
            (SELECT count(*) FROM engine_chat_session_archive WHERE id = %(id)s),
            (SELECT count(*) FROM engine_chat_message_archive WHERE session_id = %(id)s)
        """,
        {"id": session_id},
    ).fetchone()
    assert row is not None
    return row


def set_for_database(connection: psycopg.Connection, setting: str) -> None:
    """Give the test's database a setting, for connections made from now on."""
    name = sql.Identifier(connection.info.dbname)
    connection.execute(sql.SQL("ALTER DATABASE {} SET " + setting).format(name))


@contextmanager
def temporary_role(connection: psycopg.Connection) -> Iterator[str]:
    """Make a role that may log in and nothing else; drop it afterwards: it is the server's."""
    name = f"aria_test_{uuid4().hex}"
    connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
    try:
        yield name
    finally:
        for statement in ("DROP OWNED BY {} CASCADE", "DROP ROLE {}"):
            connection.execute(sql.SQL(statement).format(sql.Identifier(name)))


def is_blocked(observer: psycopg.Connection, pid: int) -> bool:
    """Tell whether the backend waits for a lock."""
    row = observer.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", (pid,)).fetchone()
    return row == (True,)


def wait_until_blocked(observer: psycopg.Connection, pid: int) -> None:
    """Return when the backend waits for a lock; fail if it does not within 10 s."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if is_blocked(observer, pid):
            return
        time.sleep(0.01)
    raise AssertionError(f"backend {pid} was not blocked within 10 s")


def wait_until_something_is_blocked(connection: psycopg.Connection) -> None:
    """Return when another backend of the database waits for a lock; fail after 30 s."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        waiting = connection.execute(
            "SELECT 1 FROM pg_stat_activity"
            " WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"
        )
        if waiting.fetchone() is not None:
            return
        time.sleep(0.01)
    raise AssertionError("nothing was blocked within 30 s")
