"""Importing conversations: what is taken, what is refused, and that nothing is half done."""

import codecs
import gzip
import io
import json
import os
import re
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest

from aria_db import conversations
from aria_db.conversations import Conversation, Message, batches, read, session_id_of
from aria_db.database import Database
from aria_db.errors import AriaError
from aria_db.models import EngineChatMessage, EngineChatSession
from aria_db.validation import DEEPEST_JSON
from tests.support import command_line, places, wait_until_something_is_blocked
from tests.support.command_line import Cli, document, lines

HELLO = {
    "source_id": "hello",
    "title": "Hello",
    "session_type": "roundtable",
    "agent_id": "analyst",
    "messages": [
        {"role": "user", "content": "Hello?"},
        {
            "role": "assistant",
            "content": "",
            "agent_id": "devops",
            "tool_calls": [{"name": "greet", "arguments": '{"whom": "you"}'}],
            "tool_results": {"greet": [1.5, None, True, "é"]},
        },
    ],
}
GOOD = json.dumps(HELLO).encode()
NOTHING = {"imported": 0, "already_there": 0, "messages": 0, "bad_lines": []}


def with_message(**fields: object) -> dict[str, Any]:
    """Return a conversation of one message, with these fields."""
    return {"source_id": "a", "messages": [{"role": "user", "content": "a", **fields}]}


def _status_and_peak(*arguments: object, **variables: str) -> tuple[int, int]:
    """Run a command; return its exit status and how much memory it took at most."""
    with command_line.start(*arguments, **variables) as process:
        process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss


def nested(levels: int) -> list[Any]:
    """Return an array in an array and so on."""
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


def problems(content: bytes) -> list[tuple[int, str]]:
    """Return the numbers of the bad lines of a file, and what is wrong with them."""
    return [(line.number, line.problem) for line in read(io.BytesIO(content)) if line.problem]


