"""The embedded server: start it or join it, use it, leave it."""

from __future__ import annotations

import atexit
import os
import shlex
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import psycopg
from sqlalchemy import URL

from aria_db.embedded.directory import (
    PORT,
    SOCKET,
    SUPERUSER,
    DataDirectory,
    default_data_directory,
)
from aria_db.embedded.errors import EmbeddedUnavailable, unusable
from aria_db.embedded.programs import programs_directory

if TYPE_CHECKING:
    import psutil  # type: ignore[import-untyped]

_POLL_SECONDS = 0.02
# Enough for crash recovery of a big database; nothing else takes long.
_PATIENCE_SECONDS = 120
# A server that calls itself ready refuses connections while it notices that it is to stop, or
# recovers from the crash of a backend.
_CONNECT_ATTEMPTS = 250


def start(data_directory: Path | None = None) -> EmbeddedServer:
    """Start the server of a data directory, or join the one that runs there.

    Safe when any number of processes and threads call it at the same moment, on a fresh directory
    too. When it returns, the database ``aria`` exists.

    :param data_directory: created if absent; by default :func:`default_data_directory`.
    :returns: a handle. If it is still open when the program exits, it is closed then; a program
        that wants this on SIGTERM too turns that signal into :class:`SystemExit`.
    :raises EmbeddedUnavailable: the wheel is not installed, the directory cannot be used, or the
        server does not start.
    """
    programs_directory()
    path = (data_directory or default_data_directory()).resolve()
    with _lock:
        if path not in _clusters:
            _clusters[path] = _Cluster(path)
        try:
            return _clusters[path].join()
        except OSError as error:
            raise unusable(path, f"cannot be used: {error}") from error


