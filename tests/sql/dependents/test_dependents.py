"""Rows of other tables that refer to chat rows: refused, moved, deleted or let go, never lost."""

import psycopg
import pytest

from tests.support import call, new_session, places
from tests.support.conflicts import resolve
from tests.support.dependents import (
    ACTIONS,
    Chat,
    add_bookmark,
    add_feedback,
    hazards,
    refer_to_messages,
    refer_to_sessions,
    refused,
    rows_of,
    set_handling,
)
from tests.support.layouts import BOTH_LAYOUTS
from tests.support.retention import left, old_sessions, prune, purge, set_policy
from tests.support.rows import (
    archive,
    archive_many,
    copy_to_archive,
    delete_archived,
    delete_live,
    live,
    restore,
    restore_many,
)

pytestmark = BOTH_LAYOUTS

LIVE, ARCHIVED, GONE = (1, 3, 0, 0), (0, 0, 1, 3), (0, 0, 0, 0)
EVERY_ACTION = pytest.mark.parametrize("on_delete", ACTIONS)


# No handling


@EVERY_ACTION
@pytest.mark.parametrize("refer", ["messages", "sessions"])
def test_a_session_to_which_rows_refer_is_not_archived_unless_somebody_said_what_becomes_of_them(
    connection: psycopg.Connection, chat: Chat, refer: str, on_delete: str
) -> None:
    session_id, other = new_session(connection), new_session(connection)
    if refer == "messages":
        table = "feedback"
        refer_to_messages(connection, chat, on_delete)
        add_feedback(connection, session_id)
    else:
        table = "bookmark"
        refer_to_sessions(connection, chat, on_delete)
        add_bookmark(connection, session_id)
    before = rows_of(connection, table)

    text = refused(connection, session_id)

    assert str(session_id) in text
    assert f"rows in {table}" in text
    assert f"{table}_" in text  # the constraint
    assert f"aria-db dependents set {table} --move" in text
    assert rows_of(connection, table) == before
    assert archive(connection, other) is not None


def test_rows_that_arrive_later_are_refused_too(connection: psycopg.Connection, chat: Chat) -> None:
    session_id = new_session(connection)
    refer_to_sessions(connection, chat, "CASCADE")
    archive(connection, session_id)
    restore(connection, session_id)
    add_bookmark(connection, session_id)

    refused(connection, session_id)


# Move


@EVERY_ACTION
@pytest.mark.parametrize("refer", ["messages", "sessions"])
def test_rows_move_with_their_session_and_come_back_as_they_were(
    connection: psycopg.Connection, chat: Chat, refer: str, on_delete: str
) -> None:
    session_id, other = new_session(connection), new_session(connection)
    if refer == "messages":
        table = "feedback"
        refer_to_messages(connection, chat, on_delete)
        add_feedback(connection, session_id)
        add_feedback(connection, other, first=10)
    else:
        table = "bookmark"
        refer_to_sessions(connection, chat, on_delete)
        add_bookmark(connection, session_id)
        add_bookmark(connection, other, number=2)
    set_handling(connection, table, "move")
    before = rows_of(connection, table), live(connection)

    archived = archive(connection, session_id)

    assert places(connection, session_id) == ARCHIVED
    moved = connection.execute(
        f"SELECT DISTINCT archived_at, archived_session_id FROM {table}_archive"
    ).fetchall()
    assert moved == [(archived.archived_at, session_id)]
    assert not set(rows_of(connection, table)) - set(before[0])
    assert len(rows_of(connection, table)) + len(rows_of(connection, f"{table}_archive")) == len(
        before[0]
    )

    restore(connection, session_id)

    assert (rows_of(connection, table), live(connection)) == before
    assert rows_of(connection, f"{table}_archive") == []


