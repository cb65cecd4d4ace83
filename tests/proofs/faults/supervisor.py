"""Clients at work on a server of their own, faults that strike them, and the law after each.

The seed decides which faults strike, in which order, after how long, and what the clients write.
It cannot decide how the processes are scheduled: the same seed is a similar run, not the same.
"""

import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Self
from uuid import UUID

from tests.proofs.faults import clients, law, rows
from tests.proofs.faults.faults import FAULTS
from tests.proofs.faults.journal import Journal, Journals
from tests.proofs.faults.proxy import Proxy
from tests.proofs.faults.server import Server
from tests.support.command_line import environment

CLI = "aria-db prune"
ROLES = ("manager-writer", "sql-writer", "archiver", "restorer", "pruner", CLI)

_REPOSITORY = Path(__file__).parents[3]
_POLL_SECONDS = 0.005
_PATIENCE_SECONDS = 120

# A fault gives no client an error about its data: a conflict, a constraint, corruption. Nor a
# deadlock (40P01): no fault waits for a client while it holds a lock, a client's own transaction
# is about one session, and the functions keep an order of locks (sql/README.md).
_ABOUT_THE_SERVER = re.compile(
    r"\((no answer|08...|40001|53...|55...|57...|58...|XX000)\)|exit status"
)

# A client that is moving sessions is struck as often as all the others together.
_MOVES = "archive|restore|prune"
_BUSY = """
    SELECT pid, application_name
    FROM pg_stat_activity
    WHERE application_name LIKE 'fault-%%' AND state <> 'idle' AND query ~ %s
    ORDER BY random()
    LIMIT 1
"""


@dataclass
class Struck:
    """What one kind of fault has done.

    :param times: how often it struck.
    :param recoveries: after how many of them PostgreSQL had to recover from a crash.
    :param told: what the clients were told, how often.
    :param violations: where the law was broken.
    """

    times: int = 0
    recoveries: int = 0
    told: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