class EmbeddedServer:
    """A running server, shared with all who start it on the same data directory.

    Comes from :func:`start`. A forked child may connect, but does not keep the server running, and
    closing its copy of the handle does nothing; a child that needs the server for longer than its
    parent calls :func:`start` itself.

    :ivar data_directory: absolute path of the data.
    :ivar socket_directory: the ``host`` to connect to.
    :ivar port: the ``port`` to connect to, which is a part of the socket's name.
    """

    data_directory: Path
    socket_directory: Path
    port: int

    def __init__(self, cluster: _Cluster, socket_directory: Path, port: int) -> None:
        self.data_directory = cluster.directory.path
        self.socket_directory = socket_directory
        self.port = port
        self._cluster = cluster
        self._process_id = os.getpid()

    def url(self, database: str = "aria") -> URL:
        """Return the URL of a database, for SQLAlchemy with psycopg.

        ``url.set(drivername="postgresql")`` is the same for psql and all that is built on libpq.

        :param database: its name; it need not exist.
        :returns: a URL that sets every parameter, so that ``PGHOST``, ``PGOPTIONS`` and the like,
            which are meant for another server, have no effect.
        """
        query = {
            "host": str(self.socket_directory),
            "hostaddr": "",
            "port": str(self.port),
            # What psycopg asks for anyway. An empty value would serve as well, but is lost when
            # SQLAlchemy parses the URL.
            "options": "-cclient_encoding=UTF8",
        }
        return URL.create("postgresql+psycopg", SUPERUSER, database=database, query=query)

    def create_database(self, name: str = "aria") -> None:
        """Create a database unless it exists; safe when many do so at once.

        :param name: of the database.
        :raises psycopg.OperationalError: the server cannot be reached, or refuses the name.
        """
        place: dict[str, Any] = {"dbname": name, "user": SUPERUSER, **self.url(name).query}
        try:
            psycopg.connect(**place).close()
        except psycopg.OperationalError as error:
            if "does not exist" not in str(error):
                raise
            # Of several clients one succeeds, and all can use the database. template1 can be
            # copied only while nobody is connected to it; nobody ever is to template0.
            self._cluster.directory.execute(
                "createdb",
                f"--host={self.socket_directory}",
                f"--port={self.port}",
                f"--username={SUPERUSER}",
                "--template=template0",
                name,
            )
            psycopg.connect(**place).close()

    def close(self) -> None:
        """Leave the server, which stops it if nobody else uses it. May be repeated.

        :raises EmbeddedUnavailable: the server should have stopped, and did not.
        """
        if self._process_id == os.getpid():
            with _lock:
                self._cluster.leave(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class _Cluster:
    """A data directory and its server, as this process sees them. Callers hold ``_lock``."""

    def __init__(self, path: Path) -> None:
        from fasteners import InterProcessReaderWriterLock  # type: ignore[import-untyped]

        self.directory = DataDirectory(path)
        # A POSIX lock belongs to the process, which loses it by closing any descriptor of the
        # file. So there is one for all handles of this process.
        self.handles: list[EmbeddedServer] = []
        self.users = InterProcessReaderWriterLock(self.directory.beside("users"))

    # Coming and going

    def join(self) -> EmbeddedServer:
        try:
            self.directory.check()
        except EmbeddedUnavailable:
            # Where there is a gate, the directory may look odd because it is just being filled.
            # Where there is none, it is someone else's, and no lock files are left beside it.
            if not self.directory.beside("gate").exists():
                raise
        self.directory.make_parents()
        with self.gate():
            self.directory.check()
            if not self.handles:
                self.users.acquire_read_lock()
            try:
                server = self.serve()
            except BaseException:
                if not self.handles:
                    self.users.release_read_lock()
                    self.stop_if_unused()
                raise
            self.handles.append(server)
            return server

    def leave(self, handle: EmbeddedServer) -> None:
        if handle not in self.handles:
            return
        self.handles.remove(handle)
        if not self.handles:
            # Leave first, then look whether anybody is left: of several that leave at the same
            # moment, the last one to look finds nobody.
            self.users.release_read_lock()
            with self.gate():
                self.stop_if_unused()

    def forget(self) -> None:
        """In a forked child, close the descriptor of the lock, which remains the parent's.

        Left to the garbage collector, it would be closed when the child has a lock of its own, and
        take that along.
        """
        if self.users.lockfile is not None:
            self.users.release_read_lock()

    @contextmanager
    def gate(self) -> Iterator[None]:
        from fasteners import InterProcessLock

        gate = InterProcessLock(self.directory.beside("gate"))
        if not gate.acquire(timeout=_PATIENCE_SECONDS):
            raise EmbeddedUnavailable(
                "another process has been starting or stopping the server of "
                f"{self.directory.path} for {_PATIENCE_SECONDS} s; end the one that holds "
                f"{self.directory.beside('gate')}"
            )
        try:
            yield
        finally:
            gate.release()

    # The server. All of this happens behind the gate.

    def serve(self) -> EmbeddedServer:
        """Make sure that the server runs and has the database ``aria``."""
        for attempts_left in reversed(range(_CONNECT_ATTEMPTS)):
            server = self.run()
            try:
                server.create_database()
                break
            except psycopg.OperationalError as error:
                if not attempts_left:
                    raise self.directory.server_failure(
                        "refuses connections", str(error)
                    ) from error
                time.sleep(_POLL_SECONDS)
        return server

    def run(self) -> EmbeddedServer:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            found = self.postmaster()
            if found is None:
                self.launch()
                continue
            _, lines = found
            if len(lines) > 7 and lines[7].strip() == "ready":
                return EmbeddedServer(self, Path(lines[4]), int(lines[3]))
            time.sleep(_POLL_SECONDS)  # on its way up or down, for someone who has been killed
        raise self.directory.server_failure("does not get ready", self.directory.log(since=0))

    def launch(self) -> None:
        """Start the server, or return for another try if it cannot start just yet."""
        if self.is_being_launched():
            time.sleep(_POLL_SECONDS)
            return
        directory = self.directory
        if directory.beside("initdb").exists() or not (directory.path / "PG_VERSION").exists():
            directory.initialise()
        directory.make_socket_directory()
        # After a crash PostgreSQL removes its lock files itself, unless they are empty or the
        # process id in there is meanwhile another's, or that of a zombie. If a server is running
        # after all, its shared memory keeps a second one from starting.
        for file in (
            directory.path / "postmaster.pid",
            directory.socket_directory / f"{SOCKET}.lock",
        ):
            file.unlink(missing_ok=True)
        logged = directory.log_size()
        log_to = ("-l", directory.log_path.name)
        waiting = ("-t", _PATIENCE_SECONDS)
        done = directory.execute(
            "pg_ctl", "start", *waiting, *log_to, "-o", self.server_arguments()
        )
        news = directory.log(since=logged)
        if done.returncode == 0 or self.postmaster() is not None:
            return
        if "is still in use" in news:
            time.sleep(_POLL_SECONDS)  # by children of a killed server, which are about to end
            return
        raise directory.server_failure("does not start", news or done.stderr)

    def is_being_launched(self) -> bool:
        """Whether a server that a killed process started is still on its way up."""
        import psutil

        words = {str(self.directory.path), self.server_arguments()}
        return any(
            process.info["name"] in ("initdb", "pg_ctl", "postgres")
            and not words.isdisjoint(process.info["cmdline"] or ())
            for process in psutil.process_iter(["name", "cmdline"])
        )

    def server_arguments(self) -> str:
        """Return what pg_ctl passes on through a shell; its own quoting of -D is not enough."""
        data, socket = str(self.directory.path), str(self.directory.socket_directory)
        words = ["-D", data, "-k", socket, "-p", str(PORT)]
        return shlex.join([*words, "-c", "listen_addresses="])

    def stop_if_unused(self) -> None:
        try:
            if self.users.acquire_write_lock(blocking=False):
                self.stop()
        finally:
            self.users.release_write_lock()

    def stop(self) -> None:
        found = self.postmaster()
        if found is None:
            return
        process, _ = found
        # PostgreSQL's fast shutdown. pg_ctl sends the same signal, but perhaps only after its
        # caller has been killed and someone else has joined.
        process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self.is_postmaster(process):
            if time.monotonic() > deadline:
                raise self.directory.server_failure("does not stop", self.directory.log(since=0))
            time.sleep(_POLL_SECONDS)
        if self.directory.socket_directory != self.directory.path:
            with suppress(OSError):  # empty and harmless if it stays
                self.directory.socket_directory.rmdir()

    def postmaster(self) -> tuple[psutil.Process, list[str]] | None:
        """Return the server's process and the lines of ``postmaster.pid``, if it runs."""
        import psutil

        with suppress(FileNotFoundError, IndexError, ValueError, psutil.Error):
            lines = (self.directory.path / "postmaster.pid").read_text().splitlines()
            process = psutil.Process(int(lines[0]))
            if self.is_postmaster(process):
                return process, lines
        return None

    def is_postmaster(self, process: psutil.Process) -> bool:
        import psutil

        with suppress(psutil.Error):
            # A zombie has a name but no command line.
            return process.name() == "postgres" and str(self.directory.path) in process.cmdline()
        return False


_lock = threading.Lock()
_clusters: dict[Path, _Cluster] = {}


def _close_all() -> None:
    for cluster in _clusters.values():
        for handle in list(cluster.handles):
            handle.close()


def _forget_parent() -> None:
    """In a forked child, forget the handles and locks, which are the parent's."""
    global _lock
    _lock = threading.Lock()
    for cluster in _clusters.values():
        cluster.forget()
    _clusters.clear()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_forget_parent)