def test_rows_move_at_any_depth(connection: psycopg.Connection, chat: Chat) -> None:
    session_id = new_session(connection)
    refer_to_messages(connection, chat, "CASCADE")
    add_feedback(connection, session_id)
    connection.execute(
        "CREATE TABLE vote (id int PRIMARY KEY, feedback_id int NOT NULL"
        " REFERENCES feedback ON DELETE CASCADE);"
        "CREATE TABLE tag (vote_id int REFERENCES vote ON DELETE CASCADE, name text);"
        "INSERT INTO vote SELECT 10 + id, id FROM feedback;"
        "INSERT INTO tag SELECT id, 'a' FROM vote; INSERT INTO tag SELECT id, 'a' FROM vote"
    )
    set_handling(connection, "feedback", "move")
    assert "vote" in refused(connection, session_id)
    set_handling(connection, "vote", "move")
    assert "tag" in refused(connection, session_id)
    set_handling(connection, "tag", "move")
    tables = ["feedback", "vote", "tag"]
    before = [rows_of(connection, table) for table in tables]

    archive(connection, session_id)

    assert [rows_of(connection, table) for table in tables] == [[], [], []]
    assert [len(rows_of(connection, f"{table}_archive")) for table in tables] == [3, 3, 6]
    restore(connection, session_id)
    assert [rows_of(connection, table) for table in tables] == before


def test_a_table_that_refers_to_sessions_and_messages_and_itself_moves(
    connection: psycopg.Connection, chat: Chat
) -> None:
    session_id = new_session(connection)
    refer_to_messages(connection, chat, "NO ACTION")
    connection.execute(
        f"ALTER TABLE feedback ADD FOREIGN KEY (session_id) REFERENCES {chat.sessions},"
        " ADD answers int REFERENCES feedback DEFERRABLE INITIALLY DEFERRED"
    )
    add_feedback(connection, session_id)
    connection.execute(
        "UPDATE feedback SET answers = CASE id WHEN 1 THEN 3 ELSE id - 1 END;"
        # these hang on the session through another row only
        "INSERT INTO feedback (id, answers) VALUES (7, 1), (8, 7)"
    )
    set_handling(connection, "feedback", "move")
    before = rows_of(connection, "feedback")

    archive(connection, session_id)
    assert rows_of(connection, "feedback") == []
    restore(connection, session_id)
    assert rows_of(connection, "feedback") == before


def test_a_row_that_hangs_on_two_sessions_moves_only_with_both(
    connection: psycopg.Connection, chat: Chat
) -> None:
    one, two = new_session(connection), new_session(connection)
    connection.execute(
        f"CREATE TABLE link (a uuid REFERENCES {chat.sessions} ON DELETE CASCADE,"
        f" b uuid REFERENCES {chat.sessions} ON DELETE CASCADE)"
    )
    connection.execute("INSERT INTO link VALUES (%s, %s)", (one, two))
    set_handling(connection, "link", "move")

    assert "and on another one" in refused(connection, one)
    assert "Name both sessions in one call" in refused(connection, two)
    archive_many(connection, [one, two])
    assert rows_of(connection, "link") == []

    with pytest.raises(psycopg.DatabaseError, match="refers to one that is not there") as caught:
        restore(connection, one)
    assert caught.value.sqlstate == "AR007"
    restore_many(connection, [one, two])
    assert len(rows_of(connection, "link")) == 1


def test_rows_in_partitions_move(connection: psycopg.Connection, chat: Chat) -> None:
    session_id = new_session(connection)
    connection.execute(
        f"""
        CREATE TABLE visit (id int, session_id uuid REFERENCES {chat.sessions} ON DELETE CASCADE)
        PARTITION BY LIST (id);
        CREATE TABLE visit_1 PARTITION OF visit FOR VALUES IN (1);
        CREATE TABLE visit_2 PARTITION OF visit FOR VALUES IN (2)
        """
    )
    for number in (1, 2):
        add_bookmark(connection, session_id, "visit", number)
    set_handling(connection, "visit", "move")
    before = rows_of(connection, "visit")

    archive(connection, session_id)
    assert rows_of(connection, "visit") == []
    restore(connection, session_id)
    assert rows_of(connection, "visit") == before


def test_a_column_that_the_table_gets_later_is_refused_until_the_archive_has_it(
    connection: psycopg.Connection, chat: Chat
) -> None:
    one, two = new_session(connection), new_session(connection)
    refer_to_sessions(connection, chat, "CASCADE")
    add_bookmark(connection, one)
    set_handling(connection, "bookmark", "move")
    archive(connection, one)
    connection.execute("ALTER TABLE bookmark ADD colour text NOT NULL DEFAULT 'red'")
    add_bookmark(connection, two, number=2)

    assert "is missing from bookmark_archive" in refused(connection, two, sqlstate="AR002")
    assert [row.object for row in hazards(connection, "column drift")] == ["bookmark.colour"]
    set_handling(connection, "bookmark", "move")
    assert hazards(connection, "column drift") == []

    archive(connection, two)
    restore_many(connection, [one, two])
    assert connection.execute("SELECT id, colour FROM bookmark ORDER BY 1").fetchall() == [
        (1, "red"),
        (2, "red"),
    ]


