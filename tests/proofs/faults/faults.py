"""The kinds of fault. Each strikes once, and returns when it has been felt.

What "felt" means stands with each: a fault that hits nobody would count for nothing. Whatever it
set, it takes back; the supervisor then waits until the server is well again.
"""

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from tests.proofs.faults.supervisor import Supervisor

Fault = Callable[["Supervisor"], None]

WAL_SEGMENT = 2 * 2**20

_LOCKED_SECONDS = 1
_LOCK_NEWEST = """
    SELECT id
    FROM engine_chat_sessions
    WHERE id = (SELECT id FROM engine_chat_sessions ORDER BY updated_at DESC LIMIT 1)
    FOR UPDATE SKIP LOCKED
"""


def kill_backend(scene: "Supervisor") -> None:
    """``kill -9`` on a backend that is at work: PostgreSQL ends all others and recovers."""
    pid, _ = scene.busy_backend()
    os.kill(pid, signal.SIGKILL)
    scene.wait(lambda: scene.server.is_lost(), "the server does not notice a killed backend")


def kill_postmaster(scene: "Supervisor") -> None:
    """``kill -9`` on the postmaster: its children end when they notice; somebody starts it anew."""
    scene.busy_backend()
    scene.server.kill()
    scene.wait(lambda: scene.server.is_lost(), "the killed server goes on")


def kill_client(scene: "Supervisor") -> None:
    """``kill -9`` on a client whose backend is at work, the process ``aria-db prune`` included."""
    _, name = scene.busy_backend()
    scene.kill_client(name)


def terminate_backend(scene: "Supervisor") -> None:
    """``pg_terminate_backend`` on a backend that is at work."""
    pid, _ = scene.busy_backend()
    scene.server.execute("SELECT pg_terminate_backend(%s)", pid)
    scene.wait(lambda: not psutil.pid_exists(pid), "a terminated backend goes on")


def cancel_query(scene: "Supervisor") -> None:
    """``pg_cancel_backend``, until a client has been told so."""
    felt = scene.felt("57014")

    def cancel() -> bool:
        pid, _ = scene.busy_backend()
        scene.server.execute("SELECT pg_cancel_backend(%s)", pid)
        return felt()

    scene.wait(cancel, "nobody notices a cancelled query")


def statement_timeout(scene: "Supervisor") -> None:
    """A ``statement_timeout`` of a few milliseconds for everybody, until a client has met it."""
    felt = scene.felt("57014")
    with _setting(scene, "statement_timeout", scene.rng.choice(["2ms", "4ms", "8ms"])):
        scene.wait(felt, "nobody meets the statement_timeout")


def lock_timeout(scene: "Supervisor") -> None:
    """A ``lock_timeout`` for everybody, until a client has met it at a session that is locked."""
    # The timeout first: a client that waits for the lock already would wait without one.
    with _setting(scene, "lock_timeout", "2ms"):
        scene.wait(lambda: _is_met_at_a_lock(scene), "nobody meets the lock_timeout")


def _is_met_at_a_lock(scene: "Supervisor") -> bool:
    """Lock the newest session for a second; return at once if a client meets the lock_timeout.

    This lock can be part of no deadlock, because its transaction never waits while it holds it:
    it locks one row, and nothing before or after. SKIP LOCKED makes it give up where a client
    holds the row. (It once locked all sessions, the newest first. The archiver locks several in
    the order of their ids, and so each waited for the other.)

    :return: whether a client met it.
    """
    with scene.server.transaction() as transaction:
        locked = transaction.execute(_LOCK_NEWEST).fetchone()
        if locked is None:
            return False
        met = scene.felt("55P03", session_id=locked[0])
        until = time.monotonic() + _LOCKED_SECONDS
        scene.wait(lambda: met() or time.monotonic() >= until, "time does not pass")
        return met()


def cut_connection(scene: "Supervisor") -> None:
    """A connection that breaks in the middle of an answer; the server may have done its work."""
    cut = scene.proxy.cut(scene.rng)
    scene.wait(cut.is_set, "no answer to cut")


def full_disk_for_tables(scene: "Supervisor") -> None:
    """No file may grow beyond the message archive, which is full, until a client has felt it.

    A full disk that needs no privileges, as in a container: ``RLIMIT_FSIZE`` of the server's
    processes. The call that would extend a file fails as on a full disk, only with EFBIG in the
    place of ENOSPC. So the statement fails, and the server goes on.
    """
    scene.server.execute("VACUUM FULL engine_chat_message_archive")
    (archive,) = scene.server.execute("SELECT pg_relation_size('engine_chat_message_archive')")
    failed = scene.felt("XX000")
    with _file_size_limit(scene, max(archive, WAL_SEGMENT)):
        scene.wait(lambda: failed() or scene.server.is_lost(), "no table wants to grow")


def full_disk_for_wal(scene: "Supervisor") -> None:
    """No file may grow beyond a part of a WAL segment, until the server has crashed of it.

    As :func:`full_disk_for_tables`. Without WAL no commit is possible: the server panics, and
    may not be able to start before there is room again. At least half a segment, because the
    server's shared memory is files, too.
    """
    with _file_size_limit(scene, scene.rng.randrange(WAL_SEGMENT // 2, WAL_SEGMENT)):
        scene.wait(lambda: scene.server.is_lost(), "the server does without WAL")
        scene.let_run(scene.rng.uniform(0, 1))  # so that it may recover in vain, and give up


@contextmanager
def _setting(scene: "Supervisor", name: str, value: str) -> Iterator[None]:
    """Change a setting for all connections, those that are open included."""
    scene.server.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    scene.server.execute("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        scene.server.execute(f"ALTER SYSTEM RESET {name}")
        scene.server.execute("SELECT pg_reload_conf()")


@contextmanager
def _file_size_limit(scene: "Supervisor", limit: int) -> Iterator[None]:
    """Limit the size of files for the server, the processes it will start included."""
    scene.server.limit_file_size(str(limit))
    try:
        yield
    finally:
        scene.server.limit_file_size("unlimited")


FAULTS: dict[str, Fault] = {
    "kill -9 of a backend": kill_backend,
    "kill -9 of the postmaster": kill_postmaster,
    "kill -9 of a client": kill_client,
    "pg_terminate_backend": terminate_backend,
    "pg_cancel_backend": cancel_query,
    "statement_timeout": statement_timeout,
    "lock_timeout": lock_timeout,
    "connection cut within an answer": cut_connection,
}
if shutil.which("prlimit"):  # Linux
    FAULTS |= {
        "disk full for tables": full_disk_for_tables,
        "disk full for WAL": full_disk_for_wal,
    }
