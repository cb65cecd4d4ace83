"""A hazard that archive_hazards() lists has the effect that it states.

Drift, rules, message keys, and what an archive refuses in its columns are in ``move`` and
``dependents``, beside the errors that they cause.
"""

import re
from pathlib import Path

import psycopg
import pytest

from aria_db import embedded
from aria_db.database import Database
from aria_db.install import adoption, migrate, resources
from tests.support import deployed, layouts, new_session, places
from tests.support.dependents import (
    Chat,
    add_feedback,
    hazards,
    refer_to_messages,
    refused,
    set_handling,
)
from tests.support.layouts import BOTH_LAYOUTS
from tests.support.rows import all_tables, archive, live, restore
from tests.support.server import kill_servers_under, new_place

ARCHIVED = (0, 0, 1, 3)


@BOTH_LAYOUTS
def test_tables_as_installed_or_adopted_have_no_hazards(
    connection: psycopg.Connection, chat: Chat
) -> None:
    assert hazards(connection) == []


@BOTH_LAYOUTS
def test_a_dependent_without_handling_is_refused(
    connection: psycopg.Connection, chat: Chat
) -> None:
    session_id, other = new_session(connection), new_session(connection)
    refer_to_messages(connection, chat, "CASCADE")
    add_feedback(connection, session_id)
    (hazard,) = hazards(connection, "dependent without handling")
    assert hazard.effect == "refuses"
    assert "--move or --delete" in hazard.remedy
    assert "feedback" in refused(connection, session_id)
    archive(connection, other)

    set_handling(connection, "feedback", "move")
    assert hazards(connection, "dependent without handling") == []
    archive(connection, session_id)
    assert places(connection, session_id) == ARCHIVED


@BOTH_LAYOUTS
def test_a_reference_without_an_index_reads_the_table_for_each_message(
    connection: psycopg.Connection, chat: Chat
) -> None:
    refer_to_messages(connection, chat, "SET NULL")
    set_handling(connection, "feedback", "detach")
    connection.execute(
        "INSERT INTO feedback SELECT n, NULL, NULL, 0 FROM generate_series(1, 500) n"
    )
    with_index, without = new_session(connection), new_session(connection)

    def rows_read(session_id: object) -> int:
        with connection.transaction():
            connection.execute("SET LOCAL enable_seqscan = on")
            archive(connection, session_id)
            (count,) = connection.execute(
                "SELECT seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'feedback'"
            ).fetchone()
        return count

    connection.execute("ANALYZE feedback")
    assert hazards(connection, "reference without index") == []
    assert rows_read(with_index) == 0

    (index,) = connection.execute(
        "SELECT indexrelid::regclass::text FROM pg_index"
        " WHERE indrelid = 'feedback'::regclass AND NOT indisprimary"
    ).fetchone()
    connection.execute(f"DROP INDEX {index}")
    (hazard,) = hazards(connection, "reference without index")
    assert hazard.effect == "slow"
    assert rows_read(without) >= 500 * 3

    connection.execute(hazard.remedy.rstrip("."))
    assert hazards(connection, "reference without index") == []


@BOTH_LAYOUTS
def test_a_key_to_an_archive_keeps_its_sessions_archived(
    connection: psycopg.Connection, chat: Chat
) -> None:
    referred, other = new_session(connection), new_session(connection)
    archive(connection, referred)
    archive(connection, other)
    connection.execute(
        f"CREATE TABLE label (session_id uuid PRIMARY KEY"
        f" REFERENCES {chat.session_archive} ON DELETE CASCADE)"
    )
    connection.execute("INSERT INTO label VALUES (%s)", (referred,))
    (hazard,) = hazards(connection, "key to an archive")
    assert hazard.effect == "refuses"

    before = all_tables(connection)
    with pytest.raises(psycopg.DatabaseError) as caught:
        restore(connection, referred)
    assert caught.value.sqlstate == "AR005"
    assert all_tables(connection) == before
    assert connection.execute("SELECT count(*) FROM label").fetchone() == (1,)
    restore(connection, other)

    connection.execute(hazard.remedy.rstrip("."))
    assert hazards(connection, "key to an archive") == []
    restore(connection, referred)


TRIGGER = """
    CREATE OR REPLACE FUNCTION act() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN {body}; RETURN {row}; END $$
"""


@BOTH_LAYOUTS
def test_a_trigger_makes_moves_compare_and_refuses_what_it_changes(
    connection: psycopg.Connection, chat: Chat
) -> None:
    session_id = new_session(connection)
    connection.execute(TRIGGER.format(body="NEW.content := 'changed'", row="NEW"))
    connection.execute(
        f"CREATE TRIGGER act BEFORE INSERT ON {chat.message_archive}"
        " FOR EACH ROW EXECUTE FUNCTION act()"
    )
    (hazard,) = hazards(connection, "trigger")
    assert hazard.effect == "slow"
    text = refused(connection, session_id, sqlstate="AR006")
    assert f"changed or redirected a row: session {session_id}, table" in text

    connection.execute(TRIGGER.format(body="NULL", row="NEW"))
    archive(connection, session_id)
    assert places(connection, session_id) == ARCHIVED