class Supervisor:
    """Starts everything, strikes, checks.

    :param seed: of all random choices.
    :param roles: the clients.
    :param kinds: the faults, of :data:`tests.proofs.faults.faults.FAULTS`.
    :param report: where each fault is told as it happens.
    """

    def __init__(
        self,
        seed: int,
        roles: Sequence[str] = ROLES,
        kinds: Sequence[str] = tuple(FAULTS),
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.rng = random.Random(seed)
        self.struck = {kind: Struck() for kind in kinds}
        self._roles = roles
        self._kinds = kinds
        self._report = report
        self._clients: dict[str, subprocess.Popen[bytes]] = {}
        self._client_numbers = count()
        self._ended_badly: list[str] = []

    def __enter__(self) -> Self:
        # Not pytest's own directory: the server of root runs under another account.
        self.directory = Path(tempfile.mkdtemp(prefix="aria-db-faults-")).resolve()
        self.directory.chmod(0o755)
        journals = self.directory / "journals"
        journals.mkdir()
        self.journals = Journals(journals)
        self.server = Server(self.directory / "data")
        self.proxy = Proxy(self.server.socket)
        self._fill(Journal(journals / "supervisor.jsonl"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        self._stop_clients()
        self.proxy.close()
        self.server.close()
        if error is None:
            shutil.rmtree(self.directory)
        else:
            self._report(f"the journals and the data are in {self.directory}")

    # The run

    def run(self, faults: int) -> list[str]:
        """Strike this many times; stop as soon as the law is broken.

        :return: where it was broken.
        """
        for number, kind in enumerate(islice(self._plan(), faults), 1):
            self._wait_for_work()
            self.let_run(self.rng.uniform(0, 0.5))
            if violations := self._strike(number, kind):
                return violations
        return self._finish()

    def _plan(self) -> Iterator[str]:
        """Give every kind once, in random order, again and again."""
        while True:
            yield from self.rng.sample(self._kinds, len(self._kinds))

    def _strike(self, number: int, kind: str) -> list[str]:
        struck = self.struck[kind]
        told = self.journals.errors.copy()
        began = time.monotonic()

        FAULTS[kind](self)
        struck.times += 1
        recovered = self.server.is_lost()
        if recovered:
            self.wait(self.server.reconnect, "the server does not come back")
            struck.recoveries += 1
        struck.violations += self._violations()
        struck.told += self.journals.errors - told

        seconds = time.monotonic() - began
        self._report(
            f"{number:4} {kind:32} {seconds:5.1f} s, {'recovered' if recovered else 'went on'};"
            f" {len(self.journals.attempts)} attempts, {len(struck.violations)} violations"
        )
        return struck.violations

    def _violations(self) -> list[str]:
        with self.server.connect() as connection:
            broken = law.violations(self.journals, connection)
        surprises = [
            f"a client was told {error}"
            for error in self.journals.errors
            if not _ABOUT_THE_SERVER.search(error)
        ]
        if deadlocks := self.server.deadlocks():
            surprises.append(f"there were {deadlocks} deadlocks")
        return broken + self.server.amcheck() + surprises + self._ended_badly

    def _finish(self) -> list[str]:
        """Check once more with nobody at work; then archive everything, which must be possible."""
        self._roles = ()
        self._stop_clients()
        self.wait(lambda: self.server.execute(_BUSY, "") is None, "work goes on after the end")
        broken = self._violations()
        self.server.execute("CALL prune_old_sessions(older_than => '1 microsecond')")
        (left,) = self.server.execute("SELECT count(*) FROM engine_chat_sessions")
        if left:
            broken.append(f"{left} sessions cannot be archived")
        return broken + self._violations()

    # For the faults

    def let_run(self, seconds: float) -> None:
        """Let the clients work for a random time, which is what makes the moment random."""
        until = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() >= until, "time does not pass")

    def wait(self, condition: Callable[[], bool], failure: str) -> None:
        """Return when the condition holds; start clients anew meanwhile."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, failure
            self._tend_clients()
            time.sleep(_POLL_SECONDS)

    def felt(self, sqlstate: str, session_id: UUID | None = None) -> Callable[[], bool]:
        """Return whether a client has been told this since now, as a function.

        :param sqlstate: the error.
        :param session_id: a session, if only an attempt that is about it counts.
        """
        self.journals.read()
        before = len(self.journals.failed)

        def told() -> bool:
            self.journals.read()
            return any(
                sqlstate in str(attempt.error) and (session_id is None or attempt.names(session_id))
                for attempt in self.journals.failed[before:]
            )

        return told

    def busy_backend(self) -> tuple[int, str]:
        """Return the process id of a backend that is at work, and the name of its client."""
        wanted = self.rng.choice([_MOVES, ""])
        found: list[tuple[int, str]] = []

        def find() -> bool:
            if backend := self.server.execute(_BUSY, wanted):
                found.append(backend)
            return bool(found)

        self.wait(find, "no client is at work")
        return found[0]

    def kill_client(self, application_name: str) -> None:
        """End a client by ``kill -9``; another takes its place."""
        role = application_name.removeprefix("fault-")
        process = self._clients.pop(role)
        process.kill()
        process.wait()

    # The clients

    def _fill(self, journal: Journal) -> None:
        """Write what was there before: enough for tables larger than a WAL segment."""
        with self.server.connect() as connection:
            for _ in range(150):
                session_id = rows.uuid(self.rng)
                messages = [rows.message(self.rng) for _ in range(40)]
                clients.create_session(connection, journal, session_id, rows.session(self.rng))
                clients.add_messages(connection, journal, session_id, messages)

    def _wait_for_work(self) -> None:
        """Return when every client has got an answer: each fault strikes a system that works."""
        self.journals.read()
        before = self.journals.done.copy()

        def all_have() -> bool:
            self.journals.read()
            return all(
                self.journals.done[role] > before[role] for role in self._roles if role != CLI
            )

        self.wait(all_have, "a client gets no work done")

    def _tend_clients(self) -> None:
        for role in self._roles:
            process = self._clients.get(role)
            if process is not None and process.poll() is not None:
                self._note_end(role, process)
            if process is None or process.poll() is not None:
                self._clients[role] = self._start_client(role)

    def _start_client(self, role: str) -> subprocess.Popen[bytes]:
        number = next(self._client_numbers)
        url = f"postgresql://postgres@127.0.0.1:{self.proxy.port}/aria"
        journal = self.directory / "journals" / f"{role}.{number}.jsonl"
        if role == CLI:
            words = "prune --older-than 1s --batch-size 5 --max-runtime 20s --sleep 30ms --json"
            command = ["aria_db", *words.split(), "--database-url", url]
        else:
            seed = f"{self.rng.random()}"
            command = ["tests.proofs.faults.clients", role, url, str(journal), seed]
        with self._said(role).open("wb") as said:
            return subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=_REPOSITORY,
                env=environment(PGAPPNAME=f"fault-{role}"),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
            )

    def _note_end(self, role: str, process: subprocess.Popen[bytes]) -> None:
        """Note how a client has ended that nobody killed."""
        said = self._said(role).read_text()
        if role != CLI or process.returncode not in (0, 1) or "Traceback" in said:
            self._ended_badly.append(f"{role} ended with status {process.returncode}: {said}")
        elif process.returncode:
            self.journals.errors[f"{CLI}: exit status 1"] += 1

    def _said(self, role: str) -> Path:
        return self.directory / f"{role}.stderr"

    def _stop_clients(self) -> None:
        for process in self._clients.values():
            process.kill()
            process.wait()
        self._clients.clear()
