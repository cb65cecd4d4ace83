"""What judges the orders of events does see it when rows are lost or doubled.

Each test breaks a function in a way that passes every test with one connection.
"""

import re

import psycopg
import pytest

from tests.isolation.isolationtester import READ_COMMITTED, Laboratory, cast, orders

# The function, what is broken in it, and the spec that must notice and what it must say.
FAULTS = {
    "the session is not locked": (
        "archive_sessions(uuid[])",
        (r"FOR UPDATE", ""),
        (("archive", "message_insert"), "live", "message .* is lost"),
    ),
    "messages are copied, and deleted by the cascade": (
        "archive_sessions(uuid[])",
        (
            r"DELETE (FROM engine_chat_messages AS live\s+WHERE [^)]*\))\s+RETURNING live\.\*",
            r"SELECT live.* \1",
        ),
        (("archive", "message_update"), "live", "did not bring it as it was"),
    ),
    "messages are copied back, and stay in the archive": (
        "restore_session(uuid)",
        (
            r"DELETE (FROM engine_chat_message_archive AS archived\s+WHERE .*)\s+RETURNING .*",
            r"SELECT * \1",
        ),
        (("restore", "session_update"), "archived", "is there 2 times"),
    ),
    "the prune does not lock what it picks": (
        "prune_sessions(interval, text, integer)",
        (r"FOR UPDATE SKIP LOCKED", ""),
        (("prune", "session_update"), "live", "which was in use"),
    ),
    "holds do not wait for moves": (
        "place_hold(uuid, text)",
        (r"FOR KEY SHARE", ""),
        (("hold", "purge"), "archived", "is on hold and gone"),
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

    clients = cast(roles, [READ_COMMITTED, READ_COMMITTED])
    outcomes = laboratory.run(clients, start, list(orders([one.steps() for one in clients])))
    violations = [violation for outcome in outcomes for violation in outcome.violations]
    assert any(re.search(said, violation) for violation in violations), violations