@pytest.mark.parametrize("layout", ["views"], indirect=True)
def test_an_instead_of_trigger_on_a_view_is_refused(connection: psycopg.Connection) -> None:
    session_id = new_session(connection)
    connection.execute(TRIGGER.format(body="NULL", row="OLD"))
    connection.execute(
        "CREATE TRIGGER act INSTEAD OF DELETE ON engine_chat_messages"
        " FOR EACH ROW EXECUTE FUNCTION act()"
    )
    (hazard,) = hazards(connection, "trigger")
    assert hazard.effect == "refuses"
    refused(connection, session_id, sqlstate="AR006")


def test_a_move_is_refused_where_a_trigger_on_a_partition_keeps_rows(
    empty_database: Database, empty_connection: psycopg.Connection
) -> None:
    # Messages partitioned by their id: adopt accepts no other partitioning.
    connection, variant = empty_connection, deployed.VARIANTS["jsonb"]
    deployed.build(connection, variant, filled=False)
    connection.execute(
        """
        SET search_path = aria_engine;
        ALTER TABLE chat_messages RENAME TO whole;
        CREATE TABLE chat_messages (
            LIKE whole INCLUDING DEFAULTS,
            PRIMARY KEY (id),
            FOREIGN KEY (session_id) REFERENCES chat_sessions ON DELETE CASCADE
        ) PARTITION BY HASH (id);
        CREATE TABLE part PARTITION OF chat_messages FOR VALUES WITH (MODULUS 1, REMAINDER 0);
        DROP TABLE whole;
        """
    )
    engine = empty_database.engine()
    with engine.connect() as adopting:
        adoption.adopt(adopting, variant.schema, layouts.SCHEMA)
    engine.dispose()
    connection.execute(f"SET search_path = {layouts.SEARCH_PATH}")
    session_id = new_session(connection)
    assert hazards(connection) == []

    connection.execute(TRIGGER.format(body="NULL", row="NULL"))
    connection.execute(
        "CREATE TRIGGER act BEFORE DELETE ON part FOR EACH ROW EXECUTE FUNCTION act()"
    )
    (hazard,) = hazards(connection, "trigger")
    assert (hazard.object.split(".")[-2:], hazard.effect) == (["part", "act"], "slow")
    assert "on a partition" in hazard.detail
    refused(connection, session_id, sqlstate="AR006")

    connection.execute("DROP TRIGGER act ON part")
    before = live(connection)
    archive(connection, session_id)
    restore(connection, session_id)
    assert live(connection) == before


@BOTH_LAYOUTS
def test_a_table_that_inherits_from_a_chat_table_is_refused(
    connection: psycopg.Connection, chat: Chat
) -> None:
    session_id = new_session(connection)
    connection.execute(f"CREATE TABLE more () INHERITS ({chat.messages})")
    assert [(row.object, row.effect) for row in hazards(connection, "kind of table")] == [
        ("more", "refuses")
    ]
    refused(connection, session_id, sqlstate="AR006")


@BOTH_LAYOUTS
def test_an_exclusion_of_the_archive_alone_is_refused(
    connection: psycopg.Connection, chat: Chat
) -> None:
    first, second = new_session(connection), new_session(connection)
    connection.execute(
        f"ALTER TABLE {chat.session_archive}"
        " ADD CONSTRAINT one_title EXCLUDE USING btree (title WITH =)"
    )
    (hazard,) = hazards(connection, "stricter exclusion")
    assert hazard.effect == "refuses"
    archive(connection, first)
    assert "one_title" in refused(connection, second, sqlstate="AR007")

    connection.execute(hazard.remedy.rstrip("."))
    archive(connection, second)


@BOTH_LAYOUTS
def test_a_publication_without_an_archive_loses_what_is_archived(
    connection: psycopg.Connection, chat: Chat
) -> None:
    # test_publications.py shows the loss
    connection.execute(f"CREATE PUBLICATION sent FOR TABLE {chat.sessions}, {chat.messages}")
    found = hazards(connection, "archive not published")
    assert {(row.object, row.effect) for row in found} == {
        (chat.session_archive, "loses"),
        (chat.message_archive, "loses"),
    }
    for row in found:
        assert "publication sent" in row.detail
        connection.execute(row.remedy.partition(",")[0])
    assert hazards(connection) == []

    # of the rows of other tables as well
    refer_to_messages(connection, chat, "CASCADE")
    set_handling(connection, "feedback", "move")
    connection.execute("ALTER PUBLICATION sent ADD TABLE feedback")
    (hazard,) = hazards(connection, "archive not published")
    assert hazard.object.endswith("feedback_archive")
    connection.execute(hazard.remedy.partition(",")[0])
    assert hazards(connection) == []


