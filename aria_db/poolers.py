"""Prepared statements behind a pooler.

A pooler in transaction mode, such as pgbouncer, gives each transaction another connection to the
server. A statement that one client has prepared is then run by another, or is not there. psycopg
prepares a statement that it has executed five times.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection

from aria_db.errors import InvalidConfiguration

_PID = sa.select(sa.func.pg_backend_pid())


def detect_poolers(engine: sa.Engine) -> None:
    """Let an engine's connections prepare no statement where a pooler is in between.

    :param engine: an engine for psycopg; of an asynchronous one, its ``sync_engine``.
    """
    sa.event.listen(engine, "connect", _prepare_nothing_behind_a_pooler)


async def refuse_prepared_statements(connection: AsyncConnection) -> None:
    """Raise an error if a connection would prepare statements through a pooler.

    :param connection: a connection of any engine. Those of :func:`detect_poolers` are safe, and
        cost nothing here.
    :raises InvalidConfiguration: it prepares statements, and a pooler is in between.
    """
    if sa.event.contains(connection.sync_engine, "connect", _prepare_nothing_behind_a_pooler):
        return
    raw = await connection.get_raw_connection()
    if _prepares(raw.driver_connection):
        pid = await connection.scalar(_PID)
        if pid != _pid_of(raw.driver_connection):
            raise InvalidConfiguration(
                "the engine prepares statements, and a pooler is between it and PostgreSQL: one "
                "client would run the statements of another",
                hint="Create it with connect_args={'prepare_threshold': None}, or use "
                "Database(url).async_engine(), which finds out by itself.",
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
    """Return the process id that came with the answer to the login, which may be a pooler's."""
    pid: int = driver_connection.info.backend_pid
    return pid
