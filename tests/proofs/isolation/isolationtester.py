"""Runs PostgreSQL's own isolationtester, and judges each permutation by its outcome.

A file in ``specs/`` is one client: a session of a spec, with the errors that it may be answered.
A spec is made of two or three of them; isolationtester runs the steps of their sessions in every
order, with a connection for each, and knows when a step waits for another session. What came out
is never compared with a transcript: each client must have had a success or an error that is one
of its own, and ``laws.sql`` must find no violation, neither in the rows nor in the journal.
"""

import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from string import Template

import psycopg
from psycopg.conninfo import make_conninfo

from aria_db import embedded
from aria_db.database import Database
from tests.support import layouts

HERE = Path(__file__).parent
CLIENTS = sorted(path.stem for path in (HERE / "specs").glob("*.spec"))

READ_COMMITTED = "READ COMMITTED"
REPEATABLE_READ = "REPEATABLE READ"
SERIALIZABLE = "SERIALIZABLE"

FIRST = "00000000-0000-0000-0000-000000000001"
SECOND = "00000000-0000-0000-0000-000000000002"


@dataclass(frozen=True)
class Start:
    """Which sessions are archived, soft-deleted and without messages when a permutation begins."""

    archived: tuple[str, ...] = ()
    soft_deleted: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()


STARTS = {
    "live": Start(),
    "archived": Start(archived=(FIRST, SECOND)),
    "split": Start(archived=(FIRST,)),
    "soft-deleted": Start(soft_deleted=(FIRST, SECOND)),
    "empty": Start(empty=(FIRST, SECOND)),
}

# What isolationtester prints of an error is its message. Any other one is no answer to a client.
MESSAGES = {
    "23502": 'null value in column "[^"]+" of relation "[^"]+" violates not-null constraint',
    "23503": 'insert or update on table "[^"]+" violates foreign key constraint "[^"]+"',
    "23505": 'duplicate key value violates unique constraint "[^"]+"',
    "40001": "could not serialize access due to .*"
    "|session .* was restored while it was being archived"
    "|session .* was moved while it was being restored"
    "|the columns of the chat tables have changed since this transaction began",
    "40P01": "deadlock detected",
    "42701": 'column "[^"]+" of relation "[^"]+" already exists',
    "55P03": "canceling statement due to lock timeout|could not obtain lock on .*",
    "AR001": "session .* is live and archived(, and .* is not the same in both)?"
    "|(session .*|one of the sessions) is archived,"
    " and its id or that of one of its messages is live"
    "|a session or message to archive has the id of one that is in the archive",
    "AR002": r"column \S+ (is|belongs) .*",
    "AR003": "session .* is on hold: asked by legal",
    "AR005": "session .* has rows in .*, which refer to it by .*",
}

# A client that waits for longer gives up: a step may follow in the permutation that would have to
# come first. What waits for a step that can run is waited for 10 ms, and then that one is run.
SETTINGS = {
    "lc_messages": "C",
    "lock_timeout": "75ms",
    "deadlock_timeout": "20ms",
    "statement_timeout": "20s",
}


@dataclass(frozen=True)
class Client:
    """A file of ``specs/``, to take part in a spec under a name and at an isolation level."""

    role: str
    name: str
    level: str

    def source(self) -> str:
        return (HERE / "specs" / f"{self.role}.spec").read_text()

    def steps(self) -> list[str]:
        # READ COMMITTED takes a snapshot for each statement: when it began changes nothing.
        named = ["do", "commit"] if self.level == READ_COMMITTED else ["begin", "do", "commit"]
        return [f"{self.name}_{step}" for step in named]

    def text(self, tables: dict[str, str]) -> str:
        begin = f"BEGIN ISOLATION LEVEL {self.level};"
        return Template(self.source()).substitute(
            tables,
            client=self.name,
            first=FIRST,
            second=SECOND,
            message=f"{FIRST[:-4]}1002",
            begin=f"setup {{ {begin} }}"
            if self.level == READ_COMMITTED
            else f"step {self.name}_begin {{ {begin} SELECT 1 AS snapshot; }}",
            commit=f"step {self.name}_commit {{ COMMIT; }}",
        )

    def allowed(self, others: Sequence["Client"]) -> set[str]:
        """Tell which errors the client may be answered beside the others."""
        allowed = {"55P03"}
        if self.level != READ_COMMITTED:
            allowed.add("40001")
        beside = {other.role for other in others} | {"always"}
        for sqlstate, roles in re.findall(
            r"^#   (\w{5}) (?:beside )?([\w, ]+):?", self.source(), re.MULTILINE
        ):
            if beside & set(roles.split(", ")):
                allowed.add(sqlstate)
        return allowed


def cast(roles: Sequence[str], levels: Sequence[str]) -> list[Client]:
    """Make the clients of a spec; a second one of a kind has a number."""
    return [
        Client(role, role if roles.index(role) == place else f"{role}_{place + 1}", level)
        for place, (role, level) in enumerate(zip(roles, levels, strict=True))
    ]


def orders(sequences: Sequence[Sequence[str]]) -> Iterator[list[str]]:
    """Yield each way to merge the sequences."""
    if not any(sequences):
        yield []
    for place, sequence in enumerate(sequences):
        if sequence:
            rest = [*sequences[:place], sequence[1:], *sequences[place + 1 :]]
            for order in orders(rest):
                yield [sequence[0], *order]


