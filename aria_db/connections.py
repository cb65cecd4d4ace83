"""How connections are set up, so that no setting of a database changes what is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from psycopg.types.string import TextLoader
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine.interfaces import DBAPIConnection

if TYPE_CHECKING:
    from psycopg.abc import Buffer

# What psycopg can read, of the settings that say how PostgreSQL writes values.
_STYLES = {"DateStyle": "ISO", "IntervalStyle": "postgres"}


class ReplacingLoader(TextLoader):
    """Read text that is not valid UTF-8 with U+FFFD for what is wrong.

    A database with the encoding SQL_ASCII holds whatever bytes it was given.
    """

    def load(self, data: Buffer) -> str:
        """Return the text that PostgreSQL wrote."""
        return bytes(data).decode("utf-8", "replace")


def set_up_connections(engine: sa.Engine) -> None:
    """Let an engine's connections read what PostgreSQL writes, whatever its settings are.

    A database or a role may have another DateStyle or IntervalStyle, or an encoding that does
    not check what it gets.

    :param engine: an engine for psycopg; of an asynchronous one, its ``sync_engine``.
    """

    @sa.event.listens_for(engine, "connect")
    def set_up(connection: DBAPIConnection, entry: sa.pool.ConnectionPoolEntry) -> None:
        driver_connection: Any = entry.driver_connection
        parameter = driver_connection.info.parameter_status
        wanted = dict(_STYLES)
        if parameter("server_encoding") == "SQL_ASCII":
            # As UTF-8, PostgreSQL would refuse to send what is none.
            wanted["client_encoding"] = "SQL_ASCII"
        for setting, value in wanted.items():
            # "ISO, MDY": the order of day and month is of no matter in it
            if (parameter(setting) or "").split(",")[0] != value:
                cursor = connection.cursor()
                cursor.execute(str(_SET), {"name": setting, "value": value})
                cursor.close()
                connection.commit()
        if parameter("server_encoding") == "SQL_ASCII":
            for name in ("text", "varchar", "bpchar", "name"):
                driver_connection.adapters.register_loader(name, ReplacingLoader)


_SET = sa.select(
    sa.func.set_config(sa.bindparam("name"), sa.bindparam("value"), sa.false())
).compile(
    dialect=postgresql.dialect()  # type: ignore[no-untyped-call]
)
