"""Arguments that are meant to hurt: taken as they are, or refused in a line."""

import json

import psycopg
import pytest

from tests.support.command_line import Cli, document

INJECTIONS = [
    "'; DROP TABLE engine_chat_sessions; --",
    '"; DELETE FROM engine_chat_messages; --',
    "%s %(id)s :id {} $1",
    "\\'; SELECT pg_sleep(100); --",
    "$$; $body$",
    "%_\\",
    "\x1b[2J\r\n\t",
    "\U0010ffff\u202e",
    "x" * 100_000,
]
TOO_GREAT = 2**63


def test_text_that_looks_like_sql_is_text(cli: Cli, connection: psycopg.Connection) -> None:
    conversations = [
        {"source_id": text, "title": text[:500], "session_type": text[:50], "messages": []}
        for text in INJECTIONS
    ]
    stdin = "\n".join(map(json.dumps, conversations))

    assert document(cli("import", "--json", "-", stdin=stdin))["imported"] == len(INJECTIONS)
    for text in INJECTIONS:
        found = document(cli("list", "--json", "--search", text[:500], "--type", text[:50]))
        assert [row["title"] for row in found["sessions"]] == [text[:500]]
    reason = "".join(INJECTIONS)
    assert cli("hold", found["sessions"][0]["id"], "--reason", reason).returncode == 0
    held = connection.execute("SELECT reason FROM engine_session_hold").fetchall()
    assert held == [(reason,)]


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "--limit", TOO_GREAT),
        ("list", "--archived", "--limit", TOO_GREAT),
        ("list", "--offset", TOO_GREAT),
        ("runs", "--limit", TOO_GREAT),
        ("prune", "--dry-run", "--batch-size", TOO_GREAT),
        ("archive", "\udcff"),
        ("show", "x" * 100_000),
        ("policy", "set", "chat", "--archive-after", "9" * 50 + " days"),
    ],
    ids=lambda words: " ".join(map(str, words))[:40],
)
def test_a_number_or_a_text_beyond_what_the_database_holds_is_refused_in_a_line(
    cli: Cli, arguments: tuple[object, ...]
) -> None:
    refused = cli(*arguments)

    assert refused.returncode in {1, 2}
    assert refused.stdout == ""
    [error] = [line for line in refused.stderr.splitlines() if line.startswith("Error: ")]
    assert "SELECT" not in refused.stderr
    assert error
