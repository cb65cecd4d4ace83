"""A durable embedded server that may be killed, and comes back."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
from sqlalchemy import NullPool

from aria_db import embedded
from aria_db.database import Database
from aria_db.install import migrate
from tests.proofs.faults.faults import WAL_SEGMENT

# What the faults set for everybody does not hold for whoever inflicts and checks them.
_UNLIMITED = "-cstatement_timeout=0 -clock_timeout=0"

_RECONNECT_SECONDS = 0.05

# PostgreSQL 18's startup process was seen to hang where it failed to extend a table during
# recovery, with the disk full. Whoever runs the server kills it then, and starts it anew.
_STUCK_SECONDS = 30


class Server:
    """An embedded PostgreSQL with the newest revision, and a connection to watch it.

    :param data: its data directory, to be made, where root's server may go as well.
    """

    def __init__(self, data: Path) -> None:
        self._data = data
        with embedded.start(data):
            pass
        # Small, so that a table of a few megabytes is the largest file; see faults.py.
        resetwal = embedded.program("pg_resetwal")
        self._as_owner(resetwal, f"--wal-segsize={WAL_SEGMENT // 2**20}", data).check_returncode()
        self._handles = [embedded.start(data)]
        self.database = Database(self._handles[0].url())
        with self.database.engine(poolclass=NullPool).connect() as connection:
            migrate.upgrade(connection)
        self._watch = self.connect()
        self._lost_at: float | None = None
        for setting in ("fsync", "full_page_writes", "restart_after_crash", "synchronous_commit"):
            assert self.execute(f"SHOW {setting}") == ("on",)
        self.execute("CREATE EXTENSION amcheck")
        self.execute("ALTER SYSTEM SET autovacuum_naptime = '3s'")
        self.execute("ALTER SYSTEM SET checkpoint_timeout = '30s'")
        self.execute("SELECT pg_reload_conf()")

    @property
    def version(self) -> str:
        """PostgreSQL's version."""
        return str(self.execute("SHOW server_version")[0])

    @property
    def socket(self) -> Path:
        """The server's socket."""
        return self._handles[0].socket_directory / f".s.PGSQL.{self._handles[0].port}"

    def connect(self) -> psycopg.Connection:
        """Connect directly, without the timeouts that a fault may set."""
        url = self.database.url.update_query_dict({"options": _UNLIMITED})
        return psycopg.connect(
            Database(url).libpq_url(), autocommit=True, application_name="supervisor"
        )

    def execute(self, statement: str, *values: Any) -> Any:
        """Return the first row, or None. A server that is just lost has none."""
        with suppress(psycopg.OperationalError):
            cursor = self._watch.execute(statement, values)
            return cursor.fetchone() if cursor.description else None
        return None

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection]:
        """Give a connection of its own, with a transaction."""
        with self.connect() as connection, connection.transaction():
            yield connection

    def is_lost(self) -> bool:
        """Whether the server has crashed since :meth:`reconnect`."""
        self.execute("SELECT 1")
        return self._watch.closed

    def reconnect(self) -> bool:
        """Try to reach the lost server; start it if nothing is left of it, kill it if it hangs."""
        time.sleep(_RECONNECT_SECONDS)  # each attempt costs the recovering server a process
        self._lost_at = self._lost_at or time.monotonic()
        if not self.processes():
            self._handles.append(embedded.start(self._data))
        elif time.monotonic() > self._lost_at + _STUCK_SECONDS:
            for pid in self.processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._lost_at = None
        with suppress(psycopg.OperationalError):
            self._watch = self.connect()
        if self.is_lost():
            return False
        self._lost_at = None
        return True

    def kill(self) -> None:
        """End the postmaster, and nothing else, by ``kill -9``."""
        os.kill(self.processes()[0], signal.SIGKILL)

    def processes(self) -> list[int]:
        """Return the ids of the postmaster and then its children; none if it does not run."""
        with suppress(OSError, IndexError, ValueError, psutil.Error):
            first_line = (self._data / "postmaster.pid").read_text().splitlines()[0]
            postmaster = psutil.Process(int(first_line))
            if str(self._data) in postmaster.cmdline():  # empty for one that is dead
                return [postmaster.pid, *(child.pid for child in postmaster.children())]
        return []

    def deadlocks(self) -> int:
        """Count the deadlocks since the last crash, those included that a function caught."""
        (deadlocks,) = self.execute(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )
        return int(deadlocks)

    def limit_file_size(self, limit: str) -> None:
        """Let the server's processes, and those that they will start, write no larger files.

        :param limit: in bytes, or ``unlimited``.
        """
        # The postmaster first, so that no child comes from it with the old limit; and by a
        # program, because root may not do this to others where it lacks the capability.
        for pid in self.processes():
            self._as_owner("prlimit", f"--pid={pid}", f"--fsize={limit}:")

    def amcheck(self) -> list[str]:
        """Run ``pg_amcheck`` on the chat tables, their indexes and their TOAST tables.

        :return: a line for each corruption that it reports.
        """
        handle = self._handles[0]
        done = subprocess.run(
            [
                embedded.program("pg_amcheck"),
                f"--host={handle.socket_directory}",
                f"--port={handle.port}",
                "--username=postgres",
                "--schema=public",
                "--heapallindexed",
                "--checkunique",
                "aria",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        said = (done.stdout + done.stderr).strip().splitlines()
        assert done.returncode in (0, 2), said  # 2: it has found something
        return said

    def _as_owner(
        self, program: str | Path, *arguments: object
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program under the account of the data, which is not root's."""
        owner = self._data.stat()
        is_root = os.geteuid() == 0
        return subprocess.run(
            [program, *map(str, arguments)],
            cwd=self._data,
            user=owner.st_uid if is_root else None,
            group=owner.st_gid if is_root else None,
            extra_groups=[] if is_root else None,
            capture_output=True,
            check=False,
        )

    def close(self) -> None:
        """Stop the server."""
        self._watch.close()
        for handle in self._handles:
            handle.close()
