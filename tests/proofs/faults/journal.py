"""What the clients were about to do, and what they were told: in files that outlive them.

A client writes a line before it sends anything, and another when it has the answer. A line is
one ``write(2)`` to a file, so that ``kill -9`` leaves whole lines. An attempt ends in one of
three ways, or in none if the client was killed first:

``done``
    The database acknowledged it: from now on it must be there.
``refused``
    The database, or the manager, said that nothing was done: it must never be there.
``unknown``
    The connection broke, or the server did. It is there as a whole, or not at all.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg

from aria_db.errors import AriaError

ClientError = AriaError | psycopg.Error


class NotLive(AriaError):
    """There is no such live session, and nothing was done: no error, but an answer."""


class Journal:
    """Where one client writes.

    :param path: its file.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    @contextmanager
    def attempt(self, kind: str, **facts: Any) -> Iterator[dict[str, Any]]:
        """Journal what is about to be done, and how it ended.

        :param kind: what it is, for :mod:`tests.proofs.faults.law`.
        :param facts: what the law needs to know of it.
        :return: a dictionary for what the database answered.
        """
        attempt = uuid4().hex
        answer: dict[str, Any] = {}
        self._write(attempt=attempt, kind=kind, facts=facts)
        try:
            yield answer
        except NotLive:  # often: sessions are archived under the writers' hands
            self._write(attempt=attempt, outcome="refused")
        except (AriaError, psycopg.Error) as error:
            outcome = "refused" if _is_refusal(error) else "unknown"
            self._write(attempt=attempt, outcome=outcome, error=_name(error))
            raise
        else:
            self._write(attempt=attempt, outcome="done", answer=answer)

    def _write(self, **line: Any) -> None:
        os.write(self._descriptor, json.dumps(line, default=str).encode() + b"\n")


def _original(error: BaseException | None) -> psycopg.Error | None:
    """Return what psycopg raised, from behind the exceptions of SQLAlchemy and the manager."""
    while error is not None and not isinstance(error, psycopg.Error):
        error = getattr(error, "orig", None) or error.__cause__
    return error


def _is_refusal(error: ClientError) -> bool:
    original = _original(error)
    # A FATAL or PANIC ends the connection, perhaps between a commit and its answer.
    return original is None or original.diag.severity_nonlocalized == "ERROR"


def _name(error: ClientError) -> str:
    state = error.sqlstate or "no answer"
    return f"{type(error).__name__} ({state})"


@dataclass
class Attempt:
    """What a client tried.

    :param kind: as it was journaled.
    :param facts: as they were journaled.
    :param outcome: done, refused, unknown, or None if that was not journaled.
    :param answer: what the database said, if it is done.
    :param error: what the client was told, if that was an error.
    """

    kind: str
    facts: dict[str, Any]
    outcome: str | None = None
    answer: dict[str, Any] = field(default_factory=dict)
    error: str | None = None

    def names(self, session_id: UUID) -> bool:
        """Whether it was about this session."""
        named = [self.facts.get("session"), *self.facts.get("sessions", [])]
        return str(session_id) in named


class Journals:
    """All journals of a directory, as far as they have been read.

    :param directory: where they are, each named for the role of its client and a number.
    :ivar done: how many attempts have been acknowledged, per role.
    :ivar failed: the attempts that ended in an error, in the order in which they were read.
    """

    def __init__(self, directory: Path) -> None:
        self.attempts: dict[str, Attempt] = {}
        self.outcomes: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.failed: list[Attempt] = []
        self._directory = directory
        self._offsets: Counter[Path] = Counter()

    def read(self) -> None:
        """Read on to the last whole line of each."""
        for path in self._directory.glob("*.jsonl"):
            with path.open("rb") as file:
                file.seek(self._offsets[path])
                whole = file.read().rpartition(b"\n")[0]
            if whole:
                self._offsets[path] += len(whole) + 1
                for line in whole.split(b"\n"):
                    self._take(path.name.partition(".")[0], json.loads(line))

    def _take(self, role: str, line: dict[str, Any]) -> None:
        if "outcome" not in line:
            self.attempts[line["attempt"]] = Attempt(line["kind"], line["facts"])
            return
        attempt = self.attempts[line["attempt"]]
        attempt.outcome = line["outcome"]
        attempt.answer = line.get("answer", {})
        self.outcomes[line["outcome"]] += 1
        if attempt.outcome == "done":
            self.done[role] += 1
        if error := line.get("error"):
            attempt.error = error
            self.errors[error] += 1
            self.failed.append(attempt)