@BOTH_LAYOUTS
@pytest.mark.parametrize(
    "publication",
    [
        "FOR ALL TABLES",
        "FOR TABLES IN SCHEMA public, {schema}",
        # deletes are what makes rows vanish
        "FOR TABLE {live} WITH (publish = 'insert, update')",
    ],
)
def test_a_publication_of_all_tables_or_of_no_deletes_is_no_hazard(
    publication: str, connection: psycopg.Connection, chat: Chat, layout: str
) -> None:
    schema = layouts.APPLICATION_SCHEMA if layout == "views" else "public"
    parts = {"schema": schema, "live": f"{chat.sessions}, {chat.messages}"}
    refer_to_messages(connection, chat, "CASCADE")
    set_handling(connection, "feedback", "move")
    connection.execute("CREATE PUBLICATION sent " + publication.format(**parts))
    assert hazards(connection) == []

    session_id = new_session(connection)
    add_feedback(connection, session_id)
    before = live(connection)
    archive(connection, session_id)
    restore(connection, session_id)
    assert live(connection) == before
    assert connection.execute("SELECT count(*) FROM feedback").fetchone() == (3,)


@BOTH_LAYOUTS
def test_a_move_fails_on_a_published_table_without_a_replica_identity(
    connection: psycopg.Connection, chat: Chat
) -> None:
    session_id = new_session(connection)
    archive(connection, session_id)
    connection.execute(f"ALTER TABLE {chat.message_archive} REPLICA IDENTITY NOTHING")
    assert hazards(connection) == []
    connection.execute("CREATE PUBLICATION sent FOR ALL TABLES")
    (hazard,) = hazards(connection, "no replica identity")
    assert (hazard.object, hazard.effect) == (chat.message_archive, "refuses")

    before = all_tables(connection)
    with pytest.raises(psycopg.DatabaseError) as caught:
        restore(connection, session_id)
    assert caught.value.sqlstate == "55000"
    assert "replica identity" in str(caught.value)
    assert all_tables(connection) == before

    connection.execute(hazard.remedy.rstrip("."))
    assert hazards(connection) == []
    restore(connection, session_id)


def test_an_unlogged_archive_is_empty_after_a_crash() -> None:
    def connect(server: embedded.EmbeddedServer) -> psycopg.Connection:
        return psycopg.connect(Database(server.url()).libpq_url(), autocommit=True)

    with new_place() as place:
        server = embedded.start(place / "data")
        engine = Database(server.url()).engine()
        with engine.connect() as for_revisions:
            migrate.upgrade(for_revisions)
        engine.dispose()
        with connect(server) as connection:
            connection.execute("ALTER TABLE engine_chat_message_archive SET UNLOGGED")
            (hazard,) = hazards(connection)
            assert (hazard.hazard, hazard.effect) == ("unlogged table", "unsafe")
            session_id = new_session(connection)
            archive(connection, session_id)
            assert places(connection, session_id) == ARCHIVED

        kill_servers_under(place)
        server.close()
        with embedded.start(place / "data") as again, connect(again) as connection:
            assert places(connection, session_id) == (0, 0, 1, 0)


@BOTH_LAYOUTS
def test_what_others_create_in_the_schema_runs_as_the_owner_of_the_functions(
    connection: psycopg.Connection, role: str
) -> None:
    session_id = new_session(connection)
    archive(connection, session_id)
    assert hazards(connection, "schema open to others") == []
    (schema,) = connection.execute("SELECT current_schema()").fetchone()
    connection.execute(f"GRANT USAGE, CREATE ON SCHEMA {schema} TO {role}")
    (hazard,) = hazards(connection, "schema open to others")
    assert (hazard.object, hazard.effect) == (schema, "unsafe")

    connection.execute(
        f"""
        SET ROLE {role};
        CREATE FUNCTION fooled(varchar, varchar) RETURNS boolean LANGUAGE plpgsql AS
        $$ BEGIN RAISE 'as %', current_user; END $$;
        CREATE OPERATOR = (leftarg = varchar, rightarg = varchar, function = fooled);
        RESET ROLE;
        """
    )
    with pytest.raises(psycopg.errors.RaiseException, match="as postgres"):
        restore(connection, session_id)
    connection.execute("DROP OPERATOR = (varchar, varchar)")
    connection.execute(hazard.remedy.rstrip("."))
    assert hazards(connection, "schema open to others") == []
    restore(connection, session_id)


def test_every_kind_of_hazard_has_a_test() -> None:
    """The test names the kind, as in ``hazards(connection, "rule")``."""
    source = resources.SQL / "operations" / "archive_hazards_v01.sql"
    # The words with which a kind begins. Add the word of a new kind here.
    kinds = set(
        re.findall(
            r"'((?:column|key|dependent|handling|reference|message|unlogged|kind|generated"
            r"|identity|stricter|archive not|no replica|functions|tables|schema) [\w ]+|rule"
            r"|trigger)'",
            source.read_text("utf-8"),
        )
    )
    assert len(kinds) == 22
    tests = "".join(
        file.read_text("utf-8") for file in Path(__file__).parents[1].rglob("test_*.py")
    )
    assert {kind for kind in kinds if f'"{kind}"' not in tests} == set()
