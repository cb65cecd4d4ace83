"""``aria-db`` in a process that need not import anything, because it is forked from one that has.

Starting Python and importing SQLAlchemy takes longer than most commands. The process is real all
the same: it has an environment, streams and an exit status of its own.
"""

import importlib
import multiprocessing
import os
import pkgutil
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from multiprocessing.reduction import DupFd
from typing import Any

import aria_db.cli

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__])

# What commands import when they run.
for _module in pkgutil.walk_packages(aria_db.cli.__path__, "aria_db.cli."):
    importlib.import_module(_module.name)
importlib.import_module("sqlalchemy.dialects.postgresql.psycopg")


def run(
    arguments: list[str], environment: dict[str, str], stdin: bytes, timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run ``aria-db``; wait for it.

    :param arguments: the words after ``aria-db``.
    :param environment: all of its environment.
    :param stdin: what it reads from a pipe.
    :param timeout: after how many seconds it is killed.
    :raises subprocess.TimeoutExpired: it was killed.
    """
    reading, writing = os.pipe()
    with (
        os.fdopen(reading, "rb") as its_stdin,
        os.fdopen(writing, "wb", buffering=0) as to_stdin,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
    ):
        streams = [DupFd(stream.fileno()) for stream in (its_stdin, out, err)]
        process = _CONTEXT.Process(target=_main, args=(arguments, environment, streams))
        process.start()
        its_stdin.close()
        feeding = threading.Thread(target=_feed, args=(to_stdin, stdin))
        feeding.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            feeding.join()
            raise subprocess.TimeoutExpired(arguments, timeout)
        feeding.join()
        printed = [os.pread(stream.fileno(), 2**31 - 1, 0).decode() for stream in (out, err)]
        return subprocess.CompletedProcess(arguments, process.exitcode, *printed)


def _feed(stream: Any, content: bytes) -> None:
    with suppress(BrokenPipeError), stream:
        stream.write(content)


def _main(arguments: list[str], environment: dict[str, str], streams: list[Any]) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream.detach(), number)
    os.environ.clear()
    os.environ.update(environment)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", closefd=False, errors="backslashreplace")
    sys.argv = ["aria-db", *arguments]
    aria_db.cli.main()
