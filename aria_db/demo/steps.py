"""The steps of the demo: what each does, prints and checks."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from rich.console import Console
from rich.table import Table
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from aria_db import embedded, functions
from aria_db.conversations import session_id_of
from aria_db.database import Database
from aria_db.demo.looks import Look, is_archived, is_live, looks_table
from aria_db.demo.processes import aria_db, environment
from aria_db.install import resources
from aria_db.models import (
    EngineChatMessage,
    EngineChatMessageArchive,
    EngineChatSession,
    EngineChatSessionArchive,
)
from aria_db.session_manager import NativeSessionManager

API = "/api/engine/sessions"


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
        live, long_ago = EngineChatSession, func.now() - timedelta(days=3)
        with Session(self.engine) as session, session.begin():
            session.execute(update(live).where(live.id == session_id).values(updated_at=long_ago))
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
