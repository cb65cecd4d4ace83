"""How long a batch of the prune holds its locks: 500 sessions with 50 messages each.

Runs on an embedded PostgreSQL of its own, with the settings that it has. The time is that of
the whole transaction, from its first statement to the end of COMMIT.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from sqlalchemy import func, update
from sqlalchemy.orm import Session

from aria_db import embedded, functions, migrate
from aria_db.database import Database
from aria_db.importing import NewSession
from aria_db.models import EngineChatSession
from aria_db.session_manager import NativeSessionManager

BATCHES = 20
SESSIONS = 500
MESSAGES = 50
CONTENT = "Could you look at the report again, and tell me which of the figures changed? " * 4


def new_sessions() -> Iterator[list[NewSession]]:
    """Return the sessions of one batch of the prune at a time."""
    message = {"role": "user", "content": CONTENT}
    for _ in range(BATCHES):
        yield [
            NewSession(uuid4(), {"title": "a session"}, [message] * MESSAGES)
            for _ in range(SESSIONS)
        ]


async def fill(database: Database) -> None:
    """Create the sessions that the prune will find."""
    engine = database.async_engine()
    await NativeSessionManager(engine).import_sessions(new_sessions())
    await engine.dispose()


def main() -> None:
    """Measure, and print the median and the extremes."""
    directory = Path(tempfile.mkdtemp(prefix="aria-db-bench-"))
    directory.chmod(0o755)
    try:
        with embedded.start(directory / "data") as server:
            database = Database(server.url())
            engine = database.engine()
            with engine.connect() as connection:
                migrate.upgrade(connection)
            asyncio.run(fill(database))
            long_ago = func.now() - timedelta(days=40)
            with Session(engine) as session, session.begin():
                session.execute(update(EngineChatSession).values(updated_at=long_ago))

            seconds = []
            for _ in range(BATCHES):
                began = time.perf_counter()
                with Session(engine) as session, session.begin():
                    moved = session.execute(functions.prune_sessions(batch_size=SESSIONS)).one()
                seconds.append(time.perf_counter() - began)
                if moved != (SESSIONS, SESSIONS * MESSAGES):
                    raise RuntimeError(f"a batch moved {moved}")
            engine.dispose()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print(
        f"{BATCHES} batches of {SESSIONS} sessions with {MESSAGES} messages each:"
        f" median {statistics.median(seconds) * 1000:.0f} ms,"
        f" from {min(seconds) * 1000:.0f} to {max(seconds) * 1000:.0f} ms"
    )


if __name__ == "__main__":
    main()
