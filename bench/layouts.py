"""The two layouts of the chat tables: aria-db's own, and the one that the application has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass

import psycopg
from sqlalchemy.orm import Session
from sqlalchemy.schema import CreateSchema, CreateTable

from aria_db.database import Database
from aria_db.install import migrate
from bench import baseline, data
from bench.server import Server


class WronglyMoved(Exception):
    """A subject did not move what it should have moved."""


@dataclass(frozen=True)
class Layout:
    """Four tables, as SQL names them."""

    sessions: str
    messages: str
    session_archive: str
    message_archive: str

    def live(self, connection: psycopg.Connection, group: str) -> data.Contents:
        """Look what of a group is live."""
        return data.contents(connection, self.sessions, self.messages, group)

    def archived(self, connection: psycopg.Connection, group: str) -> data.Contents:
        """Look what of a group is archived."""
        return data.contents(connection, self.session_archive, self.message_archive, group)

    def check_moved(
        self, connection: psycopg.Connection, group: str, expected: data.Contents
    ) -> None:
        """Check that a group has gone to the archive as it was.

        :raises WronglyMoved: it has not.
        """
        live, archived = self.live(connection, group), self.archived(connection, group)
        if archived != expected or live != data.Contents(0, 0, 0):
            raise WronglyMoved(
                f"of {group} {expected} were to be moved; {live} are in {self.messages}"
                f" and {archived} in {self.message_archive}"
            )

    def warm(self, connection: psycopg.Connection) -> None:
        """Read the live tables and their indexes into the cache, as those of a busy server are."""
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_prewarm")
        connection.execute(
            """
            WITH live (id) AS (SELECT unnest(%s::regclass[]))

            SELECT pg_prewarm(id) FROM live
            UNION ALL
            SELECT pg_prewarm(indexrelid) FROM pg_index JOIN live ON live.id = pg_index.indrelid
            """,
            [[self.sessions, self.messages]],
        )


OURS = Layout(
    "engine_chat_sessions",
    "engine_chat_messages",
    "engine_chat_session_archive",
    "engine_chat_message_archive",
)

DEPLOYED = Layout(
    "aria_engine.chat_sessions",
    "aria_engine.chat_messages",
    "aria_engine.chat_sessions_archive",
    "aria_engine.chat_messages_archive",
)


@contextmanager
def laid_out(
    server: Server,
    name: str,
    groups: Sequence[data.Group],
    *,
    archived: Sequence[int] = (),
    deployed: bool = False,
) -> Iterator[tuple[Database, psycopg.Connection]]:
    """Give a new database with sessions in aria-db's own tables; it is dropped at the end.

    :param server: where.
    :param name: of the database.
    :param groups: the sessions.
    :param archived: how many messages each session has that is in the archive already.
    :param deployed: whether the same rows are in the application's layout as well.
    :return: the database, and a connection to it in autocommit.
    """
    server.create(name)
    database = server.database(name)
    try:
        with server.connect(name) as connection:
            data.plan(connection, groups)
            create_ours(database, connection)
            if archived:
                fill_archive(connection, archived)
            if deployed:
                create_deployed(database, connection)
            yield database, connection
    finally:
        server.drop(name)


def create_ours(database: Database, connection: psycopg.Connection) -> None:
    """Install aria-db, and put the planned sessions into its tables.

    :param connection: a connection in autocommit, with a plan of :func:`bench.data.plan`.
    """
    engine = database.engine()
    with engine.connect() as upgrading:
        migrate.upgrade(upgrading)
    engine.dispose()
    with connection.transaction():
        _fill_sessions(connection, OURS.sessions)
        fill_messages(connection, OURS.messages, "bench.session")
    settle(connection)


def create_deployed(database: Database, connection: psycopg.Connection) -> None:
    """Create the application's tables beside aria-db's, with the same rows in the same order."""
    engine = database.engine()
    with Session(engine) as session, session.begin():
        session.execute(CreateSchema(baseline.SCHEMA))
        for table in baseline.Base.metadata.sorted_tables:
            session.execute(CreateTable(table))
    with connection.transaction():
        for ours, theirs in zip(astuple(OURS), astuple(DEPLOYED), strict=True):
            columns = connection.execute(
                "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute"
                " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
                [ours],
            ).fetchall()[0][0]
            _without_triggers(connection)
            connection.execute(f"INSERT INTO {theirs} ({columns}) SELECT {columns} FROM {ours}")
    # Afterwards: it takes half the time.
    with Session(engine) as session, session.begin():
        for table in baseline.Base.metadata.sorted_tables:
            for index in table.indexes:
                index.create(session.connection())
    engine.dispose()
    settle(connection)


def fill_archive(connection: psycopg.Connection, sizes: Sequence[int]) -> None:
    """Fill the archive with sessions that have long been there.

    :param sizes: how many messages each has.
    """
    archived_at = "planned.created_at + interval '60 days', "
    keys = [
        (table, name, columns)
        for table in (OURS.session_archive, OURS.message_archive)
        for name, columns in connection.execute(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid = %s::regclass AND contype = 'p'",
            [table],
        )
    ]
    with connection.transaction():
        connection.execute("CREATE TABLE bench.history (LIKE bench.session)")
        data.copy_sessions(
            connection,
            "bench.history",
            [data.Group("history", sizes)],
            seed=2,
        )
        # Indexes in one go afterwards: it takes a fifth of the time.
        for table, name, _ in keys:
            connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        _fill_sessions(connection, OURS.session_archive, "bench.history", archived_at)
        fill_messages(connection, OURS.message_archive, "bench.history", archived_at)
        for table, name, columns in keys:
            connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {columns}")
    settle(connection)


def fill_messages(
    connection: psycopg.Connection, table: str, sessions: str, before: str = ""
) -> None:
    """Fill a table of messages in the order in which they were written.

    :param table: its name.
    :param sessions: the table of the plan.
    :param before: SQL of what comes before the columns of a message, with a comma.
    """
    _without_triggers(connection)
    connection.execute(
        f"""
        INSERT INTO {table}
        SELECT
            {before}
            md5(planned.id::text || turn)::uuid,
            planned.id,
            'aria',
            sample.role,
            sample.content,
            NULL,
            sample.tool_calls,
            sample.tool_results,
            CASE sample.role WHEN 'assistant' THEN 'a-model' END,
            length(sample.content) / 4,
            CASE sample.role WHEN 'assistant' THEN 100 + turn % 400 END,
            0.000100,
            CASE sample.role WHEN 'assistant' THEN 500 + turn % 3000 END,
            '{{}}',
            planned.created_at + turn * interval '40 s' + (draw & 31) * interval '1 s' AS written_at
        FROM {sessions} AS planned
        CROSS JOIN generate_series(1, planned.messages) AS turn
        CROSS JOIN LATERAL (SELECT hashint8(turn + planned.place * 8192::bigint) & 2147483647)
            AS _ (draw)
        JOIN bench.sample AS sample ON sample.number = draw % (SELECT count(*) FROM bench.sample)
        ORDER BY written_at
        """
    )


def settle(connection: psycopg.Connection) -> None:
    """Leave nothing to be done that a subject would do for another."""
    connection.execute("VACUUM (FREEZE, ANALYZE)")
    connection.execute("CHECKPOINT")


def _fill_sessions(
    connection: psycopg.Connection, table: str, sessions: str = "bench.session", before: str = ""
) -> None:
    _without_triggers(connection)
    connection.execute(
        f"""
        INSERT INTO {table}
        SELECT
            {before}
            planned.id,
            'aria',
            'chat',
            'Session ' || planned.place,
            NULL,
            'a-model',
            0.7,
            4096,
            50,
            'active',
            planned.messages,
            planned.messages * 100,
            planned.messages * 0.000100,
            '{{}}',
            planned.created_at,
            CASE
                WHEN planned.is_old THEN planned.created_at
                ELSE now() - planned.place * interval '1 ms'
            END,
            NULL
        FROM {sessions} AS planned
        ORDER BY planned.created_at
        """
    )


def _without_triggers(connection: psycopg.Connection) -> None:
    """Until the transaction ends, do not look up each message's session: all are there."""
    connection.execute("SET LOCAL session_replication_role = replica")