def test_generated_and_identity_columns_come_back(
    connection: psycopg.Connection, chat: Chat
) -> None:
    session_id = new_session(connection)
    connection.execute(
        f"CREATE TABLE vote (id int GENERATED ALWAYS AS IDENTITY,"
        f" session_id uuid REFERENCES {chat.sessions} ON DELETE CASCADE,"
        f" stars int, twice int GENERATED ALWAYS AS (stars * 2) STORED)"
    )
    connection.execute("INSERT INTO vote (session_id, stars) VALUES (%s, 4)", (session_id,))
    set_handling(connection, "vote", "move")
    before = rows_of(connection, "vote")

    archive(connection, session_id)
    restore(connection, session_id)
    assert rows_of(connection, "vote") == before


def test_changing_the_handling_strands_no_archived_row(
    connection: psycopg.Connection, chat: Chat
) -> None:
    session_id = new_session(connection)
    refer_to_sessions(connection, chat, "CASCADE")
    add_bookmark(connection, session_id)
    set_handling(connection, "bookmark", "move")
    archive(connection, session_id)

    for handling in ("delete", "refuse"):
        set_handling(connection, "bookmark", handling)
    connection.execute("ALTER TABLE bookmark DROP CONSTRAINT bookmark_session_id_fkey")

    restore(connection, session_id)
    assert len(rows_of(connection, "bookmark")) == 1
    assert rows_of(connection, "bookmark_archive") == []


def test_rows_of_a_table_that_is_gone_are_named_and_stay(
    connection: psycopg.Connection, chat: Chat
) -> None:
    session_id = new_session(connection)
    refer_to_sessions(connection, chat, "CASCADE")
    add_bookmark(connection, session_id)
    set_handling(connection, "bookmark", "move")
    archive(connection, session_id)
    connection.execute("ALTER TABLE bookmark RENAME TO marks")

    with pytest.raises(psycopg.DatabaseError, match="there is no such table") as caught:
        restore(connection, session_id)

    assert caught.value.sqlstate == "AR007"
    assert places(connection, session_id) == ARCHIVED
    connection.execute("UPDATE engine_archive_dependent SET table_name = 'marks'")
    restore(connection, session_id)
    assert len(rows_of(connection, "marks")) == 1


# Delete and detach


def test_delete_lets_the_rows_go_and_asks_about_what_hangs_on_them(
    connection: psycopg.Connection, chat: Chat
) -> None:
    session_id = new_session(connection)
    refer_to_messages(connection, chat, "CASCADE")
    add_feedback(connection, session_id)
    connection.execute(
        "CREATE TABLE vote (feedback_id int REFERENCES feedback ON DELETE CASCADE);"
        "INSERT INTO vote VALUES (1)"
    )
    set_handling(connection, "feedback", "delete")
    assert "vote" in refused(connection, session_id)
    set_handling(connection, "vote", "delete")

    archive(connection, session_id)
    assert rows_of(connection, "feedback") == rows_of(connection, "vote") == []
    restore(connection, session_id)
    assert rows_of(connection, "feedback") == []


@pytest.mark.parametrize("on_delete", ["SET NULL", "SET DEFAULT"])
def test_detach_lets_the_reference_go(
    connection: psycopg.Connection, chat: Chat, on_delete: str
) -> None:
    session_id = new_session(connection)
    refer_to_sessions(connection, chat, on_delete)
    add_bookmark(connection, session_id)
    set_handling(connection, "bookmark", "detach")

    archive(connection, session_id)
    assert rows_of(connection, "bookmark") == [("(1,)",)]


def test_a_handling_that_the_key_does_not_fit_any_more_is_refused(
    connection: psycopg.Connection, chat: Chat
) -> None:
    one, two = new_session(connection), new_session(connection)
    refer_to_sessions(connection, chat, "SET NULL")
    add_bookmark(connection, one)
    set_handling(connection, "bookmark", "detach")
    connection.execute(
        "ALTER TABLE bookmark DROP CONSTRAINT bookmark_session_id_fkey,"
        f" ADD FOREIGN KEY (session_id) REFERENCES {chat.sessions} ON DELETE CASCADE"
    )

    refused(connection, one)
    assert len(hazards(connection, "handling does not fit")) == 1
    assert archive(connection, two) is not None


