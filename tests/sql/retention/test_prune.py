"""What the prune archives, what it leaves alone, and that it waits for nobody."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest

from tests.support import Connect, Start, call, new_session, places
from tests.support.retention import (
    ARCHIVED,
    LIVE,
    NOTHING,
    Moved,
    archive,
    begin_run,
    copy_to_archive,
    forbid,
    forbid_a_title,
    left,
    locked_sessions,
    old_sessions,
    one,
    place_hold,
    prune,
    release_hold,
    restore,
    session_of_age,
    session_restored,
    set_policy,
    stop_in_view,
    where,
    whole_reads,
)

SESSION_IN_USE = "UPDATE engine_chat_sessions SET title = 'in use' WHERE id = %s"
MESSAGE_IN_USE = "UPDATE engine_chat_messages SET content = 'in use' WHERE session_id = %s"
MESSAGE_ARRIVING = """
    INSERT INTO engine_chat_messages (session_id, role, content) VALUES (%s, 'user', 'in use')
"""


def messages_seen(connection: psycopg.Connection) -> list[str]:
    """Collect the notices and warnings of a connection."""
    seen: list[str] = []
    connection.add_notice_handler(lambda notice: seen.append(notice.message_primary or ""))
    return seen


# What is archived


def test_a_session_is_archived_at_the_age_of_its_types_policy_or_else_of_the_default(
    connection: psycopg.Connection,
) -> None:
    ages = {"cron": ("23 hours", "25 hours"), "interactive": ("29 days", "31 days")}
    young, old = (
        [session_of_age(connection, age[i], session_type=name) for name, age in ages.items()]
        for i in (0, 1)
    )

    assert prune(connection) == Moved(2, 6)
    assert prune(connection) == NOTHING
    assert where(connection, young) == [LIVE] * 2
    assert where(connection, old) == [ARCHIVED] * 2


def test_a_soft_deleted_session_is_archived_whatever_its_age_type_or_policy(
    connection: psycopg.Connection,
) -> None:
    connection.execute("UPDATE engine_archive_policy SET enabled = false")
    ids = [
        new_session(connection, status="archived", session_type=session_type)
        for session_type in ("interactive", "cron")
    ]

    assert prune(connection) == Moved(2, 6)
    assert where(connection, ids) == [ARCHIVED] * 2


@pytest.mark.parametrize("older_than", ["1 hour", "90 days"])
def test_older_than_replaces_every_policy(connection: psycopg.Connection, older_than: str) -> None:
    set_policy(connection, "keep", archive_after=None)
    set_policy(connection, "off", archive_after="1 day", enabled=False)
    types = ("cron", "interactive", "keep", "off")
    young = [session_of_age(connection, "30 minutes", session_type=name) for name in types]
    recent = [session_of_age(connection, "2 hours", session_type=name) for name in types]
    middle = [session_of_age(connection, "40 days", session_type=name) for name in types]
    old = [session_of_age(connection, "100 days", session_type=name) for name in types]
    expected = old + (middle + recent if older_than == "1 hour" else [])

    assert prune(connection, older_than=older_than) == Moved(len(expected), 3 * len(expected))
    assert where(connection, expected) == [ARCHIVED] * len(expected)
    assert LIVE == places(connection, young[0]) == places(connection, young[-1])


@pytest.mark.parametrize("session_type", ["interactive", "*"])
@pytest.mark.parametrize("policy", [{"archive_after": "1 day", "enabled": False}, {}])
def test_a_policy_that_is_off_or_without_an_age_archives_nothing_by_age(
    connection: psycopg.Connection, session_type: str, policy: dict
) -> None:
    set_policy(connection, session_type, **policy)
    kept = session_of_age(connection, "5 years")
    pruned = session_of_age(connection, "2 days", session_type="cron")

    assert prune(connection) == Moved(1, 3)
    assert where(connection, [kept, pruned]) == [LIVE, ARCHIVED]


def test_ages_in_months_and_in_days_follow_the_calendar(
    connection: psycopg.Connection,
) -> None:
    set_policy(connection, "*", archive_after="1 month")
    set_policy(connection, "cron", archive_after="30 days")
    for name in ("interactive", "cron"):
        for days in range(27, 33):
            session_of_age(connection, f"{days} days 1 hour", session_type=name)
    due = """
        SELECT count(*) FROM engine_chat_sessions
        WHERE updated_at < now() - CASE session_type
            WHEN 'cron' THEN interval '30 days' ELSE interval '1 month' END
    """
    expected = one(connection, due)

    assert prune(connection).sessions == expected


def test_only_sessions_of_the_named_type_are_archived(connection: psycopg.Connection) -> None:
    of_type = [
        session_of_age(connection, "2 years", session_type="cron"),
        new_session(connection, session_type="cron", status="archived"),
    ]
    others = [
        session_of_age(connection, "2 years"),
        new_session(connection, status="archived"),
    ]

    assert prune(connection, session_type="cron") == Moved(2, 6)
    assert where(connection, of_type) == [ARCHIVED] * 2
    assert where(connection, others) == [LIVE] * 2


def test_batches_take_the_oldest_first_and_then_the_soft_deleted(
    connection: psycopg.Connection,
) -> None:
    deleted = [new_session(connection, status="archived") for _ in range(2)]
    by_days = {days: session_of_age(connection, f"{days} days") for days in (50, 90, 40, 80, 60)}
    ids = [by_days[days] for days in sorted(by_days, reverse=True)]

    assert prune(connection, batch_size=3) == Moved(3, 9)
    assert where(connection, ids) == [ARCHIVED] * 3 + [LIVE] * 2
    assert prune(connection, batch_size=3) == Moved(3, 9)
    assert sorted(where(connection, deleted)) == sorted([ARCHIVED, LIVE])
    assert prune(connection, batch_size=3) == Moved(1, 3)
    assert where(connection, [*ids, *deleted]) == [ARCHIVED] * 7


def test_a_batch_locks_no_more_sessions_than_it_moves(
    connection: psycopg.Connection, other: psycopg.Connection
) -> None:
    old_sessions(connection, 6)
    for _ in range(4):
        new_session(connection, status="archived")

    with connection.transaction():
        assert prune(connection, batch_size=7) == Moved(7, 21)
        assert len(locked_sessions(other)) == 7


@pytest.mark.parametrize("status", ["active", "archived"])
def test_a_held_session_is_not_locked_while_others_are_pruned(
    connection: psycopg.Connection, other: psycopg.Connection, status: str
) -> None:
    held, *free = (session_of_age(connection, f"{90 - n} days", status=status) for n in range(3))
    place_hold(connection, held)

    with connection.transaction():
        assert prune(connection) == Moved(2, 6)
        assert locked_sessions(other) == set(free)


@pytest.mark.parametrize("in_use", [SESSION_IN_USE, MESSAGE_IN_USE])
def test_a_batch_that_leaves_sessions_in_use_keeps_no_lock_on_others_than_it_moves(
    connection: psycopg.Connection, connect: Connect, other: psycopg.Connection, in_use: str
) -> None:
    ids = old_sessions(connection, 5)
    user = connect()
    with user.transaction():
        for session_id in ids[:2]:
            user.execute(in_use, (session_id,))
        with connection.transaction():
            assert prune(connection, batch_size=2) == Moved(2, 6)
            in_use_too = set(ids[:2]) if in_use == SESSION_IN_USE else set()
            assert locked_sessions(other) == {*ids[2:4]} | in_use_too


def test_a_full_batch_locks_few_sessions_for_nothing(
    connection: psycopg.Connection, other: psycopg.Connection
) -> None:
    session_of_age(connection, "9 years", 5000)
    connection.execute(
        "INSERT INTO engine_chat_sessions (updated_at) SELECT now() - number * interval '1 day'"
        " FROM generate_series(1001, 1300) AS number"
    )

    with connection.transaction():
        assert prune(connection) == Moved(1, 5000)
        assert len(locked_sessions(other)) < 100


def test_a_prune_reads_no_table_from_end_to_end(connection: psycopg.Connection) -> None:
    """Also of the archive, which was empty when the prune was planned."""
    old_sessions(connection, 3)
    new_session(connection, status="archived")
    connection.execute("VACUUM ANALYZE")
    before = whole_reads(connection)

    while prune(connection, batch_size=2).sessions:
        pass

    assert whole_reads(connection) == before


def test_a_batch_ends_with_the_session_that_brings_its_messages_to_5000(
    connection: psycopg.Connection,
) -> None:
    sizes = [2000, 2000, 3000, 6000, 1, 4999]
    ids = [session_of_age(connection, f"{200 - n} days", size) for n, size in enumerate(sizes)]
    new_session(connection, status="archived")

    assert prune(connection) == Moved(3, 7000)
    assert [places(connection, session_id)[0] for session_id in ids] == [0, 0, 0, 1, 1, 1]
    assert prune(connection) == Moved(1, 6000)
    assert prune(connection) == Moved(2, 5000)
    assert prune(connection) == Moved(1, 3)
    assert prune(connection) == NOTHING


def test_a_batch_goes_by_the_messages_that_the_application_counts(
    connection: psycopg.Connection,
) -> None:
    old_sessions(connection, 3, message_count=2500)

    assert prune(connection) == Moved(2, 6)
    assert prune(connection) == Moved(1, 3)


# From when the age counts


def test_the_age_of_a_restored_session_counts_from_its_last_restore(
    connection: psycopg.Connection,
) -> None:
    young, old = (session_restored(connection, age) for age in ("29 days", "31 days"))
    # Of several restores the last one counts.
    again = session_restored(connection, "90 days")
    archive(connection, again)
    restore(connection, again)

    assert prune(connection) == Moved(1, 3)
    assert where(connection, [young, old, again]) == [LIVE, ARCHIVED, LIVE]


@pytest.mark.parametrize("older_than", ["1 hour", "90 days"])
def test_older_than_counts_from_the_last_restore_too(
    connection: psycopg.Connection, older_than: str
) -> None:
    set_policy(connection, "*", archive_after="1 minute")
    young = session_restored(connection, "30 minutes")
    middle = session_restored(connection, "40 days")
    old = session_restored(connection, "100 days")
    expected = [middle, old] if older_than == "1 hour" else [old]

    assert prune(connection, older_than=older_than) == Moved(len(expected), 3 * len(expected))
    assert where(connection, expected) == [ARCHIVED] * len(expected)
    assert places(connection, young) == LIVE


def test_an_update_after_the_last_restore_counts(connection: psycopg.Connection) -> None:
    young, old = (session_restored(connection, "90 days") for _ in range(2))
    for session_id, age in ((young, "29 days"), (old, "31 days")):
        connection.execute(
            "UPDATE engine_chat_sessions SET updated_at = now() - %s::interval WHERE id = %s",
            (age, session_id),
        )

    assert prune(connection) == Moved(1, 3)
    assert where(connection, [young, old]) == [LIVE, ARCHIVED]


def test_a_restored_session_that_was_not_archived_by_age_is_as_young(
    connection: psycopg.Connection,
) -> None:
    """The soft delete of a session that was never moved ends with a restore, too."""
    session_id = session_of_age(connection, "1 year", status="archived")
    restore(connection, session_id)

    assert prune(connection) == NOTHING
    assert places(connection, session_id) == LIVE


def test_nothing_else_that_the_journal_has_makes_a_session_younger(
    connection: psycopg.Connection,
) -> None:
    session_id = session_restored(connection, "31 days")
    place_hold(connection, session_id)
    release_hold(connection, session_id)

    assert prune(connection) == Moved(1, 3)
    assert places(connection, session_id) == ARCHIVED


def test_the_restore_of_one_session_makes_no_other_younger(connection: psycopg.Connection) -> None:
    restored = session_restored(connection, "1 day")
    (old,) = old_sessions(connection, 1)

    assert prune(connection) == Moved(1, 3)
    assert where(connection, [restored, old]) == [LIVE, ARCHIVED]


def test_restored_sessions_do_not_keep_a_prune_from_the_others(
    connection: psycopg.Connection,
) -> None:
    """They are the first that the index on updated_at has."""
    restored = [session_restored(connection, "1 day") for _ in range(3)]
    old = old_sessions(connection, 2)

    assert [prune(connection, batch_size=1) for _ in range(3)] == [Moved(1, 3)] * 2 + [NOTHING]
    assert where(connection, [*restored, *old]) == [LIVE] * 3 + [ARCHIVED] * 2


def test_a_soft_deleted_session_is_archived_however_recently_it_was_restored(
    connection: psycopg.Connection,
) -> None:
    session_id = session_restored(connection, "1 minute")
    connection.execute("UPDATE engine_chat_sessions SET status = 'archived'")

    assert prune(connection) == Moved(1, 3)
    assert places(connection, session_id) == ARCHIVED


def test_a_session_that_was_never_updated_is_as_old_as_its_creation(
    connection: psycopg.Connection,
) -> None:
    young, old = (new_session(connection, updated_at=None) for _ in range(2))
    connection.execute(
        "UPDATE engine_chat_sessions SET created_at = now() - interval '31 days' WHERE id = %s",
        (old,),
    )
    (counted,) = call(connection, "count_prunable_sessions")

    assert counted.sessions == 1
    assert prune(connection) == Moved(1, 3)
    assert where(connection, [young, old]) == [LIVE, ARCHIVED]


# What is in use


@pytest.mark.parametrize("in_use", [SESSION_IN_USE, MESSAGE_IN_USE, MESSAGE_ARRIVING])
@pytest.mark.parametrize("batch_size", [1, 500])
def test_a_session_in_use_is_left_and_comes_back_at_the_next_run(
    connection: psycopg.Connection, other: psycopg.Connection, in_use: str, batch_size: int
) -> None:
    ids = old_sessions(connection, 3)

    with other.transaction():
        other.execute(in_use, (ids[0],))
        moved = 0
        while batch := prune(connection, batch_size=batch_size).sessions:
            moved += batch
        assert moved == 2
        assert where(connection, ids) == [LIVE, ARCHIVED, ARCHIVED]

    assert prune(connection, batch_size=batch_size).sessions == 1
    assert places(connection, ids[0])[0] == 0


def test_a_prune_tells_which_session_it_left_because_a_message_was_in_use(
    connection: psycopg.Connection, other: psycopg.Connection
) -> None:
    ids = old_sessions(connection, 2)
    seen = messages_seen(connection)
    connection.execute("SET statement_timeout = '10s'")  # a prune that waits would for ever

    with other.transaction():
        other.execute(MESSAGE_IN_USE, (ids[0],))
        prune(connection)

    assert seen == [f"session {ids[0]} is in use and left for a later run"]


def test_a_session_that_became_active_after_it_was_chosen_and_before_it_was_locked_is_not_archived(
    connection: psycopg.Connection, other: psycopg.Connection, start_blocked: Start
) -> None:
    stop_in_view(connection, "engine_archive_candidate")
    active, old = old_sessions(connection, 2)

    other.execute("SELECT pg_advisory_lock(1)")
    pruning = start_blocked(prune, connection)
    other.execute("UPDATE engine_chat_sessions SET updated_at = now() WHERE id = %s", (active,))
    other.execute("SELECT pg_advisory_unlock(1)")

    assert pruning.result() == Moved(1, 3)
    assert where(other, [active, old]) == [LIVE, ARCHIVED]


def test_a_session_that_becomes_active_while_it_is_pruned_is_left_live(
    connection: psycopg.Connection, other: psycopg.Connection
) -> None:
    (session_id,) = old_sessions(connection, 1)

    with other.transaction():
        other.execute(
            "UPDATE engine_chat_sessions SET updated_at = now() WHERE id = %s", (session_id,)
        )
        assert prune(connection) == NOTHING

    assert prune(connection) == NOTHING
    assert places(connection, session_id) == LIVE


# What cannot be moved


@pytest.mark.parametrize("batch_size", [1, 500])
def test_one_that_is_held_or_in_conflict_stops_nobody_else(
    connection: psycopg.Connection, batch_size: int
) -> None:
    held, identical, different, orphaned, *free = old_sessions(connection, 6)
    place_hold(connection, held)
    copy_to_archive(connection, identical)
    copy_to_archive(connection, different)
    connection.execute(
        "UPDATE engine_chat_sessions SET title = 'another' WHERE id = %s", (different,)
    )
    copy_to_archive(connection, orphaned)
    connection.execute("DELETE FROM engine_chat_session_archive WHERE id = %s", (orphaned,))
    seen = messages_seen(connection)

    batches = [prune(connection, batch_size=batch_size) for _ in range(3)]
    assert sum(batch.sessions for batch in batches) == 2
    # it did not even try
    assert {batch.left_behind for batch in batches} == {0}
    assert seen == []
    assert left(connection) == {}
    assert where(connection, free) == [ARCHIVED] * 2
    assert where(connection, [held, identical, different, orphaned]) == [
        LIVE,
        (1, 3, 1, 3),
        (1, 3, 1, 3),
        (1, 3, 0, 3),
    ]


@pytest.mark.parametrize("batch_size", [1, 2, 500])
def test_one_that_a_constraint_forbids_to_move_stops_nobody_else_and_is_told(
    connection: psycopg.Connection, batch_size: int
) -> None:
    connection.execute("CREATE UNIQUE INDEX ON engine_chat_message_archive (id)")
    forbid_a_title(connection)
    colliding, forbidden, *free = old_sessions(connection, 4)
    connection.execute(
        """
        INSERT INTO engine_chat_message_archive (archived_at, id, session_id, role, content)
        SELECT now(), id, gen_random_uuid(), role, content
        FROM engine_chat_messages WHERE session_id = %s LIMIT 1
        """,
        (colliding,),
    )
    forbid(connection, forbidden)
    seen = messages_seen(connection)

    batches = [prune(connection, batch_size=batch_size) for _ in range(3)]
    assert sum(batch.sessions for batch in batches) == 2
    assert {batch.left_behind for batch in batches} == {2}
    assert where(connection, [colliding, forbidden, *free]) == [LIVE] * 2 + [ARCHIVED] * 2
    for session_id in (colliding, forbidden):
        assert any(f"session {session_id} cannot be archived: " in text for text in seen)


# Arguments


BAD_ARGUMENTS = [
    {"older_than": "0 days"},
    {"older_than": "-1 day"},
    {"older_than": "5000 years"},
    {"session_type": "no such type"},
    {"session_type": ""},
    {"session_type": "*"},
]
BAD_BATCH_SIZES = [{"batch_size": size} for size in (0, -1, None)]


def assert_refused(connection: psycopg.Connection, function: str, arguments: dict) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue) as refusal:
        call(connection, function, **arguments)
    assert refusal.value.diag.message_hint


@pytest.mark.parametrize("arguments", BAD_ARGUMENTS + BAD_BATCH_SIZES, ids=str)
def test_arguments_that_cannot_be_meant_are_refused_and_nothing_is_moved(
    connection: psycopg.Connection, arguments: dict
) -> None:
    (session_id,) = old_sessions(connection, 1)

    assert_refused(connection, "prune_sessions", arguments)
    if "batch_size" not in arguments:
        assert_refused(connection, "count_prunable_sessions", arguments)
    assert places(connection, session_id) == LIVE


@pytest.mark.parametrize("function", ["prune_sessions", "count_prunable_sessions"])
def test_no_age_and_no_policy_is_refused(connection: psycopg.Connection, function: str) -> None:
    (session_id,) = old_sessions(connection, 1)
    connection.execute("DELETE FROM engine_archive_policy WHERE session_type = '*'")

    assert_refused(connection, function, {"session_type": "interactive"})
    connection.execute("DELETE FROM engine_archive_policy")
    assert_refused(connection, function, {})
    assert places(connection, session_id) == LIVE


def test_a_type_that_only_a_policy_names_is_known(connection: psycopg.Connection) -> None:
    set_policy(connection, "imported", archive_after="1 day")

    assert prune(connection, session_type="imported") == NOTHING
    assert call(connection, "count_prunable_sessions", session_type="imported") == []


# The dry run


@pytest.mark.parametrize(
    "arguments", [{}, {"older_than": "1 hour"}, {"session_type": "cron"}], ids=str
)
def test_the_dry_run_counts_what_the_prune_then_does_and_what_waits(
    connection: psycopg.Connection, connect: Connect, arguments: dict
) -> None:
    set_policy(connection, "keep", archive_after=None)
    for name in ("interactive", "cron", "keep"):
        for age in ("2 hours", "2 days", "40 days"):
            for messages in (0, 2):
                session_of_age(connection, age, messages, session_type=name)
        new_session(connection, 1, status="archived", session_type=name)
        place_hold(connection, session_of_age(connection, "50 days", session_type=name))
        copy_to_archive(connection, session_of_age(connection, "50 days", session_type=name))
        both = session_of_age(connection, "50 days", session_type=name)
        copy_to_archive(connection, both)
        place_hold(connection, both)
        for age in ("30 minutes", "2 days", "40 days"):
            session_restored(connection, age, session_type=name)
    reader = connect(options="-c default_transaction_read_only=on")

    counted = call(reader, "count_prunable_sessions", **arguments)
    assert counted == call(reader, "count_prunable_sessions", **arguments)

    assert [(row.held, row.conflicting) for row in counted if row.of_type == "cron"] == [(2, 1)]
    before = dict(
        connection.execute("SELECT session_type, count(*) FROM engine_chat_sessions GROUP BY 1")
    )
    moved = prune(connection, **arguments)
    after = dict(
        connection.execute("SELECT session_type, count(*) FROM engine_chat_sessions GROUP BY 1")
    )
    assert moved == Moved(
        sum(row.sessions for row in counted), sum(row.messages for row in counted)
    )
    assert {row.of_type: row.sessions for row in counted} == {
        name: before[name] - after.get(name, 0)
        for name in before
        if name in {row.of_type for row in counted}
    }
    assert moved.sessions > 0


def test_the_dry_run_locks_no_row_and_is_hindered_by_none(
    connection: psycopg.Connection, connect: Connect, other: psycopg.Connection
) -> None:
    ids = old_sessions(connection, 2)
    with connection.transaction(), other.transaction():
        other.execute(SESSION_IN_USE, (ids[0],))
        (row,) = call(connection, "count_prunable_sessions")
        assert (row.sessions, row.messages) == (2, 6)
        assert locked_sessions(connect()) == {ids[0]}


# Much, and many at once


def test_a_session_with_200_000_messages_is_pruned(connection: psycopg.Connection) -> None:
    session_id = session_of_age(connection, "1 year", 200_000)

    assert prune(connection) == Moved(1, 200_000)
    assert places(connection, session_id) == (0, 0, 1, 200_000)


def test_four_prunes_at_once_while_writers_add_messages_lose_and_double_nothing(
    connection: psycopg.Connection, connect: Connect, threads: ThreadPoolExecutor
) -> None:
    connection.execute(
        """
        WITH sessions AS (
            INSERT INTO engine_chat_sessions (updated_at)
            SELECT now() - number % 60 * interval '1 day' FROM generate_series(1, 5000) AS number
            RETURNING id
        )
        INSERT INTO engine_chat_messages (session_id, role, content)
        SELECT id, 'user', number::text FROM sessions, generate_series(1, 4) AS number
        """
    )
    ids = {row for (row,) in connection.execute("SELECT id FROM engine_chat_sessions")}
    due = one(connection, "SELECT sum(sessions) FROM count_prunable_sessions()")
    started = threading.Barrier(6)
    pruned = threading.Event()

    def prune_all(own: psycopg.Connection) -> int:
        started.wait()
        moved = 0
        while batch := prune(own, batch_size=50).sessions:
            moved += batch
        return moved

    def add_messages(own: psycopg.Connection, each: list[UUID]) -> int:
        """Return how many messages were accepted, and did not come too late."""
        started.wait()
        accepted = 0
        for session_id in each:
            if pruned.is_set():
                break
            with suppress(psycopg.errors.ForeignKeyViolation):
                own.execute(MESSAGE_ARRIVING, (session_id,))
                accepted += 1
        return accepted

    in_order = sorted(ids)
    writers = [threads.submit(add_messages, connect(), each) for each in (in_order, in_order[::-1])]
    prunes = [threads.submit(prune_all, connect()) for _ in range(4)]
    moved = sum(future.result() for future in prunes)
    pruned.set()
    accepted = sum(future.result() for future in writers)
    moved += prune(connection, batch_size=5000).sessions

    assert accepted > 0
    assert moved == due
    live, archived = (
        {row for (row,) in connection.execute(f"SELECT id FROM {table}")}
        for table in ("engine_chat_sessions", "engine_chat_session_archive")
    )
    assert not live & archived
    assert live | archived == ids
    assert len(archived) == due
    for messages, sessions in (
        ("engine_chat_messages", live),
        ("engine_chat_message_archive", archived),
    ):
        of = {row for (row,) in connection.execute(f"SELECT session_id FROM {messages}")}
        assert of == sessions
    total = one(
        connection,
        """
        SELECT ARRAY[count(*), count(DISTINCT id)] FROM (
            SELECT id FROM engine_chat_messages
            UNION ALL SELECT id FROM engine_chat_message_archive
        ) AS message
        """,
    )
    assert total == [20_000 + accepted] * 2


# Where a batch of a run begins


def test_a_run_reads_sessions_in_grace_once_and_not_for_each_batch(
    connection: psycopg.Connection,
) -> None:
    for _ in range(20):
        session_restored(connection, "1 day")
    old = [session_of_age(connection, "300 days") for _ in range(10)]
    run_id = begin_run(connection, "prune")

    def read(batches: int) -> int:
        """Return how often the journal was looked at, which is once for each session read."""
        before = journal_reads(connection)
        for _ in range(batches):
            assert prune(connection, batch_size=1, run_id=run_id).sessions == 1
        return journal_reads(connection) - before

    first, others = read(1), read(9)

    assert first > 20
    assert others < 9 * 20
    assert where(connection, old) == [ARCHIVED] * 10
    assert prune(connection, run_id=run_id) == NOTHING


@pytest.mark.parametrize(
    "arguments", [{"older_than": timedelta(days=1)}, {"session_type": "chat"}], ids=str
)
def test_a_batch_of_a_run_that_asks_for_something_else_begins_at_the_beginning(
    connection: psycopg.Connection, arguments: dict[str, object]
) -> None:
    young = session_of_age(connection, "40 days", session_type="interactive")
    chat = session_of_age(connection, "500 days", session_type="chat")
    set_policy(connection, "chat", archive_after="1000 days")
    run_id = begin_run(connection, "prune")
    prune(connection, run_id=run_id)
    assert where(connection, [young, chat]) == [ARCHIVED, LIVE]

    if "session_type" in arguments:
        set_policy(connection, "chat", archive_after="30 days")
    assert prune(connection, run_id=run_id, **arguments).sessions == 1

    assert where(connection, [chat]) == [ARCHIVED]


def journal_reads(connection: psycopg.Connection) -> int:
    connection.execute("SELECT pg_stat_force_next_flush()")
    reads = one(
        connection,
        "SELECT idx_scan FROM pg_stat_user_tables WHERE relname = 'engine_archive_event'",
    )
    assert isinstance(reads, int)
    return reads
