"""The law of conservation: what the journals say, compared with what the database holds.

It is checked while the clients are at work, in one snapshot of the database. The journals are
read before it, for what the snapshot must hold, and after it, for what it may hold.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import psycopg
from psycopg import IsolationLevel, sql
from psycopg.rows import dict_row

from tests.proofs.faults.journal import Attempt, Journals
from tests.proofs.faults.rows import MESSAGE_COLUMNS, SESSION_COLUMNS, Row, fingerprint

PLACES = {
    "live": ("engine_chat_sessions", "engine_chat_messages"),
    "archived": ("engine_chat_session_archive", "engine_chat_message_archive"),
}


@dataclass
class Snapshot:
    """All sessions and messages at one moment; each row has the key ``place`` as well.

    :param sessions: per id, the rows: one, or the law is broken.
    :param messages: per key, the rows: one, or the law is broken.
    :param events: per session, what the database's own journal says, in order.
    """

    sessions: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    messages: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    events: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))


def violations(journals: Journals, connection: psycopg.Connection) -> list[str]:
    """Check the law.

    :param journals: of all clients.
    :param connection: a connection to their database, in autocommit mode.
    :return: a line for each way in which it is broken.
    """
    journals.read()
    attempts = journals.attempts.values()
    done = [attempt for attempt in attempts if attempt.outcome == "done"]
    refused = [attempt for attempt in attempts if attempt.outcome == "refused"]
    snapshot = take(connection)
    journals.read()
    return [
        *_whole_sessions(snapshot),
        *_intended_sessions(snapshot, journals),
        *_intended_messages(snapshot, journals),
        *_acknowledged(snapshot, done),
        *_refused(snapshot, refused),
        *_still_archived(snapshot, done, journals),
        *_journaled(snapshot, done),
    ]


def take(connection: psycopg.Connection) -> Snapshot:
    """Read everything, as of one moment."""
    snapshot = Snapshot()
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        for place, (sessions, messages) in PLACES.items():
            for row in cursor.execute(_select(sessions, place)):
                snapshot.sessions[str(row["id"])].append(row)
            for row in cursor.execute(_select(messages, place)):
                snapshot.messages[row["metadata"]["key"]].append(row)
        for row in cursor.execute("SELECT * FROM engine_archive_event ORDER BY session_id, id"):
            snapshot.events[str(row["session_id"])].append(row)
    connection.isolation_level = None
    return snapshot


def _select(table: str, place: str) -> sql.Composed:
    return sql.SQL("SELECT *, {} AS place FROM {}").format(place, sql.Identifier(table))


def _whole_sessions(snapshot: Snapshot) -> Iterator[str]:
    """A session is in one place, with all its messages: as many as it counts."""
    totals: dict[str, list[Any]] = defaultdict(lambda: [0, 0, 0])
    for key, (row, *others) in snapshot.messages.items():
        session_id = str(row["session_id"])
        if others:
            yield f"message {key} of session {session_id} is there {1 + len(others)} times"
        if session_id not in snapshot.sessions:
            yield f"message {key} is {row['place']}, and its session {session_id} nowhere"
        elif row["place"] != (place := snapshot.sessions[session_id][0]["place"]):
            yield f"message {key} is {row['place']}, and its session {session_id} {place}"
        counted = totals[session_id]
        counted[0] += 1
        counted[1] += row["tokens_input"] + row["tokens_output"]
        counted[2] += row["cost"]
    for session_id, (row, *others) in snapshot.sessions.items():
        if others:
            yield f"session {session_id} is live and archived"
        kept = [row["message_count"], row["total_tokens"], row["total_cost"]]
        if kept != totals[session_id]:
            yield f"session {session_id} counts {kept}, and its messages are {totals[session_id]}"


def _intended_sessions(snapshot: Snapshot, journals: Journals) -> Iterator[str]:
    """A session is in a state that somebody wanted to write."""
    wanted = {
        (facts["session"], facts["version"]): facts["fingerprint"]
        for facts in _facts(journals, "session", "update")
    }
    for session_id, (row, *_) in snapshot.sessions.items():
        version = row["metadata"]["version"]
        if wanted.get((session_id, version)) != fingerprint(SESSION_COLUMNS, row):
            yield f"session {session_id}, version {version}, is not as anybody wrote it"


def _intended_messages(snapshot: Snapshot, journals: Journals) -> Iterator[str]:
    """A message is as somebody wanted to write it, and all that one transaction wrote is there."""
    written = set()
    for facts in _facts(journals, "messages"):
        present = 0
        for key, wanted in facts["messages"].items():
            written.add(key)
            for row in snapshot.messages.get(key, [])[:1]:
                present += 1
                found = (str(row["session_id"]), fingerprint(MESSAGE_COLUMNS, row))
                if found != (facts["session"], wanted):
                    yield f"message {key} of session {facts['session']} is not as it was written"
        if present not in (0, len(facts["messages"])):
            yield f"of the messages {sorted(facts['messages'])} only {present} are there"
    for key in snapshot.messages.keys() - written:
        yield f"message {key} was written by nobody"


def _acknowledged(snapshot: Snapshot, done: list[Attempt]) -> Iterator[str]:
    """What was acknowledged is there, under the id and the time that were told."""
    for attempt in done:
        facts, answer = attempt.facts, attempt.answer
        if attempt.kind in ("session", "update"):
            session_id, version = facts["session"], facts["version"]
            rows = snapshot.sessions.get(session_id)
            if not rows:
                yield f"session {session_id} was acknowledged and is gone"
            elif rows[0]["metadata"]["version"] < version:
                yield f"version {version} of session {session_id} was acknowledged and is gone"
            elif str(rows[0]["created_at"]) != answer.get("created_at", str(rows[0]["created_at"])):
                yield f"session {session_id} was acknowledged with another created_at"
        elif attempt.kind == "messages":
            for key, told in answer.items():
                rows = snapshot.messages.get(key)
                if not rows:
                    yield f"message {key} of {facts['session']} was acknowledged and is gone"
                elif [str(rows[0]["id"]), str(rows[0]["created_at"])] != told:
                    yield f"message {key} was acknowledged with another id or created_at"


def _refused(snapshot: Snapshot, refused: list[Attempt]) -> Iterator[str]:
    """What was refused is nowhere."""
    for attempt in refused:
        for key in attempt.facts.get("messages", ()):
            if key in snapshot.messages:
                yield f"message {key} was refused and is there"
        if attempt.kind in ("session", "update"):
            session_id, version = attempt.facts["session"], attempt.facts["version"]
            rows = snapshot.sessions.get(session_id)
            if rows and rows[0]["metadata"]["version"] == version:
                yield f"version {version} of session {session_id} was refused and is there"


def _still_archived(snapshot: Snapshot, done: list[Attempt], journals: Journals) -> Iterator[str]:
    """An acknowledged archive lasts until somebody asks for the session back."""
    restored = {facts["session"] for facts in _facts(journals, "restore")}
    for attempt in done:
        if attempt.kind != "archive":
            continue
        for session_id, (archived_at, message_count) in attempt.answer.items():
            if session_id in restored:
                continue
            rows = snapshot.sessions.get(session_id)
            found = rows and (str(rows[0].get("archived_at")), rows[0]["message_count"])
            if found != (archived_at, message_count):
                yield f"session {session_id} was acknowledged as archived at {archived_at}: {found}"


def _journaled(snapshot: Snapshot, done: list[Attempt]) -> Iterator[str]:
    """The database's journal and the rows never disagree.

    A session is not archived twice without a restore in between (a restore may follow another
    one: of a session that was soft-deleted meanwhile). The last event says where the session
    is, and an archived session has the time and the number of messages of its last event.
    """
    moves = {
        session_id: [event for event in events if event["event"] in ("archived", "restored")]
        for session_id, events in snapshot.events.items()
    }
    for session_id, events in moves.items():
        kinds = [event["event"] for event in events]
        if ("archived", "archived") in pairwise(kinds):
            yield f"the journal of session {session_id} says {kinds}"
        if session_id not in snapshot.sessions:
            yield f"the journal knows session {session_id}, which is nowhere"
    counted = Counter(str(rows[0]["session_id"]) for rows in snapshot.messages.values())
    for session_id, (row, *_) in snapshot.sessions.items():
        events = moves.get(session_id, [])
        is_archived = bool(events) and events[-1]["event"] == "archived"
        if is_archived != (row["place"] == "archived"):
            yield f"session {session_id} is {row['place']}, and its journal says {events[-1:]}"
        elif is_archived:
            told = (events[-1]["at"], events[-1]["message_count"])
            if told != (row["archived_at"], counted[session_id]):
                yield f"session {session_id} was archived as {told} by its journal: {row}"
    for attempt in done:
        if attempt.kind != "archive":
            continue
        for session_id, (archived_at, message_count) in attempt.answer.items():
            told = {
                (str(event["at"]), event["message_count"]) for event in moves.get(session_id, [])
            }
            if (archived_at, message_count) not in told:
                yield f"session {session_id} was acknowledged as archived at {archived_at}: {told}"


def _facts(journals: Journals, *kinds: str) -> Iterator[dict[str, Any]]:
    for attempt in journals.attempts.values():
        if attempt.kind in kinds:
            yield attempt.facts