def sessions(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    """Return the live sessions in the order of their creation."""
    return connection.execute(
        "SELECT id, agent_id, session_type, title, status, message_count, metadata"
        " FROM engine_chat_sessions ORDER BY created_at"
    ).fetchall()


def stored(connection: psycopg.Connection) -> list[dict[str, Any]]:
    """Return the live sessions in the form of a file, in the order of their creation."""
    conversations = {
        session_id: {
            "source_id": metadata["source_id"],
            "title": title,
            "session_type": session_type,
            "agent_id": agent_id,
            "messages": [],
        }
        for session_id, agent_id, session_type, title, _, _, metadata in sessions(connection)
    }
    messages = connection.execute(
        "SELECT session_id, role, content, tool_calls, tool_results FROM engine_chat_messages"
        " ORDER BY created_at, id"
    )
    for session_id, role, content, calls, results in messages:
        message = {"role": role, "content": content, "tool_calls": calls, "tool_results": results}
        conversations[session_id]["messages"].append(
            {name: value for name, value in message.items() if value is not None}
        )
    return list(conversations.values())


def rows(connection: psycopg.Connection) -> list[tuple[str]]:
    """Return every live session and message, all columns."""
    return connection.execute(
        "SELECT session::text FROM engine_chat_sessions AS session"
        " UNION ALL SELECT message::text FROM engine_chat_messages AS message ORDER BY 1"
    ).fetchall()


def test_a_conversation_becomes_a_live_session_with_its_messages_in_order(
    cli: Cli, connection: psycopg.Connection
) -> None:
    answer = document(cli("import", "--json", "-", stdin=GOOD))

    assert answer == NOTHING | {"imported": 1, "messages": 2}
    session_id = session_id_of("hello")
    source = {"source_id": "hello"}
    assert sessions(connection) == [
        (session_id, "analyst", "roundtable", "Hello", "active", 2, source)
    ]
    messages = connection.execute(
        "SELECT role, content, agent_id, tool_calls, tool_results FROM engine_chat_messages"
        " WHERE session_id = %s ORDER BY created_at, id",
        [session_id],
    ).fetchall()
    fields = ("role", "content", "agent_id", "tool_calls", "tool_results")
    assert messages == [tuple(map(message.get, fields)) for message in HELLO["messages"]]


def test_the_sample_conversations_import_and_a_second_time_change_nothing(
    cli: Cli, connection: psycopg.Connection, sample_file: Path
) -> None:
    conversations = [json.loads(line) for line in sample_file.read_bytes().splitlines()]
    messages = sum(len(conversation["messages"]) for conversation in conversations)
    count = len(conversations)

    first = lines(cli("import", sample_file))
    assert stored(connection) == conversations
    connection.execute(
        "SELECT FROM archive_session(%s)", [session_id_of(conversations[0]["source_id"])]
    )
    before = sessions(connection)
    again = document(cli("import", "--json", sample_file))

    assert first == [
        f"Imported {count} sessions with {messages} messages; 0 already there; 0 bad lines"
    ]
    assert again == NOTHING | {"already_there": count}
    assert sessions(connection) == before


@pytest.mark.parametrize("source", ["file", "standard input", "pipe"])
def test_a_compressed_file_is_known_by_its_content(cli: Cli, tmp_path: Path, source: str) -> None:
    compressed = gzip.compress(GOOD)
    match source:
        case "file":
            path = tmp_path / "conversations"
            path.write_bytes(compressed)
            answer = cli("import", "--json", path)
        case "standard input":
            answer = cli("import", "--json", "-", stdin=compressed)
        case "pipe":
            end, its_end = os.pipe()
            os.write(its_end, compressed)
            os.close(its_end)
            answer = cli("import", "--json", f"/dev/fd/{end}", pass_fds=[end])
            os.close(end)

    assert document(answer) == NOTHING | {"imported": 1, "messages": 2}


def test_an_empty_file_imports_nothing_and_is_no_error(cli: Cli) -> None:
    assert document(cli("import", "--json", "-")) == NOTHING
    assert problems(b"\n \r\n") == []


BAD = b"\n".join(
    [GOOD, b"nonsense", b"", b'{"source_id": "b"}', b'{"source_id": "c", "messages": []}']
)


def test_nothing_of_a_bad_file_is_imported_and_its_bad_lines_are_reported(
    cli: Cli, connection: psycopg.Connection
) -> None:
    outcome = cli("import", "-", stdin=BAD)

    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr.splitlines() == [
        "line 2: Invalid JSON: expected ident at column 2",
        "line 4: messages: Field required",
        "Error: 2 bad lines, so nothing was imported",
        "Hint: --skip-bad-lines imports the others.",
    ]
    assert sessions(connection) == []


def test_the_good_lines_of_a_bad_file_are_imported_if_asked_for(
    cli: Cli, connection: psycopg.Connection
) -> None:
    answer = document(cli("import", "--skip-bad-lines", "--json", "-", stdin=BAD), status=1)

    assert [bad["line"] for bad in answer.pop("bad_lines")] == [2, 4]
    assert answer == {"imported": 2, "already_there": 0, "messages": 2}
    assert [row[0] for row in sessions(connection)] == [session_id_of("hello"), session_id_of("c")]


def test_a_line_that_turns_bad_after_the_check_stops_the_import() -> None:
    with pytest.raises(AriaError, match="line 4 was changed"):
        list(batches(read(io.BytesIO(BAD)), bad=[2]))


def test_progress_is_shown_on_a_terminal_and_not_in_a_pipe(
    database: Database, sample_file: Path
) -> None:
    url = database.libpq_url()

    printed = command_line.run_in_terminal(["import", sample_file], 80, DATABASE_URL=url)
    piped = command_line.run("import", sample_file, DATABASE_URL=url)

    assert "Checking" in printed
    assert "Importing" in printed
    assert re.search(r"Imported \d+ sessions with \d+ messages", printed.splitlines()[-1])
    assert (len(lines(piped)), piped.stderr) == (1, "")


def test_a_bad_file_does_not_need_the_database() -> None:
    answer = document(command_line.run("import", "--json", "-", stdin=b"[]"), status=1)

    assert answer["bad_lines"] == [{"line": 1, "reason": "Input should be an object"}]


@pytest.mark.parametrize(
    ("conversation", "where", "why"),
    [
        (with_message(content="a\0b"), "messages[0].content", "U+0000"),
        (with_message(tool_calls=[{"a\0": 1}]), "messages[0].tool_calls", "U+0000"),
        (with_message(content="\ud800"), "", "Invalid JSON"),
        (with_message(tool_results=["\udfff"]), "", "Invalid JSON"),
        (with_message(tool_calls=float("inf")), "messages[0].tool_calls", "not finite"),
        (with_message(tool_calls=nested(DEEPEST_JSON + 1)), "messages[0].tool_calls", "nested"),
        (with_message(role="a" * 21), "messages[0].role", "20 characters"),
        (with_message(role=""), "messages[0].role", "1 character"),
        (with_message(role=1), "messages[0].role", "valid string"),
        (with_message(content=None), "messages[0].content", "valid string"),
        (with_message(agent_id="a" * 101), "messages[0].agent_id", "100 characters"),
        (with_message(created_at="now"), "messages[0].created_at", "not permitted"),
        (HELLO | {"title": "a" * 501}, "title", "500 characters"),
        (HELLO | {"session_type": "a" * 51}, "session_type", "50 characters"),
        (HELLO | {"agent_id": "a" * 101}, "agent_id", "100 characters"),
        (HELLO | {"agent_id": None}, "agent_id", "valid string"),
        (HELLO | {"source_id": ""}, "source_id", "1 character"),
        (HELLO | {"source_id": 7}, "source_id", "valid string"),
        (HELLO | {"messages": None}, "messages", "valid array"),
        (HELLO | {"mood": "good"}, "mood", "not permitted"),
        ([HELLO], "", "object"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else "",
)
def test_what_the_database_would_refuse_or_lose_is_a_bad_line(
    conversation: object, where: str, why: str
) -> None:
    ((number, problem),) = problems(
        GOOD.replace(b"hello", b"first") + b"\n" + json.dumps(conversation).encode()
    )

    assert number == 2
    assert problem.startswith(f"{where}: " if where else "")
    assert why in problem
    assert len(problem) < 200


def test_what_fits_exactly_is_imported(cli: Cli, connection: psycopg.Connection) -> None:
    widest = "\U0001f469"
    conversation = {
        "source_id": "widest",
        "title": widest * 500,
        "session_type": widest * 50,
        "agent_id": widest * 100,
        "messages": [
            {
                "role": widest * 20,
                "content": "",
                "agent_id": widest * 100,
                "tool_calls": nested(DEEPEST_JSON),
                "tool_results": 10**1000,
            }
        ],
    }

    answer = document(cli("import", "--json", "-", stdin=json.dumps(conversation)))

    assert answer == NOTHING | {"imported": 1, "messages": 1}
    (row,) = sessions(connection)
    assert row[1:4] == (widest * 100, widest * 50, widest * 500)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"source_id": "a", "messages": [', [1]),
        (b'{"source_id": "\xff", "messages": []}', [1]),
        (b"\0", [1]),
        (b"[" * 100_000, [1]),
        (GOOD + b"\n" + GOOD, [2]),
        (gzip.compress(GOOD)[:-10], [1]),
        (gzip.compress(GOOD + b"\n") + b"not compressed", [2]),
        (b"\x1f\x8bnonsense", [1]),
    ],
    ids=[
        "cut",
        "not UTF-8",
        "binary",
        "nested",
        "twice",
        "cut gzip",
        "more after gzip",
        "not gzip",
    ],
)
def test_a_damaged_file_has_bad_lines(content: bytes, expected: list[int]) -> None:
    assert [number for number, _ in problems(content)] == expected


def test_a_line_that_is_too_long_is_bad_and_the_next_one_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    longest = len(GOOD) + 1  # with the line feed
    monkeypatch.setattr(conversations, "_LONGEST_LINE", longest)
    monkeypatch.setattr(conversations, "_BATCH_BYTES", 10)
    content = b"\n".join([GOOD, b" " * longest, b"x" * 12345, GOOD.replace(b"hello", b"again")])

    assert problems(content) == [
        (number, f"the line is longer than {longest} bytes") for number in (2, 3)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("bomb", [b" ", b"x", b"x\n", b"["], ids=["blank", "line", "lines", "deep"])
def test_a_gzip_bomb_is_a_bad_file_and_takes_little_memory(bomb: bytes, tmp_path: Path) -> None:
    def peak_of_import(megabytes: int) -> int:
        path = tmp_path / f"{megabytes}.gz"
        path.write_bytes(gzip.compress(bomb * (2**20 // len(bomb))) * megabytes)
        status, peak = _status_and_peak("import", path)
        assert status == 1
        return peak

    # 64 MiB is the longest line: what is longer is not kept.
    assert peak_of_import(300) < peak_of_import(65) * 1.25


def test_the_same_source_id_twice_names_the_first_line() -> None:
    assert problems(GOOD + b"\n\n" + GOOD) == [(3, "source_id: line 1 has the same")]


@pytest.mark.parametrize(
    ("model", "table"),
    [(Conversation, EngineChatSession), (Message, EngineChatMessage)],
)
def test_the_lengths_that_are_checked_are_those_of_the_columns(
    model: type[Conversation | Message], table: type[EngineChatSession | EngineChatMessage]
) -> None:
    fields = model.model_json_schema()["properties"]
    checked = {
        name: int(length[1])
        for name, field in fields.items()
        if (length := re.search(r'"maxLength": (\d+)', json.dumps(field)))
    }
    columns = {
        column.name: column.type.length
        for column in table.__table__.columns
        if column.name in fields and getattr(column.type, "length", None)
    }

    assert checked == columns


def test_a_byte_order_mark_is_no_part_of_the_first_line(cli: Cli, sample_file: Path) -> None:
    content = sample_file.read_bytes()

    imported = document(cli("import", "--json", "-", stdin=codecs.BOM_UTF8 + content))

    assert imported["imported"] == len(content.splitlines())
    assert imported["bad_lines"] == []


def test_a_failure_in_the_middle_leaves_nothing_behind(
    cli: Cli, connection: psycopg.Connection
) -> None:
    connection.execute(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN RAISE 'out of luck'; END$$;"
        "CREATE TRIGGER fail BEFORE INSERT ON engine_chat_messages FOR EACH ROW"
        " WHEN (NEW.content = 'last') EXECUTE FUNCTION fail()"
    )
    content = [
        with_message(content="a" * 2_000_000),
        with_message(content="last") | {"source_id": "b"},
    ]

    told = command_line.refusal(cli("import", "-", stdin="\n".join(map(json.dumps, content))))

    assert told == ["Error: out of luck"]
    assert sessions(connection) == []


def test_a_session_that_is_archived_meanwhile_is_not_in_both_places(
    database: Database, connection: psycopg.Connection, sample_file: Path
) -> None:
    url = database.libpq_url()
    session_id = session_id_of("hello")
    connection.execute("INSERT INTO engine_chat_sessions (id) VALUES (%s)", [session_id])
    with psycopg.connect(url) as archiving:
        archiving.execute("SELECT FROM archive_session(%s)", [session_id])
        with command_line.start("import", "-", stdin=subprocess.PIPE, DATABASE_URL=url) as process:
            other = json.dumps(with_message()).encode()
            process.stdin.write(other + b"\n" + GOOD)
            process.stdin.close()
            wait_until_something_is_blocked(connection)
            archiving.commit()
            process.stdin = None
            told = command_line.refusal(command_line.finish(process))

    assert told == [
        f"Error: session {session_id} was archived while it was being imported",
        "Hint: Nothing was imported. Try again.",
    ]
    assert places(connection, session_id) == (0, 0, 1, 0)
    assert sessions(connection) == []


def test_two_imports_of_a_file_at_once_import_each_conversation_once(
    database: Database, connection: psycopg.Connection, sample_file: Path
) -> None:
    url = database.libpq_url()
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                command_line.start("import", "--json", sample_file, DATABASE_URL=url)
            )
            for _ in range(2)
        ]
        answers = [document(command_line.finish(process)) for process in processes]

    count = len(sample_file.read_bytes().splitlines())
    assert sum(answer["imported"] for answer in answers) == count
    assert sum(answer["already_there"] for answer in answers) == count
    assert len(sessions(connection)) == count


@pytest.mark.slow
def test_a_big_file_takes_no_more_memory_than_a_small_one(
    database: Database, tmp_path: Path
) -> None:
    def peak_of_import(megabytes: int) -> int:
        path = tmp_path / f"{megabytes}.jsonl"
        with path.open("w") as file:
            for number in range(megabytes):
                conversation = with_message(content=os.urandom(500_000).hex())
                print(json.dumps(conversation | {"source_id": f"{megabytes}-{number}"}), file=file)
        status, peak = _status_and_peak("import", path, DATABASE_URL=database.libpq_url())
        assert status == 0
        return peak

    assert peak_of_import(60) < peak_of_import(6) * 1.25


@pytest.mark.slow
def test_a_thousand_real_conversations_are_imported_archived_listed_restored_and_equal_the_file(
    cli: Cli, connection: psycopg.Connection
) -> None:
    path = os.environ.get("ARIA_CONVERSATIONS")
    if not path:
        pytest.skip("ARIA_CONVERSATIONS names no file of real conversations")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        expected = [json.loads(line) for line in file]
    ids = [str(session_id_of(conversation["source_id"])) for conversation in expected]

    imported = document(cli("import", "--json", path))
    assert (imported["imported"], imported["bad_lines"]) == (len(expected), [])
    assert stored(connection) == expected
    before = rows(connection)

    archived = document(cli("archive", "--json", *ids))
    assert [session["id"] for session in archived["sessions"]] == ids
    assert all(session["newly_archived"] for session in archived["sessions"])
    listed = document(cli("list", "--archived", "--json", "--limit", len(ids)))
    assert {session["id"] for session in listed["sessions"]} == set(ids)
    assert document(cli("list", "--json"))["total"] == 0

    restored = document(cli("restore", "--json", *ids))
    assert all(session["newly_restored"] for session in restored["sessions"])
    assert document(cli("list", "--json"))["total"] == len(expected)
    assert stored(connection) == expected
    assert rows(connection) == before