@dataclass
class Outcome:
    """What one permutation came to."""

    permutation: str
    violations: list[str] = field(default_factory=list)
    waits: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    transcript: str = ""


@cache
def program() -> Path:
    """Find isolationtester in the embedded server's wheel; it is a client of any server."""
    return next((embedded.program("psql").parents[1] / "lib").rglob("isolationtester"))


class Laboratory:
    """A database in which specs run, on aria-db's own tables or on an adopted database's views.

    The laws need triggers on the chat tables. So that the moves do here what they do without any,
    they are told that the tables are plain.

    :param compares: leave the moves to find the triggers, and let rows of other tables hang on
        sessions and messages.
    """

    def __init__(self, database: Database, layout: str, *, compares: bool = False) -> None:
        self.tables = {
            "sessions": "engine_chat_sessions",
            "messages": "engine_chat_messages",
            "session_archive": "engine_chat_session_archive",
            "message_archive": "engine_chat_message_archive",
        }
        self.settings = dict(SETTINGS)
        with psycopg.connect(database.libpq_url(), autocommit=True) as connection:
            self.others = [pid for (pid,) in connection.execute("SELECT pid FROM pg_stat_activity")]
            if layout == "views":
                connection.execute(f"SET search_path = {layouts.SEARCH_PATH}")
                self.settings["search_path"] = layouts.SEARCH_PATH
                self.tables = dict(zip(self.tables, layouts.TABLES, strict=True))
            connection.execute(
                Template((HERE / "laws.sql").read_text()).safe_substitute(self.tables)
            )
            script = "dependents.sql" if compares else "plain.sql"
            connection.execute((HERE / script).read_text())
        options = " ".join(f"-c {name}={value}" for name, value in self.settings.items())
        self.conninfo = make_conninfo(database.libpq_url(), options=options)

    def ask(self, query: str) -> list:
        """Return the first column of a query's rows, once all clients of the specs are gone."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            while connection.execute(
                "SELECT FROM pg_stat_activity"
                " WHERE datname = current_database() AND backend_type = 'client backend'"
                " AND pid <> pg_backend_pid() AND pid <> ALL(%s)",
                [self.others],
            ).fetchall():
                time.sleep(0.01)
            return [value for (value,) in connection.execute(query)]

    def deadlocks(self) -> int:
        """Count the deadlocks that there were, those included that a function caught."""
        return self.ask(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )[0]

    def violations(self) -> list[str]:
        """Ask what ``laws.sql`` has found."""
        return self.ask("SELECT what FROM violation")

    def run(
        self, clients: Sequence[Client], start: str, permutations: Sequence[Sequence[str]]
    ) -> list[Outcome]:
        """Run the clients' steps in each of these orders."""
        arguments = ", ".join(
            [
                _array(STARTS[start].archived, "uuid"),
                _array(STARTS[start].soft_deleted, "uuid"),
                _array(STARTS[start].empty, "uuid"),
                _array([client.name for client in clients], "text"),
            ]
        )
        spec = "\n".join(
            [
                f"setup {{ CALL start_again({arguments}); }}",
                "teardown { SELECT verdict() AS verdict; }",
                *(client.text(self.tables) for client in clients),
                *(f"permutation {' '.join(steps)}" for steps in permutations),
            ]
        )
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("PG")
        }
        finished = subprocess.run(
            [program(), self.conninfo],
            input=spec,
            capture_output=True,
            text=True,
            env=environment | {"PGISOLATIONTIMEOUT": "30"},
            check=False,
        )
        said = finished.stdout.split("\nstarting permutation: ")[1:]
        if finished.returncode or finished.stderr or len(said) != len(permutations):
            raise AssertionError(f"{spec}\n{finished.stdout[-5000:]}\n{finished.stderr}")
        return [judge(one, clients) for one in said]


def _array(values: Iterable[str], of_type: str) -> str:
    return "ARRAY[{}]::{}[]".format(", ".join(f"'{value}'" for value in values), of_type)


def judge(said: str, clients: Sequence[Client]) -> Outcome:
    """Read what isolationtester printed of a permutation."""
    permutation, transcript = said.split("\n", 1)
    outcome = Outcome(permutation, transcript=transcript)
    transcript, found, verdict = transcript.rpartition("\nverdict")
    # "verdict", a line, one line or more, and "(1 row)"
    verdicts = verdict.strip().splitlines()[1:-1]
    if not found or not verdicts:
        outcome.violations.append("nothing was checked")
    elif verdicts != ["all is well"]:
        outcome.violations += verdicts

    outcome.waits = transcript.count("<waiting ...>")
    failed: set[str] = set()
    for step, output in re.findall(
        r"^step (\w+): (.*?)(?=^step |\Z)", transcript, re.MULTILINE | re.DOTALL
    ):
        client = next(one for one in clients if step in one.steps())
        for message in re.findall(r"^(?:ERROR|FATAL|PANIC):  (.*)$", output, re.MULTILINE):
            sqlstate = next(
                (code for code, known in MESSAGES.items() if re.fullmatch(known, message)), None
            )
            outcome.answers[sqlstate or message] += 1
            others = [one for one in clients if one is not client]
            if sqlstate not in client.allowed(others) or client.name in failed:
                outcome.violations.append(f"{client.name} was answered {sqlstate}: {message}")
            failed.add(client.name)
    return outcome
