"""What judges the orders of events does see it when a row or an event is lost, doubled or false.

Each test breaks a function. The faults of the first group pass every test with one connection.
"""

import re

import psycopg
import pytest

from tests.proofs.isolation.isolationtester import READ_COMMITTED, Laboratory, cast, orders

pytestmark = pytest.mark.slow

ARCHIVE = "archive_sessions(uuid[], bigint, text)"
RESTORE = "restore_sessions(uuid[], bigint, text)"
PRUNE = "prune_sessions(interval, text, integer, bigint, text)"
DELETE_LIVE = "_delete_chat_sessions(uuid[], bigint, text)"
DELETE_ARCHIVED = "delete_archived_session(uuid, text)"

# The function, what is broken in it, and the spec that must notice and what it must say.
FAULTS = {
    "the session is not locked": (
        ARCHIVE,
        (r"FOR UPDATE", ""),
        (("archive", "message_insert"), "live", "message .* is lost"),
    ),
    "messages are copied, and deleted by the cascade": (
        ARCHIVE,
        (
            r"DELETE (FROM engine_chat_messages AS live\s+WHERE [^)]*\))\s+RETURNING live\.\*",
            r"SELECT live.* \1",
        ),
        (("archive", "message_update"), "live", "did not bring it as it was"),
    ),
    "messages are copied back, and stay in the archive": (
        "_move_back(uuid[], boolean)",
        (
            r"DELETE (FROM engine_chat_message_archive AS archived\s+WHERE .*)\s+RETURNING .*",
            r"SELECT * \1",
        ),
        (("restore", "session_update"), "archived", "is there 2 times"),
    ),
    "the prune does not lock what it picks": (
        PRUNE,
        (r"FOR UPDATE SKIP LOCKED", ""),
        (("prune", "session_update"), "live", "which was in use"),
    ),
    "holds do not wait for moves": (
        "place_hold(uuid, text, text)",
        (r"FOR KEY SHARE", ""),
        (("hold", "purge"), "archived", "is on hold and gone"),
    ),
    "empty sessions are waited for, and not asked again for messages": (
        "delete_empty_sessions(interval, integer, bigint, text)",
        (
            r"FOR UPDATE SKIP LOCKED([\s\S]*?)"
            r"AND NOT EXISTS \(\s+SELECT 1 FROM engine_chat_messages",
            r"FOR UPDATE\1AND EXISTS (SELECT 1 UNION SELECT 1 FROM engine_chat_messages",
        ),
        (("delete_empty", "message_insert"), "empty", "message .* is lost"),
    ),
    "an archived session is not locked to be deleted": (
        DELETE_ARCHIVED,
        (r"FOR UPDATE", ""),
        (("delete_archived", "restore"), "archived", "says that delete_archived deleted .* not so"),
    ),
    "a live session is not locked to be deleted": (
        DELETE_LIVE,
        (r"FOR UPDATE", ""),
        (("archive", "delete_chat"), "live", "says that delete_chat deleted .* not so"),
    ),
    "sessions are restored in the order in which they are named": (
        RESTORE,
        (
            r"SELECT archived\.id\s+FROM engine_chat_session_archive AS archived(\s+)"
            r"WHERE archived\.id = ANY\(session_ids\)\s+ORDER BY archived\.id",
            r"SELECT archived.id FROM unnest(session_ids) WITH ORDINALITY AS wanted (id, place)"
            r" INNER JOIN engine_chat_session_archive AS archived USING (id) ORDER BY place",
        ),
        (("hold", "restore_both", "restore_reversed"), "archived", "was answered 40P01"),
    ),
    "what is live already passes for restored": (
        RESTORE,
        (r"v_restored := ARRAY\(.*\);", "v_restored := v_archived || v_live;"),
        (("restore", "restore_both"), "archived", "says that restore_both restored .* not so"),
    ),
    "of several restored sessions the journal knows one": (
        RESTORE,
        (r"FROM unnest\(v_restored\) AS", "FROM unnest(v_restored[2:]) AS"),
        (("hold", "restore_both"), "archived", "restore_both restored .* does not say so"),
    ),
    "the journal has another time than the archive": (
        ARCHIVE,
        (r"'archived',\s+v_archived_at,", "'archived', clock_timestamp(),"),
        (("archive", "hold"), "live", "the journal says of session .* archived at"),
    ),
    "the journal names another place": (
        DELETE_LIVE,
        (r'"place": "live"', '"place": "archive"'),
        (("delete_chat", "restore"), "archived", "the last event of session .* is restored"),
    ),
    "the journal is ahead of its time": (
        RESTORE,
        (r"'restored',\s+v_restored_at,", "'restored', v_restored_at + interval '1 hour',"),
        (("archive", "restore"), "archived", "is later than the one after it"),
    ),
    "the journal counts no messages": (
        RESTORE,
        (r"\(SELECT count\(\*\) FROM engine_chat_messages .* = restored\.id\)", "0"),
        (("hold", "restore"), "archived", "restore said it restored 1 sessions"),
    ),
    "the journal has another actor": (
        "release_hold(uuid, text)",
        (r"_actor\(release_hold\.actor\)", "session_user"),
        (("hold", "release"), "live", "release released .* does not say so"),
    ),
    "the journal forgets": (
        DELETE_ARCHIVED,
        (
            r"RETURN NEXT;",
            "DELETE FROM engine_archive_event AS journal WHERE journal.session_id ="
            " delete_archived_session.session_id; RETURN NEXT;",
        ),
        (("delete_archived", "hold"), "archived", "delete of event"),
    ),
    "the run has other figures than its events": (
        "_record_archive_batch(bigint, bigint, bigint, timestamptz)",
        (r"run\.sessions \+", "1 +"),
        (("hold", "prune"), "live", "the run of prune has"),
    ),
    "a restored session is as old as its last update": (
        RESTORE,
        (r"'restored',\s+v_restored_at,", "'restored', v_restored_at - interval '1 year',"),
        (("prune", "restore"), "archived", "which had just been restored"),
    ),
    "holds do not keep sessions from being deleted": (
        DELETE_ARCHIVED,
        (r"PERFORM _refuse_if_held.*", ""),
        (("delete_archived", "hold"), "archived", "deleted session .*, which was on hold"),
    ),
    "a session that is gone is still said to be left behind": (
        DELETE_LIVE,
        (r"WHERE left_behind\.session_id = .*", "WHERE FALSE"),
        (("delete_chat", "hold"), "live", "a prune left session .*, which is not live"),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_function_that_is_broken_breaks_a_law(laboratory: Laboratory, fault: str) -> None:
    function, (right, wrong), (roles, start, said) = FAULTS[fault]
    with psycopg.connect(laboratory.conninfo, autocommit=True) as connection:
        row = connection.execute(
            "SELECT pg_get_functiondef(%s::regprocedure)", [function]
        ).fetchone()
        assert row is not None
        broken, changes = re.subn(right, wrong, row[0])
        assert changes
        connection.execute(broken)

    clients = cast(roles, [READ_COMMITTED] * len(roles))
    outcomes = laboratory.run(clients, start, list(orders([one.steps() for one in clients])))
    violations = [violation for outcome in outcomes for violation in outcome.violations]
    assert any(re.search(said, violation) for violation in violations), violations
