"""hold and release."""

import psycopg

from tests.support import new_session
from tests.support.command_line import UNKNOWN, Cli, document, lines, refusal
from tests.support.retention import sessions_of_age


def test_a_held_session_is_kept_until_it_is_released(
    cli: Cli, connection: psycopg.Connection
) -> None:
    (session_id,) = sessions_of_age(connection, 1, "40 days")

    (held,) = lines(cli("hold", session_id, "--reason", "a case"))
    skipped = document(cli("prune", "--json"))
    lines(cli("release", session_id))
    again = refusal(cli("release", session_id))
    moved = document(cli("prune", "--json"))

    assert held.startswith(f"{session_id}  held by ")
    assert held.endswith(": a case")
    assert (skipped["sessions"], moved["sessions"]) == (0, 1)
    assert again == [f"Error: session {session_id} is not on hold"]


def test_a_hold_on_nothing_is_refused(cli: Cli, connection: psycopg.Connection) -> None:
    session_id = new_session(connection)

    unknown = refusal(cli("hold", UNKNOWN, "--reason", "a case"))
    refusal(cli("hold", session_id, "--reason", " "))

    assert unknown == [f"Error: session {UNKNOWN} not found"]
    assert document(cli("check", "--json"))["is_ok"] is True
