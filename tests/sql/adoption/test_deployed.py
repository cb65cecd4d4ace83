"""The databases of these tests are as described, and the application works on them."""

import psycopg
import pytest

from tests.support.adoption import archived, live
from tests.support.application import Application
from tests.support.deployed import (
    LIVE_SESSIONS,
    OLDER_SHAPE,
    PRUNED_SESSIONS,
    STANDARD,
    VARIANTS,
    Layout,
)
from tests.support.installation import one

every_layout = pytest.mark.parametrize(
    "layout",
    [*VARIANTS.values(), OLDER_SHAPE],
    ids=[*VARIANTS, "layout B"],
    indirect=True,
)


@every_layout
def test_a_deployed_database_has_the_rows_that_the_other_tests_count_on(
    connection: psycopg.Connection, layout: Layout
) -> None:
    tables = layout.tables
    assert one(connection, f"SELECT count(*) FROM {tables.sessions}") == LIVE_SESSIONS
    assert one(connection, f"SELECT count(*) FROM {tables.messages}") == 2 * LIVE_SESSIONS
    soft_deleted = f"SELECT count(*) FROM {tables.sessions} WHERE status = 'archived'"
    assert one(connection, soft_deleted) == LIVE_SESSIONS // 10
    if "embedding" in layout.message_columns():
        embeddings = f"SELECT count(embedding) FROM {tables.messages}"
        assert one(connection, embeddings) == LIVE_SESSIONS // 10
    if layout.archives:
        count = f"SELECT count(*) FROM {tables.session_archive}"
        assert one(connection, count) == PRUNED_SESSIONS + len(layout.conflicts())


@pytest.mark.parametrize("layout", [STANDARD, OLDER_SHAPE], ids=["A", "B"], indirect=True)
def test_of_the_sessions_in_both_places_some_are_equal_and_some_are_not(
    connection: psycopg.Connection, layout: Layout
) -> None:
    here, there = live(connection, layout), archived(connection, layout)

    in_both = here.keys() & there.keys()
    different = {key for key in in_both if here[key] != there[key]}

    assert layout.conflicts() <= in_both
    assert not layout.equal_copies() & different
    assert different


@every_layout
def test_the_application_works_on_its_tables(
    connection: psycopg.Connection, layout: Layout, application: Application
) -> None:
    application.work(connection)
