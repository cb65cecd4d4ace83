"""The database that a model is compared with, emptied for every sequence of steps."""

from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import namedtuple_row

from aria_db.database import Database
from tests.proofs.model.clients import CommandLine, Http, Manager, Sql
from tests.proofs.model.model import Event, Figure, Hold, Place, Policy, Row, Run, Seen, uuid
from tests.support import layouts
from tests.support.rows import ARCHIVE, LIVE

LISTS = (
    "engine_chat_session_list",
    "engine_chat_session_archive_list",
    "engine_chat_session_all",
)


class World:
    """A database in one layout, and its clients by name.

    :param database: the database.
    :param connection: a connection to it, in autocommit mode.
    :param http: a client of a server of it.
    """

    def __init__(self, database: Database, connection: psycopg.Connection, http: Http) -> None:
        self._connection = connection
        # Another name for what is beneath the views, where there are views.
        self.is_adopted = database.schema is not None
        self._tables = layouts.TABLES if self.is_adopted else LIVE + ARCHIVE
        self._added: list[tuple[str, str]] = []
        self.execute("CREATE TABLE bookmark (session_id uuid)")
        self.sql = Sql(connection)
        self.manager = Manager(database)
        self.clients = {
            "sql": self.sql,
            "manager": self.manager,
            "http": http,
            "command line": CommandLine(database),
        }

    def execute(self, statement: str, **values: object) -> None:
        """Do what other code than ours does."""
        self._connection.execute(statement.encode(), values or None)

    def insert(self, table: str, **values: object) -> None:
        self._connection.execute(
            sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
                sql.Identifier(table),
                sql.SQL(", ").join(map(sql.Identifier, values)),
                sql.SQL(", ").join(map(sql.Placeholder, values)),
            ),
            values,
        )

    def refer_to(self, session_id: UUID) -> None:
        """Let a row of another table refer to a session, which then does not move."""
        self.execute("INSERT INTO bookmark VALUES (%(id)s)", id=session_id)
        self.execute(
            "ALTER TABLE bookmark ADD CONSTRAINT bookmarked"
            f" FOREIGN KEY (session_id) REFERENCES {self._tables[0]} (id)"
        )

    def refer_no_more(self) -> None:
        """Take the row and the key away: what most sessions of the model live without."""
        self.execute("DELETE FROM bookmark")
        self.execute("ALTER TABLE bookmark DROP CONSTRAINT IF EXISTS bookmarked")

    def add_column(self, name: str, column: str, definition: str) -> None:
        """Add a column to one of the four tables, beneath the view if there is one."""
        table = self._tables[(LIVE + ARCHIVE).index(name)]
        self.execute(f"ALTER TABLE {table} ADD COLUMN {column} {definition}")
        self._added.append((table, column))

    def drop_added_columns(self) -> None:
        for table, column in self._added:
            self.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        self._added.clear()

    def empty(self) -> None:
        """Return to the beginning."""
        self.sql.act_for(None, None)
        self.drop_added_columns()
        self.refer_no_more()
        self.execute(
            f"TRUNCATE {', '.join(self._tables)}, engine_session_hold, engine_archive_policy,"
            " engine_conflict_resolution, engine_archive_run, engine_archive_event,"
            " engine_archive_left RESTART IDENTITY;"
            " INSERT INTO engine_archive_policy (session_type, archive_after)"
            " VALUES ('*', '30 days'), ('cron', '1 day')"
        )

    # Looking

    def look(self) -> Seen:
        """Read everything."""
        (now,) = self._rows("SELECT clock_timestamp() AS now")
        sessions, messages, archived, archived_messages = map(self._by_id, LIVE + ARCHIVE)
        return Seen(
            Place(sessions, messages),
            Place(archived, archived_messages),
            int.from_bytes(now["now"] or b"", signed=True),
            self._views(),
        )

    def _rows(self, statement: str) -> list[Row]:
        """Return rows with their values as PostgreSQL sends them."""
        # Not prepared: a prepared statement does not survive a new column.
        cursor = self._connection.execute(statement.encode(), binary=True, prepare=False)
        result, columns = cursor.pgresult, cursor.description
        assert result is not None
        assert columns is not None
        names = [(number, column.name) for number, column in enumerate(columns)]
        return [
            {name: result.get_value(row, number) for number, name in names}
            for row in range(result.ntuples)
        ]

    def _by_id(self, table: str) -> dict[Any, Row]:
        rows = self._rows(f"SELECT * FROM {table} ORDER BY created_at, id")
        by_id = {uuid(row["id"]): row for row in rows}
        assert len(by_id) == len(rows), f"an id twice in {table}"
        return by_id

    def _views(self) -> dict[str, Any]:
        """Return what the views say, as the model puts it."""
        cursor = self._connection.cursor(row_factory=namedtuple_row)

        def of(view: str) -> list[Any]:
            return cursor.execute(f"SELECT * FROM {view}").fetchall()

        findings = of("verify_archive()")
        assert len({row[:2] for row in findings}) == len(findings)
        return {
            **{name: self._rows(f"SELECT * FROM {name}") for name in LISTS},
            "verify_archive": {(row.finding, row.session_id) for row in findings},
            "engine_session_conflict": {
                row.session_id: row[3:] for row in of("engine_session_conflict")
            },
            "engine_archive_event": self._journal(),
            "engine_archive_health": dict(
                _figure(row)
                for row in of("engine_archive_health")
                if row.figure not in {"oldest_archived", "size"}
            ),
            "engine_archive_left": {
                row.session_id: (row.sqlstate, row.run_id) for row in of("engine_archive_left")
            },
            "engine_archive_run_list": [
                Run(*(getattr(row, name) for name in Run._fields))
                for row in of("engine_archive_run_list ORDER BY id")
            ],
            "engine_session_hold": {
                row.session_id: Hold(row.reason, row.placed_by) for row in of("engine_session_hold")
            },
            "engine_archive_policy": {
                row.session_type: Policy(*(getattr(row, name) for name in Policy._fields))
                for row in of("engine_archive_policy")
            },
            "engine_conflict_resolution": [
                (
                    row.session_id,
                    row.destination,
                    row.kept,
                    _title(row.dropped_row),
                    row.resolved_by,
                )
                for row in of("engine_conflict_resolution ORDER BY id")
            ],
        }

    def _journal(self) -> dict[UUID, list[Event]]:
        """Return the events of each session, in their order."""
        cursor = self._connection.cursor(row_factory=namedtuple_row)
        events: dict[UUID, list[Event]] = {}
        for row in cursor.execute(
            "SELECT *, (extract(EPOCH FROM at - '2000-01-01Z') * 1000000)::bigint AS microseconds"
            " FROM engine_archive_event ORDER BY session_id, id"
        ):
            assert row.role == self._connection.info.user
            entry = (row.actor, row.run_id, row.message_count, row.detail)
            of_session = events.setdefault(row.session_id, [])
            of_session.append(Event(row.event, row.microseconds, *entry))
        return events


def _title(row: dict[str, Any] | None) -> str | None:
    return None if row is None else row["title"] or ""


def _figure(row: Any) -> tuple[tuple[str, str], Figure]:
    """Return a figure of the health without times and PostgreSQL's own words."""
    value, reading, subject = row.value, row.reading, row.subject
    assert row.unit == {"last_run": "seconds", "drift": "columns"}.get(row.figure, "sessions")
    if row.figure in {"drift", "last_run"}:
        reading = None
    if row.figure == "last_run":
        value = None
    if row.figure == "drift":
        subject = subject.rpartition(".")[2]
    figure = Figure(value, reading, row.is_ok, has_remedy=row.remedy is not None)
    return (row.figure, subject), figure
