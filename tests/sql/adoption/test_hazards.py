"""The plan of an adoption names the hazards that there will be afterwards."""

import psycopg
import pytest

from aria_db import functions
from aria_db.database import Database
from tests.support.adoption import adopt, plan, whole_catalogue
from tests.support.command_line import Cli, document, lines
from tests.support.deployed import OLDER_SHAPE, STANDARD, VARIANTS, Layout, printed
from tests.support.installation import connected

every_layout = pytest.mark.parametrize(
    "layout",
    [STANDARD, VARIANTS["no archives"], VARIANTS["odd names"], OLDER_SHAPE],
    ids=["standard", "no archives", "odd names", "older shape"],
    indirect=True,
)

# What an application may have beside its chats, in the words of its tables.
LIFE = """
    CREATE TABLE feedback (message_session uuid, message uuid,
        session uuid REFERENCES {sessions} ON DELETE CASCADE);
    CREATE FUNCTION count_messages() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER counting BEFORE INSERT ON {messages}
        FOR EACH ROW EXECUTE FUNCTION count_messages();
    CREATE PUBLICATION "of chats" FOR TABLE {sessions}, {messages};
    CREATE PUBLICATION of_the_schema FOR TABLES IN SCHEMA {schema};
    CREATE PUBLICATION of_all FOR ALL TABLES;
"""


def live_a_life(connection: psycopg.Connection, layout: Layout) -> None:
    sessions, messages = layout.tables[:2]
    connection.execute(
        LIFE.format(sessions=sessions, messages=messages, schema=printed(layout.schema))
    )


def hazards_afterwards(database: Database) -> set[tuple[str, ...]]:
    with connected(database) as connection:
        return {tuple(row) for row in connection.execute(functions.archive_hazards())}


def without_schema(hazards: set[tuple[str, ...]], layout: Layout) -> set[tuple[str, ...]]:
    """Names that are of the target schema may be printed with it or without."""
    return {tuple(text.replace("public.", "") for text in hazard) for hazard in hazards}


@every_layout
def test_a_plan_names_the_hazards_that_there_are_afterwards(
    database: Database, connection: psycopg.Connection, layout: Layout
) -> None:
    live_a_life(connection, layout)
    before = whole_catalogue(connection)

    for _ in range(2):
        found = {
            (hazard.hazard, hazard.object, hazard.effect, hazard.detail, hazard.remedy)
            for hazard in plan(database).hazards
        }
        assert {"dependent without handling", "trigger", "archive not published"} <= {
            name for name, *_ in found
        }
        assert len([name for name, *_ in found if name == "archive not published"]) == 2
        assert whole_catalogue(connection) == before

        adopt(database)

        afterwards = hazards_afterwards(database)
        assert without_schema(found, layout) == without_schema(afterwards, layout)
        # and the plan of a second adoption
        before = whole_catalogue(connection)


@pytest.mark.parametrize("layout", [STANDARD], ids=["standard"], indirect=True)
def test_a_dry_run_prints_the_hazards(
    cli: Cli, connection: psycopg.Connection, layout: Layout
) -> None:
    live_a_life(connection, layout)

    told = lines(cli("adopt", "--dry-run"))

    assert {line.partition(":")[0] for line in told if "adopt there first" in line} == {
        "  publication of_all",
        "  publication of_the_schema",
    }
    start = told.index("Hazards after the adoption:")
    hazards = "\n".join(told[start:])
    assert "RED  loses: archive not published" in hazards
    assert "--   refuses: dependent without handling" in hazards
    assert "aria-db dependents set" in hazards
    named = {found["hazard"] for found in document(cli("adopt", "--dry-run", "--json"))["hazards"]}
    assert {"dependent without handling", "trigger"} <= named
