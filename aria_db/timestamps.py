"""Timestamps that PostgreSQL can hold and Python cannot."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg
import sqlalchemy as sa
from psycopg.types.datetime import TimestamptzLoader

if TYPE_CHECKING:
    from psycopg.abc import Buffer


class ClampingLoader(TimestamptzLoader):
    """Read ``timestamptz`` as UTC; what lies outside Python's years as the nearest inside.

    ``infinity`` and the years from 10000 on become :attr:`datetime.datetime.max`,
    ``-infinity`` and the years before Christ :attr:`datetime.datetime.min`. psycopg
    raises :class:`psycopg.DataError` for them, and one such row would hide the whole
    list that it is in.
    """

    def load(self, data: Buffer) -> datetime:
        """Return the time that PostgreSQL wrote."""
        try:
            return super().load(data).astimezone(UTC)
        except (psycopg.DataError, OverflowError):
            text = bytes(data)
            is_early = text.startswith((b"-", b"0001-")) or text.endswith(b"BC")
            return (datetime.min if is_early else datetime.max).replace(tzinfo=UTC)


def clamp_timestamps(engine: sa.Engine) -> None:
    """Let an engine's connections read every timestamp; see :class:`ClampingLoader`.

    :param engine: the engine; of an asynchronous one, its ``sync_engine``.
    """

    @sa.event.listens_for(engine, "connect")
    def register(_: Any, entry: sa.pool.ConnectionPoolEntry) -> None:
        connection: Any = entry.driver_connection
        connection.adapters.register_loader("timestamptz", ClampingLoader)