# set_archive_dependent


@pytest.mark.parametrize(
    ("on_delete", "handling", "names"),
    [
        ("CASCADE", "keep", "must be move, delete, detach or refuse"),
        ("CASCADE", None, "handling is NULL"),
        ("CASCADE", "detach", "is not ON DELETE SET NULL"),
        ("SET NULL", "delete", "is not ON DELETE CASCADE"),
        ("NO ACTION", "delete", "is not ON DELETE CASCADE"),
        ("RESTRICT", "detach", "is not ON DELETE SET NULL"),
    ],
)
def test_a_handling_that_cannot_be_meant_is_refused(
    connection: psycopg.Connection, chat: Chat, on_delete: str, handling: str, names: str
) -> None:
    refer_to_sessions(connection, chat, on_delete)
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=names) as caught:
        set_handling(connection, "bookmark", handling)
    assert caught.value.diag.message_hint


def test_a_table_that_does_not_refer_to_chat_rows_is_refused(
    connection: psycopg.Connection, chat: Chat
) -> None:
    connection.execute("CREATE TABLE stranger (id int)")
    for table in ("stranger", "nosuch"):
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="no foreign key of"):
            set_handling(connection, table, "move", schema="public")


def test_a_table_that_has_the_name_of_the_archive_is_left_alone(
    connection: psycopg.Connection, chat: Chat
) -> None:
    refer_to_sessions(connection, chat, "CASCADE")
    schema = connection.execute("SELECT current_schema()").fetchone()
    connection.execute(
        "CREATE TABLE bookmark_archive (a int); INSERT INTO bookmark_archive VALUES (1)"
    )
    with pytest.raises(psycopg.errors.DuplicateTable, match="bookmark_archive exists already"):
        set_handling(connection, "bookmark", "move", schema=schema[0])
    assert rows_of(connection, "bookmark_archive") == [("(1)",)]


def test_archive_dependents_lists_each_key_with_what_becomes_of_its_rows(
    connection: psycopg.Connection, chat: Chat
) -> None:
    refer_to_sessions(connection, chat, "CASCADE")
    connection.execute(
        "CREATE TABLE note (id int PRIMARY KEY,"
        f" s uuid REFERENCES {chat.sessions} ON DELETE SET NULL)"
    )
    connection.execute("CREATE TABLE line (note_id int REFERENCES note)")
    set_handling(connection, "bookmark", "delete")

    def listed() -> dict:
        return {
            row.table_name: (row.on_delete, row.is_indexed, row.handling)
            for row in call(connection, "archive_dependents")
        }

    assert listed() == {
        "bookmark": ("CASCADE", True, "delete"),
        "note": ("SET NULL", False, "refuse"),
    }
    set_handling(connection, "note", "move")
    assert listed()["line"] == ("NO ACTION", False, "refuse")


# Purge, delete, conflicts, verification


def test_purge_and_delete_delete_the_archived_rows_with_their_session(
    connection: psycopg.Connection, chat: Chat
) -> None:
    refer_to_sessions(connection, chat, "CASCADE")
    set_handling(connection, "bookmark", "move")
    one, two, three = (new_session(connection, session_type="cron") for _ in range(3))
    for number, session_id in enumerate((one, two, three)):
        add_bookmark(connection, session_id, number=number)
        archive(connection, session_id)
    delete_archived(connection, one)
    assert len(rows_of(connection, "bookmark_archive")) == 2

    connection.execute(
        f"UPDATE {chat.session_archive} SET archived_at = now() - interval '2 days' WHERE id = %s",
        (two,),
    )
    set_policy(connection, "cron", archive_after="1 day", purge_after="1 day")
    assert purge(connection).sessions == 1
    assert places(connection, two) == GONE
    (left_row,) = connection.execute("SELECT archived_session_id FROM bookmark_archive").fetchall()
    assert left_row == (three,)


