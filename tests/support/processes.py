"""Servers that are processes of their own, as in production."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import httpx

from aria_db.database import Database

SERVE = ("-m", "aria_db", "serve", "--port", "0")
UVICORN = ("-m", "uvicorn", "--factory", "aria_db.http.app:from_environment", "--port", "0")
PATIENCE_SECONDS = 60


@dataclass
class Served:
    """A server.

    :param process: its process.
    :param client: a client of it.
    :param log: what it writes to standard error.
    """

    process: subprocess.Popen[bytes]
    client: httpx.Client
    log: IO[bytes]

    def told(self) -> str:
        """Return all that it has written to standard error."""
        return read(self.log)

    def terminate(self) -> int:
        """Send SIGTERM; return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)


def start(
    database: Database, *arguments: str, log: IO[bytes], **environment: str
) -> subprocess.Popen[bytes]:
    """Start Python with these arguments and nothing in its environment but a database."""
    names = ("PATH", "HOME", "LANG")
    return subprocess.Popen(
        [sys.executable, *arguments],
        env={name: os.environ[name] for name in names if name in os.environ}
        | {"DATABASE_URL": database.libpq_url()}
        | environment,
        stdout=subprocess.DEVNULL,
        stderr=log,
    )


def read(log: IO[bytes]) -> str:
    """Return all of a log that a process writes to."""
    return os.pread(log.fileno(), 2**24, 0).decode()


def wait_for(log: IO[bytes], pattern: str, process: subprocess.Popen[bytes]) -> re.Match[str]:
    """Return when a process has written this; fail if it ends, or takes too long."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (match := re.search(pattern, read(log))) is None:
        assert process.poll() is None, read(log)
        assert time.monotonic() < deadline, read(log)
        time.sleep(0.02)
    return match


@contextmanager
def starting(
    database: Database, *arguments: str, **environment: str
) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """Start a server; give it with its log, and kill it if it still runs in the end."""
    with tempfile.TemporaryFile() as log:
        process = start(database, *arguments, log=log, **environment)
        try:
            yield process, log
        finally:
            process.kill()
            process.wait()


@contextmanager
def listening(process: subprocess.Popen[bytes], log: IO[bytes]) -> Iterator[Served]:
    """Wait until a server says where it listens; give a client."""
    port = wait_for(log, r"running on http://\S+:(\d+)", process)[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_SECONDS) as client:
        yield Served(process, client, log)


@contextmanager
def serving(database: Database, *arguments: str, **environment: str) -> Iterator[Served]:
    """Start a server, wait until it listens, and end it by SIGTERM, if the test has not."""
    with (
        starting(database, *(arguments or SERVE), **environment) as (process, log),
        listening(process, log) as served,
    ):
        yield served
        served.client.close()
        if process.poll() is None:
            served.terminate()
        assert "Application shutdown complete." in served.told()
        assert "Traceback" not in served.told()
