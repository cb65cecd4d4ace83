"""Connections that read values correctly, whatever the settings of the database are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from psycopg.types.string import TextLoader
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine.interfaces import DBAPIConnection

if TYPE_CHECKING:
    from psycopg.abc import Buffer

# The output formats that psycopg can read.
_STYLES = {"DateStyle": "ISO", "IntervalStyle": "postgres"}


class ReplacingLoader(TextLoader):
    """Read text as UTF-8, with U+FFFD in the place of invalid bytes.

    A database with the encoding SQL_ASCII stores any bytes.
    """

    def load(self, data: Buffer) -> str:
        """Return the text that PostgreSQL wrote."""
        return bytes(data).decode("utf-8", "replace")


def set_up_connections(engine: sa.Engine) -> None:
    """Set the output formats of an engine's connections to what psycopg can read.

    A database or a role may have another DateStyle or IntervalStyle, or the encoding SQL_ASCII.

    :param engine: an engine for psycopg; of an asynchronous one, its ``sync_engine``.
    """

    @sa.event.listens_for(engine, "connect")
    def set_up(connection: DBAPIConnection, entry: sa.pool.ConnectionPoolEntry) -> None:
        driver_connection: Any = entry.driver_connection
        parameter = driver_connection.info.parameter_status
        wanted = dict(_STYLES)
        if parameter("server_encoding") == "SQL_ASCII":
            # With UTF8, PostgreSQL would raise an error for invalid bytes.
            wanted["client_encoding"] = "SQL_ASCII"
            for name in ("text", "varchar", "bpchar", "name"):
                driver_connection.adapters.register_loader(name, ReplacingLoader)
        for setting, value in wanted.items():
            # of "ISO, MDY", the second word is about input
            if (parameter(setting) or "").split(",")[0] != value:
                cursor = connection.cursor()
                cursor.execute(str(_SET), {"name": setting, "value": value})
                cursor.close()
                connection.commit()


_SET = sa.select(
    sa.func.set_config(sa.bindparam("name"), sa.bindparam("value"), sa.false())
).compile(
    dialect=postgresql.dialect()  # type: ignore[no-untyped-call]
)