def test_deleting_a_live_session_follows_the_applications_keys(
    connection: psycopg.Connection, chat: Chat
) -> None:
    one, two = new_session(connection), new_session(connection)
    refer_to_sessions(connection, chat, "CASCADE")
    refer_to_sessions(connection, chat, "NO ACTION", "pin")
    for table in ("bookmark", "pin"):
        add_bookmark(connection, one, table)
    add_bookmark(connection, two, number=2)

    with pytest.raises(psycopg.DatabaseError, match="pin") as caught:
        delete_live(connection, one)
    assert caught.value.sqlstate == "AR005"
    assert places(connection, one) == LIVE
    delete_live(connection, two)
    assert places(connection, two) == GONE
    assert rows_of(connection, "bookmark") == [(f"(1,{one})",)]


def test_resolving_a_conflict_keeps_the_rows_of_both_places(
    connection: psycopg.Connection, chat: Chat
) -> None:
    session_id = new_session(connection)
    refer_to_sessions(connection, chat, "CASCADE")
    set_handling(connection, "bookmark", "move")
    add_bookmark(connection, session_id)
    archive(connection, session_id)
    # what a copy that was not deleted leaves, by hand
    connection.execute(
        "INSERT INTO engine_chat_sessions (id, title) VALUES (%s, 'a session')", (session_id,)
    )
    add_bookmark(connection, session_id, number=2)

    resolve(connection, session_id, "live", "live")
    assert [row for (row,) in rows_of(connection, "bookmark")] == [
        f"(1,{session_id})",
        f"(2,{session_id})",
    ]
    assert rows_of(connection, "bookmark_archive") == []


def test_removing_a_copy_moves_what_hangs_on_it(connection: psycopg.Connection, chat: Chat) -> None:
    session_id = new_session(connection)
    refer_to_sessions(connection, chat, "CASCADE")
    add_bookmark(connection, session_id)
    copy_to_archive(connection, session_id)
    refused(connection, session_id)
    set_handling(connection, "bookmark", "move")

    assert not archive(connection, session_id).newly_archived
    assert places(connection, session_id) == ARCHIVED
    assert len(rows_of(connection, "bookmark_archive")) == 1


def test_verify_finds_archived_rows_without_their_session(
    connection: psycopg.Connection, chat: Chat
) -> None:
    session_id = new_session(connection)
    refer_to_sessions(connection, chat, "CASCADE")
    set_handling(connection, "bookmark", "move")
    add_bookmark(connection, session_id)
    archive(connection, session_id)
    assert call(connection, "verify_archive") == []

    connection.execute("DELETE FROM engine_chat_message_archive")
    connection.execute("DELETE FROM engine_chat_session_archive")
    (finding,) = call(connection, "verify_archive")
    assert (finding.finding, finding.session_id) == ("archived rows without a session", session_id)


# The prune


def test_a_prune_leaves_out_sessions_to_which_rows_refer_and_writes_them_down_at_the_end(
    connection: psycopg.Connection, chat: Chat
) -> None:
    refer_to_messages(connection, chat, "NO ACTION")
    refer_to_sessions(connection, chat, "CASCADE")
    marked, rated, *_ = old_sessions(connection, 5)
    add_bookmark(connection, marked)
    add_feedback(connection, rated)

    (due,) = call(connection, "count_prunable_sessions")
    assert (due.sessions, due.messages, due.referred) == (3, 9, 2)
    batches = [prune(connection, batch_size=2) for _ in range(3)]

    assert [batch.sessions for batch in batches] == [2, 1, 0]
    assert batches[-1].left_behind == 2
    written = left(connection)
    assert set(written) == {marked, rated}
    assert {row.sqlstate for row in written.values()} == {"AR005"}
    assert all("aria-db dependents" in row.remedy for row in written.values())

    set_handling(connection, "bookmark", "delete")
    set_handling(connection, "feedback", "move")
    assert prune(connection).sessions == 2
    assert left(connection) == {}


def test_a_deferred_key_stops_one_session_and_not_the_prune(
    connection: psycopg.Connection, chat: Chat
) -> None:
    connection.execute(
        f"CREATE TABLE bookmark (id int, session_id uuid REFERENCES {chat.sessions}"
        " DEFERRABLE INITIALLY DEFERRED)"
    )
    stuck, *_ = old_sessions(connection, 4)
    add_bookmark(connection, stuck)

    assert prune(connection).sessions == 3
    assert places(connection, stuck) == LIVE
    connection.execute("CALL prune_old_sessions()")
    assert left(connection)[stuck].sqlstate == "AR005"
