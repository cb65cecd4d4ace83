"""Logical replication: what a real subscriber has of a session that moves.

A server of its own, with a publisher's database and a subscriber's.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import psycopg
import pytest

from aria_db import embedded
from aria_db.database import Database
from aria_db.install import adoption, migrate
from tests.support import deployed, layouts, new_session, places
from tests.support.dependents import hazards
from tests.support.installation import connected, upgrade
from tests.support.rows import archive, archived, live, restore
from tests.support.server import kill_servers_under, new_place

pytestmark = pytest.mark.slow

LIVE = (1, 3, 0, 0)
ARCHIVED = (0, 0, 1, 3)
GONE = (0, 0, 0, 0)

THE_LIVE = "engine_chat_sessions, engine_chat_messages"
THE_ARCHIVES = "engine_chat_session_archive, engine_chat_message_archive"


@pytest.fixture(scope="module")
def logical_server() -> Iterator[embedded.EmbeddedServer]:
    """A server that decodes its WAL."""
    with new_place() as place:
        server = embedded.start(place / "data")
        with psycopg.connect(_libpq_url(server, "postgres"), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET wal_level = logical")
            connection.execute("ALTER SYSTEM SET fsync = off")
        server.close()
        with embedded.start(place / "data") as again:
            yield again
            kill_servers_under(place)  # nothing of it is needed, and a shutdown takes its time


def _libpq_url(server: embedded.EmbeddedServer, name: str) -> str:
    return Database(server.url(name)).libpq_url()


class Pair:
    """A publisher and a subscriber of it.

    :ivar publisher: the database of the one.
    :ivar subscriber: the database of the other.
    :ivar at_publisher: a connection there, in autocommit mode.
    :ivar at_subscriber: likewise.
    """

    def __init__(self, server: embedded.EmbeddedServer, name: str) -> None:
        names = (f"{name}_publisher", f"{name}_subscriber")
        for each in names:
            server.create_database(each)
        self.publisher, self.subscriber = (Database(server.url(each)) for each in names)
        self.at_publisher, self.at_subscriber = (
            psycopg.connect(_libpq_url(server, each), autocommit=True) for each in names
        )
        self.slot = f"{name}_slot"
        self.source = f"host={server.socket_directory} port={server.port} user=postgres"
        self.source += f" dbname={names[0]}"

    def both(self, act: Callable[[Database], None]) -> None:
        act(self.publisher)
        act(self.subscriber)

    def publish(self, what: str) -> None:
        """Create a publication, and subscribe to it."""
        self.at_publisher.execute(f"CREATE PUBLICATION of_chats {what}")
        # Within one server a subscription cannot make its slot: it would wait for itself.
        self.at_publisher.execute(
            "SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (self.slot,)
        )
        self.at_subscriber.execute(
            f"CREATE SUBSCRIPTION {self.slot} CONNECTION '{self.source}' PUBLICATION of_chats"
            f" WITH (create_slot = false, slot_name = {self.slot})"
        )
        self.wait_for_copy()

    def refresh(self) -> None:
        self.at_subscriber.execute(f"ALTER SUBSCRIPTION {self.slot} REFRESH PUBLICATION")
        self.wait_for_copy()

    def wait_for_copy(self) -> None:
        """Return when the subscriber has the rows of all tables that it subscribes to."""
        self._wait(
            lambda: self._of_subscriber(
                "SELECT count(*) = 0 FROM pg_subscription_rel WHERE srsubstate <> 'r'"
            )
        )

    def catch_up(self) -> None:
        """Return when the subscriber has all that the publisher has committed."""
        (now,) = self.at_publisher.execute("SELECT pg_current_wal_lsn()").fetchone()
        self._wait(
            lambda: (
                self.at_publisher.execute(
                    "SELECT confirmed_flush_lsn >= %s FROM pg_replication_slots"
                    " WHERE slot_name = %s",
                    (now, self.slot),
                ).fetchone()
                == (True,)
            )
        )

    def failures(self) -> int:
        """Count how often the subscriber could not apply what came."""
        count: int = self._of_subscriber(
            "SELECT apply_error_count FROM pg_stat_subscription_stats"
            f" WHERE subname = '{self.slot}'"
        )
        return count

    def wait_for_failure(self) -> None:
        self._wait(lambda: self.failures() > 0)

    def _of_subscriber(self, query: str) -> object:
        row = self.at_subscriber.execute(query).fetchone()
        assert row is not None
        return row[0]

    def _wait(self, is_so: Callable[[], object]) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if is_so():
                return
            time.sleep(0.05)
        raise AssertionError("the subscriber did not get there within 60 s")

    def close(self) -> None:
        """Drop the subscription, so that nothing holds the slot."""
        self.at_subscriber.execute(f"DROP SUBSCRIPTION IF EXISTS {self.slot}")
        self.at_publisher.close()
        self.at_subscriber.close()


@pytest.fixture
def pair(logical_server: embedded.EmbeddedServer, request: pytest.FixtureRequest) -> Iterator[Pair]:
    pair = Pair(logical_server, f"pair_{abs(hash(request.node.name)):x}")
    yield pair
    pair.close()


def test_what_is_archived_is_in_the_archive_of_a_subscriber_to_both_places(pair: Pair) -> None:
    pair.both(upgrade)
    pair.publish(f"FOR TABLE {THE_LIVE}, {THE_ARCHIVES}")
    session_id = new_session(pair.at_publisher)
    assert hazards(pair.at_publisher) == []

    archive(pair.at_publisher, session_id)
    pair.catch_up()

    assert places(pair.at_subscriber, session_id) == ARCHIVED
    assert archived(pair.at_subscriber) == archived(pair.at_publisher)

    restore(pair.at_publisher, session_id)
    pair.catch_up()
    assert places(pair.at_subscriber, session_id) == LIVE
    assert live(pair.at_subscriber) == live(pair.at_publisher)
    assert pair.failures() == 0


def test_what_is_archived_vanishes_at_a_subscriber_to_the_live_tables_as_the_hazard_says(
    pair: Pair,
) -> None:
    pair.both(upgrade)
    pair.publish(f"FOR TABLE {THE_LIVE}")
    first, second = new_session(pair.at_publisher), new_session(pair.at_publisher)
    found = hazards(pair.at_publisher, "archive not published")
    assert {(row.object, row.effect) for row in found} == {
        ("engine_chat_session_archive", "loses"),
        ("engine_chat_message_archive", "loses"),
    }
    archive(pair.at_publisher, first)
    pair.catch_up()
    assert places(pair.at_subscriber, first) == GONE

    # as the remedies say
    for row in found:
        pair.at_publisher.execute(row.remedy.partition(",")[0])
    pair.refresh()
    archive(pair.at_publisher, second)
    pair.catch_up()

    assert hazards(pair.at_publisher) == []
    # what was archived before is copied
    assert places(pair.at_subscriber, first) == ARCHIVED
    assert places(pair.at_subscriber, second) == ARCHIVED


def build(database: Database) -> None:
    """Create what an application has before it knows of aria-db."""
    with psycopg.connect(database.libpq_url(), autocommit=True) as connection:
        deployed.build(connection, deployed.VARIANTS["jsonb"], filled=False)


def adopt(database: Database) -> None:
    with connected(database) as connection:
        adoption.adopt(connection, layouts.APPLICATION_SCHEMA, layouts.SCHEMA)


@pytest.mark.parametrize("first", ["publisher", "subscriber"])
@pytest.mark.parametrize("tables", ["created", "adopted"])
def test_a_publication_of_all_tables_has_what_is_installed_as_the_documentation_says(
    first: str, tables: str, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    install, path = upgrade, "public"
    if tables == "adopted":
        pair.both(build)
        # rows that the subscriber copies
        pair.at_subscriber.execute("TRUNCATE public.alembic_version, billing.chat_sessions")
        install, path = adopt, layouts.SEARCH_PATH
    for connection in (pair.at_publisher, pair.at_subscriber):
        connection.execute("CREATE TABLE public.notes (id integer PRIMARY KEY)")
        connection.execute(f"SET search_path = {path}")
    pair.publish("FOR ALL TABLES")

    if first == "subscriber":
        install(pair.subscriber)
    install(pair.publisher)

    assert "publication of_chats sends the tables that are created here" in caplog.text
    pair.at_publisher.execute("INSERT INTO public.notes VALUES (1)")
    if first == "publisher":
        pair.wait_for_failure()
        install(pair.subscriber)
    pair.at_subscriber.execute("TRUNCATE aria_db_version, engine_archive_policy")
    pair.refresh()
    session_id = new_session(pair.at_publisher)
    archive(pair.at_publisher, session_id)
    pair.catch_up()

    assert pair.at_subscriber.execute("SELECT * FROM public.notes").fetchall() == [(1,)]
    assert places(pair.at_subscriber, session_id) == ARCHIVED
    if first == "subscriber":
        assert pair.failures() == 0
    for table in ("aria_db_version", "engine_archive_policy", "engine_archive_event"):
        query = f"SELECT t::text FROM {table} AS t ORDER BY 1"
        there = pair.at_subscriber.execute(query).fetchall()
        assert there == pair.at_publisher.execute(query).fetchall() != []
    subscriber = replace(pair.subscriber, schema=path.partition(",")[0])
    with connected(subscriber) as opened:
        assert migrate.status(opened, subscriber.schema).is_newest
    assert hazards(pair.at_publisher) == []


def test_no_warning_where_publications_list_their_tables(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    pair.at_publisher.execute("CREATE TABLE notes (id integer PRIMARY KEY)")
    pair.at_publisher.execute("CREATE PUBLICATION of_notes FOR TABLE notes")
    upgrade(pair.publisher)
    assert caplog.records == []
