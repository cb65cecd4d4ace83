"""The table in which a relation has its rows: of a view the one that it shows, else itself."""

import psycopg
import pytest

from tests.support.layouts import BOTH_LAYOUTS, TABLES
from tests.support.rows import ARCHIVE, LIVE

NAMES = LIVE + ARCHIVE


def tables_beneath(connection: psycopg.Connection) -> dict[str, str]:
    rows = connection.execute(
        """
        SELECT relation::regclass::text, table_id::regclass::text FROM _table_beneath
        WHERE relation = ANY(%s::regclass[]::oid[])
        """,
        [list(NAMES)],
    ).fetchall()
    assert len(rows) == len(NAMES)
    return dict(rows)


@BOTH_LAYOUTS
def test_the_rows_of_a_view_are_in_the_table_that_it_shows_and_those_of_a_table_in_itself(
    connection: psycopg.Connection, layout: str
) -> None:
    tables = TABLES if layout == "views" else NAMES

    assert tables_beneath(connection) == dict(zip(NAMES, tables, strict=True))


@pytest.mark.parametrize("layout", ["tables"], indirect=True)
def test_a_rule_that_writes_elsewhere_puts_no_other_table_beneath(
    connection: psycopg.Connection,
) -> None:
    connection.execute("CREATE TABLE written (id uuid)")
    connection.execute(
        "CREATE RULE also AS ON INSERT TO engine_chat_messages"
        " DO ALSO INSERT INTO written VALUES (new.id)"
    )

    assert tables_beneath(connection) == dict(zip(NAMES, NAMES, strict=True))
