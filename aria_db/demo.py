"""The demo: one session archived through each client, with a look before and after.

It runs on the embedded PostgreSQL, never on a configured database, and checks what
it prints: if a look shows anything but what archiving promises, the demo fails.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from rich.console import Console
from rich.table import Table
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from aria_db import conversations, embedded, functions
from aria_db.conversations import session_id_of
from aria_db.database import Database
from aria_db.install import resources
from aria_db.models import (
    EngineArchiveEvent,
    EngineChatMessage,
    EngineChatMessageArchive,
    EngineChatSession,
    EngineChatSessionArchive,
)
from aria_db.session_manager import NativeSessionManager

API = "/api/engine/sessions"


@dataclass(frozen=True)
class Look:
    """Where a session is, as the tables and the lists of the API say.

    :param live: rows in ``engine_chat_sessions`` and in ``engine_chat_messages``.
    :param archived: rows in the two archive tables.
    :param archived_at: the archive's, if it is there.
    :param in_list: whether ``GET /sessions`` has it.
    :param in_archive_list: whether ``GET /sessions/archive`` has it.
    """

    live: tuple[int, int]
    archived: tuple[int, int]
    archived_at: datetime | None
    in_list: bool
    in_archive_list: bool


class Demo:
    """What the steps of the demo share: the database, the API and the screen.

    :param console: where to print.
    :param database: the embedded database, at the newest revision.
    :param api: the address of the API, up to the port.
    """

    def __init__(self, console: Console, database: Database, api: str) -> None:
        self.console = console
        self.database = database
        self.api = api
        self.engine = database.engine()
        self.all_true = True

    # The clients

    def archive_over_http(self, session_id: UUID) -> None:
        """Archive as the button does."""
        self.request("POST", f"/{session_id}/archive")

    def archive_in_a_session(self, session_id: UUID) -> None:
        """Archive in a synchronous SQLAlchemy session."""
        with Session(self.engine) as session, session.begin():
            session.execute(functions.archive_session(session_id))

    def archive_with_the_manager(self, session_id: UUID) -> None:
        """Archive with the asynchronous manager."""

        async def archive() -> None:
            engine = self.database.async_engine()
            try:
                await NativeSessionManager(engine).archive_session(session_id)
            finally:
                await engine.dispose()

        asyncio.run(archive())

    def archive_in_psql(self, session_id: UUID) -> None:
        """Archive as a DBA does."""
        subprocess.run(
            [
                embedded.program("psql"),
                "--quiet",
                f"--dbname={self.database.libpq_url()}",
                "--set=ON_ERROR_STOP=1",
                f"--set=session_id={session_id}",
                f"--file={resources.SQL / 'examples' / 'archive_session.sql'}",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def archive_with_the_cli(self, session_id: UUID) -> None:
        """Archive with aria-db itself."""
        subprocess.run(
            [sys.executable, "-m", "aria_db", "archive", "--json", str(session_id)],
            check=True,
            env=environment(self.database),
            stdout=subprocess.DEVNULL,
        )

    # Looking

    def look(self, session_id: UUID) -> Look:
        """Return where a session is, from four tables and two lists."""

        def rows(column: Any) -> int:
            statement = select(func.count()).where(column == session_id)
            return session.scalar(statement) or 0

        with Session(self.engine) as session:
            archive = session.get(EngineChatSessionArchive, session_id)
            place = archive or session.get_one(EngineChatSession, session_id)
            title = place.title or ""
            return Look(
                live=(rows(EngineChatSession.id), rows(EngineChatMessage.session_id)),
                archived=(
                    rows(EngineChatSessionArchive.id),
                    rows(EngineChatMessageArchive.session_id),
                ),
                archived_at=archive.archived_at if archive else None,
                in_list=str(session_id) in self.listed("", title),
                in_archive_list=str(session_id) in self.listed("/archive", title),
            )

    def listed(self, path: str, title: str) -> set[str]:
        """Return the ids in a list of the API, of the sessions with a title."""
        page = self.request("GET", f"{path}?limit=500&search={urllib.parse.quote(title)}")
        return {session["id"] for session in page["sessions"]}

    def request(self, method: str, path: str) -> Any:
        """Return the JSON that the API answers."""
        request = urllib.request.Request(f"{self.api}{API}{path}", method=method)  # noqa: S310
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            return json.load(answer)

    # The steps

    def prepare(self) -> None:
        """Bring back what an earlier demo archived."""
        with Session(self.engine) as session, session.begin():
            for source_id in (PRUNED, *(source_id for _, _, source_id in CLIENTS)):
                session.execute(functions.restore_session(session_id_of(source_id)))

    def archive_through_each_client(self) -> None:
        """Archive a session through each client, with a look before and after."""
        table = looks_table()
        for client, archive, source_id in CLIENTS:
            session_id = session_id_of(source_id)
            before = self.look(session_id)
            archive(self, session_id)
            after = self.look(session_id)
            self.show(table, client, "before", before, is_live(before))
            moved = is_archived(after) and after.archived == before.live
            self.show(table, "", "after", after, moved)
        self.console.print(table)

    def restore_one(self) -> None:
        """Restore over HTTP, with a look before and after."""
        table = looks_table()
        session_id = session_id_of(CLIENTS[0][2])
        before = self.look(session_id)
        self.request("POST", f"/{session_id}/restore")
        after = self.look(session_id)
        self.show(table, "HTTP", "before", before, is_archived(before))
        self.show(table, "", "after", after, is_live(after) and after.live == before.archived)
        self.console.print(table)

    def prune(self) -> None:
        """Let a nightly job's session grow old, and the prune find it."""
        session_id = session_id_of(PRUNED)
        live, event, days = EngineChatSession, EngineArchiveEvent, timedelta(days=3)
        with Session(self.engine) as session, session.begin():
            long_ago = func.now() - days
            session.execute(update(live).where(live.id == session_id).values(updated_at=long_ago))
            # The age counts from the restore, too, if an earlier demo archived the session.
            restored = update(event).where(event.session_id == session_id)
            session.execute(restored.values(at=event.at - days))
        before = self.look(session_id)
        aria_db(self.database, "prune", "--type", "cron", "--dry-run")
        aria_db(self.database, "prune", "--type", "cron")
        aria_db(self.database, "runs", "--limit", "1")
        after = self.look(session_id)
        table = looks_table()
        self.show(table, "prune", "before", before, is_live(before))
        self.show(table, "", "after", after, is_archived(after) and after.archived == before.live)
        self.console.print(table)

    def show(self, table: Table, client: str, when: str, look: Look, is_true: bool) -> None:
        """Add a look to a table, and a mark if it is not what it should be."""
        self.all_true = self.all_true and is_true
        table.add_row(
            client,
            when,
            "{} + {}".format(*look.live),
            "{} + {}".format(*look.archived),
            "yes" if look.in_list else "no",
            "yes" if look.in_archive_list else "no",
            f"{look.archived_at:%H:%M:%S}" if look.archived_at else "",
            "yes" if is_true else "[red]NO[/red]",
        )


