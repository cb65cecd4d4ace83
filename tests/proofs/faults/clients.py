"""The programs that are at work when a fault strikes.

Run as ``python -m tests.proofs.faults.clients ROLE URL JOURNAL SEED``. A client goes on until it is
killed: an error that the database reports is journaled, and the next attempt follows. Any other
exception ends it with a traceback, which the supervisor counts as a violation.
"""

import asyncio
import os
import random
import sys
import time
from collections import deque
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from aria_db.database import Database, parse_url
from aria_db.errors import AriaError
from aria_db.session_manager import NativeSessionManager, NewMessage, NewSession
from tests.proofs.faults import rows
from tests.proofs.faults.journal import Journal, NotLive

_PAUSE = 0.02  # two processors serve all of them, the server and the checks
_PAUSE_AFTER_ERROR = 0.1
_MANAGERS_TASKS = 2

Step = Callable[[psycopg.Connection], None]
AsyncStep = Callable[[NativeSessionManager], Coroutine[Any, Any, None]]


# Through the manager


def manager_writer(journal: Journal, rng: random.Random) -> AsyncStep:
    """New sessions and messages."""
    own: deque[UUID] = deque(maxlen=10)

    async def step(manager: NativeSessionManager) -> None:
        if not own or rng.random() < 0.15:
            session_id, session = rows.uuid(rng), rows.session(rng)
            with journal.attempt("session", **_written(session_id, session)) as answer:
                created = await manager.create_session(NewSession(id=session_id, **session))
                answer["created_at"] = created.created_at
            own.append(session_id)
            return
        session_id, message = rng.choice(own), rows.message(rng)
        with journal.attempt("messages", **_said(session_id, [message])) as answer:
            added = await manager.add_message(session_id, NewMessage(**message))
            if added is None:
                raise NotLive("it has been archived")
            answer[message["metadata"]["key"]] = [added.id, added.created_at]

    return step


def archiver(journal: Journal, rng: random.Random) -> AsyncStep:
    """Archives a few sessions of the list at once."""

    async def step(manager: NativeSessionManager) -> None:
        with journal.attempt("list"):
            page = await manager.list_sessions(limit=rng.randrange(1, 6), offset=rng.randrange(60))
        session_ids = [session.id for session in page.sessions]
        with journal.attempt("archive", sessions=session_ids) as answer:
            for archived in await manager.archive_sessions(session_ids):
                answer[str(archived.id)] = [archived.archived_at, archived.message_count]
        await asyncio.sleep(5 * _PAUSE)

    return step


# Through SQL


def sql_writer(journal: Journal, rng: random.Random) -> Step:
    """New sessions, several messages in a transaction, updates, and the old soft delete."""
    own: deque[list[Any]] = deque(maxlen=10)  # pairs of an id and its last version

    def step(connection: psycopg.Connection) -> None:
        choice = rng.random()
        if not own or choice < 0.15:
            session_id = rows.uuid(rng)
            own.append([session_id, 0])
            create_session(connection, journal, session_id, rows.session(rng))
        elif choice < 0.65:
            messages = [rows.message(rng) for _ in range(rng.randrange(1, 5))]
            add_messages(connection, journal, rng.choice(own)[0], messages)
        elif choice < 0.95:
            updated = rng.choice(own)
            updated[1] += 1
            update_session(connection, journal, updated[0], rows.session(rng, updated[1]))
        else:
            with journal.attempt("soft delete"):
                connection.execute(
                    "UPDATE engine_chat_sessions SET status = 'archived' WHERE id = %s",
                    (rng.choice(own)[0],),
                )

    return step


def restorer(journal: Journal, rng: random.Random) -> Step:
    """Restores sessions, as many as are archived."""

    def step(connection: psycopg.Connection) -> None:
        with journal.attempt("list"):
            found = connection.execute(
                f"SELECT id FROM engine_chat_session_archive_list WHERE {rows.RESTORABLE}"
                " ORDER BY random() LIMIT 4"
            ).fetchall()
        for (session_id,) in found:
            with journal.attempt("restore", session=session_id):
                connection.execute("SELECT * FROM restore_session(%s)", (session_id,))
        time.sleep(5 * _PAUSE)

    return step


def pruner(journal: Journal, rng: random.Random) -> Step:
    """Calls the procedure of the nightly prune, over and over."""

    def step(connection: psycopg.Connection) -> None:
        with journal.attempt("prune"):
            connection.execute(
                "CALL prune_old_sessions("
                "older_than => '1 second', batch_size => 5, max_runtime => '300 ms')"
            )
        time.sleep(rng.uniform(0, 10 * _PAUSE))

    return step


def breaks_the_law(journal: Journal, rng: random.Random) -> Step:
    """Archives as the application once did: the copy in one transaction, the delete in another.

    For the test that the law notices.
    """

    def step(connection: psycopg.Connection) -> None:
        with journal.attempt("list"):
            found = connection.execute("SELECT id FROM engine_chat_sessions LIMIT 1").fetchone()
        if found is None:
            return
        with journal.attempt("archive", sessions=[]):
            with connection.transaction():
                connection.execute(
                    "INSERT INTO engine_chat_session_archive"
                    " SELECT now(), live.* FROM engine_chat_sessions AS live WHERE id = %s",
                    found,
                )
                connection.execute(
                    "INSERT INTO engine_chat_message_archive"
                    " SELECT now(), live.* FROM engine_chat_messages AS live WHERE session_id = %s",
                    found,
                )
                # As it should be, so that the two transactions are the only fault.
                connection.execute(
                    "INSERT INTO engine_archive_event"
                    " (session_id, event, at, actor, role, message_count)"
                    " SELECT %s, 'archived', now(), session_user, session_user, count(*)"
                    " FROM engine_chat_message_archive WHERE session_id = %s",
                    found * 2,
                )
            connection.execute("DELETE FROM engine_chat_sessions WHERE id = %s", found)

    return step


