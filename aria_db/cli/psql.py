"""``aria-db psql``: psql on the configured database."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

from aria_db import embedded
from aria_db.database import Database
from aria_db.errors import InvalidConfiguration


def run_psql(database: Database, arguments: list[str]) -> int:
    """Run psql and wait for it; an embedded server has to run for as long.

    :param database: the database.
    :param arguments: more arguments for psql.
    :return: the exit status, as a shell gives it.
    :raises InvalidConfiguration: there is no psql.
    """
    url = database.url.difference_update_query(["password"])
    password = database.url.password or database.url.query.get("password")
    # Anyone on the machine can read a command line, but not an environment.
    environment = {**os.environ, "PGPASSWORD": str(password)} if password else None
    address = replace(database, url=url._replace(password=None)).libpq_url()
    command = [str(_program()), f"--dbname={address}", *arguments]
    with subprocess.Popen(command, env=environment) as process:
        # Ctrl-C cancels a query, and is for psql alone.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            status = process.wait()
        except BaseException:
            process.terminate()
            raise
    return status if status >= 0 else 128 - status


def _program() -> Path:
    try:
        return embedded.program("psql")
    except embedded.EmbeddedUnavailable:
        if found := shutil.which("psql"):
            return Path(found)
        raise InvalidConfiguration(
            "there is no psql", hint="Install PostgreSQL's client, or aria-db[embedded]."
        ) from None
