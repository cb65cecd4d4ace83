"""Prepared statements behind a pooler.

A pooler in transaction mode, such as pgbouncer, may run each transaction on another connection to
the server. The name of a prepared statement is then unknown there, or is that of another client's
statement. psycopg prepares a statement after it has executed it five times.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection

from aria_db.errors import InvalidConfiguration

_PID = sa.select(sa.func.pg_backend_pid())


def detect_poolers(engine: sa.Engine) -> None:
    """Turn prepared statements off for those connections of an engine that go through a pooler.

    :param engine: an engine for psycopg; of an asynchronous one, its ``sync_engine``.
    """
    sa.event.listen(engine, "connect", _prepare_nothing_behind_a_pooler)


async def refuse_prepared_statements(connection: AsyncConnection) -> None:
    """Raise an error if a connection would prepare statements through a pooler.

    :param connection: a connection of any engine. If :func:`detect_poolers` has set up the engine,
        this asks the server nothing.
    :raises InvalidConfiguration: it prepares statements, and goes through a pooler.
    """
    if sa.event.contains(connection.sync_engine, "connect", _prepare_nothing_behind_a_pooler):
        return
    raw = await connection.get_raw_connection()
    if _prepares(raw.driver_connection):
        pid = await connection.scalar(_PID)
        if pid != _pid_of(raw.driver_connection):
            raise InvalidConfiguration(
                "the engine prepares statements and connects through a pooler: a client could run "
                "the statements of another one",
                hint="Create it with connect_args={'prepare_threshold': None}, or with "
                "Database(url).async_engine(), which detects poolers.",
            )


def _prepare_nothing_behind_a_pooler(
    connection: DBAPIConnection, entry: sa.pool.ConnectionPoolEntry
) -> None:
    driver_connection: Any = entry.driver_connection
    if not _prepares(driver_connection):
        return
    cursor = connection.cursor()
    cursor.execute(str(_PID))
    (pid,) = cursor.fetchone() or (None,)
    cursor.close()
    connection.rollback()
    if pid != _pid_of(driver_connection):
        driver_connection.prepare_threshold = None


def _prepares(driver_connection: Any) -> bool:
    return getattr(driver_connection, "prepare_threshold", None) is not None


def _pid_of(driver_connection: Any) -> int:
    """Return the process id that libpq got at login. A pooler sends one of its own."""
    pid: int = driver_connection.info.backend_pid
    return pid