def create_session(
    connection: psycopg.Connection, journal: Journal, session_id: UUID, session: rows.Row
) -> None:
    """Insert a session, and journal it."""
    with journal.attempt("session", **_written(session_id, session)) as answer:
        row = _insert(connection, "engine_chat_sessions", {"id": session_id, **session})
        answer["created_at"] = row[1]


def add_messages(
    connection: psycopg.Connection, journal: Journal, session_id: UUID, messages: list[rows.Row]
) -> None:
    """Insert messages and count them in their session, as the application does, and journal it."""
    with journal.attempt("messages", **_said(session_id, messages)) as answer:
        try:
            with connection.transaction():
                for message in messages:
                    row = {"session_id": session_id, **message}
                    inserted = _insert(connection, "engine_chat_messages", row)
                    answer[message["metadata"]["key"]] = inserted
                _count(connection, session_id, messages)
        except psycopg.errors.ForeignKeyViolation as error:
            raise NotLive("it has been archived") from error


def _count(connection: psycopg.Connection, session_id: UUID, messages: list[rows.Row]) -> None:
    tokens = sum(message["tokens_input"] + message["tokens_output"] for message in messages)
    cost = sum(message["cost"] for message in messages)
    connection.execute(
        "UPDATE engine_chat_sessions SET message_count = message_count + %s,"
        " total_tokens = total_tokens + %s, total_cost = total_cost + %s, updated_at = now()"
        " WHERE id = %s",
        (len(messages), tokens, cost, session_id),
    )


def update_session(
    connection: psycopg.Connection, journal: Journal, session_id: UUID, session: rows.Row
) -> None:
    """Update every column of a session, and journal it.

    Only from an older version: an update whose client has lost its connection may still be
    waiting for a lock, and must not overwrite a later one.
    """
    with journal.attempt("update", **_written(session_id, session)):
        updated = connection.execute(
            sql.SQL(
                "UPDATE engine_chat_sessions SET ({}, updated_at) = ({}, now())"
                " WHERE id = %s AND (metadata ->> 'version')::integer < %s"
            ).format(_names(session), _places(session)),
            [*_values(session), session_id, session["metadata"]["version"]],
        )
        if updated.rowcount == 0:
            raise NotLive("it has been archived")


def _insert(connection: psycopg.Connection, table: str, row: rows.Row) -> tuple[Any, ...]:
    inserted = connection.execute(
        sql.SQL("INSERT INTO {} ({}) VALUES ({}) RETURNING id, created_at").format(
            sql.Identifier(table), _names(row), _places(row)
        ),
        _values(row),
    ).fetchone()
    assert inserted is not None
    return inserted


def _names(row: rows.Row) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, row))


def _places(row: rows.Row) -> sql.Composed:
    return sql.SQL(", ").join(sql.Placeholder() * len(row))


def _values(row: rows.Row) -> list[Any]:
    return [Jsonb(value) if isinstance(value, dict | list) else value for value in row.values()]


# What is journaled of them


def _written(session_id: UUID, session: rows.Row) -> dict[str, Any]:
    return {
        "session": session_id,
        "version": session["metadata"]["version"],
        "fingerprint": rows.fingerprint(rows.SESSION_COLUMNS, session),
    }


def _said(session_id: UUID, messages: list[rows.Row]) -> dict[str, Any]:
    prints = {
        message["metadata"]["key"]: rows.fingerprint(rows.MESSAGE_COLUMNS, message)
        for message in messages
    }
    return {"session": session_id, "messages": prints}


# As a process

SQL_ROLES = {
    "sql-writer": sql_writer,
    "restorer": restorer,
    "pruner": pruner,
    "breaks-the-law": breaks_the_law,
}
MANAGER_ROLES = {"manager-writer": manager_writer, "archiver": archiver}


def work(url: str, journal: Journal, step: Step, is_wanted: Callable[[], bool]) -> None:
    """Repeat a step; connect anew where the connection is lost."""
    connection: psycopg.Connection | None = None
    while is_wanted():
        try:
            if connection is None or connection.closed:
                with journal.attempt("connect"):
                    connection = psycopg.connect(url, autocommit=True)
            step(connection)
        except (AriaError, psycopg.Error):  # it is journaled
            time.sleep(_PAUSE_AFTER_ERROR)
        time.sleep(_PAUSE)


async def work_with_manager(
    url: str, journal: Journal, step: AsyncStep, is_wanted: Callable[[], bool]
) -> None:
    """Repeat a step in several tasks, which share the manager's pool."""
    engine = Database(parse_url(url)).async_engine()
    manager = NativeSessionManager(engine)

    async def repeat() -> None:
        while is_wanted():
            try:
                await step(manager)
            except AriaError:  # it is journaled
                await asyncio.sleep(_PAUSE_AFTER_ERROR)
            await asyncio.sleep(_MANAGERS_TASKS * _PAUSE)

    await asyncio.gather(*(repeat() for _ in range(_MANAGERS_TASKS)))


def main(role: str, url: str, journal_path: str, seed: str) -> None:
    """Be a client for as long as the supervisor lives."""
    supervisor = os.getppid()

    def is_wanted() -> bool:
        return os.getppid() == supervisor

    journal, rng = Journal(Path(journal_path)), random.Random(seed)
    if role in SQL_ROLES:
        work(url, journal, SQL_ROLES[role](journal, rng), is_wanted)
    else:
        step = MANAGER_ROLES[role](journal, rng)
        asyncio.run(work_with_manager(url, journal, step, is_wanted))


if __name__ == "__main__":
    main(*sys.argv[1:])