def looks_table() -> Table:
    """Return an empty table for looks, narrow enough for 80 columns."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("client", "", "live", "archive", "in list", "in archive", "archived_at", "ok"):
        table.add_column(heading, no_wrap=True)
    return table


def is_live(look: Look) -> bool:
    """Whether a session is where a live one belongs, and nowhere else."""
    return (
        look.live[0] == 1 and look.archived == (0, 0) and look.in_list and not look.in_archive_list
    )


def is_archived(look: Look) -> bool:
    """Whether a session is where an archived one belongs, and nowhere else."""
    return (
        look.live == (0, 0)
        and look.archived[0] == 1
        and look.archived_at is not None
        and look.in_archive_list
        and not look.in_list
    )


CLIENTS: tuple[tuple[str, Callable[[Demo, UUID], None], str], ...] = (
    ("HTTP", Demo.archive_over_http, "sample-01-cold-storage-plan"),
    ("Python, sync", Demo.archive_in_a_session, "sample-07-partition-or-not"),
    ("Python, async", Demo.archive_with_the_manager, "sample-11-nightly-backup-check"),
    ("psql", Demo.archive_in_psql, "sample-05-team-page-emoji"),
    ("command line", Demo.archive_with_the_cli, "sample-19-night-of-the-full-pool"),
)
"""Each client with the conversation that it archives."""

PRUNED = "sample-12-retention-sweep"
"""The conversation that the prune archives; the policy for cron is a day."""

LEGEND = """
live, archive: rows in the two tables, session + messages
in list, in archive: whether GET /api/engine/sessions and .../archive show it
"""


def run(console: Console) -> bool:
    """Run the demo and say whether all that it printed is true.

    :param console: where to print.
    :raises aria_db.embedded.EmbeddedUnavailable: the embedded PostgreSQL cannot run.
    """
    with embedded.start() as server:
        database = Database(server.url())
        console.print(f"[bold]1. An embedded PostgreSQL[/bold] in {server.data_directory}")
        console.print("\n[bold]2. Upgrade and import the sample conversations[/bold]")
        aria_db(database, "upgrade")
        aria_db(database, "import", str(conversations.SAMPLE))
        with api(database) as address:
            demo = Demo(console, database, address)
            try:
                demo.prepare()
                console.print("\n[bold]3. Archive a session through each client[/bold]")
                console.print(LEGEND)
                demo.archive_through_each_client()
                console.print("\n[bold]4. Restore one[/bold]")
                demo.restore_one()
                console.print("\n[bold]5. Prune what is old: a dry run, the run, its log[/bold]")
                demo.prune()
            finally:
                demo.engine.dispose()
    if demo.all_true:
        console.print("\nAll checks passed. Now try:  aria-db list --archived")
    else:
        console.print("\n[red]Not all checks passed.[/red]")
    return demo.all_true


def aria_db(database: Database, *arguments: str) -> None:
    """Run ``aria-db`` on a database, its output on this terminal."""
    subprocess.run(
        [sys.executable, "-m", "aria_db", *arguments], check=True, env=environment(database)
    )


def environment(database: Database) -> dict[str, str]:
    """Return the environment for a process that works on a database."""
    return {**os.environ, "DATABASE_URL": database.libpq_url()}


@contextmanager
def api(database: Database) -> Iterator[str]:
    """Serve the HTTP API in a process of its own; give its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "aria_db", "serve", "--port", str(port)]
    variables = environment(database)
    # The demo sends no token.
    for name in ("ARIA_DB_TOKEN", "ARIA_API_TOKEN"):
        variables.pop(name, None)
    with subprocess.Popen(
        command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            wait_for(f"{address}/health", process)
            yield address
        finally:
            process.terminate()


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Return when a server answers; fail when it ends or takes a minute."""
    for _ in range(600):
        try:
            with urllib.request.urlopen(url):  # noqa: S310
                return
        except urllib.error.URLError:
            if process.poll() is not None:
                raise RuntimeError(f"the server ended with status {process.returncode}") from None
            time.sleep(0.1)
    raise RuntimeError(f"{url} does not answer")
