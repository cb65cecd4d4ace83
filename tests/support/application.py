"""The application's own code: its statements on its tables, under its names for them.

It knows nothing of aria-db, and does the same before, during and after the adoption.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

import psycopg


@dataclass(frozen=True)
class Application:
    """What the application does.

    :param sessions: the table of the live sessions, with its schema.
    :param messages: the table of the live messages.
    :param session_archive: the table of the archived sessions.
    :param message_archive: the table of the archived messages.
    :param session_columns: the columns of the sessions.
    :param message_columns: the columns of the messages.
    :param pruned_columns: those that its prune copies; the prune does not know newer ones.
    :param embedding: the type of an embedding.
    """

    sessions: str
    messages: str
    session_archive: str
    message_archive: str
    session_columns: tuple[str, ...]
    message_columns: tuple[str, ...]
    pruned_columns: tuple[str, ...]
    embedding: str

    @property
    def dimensions(self) -> int:
        """How many numbers an embedding has."""
        given = re.search(r"\d+", self.embedding)
        return int(given[0]) if given else 1536

    def insert_session(self, connection: psycopg.Connection, **columns: object) -> UUID:
        """Begin a session; return its id."""
        values = {"agent_id": "scout", "title": "of the application", **columns}
        row = connection.execute(
            f"INSERT INTO {self.sessions} ({', '.join(values)})"
            f" VALUES ({', '.join(['%s'] * len(values))}) RETURNING id",
            list(values.values()),
        ).fetchone()
        assert row is not None
        new_id: UUID = row[0]
        return new_id

    def insert_message(
        self, connection: psycopg.Connection, session_id: UUID, content: str = "hello"
    ) -> None:
        """Add a message to a session, with all that this version of the application stores."""
        values: dict[str, object] = {"session_id": session_id, "role": "user", "content": content}
        if "embedding" in self.message_columns:
            values["embedding"] = "[{}]".format(",".join(["0.25"] * self.dimensions))
        if "client_message_id" in self.message_columns:
            values["client_message_id"] = "of the client"
        connection.execute(
            f"INSERT INTO {self.messages} ({', '.join(values)})"
            f" VALUES ({', '.join(['%s'] * len(values))})",
            list(values.values()),
        )

    def count_message(self, connection: psycopg.Connection, session_id: UUID) -> None:
        """Bring the figures of a session up to date."""
        connection.execute(
            f"UPDATE {self.sessions} SET message_count = message_count + 1, updated_at = now()"
            " WHERE id = %s",
            [session_id],
        )

    def newest_sessions(self, connection: psycopg.Connection) -> list[UUID]:
        """List the sessions that were updated last, without those that are soft-deleted."""
        rows = connection.execute(
            f"SELECT id FROM {self.sessions} WHERE status <> 'archived'"
            " ORDER BY updated_at DESC LIMIT 20"
        )
        return [row[0] for row in rows]

    def transcript(self, connection: psycopg.Connection, session_id: UUID) -> list[str]:
        """Read what was said in a session."""
        rows = connection.execute(
            f"SELECT content FROM {self.messages} WHERE session_id = %s ORDER BY created_at",
            [session_id],
        )
        return [row[0] for row in rows]

    def soft_delete(self, connection: psycopg.Connection, session_id: UUID) -> None:
        """Soft-delete a session: flag it, and leave it where it is."""
        connection.execute(
            f"UPDATE {self.sessions} SET status = 'archived' WHERE id = %s", [session_id]
        )

    def delete(self, connection: psycopg.Connection, session_id: UUID) -> None:
        """Delete a session, with its messages by the foreign key."""
        connection.execute(f"DELETE FROM {self.sessions} WHERE id = %s", [session_id])

    def create_archives(self, connection: psycopg.Connection) -> None:
        """Create the archive tables where they are missing: before the first prune."""
        connection.execute(
            f"""
            CREATE TABLE IF NOT EXISTS {self.session_archive} (
                LIKE {self.sessions} INCLUDING DEFAULTS,
                archived_at timestamptz NOT NULL DEFAULT now(),
                PRIMARY KEY (id)
            );
            CREATE INDEX IF NOT EXISTS idx_csa_archived_at
            ON {self.session_archive} (archived_at DESC);
            CREATE TABLE IF NOT EXISTS {self.message_archive} (
                LIKE {self.messages} INCLUDING DEFAULTS,
                archived_at timestamptz NOT NULL DEFAULT now(),
                PRIMARY KEY (id),
                FOREIGN KEY (session_id) REFERENCES {self.session_archive} (id) ON DELETE CASCADE
            );
            CREATE INDEX IF NOT EXISTS idx_cma_session_created
            ON {self.message_archive} (session_id, created_at);
            """
        )

    def prune(
        self, connection: psycopg.Connection, age: str = "30 days", messages: bool = True
    ) -> list[UUID]:
        """Archive old sessions as the application does: copy, then delete. Return their ids.

        :param messages: whether there is an archive for the messages.
        """
        with connection.transaction():
            rows = connection.execute(
                f"SELECT id FROM {self.sessions} WHERE updated_at < now() - %s::interval"
                " ORDER BY id FOR UPDATE",
                [age],
            ).fetchall()
            ids = [row[0] for row in rows]
            self.copy(connection, ids, messages)
            connection.execute(f"DELETE FROM {self.messages} WHERE session_id = ANY(%s)", [ids])
            connection.execute(f"DELETE FROM {self.sessions} WHERE id = ANY(%s)", [ids])
        return ids

    def copy(self, connection: psycopg.Connection, ids: Iterable[UUID], messages: bool) -> None:
        """Copy sessions to the archive: the first half of the prune."""
        chosen = list(ids)
        copies = [(self.sessions, self.session_archive, "id", self.session_columns)]
        if messages:
            copies.append((self.messages, self.message_archive, "session_id", self.pruned_columns))
        for live, archive, key, names in copies:
            columns = ", ".join(names)
            connection.execute(
                f"INSERT INTO {archive} ({columns}, archived_at) SELECT {columns}, now()"
                f" FROM {live} WHERE {key} = ANY(%s) ON CONFLICT DO NOTHING",
                [chosen],
            )

    def archived(self, connection: psycopg.Connection, session_id: UUID) -> tuple[str, list[str]]:
        """Read the title and the transcript of an archived session."""
        row = connection.execute(
            f"SELECT title FROM {self.session_archive} WHERE id = %s", [session_id]
        ).fetchone()
        assert row is not None
        rows = connection.execute(
            f"SELECT content FROM {self.message_archive} WHERE session_id = %s ORDER BY created_at",
            [session_id],
        )
        return row[0], [message[0] for message in rows]

    def work(self, connection: psycopg.Connection) -> None:
        """Do all of this, check what the application sees, and roll it back."""
        with connection.transaction(force_rollback=True):
            session_id = self.insert_session(connection, metadata='{"by": "hand"}')
            for content in ("first", "second"):
                self.insert_message(connection, session_id, content)
                self.count_message(connection, session_id)
            assert session_id in self.newest_sessions(connection)
            assert set(self.transcript(connection, session_id)) == {"first", "second"}

            self.soft_delete(connection, session_id)
            assert session_id not in self.newest_sessions(connection)
            self.delete(connection, session_id)
            assert self.transcript(connection, session_id) == []

            old = self.insert_session(
                connection, title="old", updated_at="2001-01-01", created_at="2001-01-01"
            )
            self.insert_message(connection, old)
            self.create_archives(connection)
            assert self.prune(connection, "20 years") == [old]
            assert self.archived(connection, old) == ("old", ["hello"])
            assert self.transcript(connection, old) == []
