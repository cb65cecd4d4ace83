"""What the documentation promises, as a program without a database.

A :class:`Model` holds every row and says of each operation what it answers and which rows are
where afterwards. Its operations have the names and arguments that they have in the clients
(:mod:`tests.model.clients`). It knows nothing of how a row is moved, and never makes one: what
the application writes it takes over from the database, and from then on the row must stay.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

CONFLICT, DRIFT, HELD, INVALID = "AR001", "AR002", "AR003", "22023"
ALL_TYPES = "*"

# The values of a row by column, as the bytes that PostgreSQL sends. They tell -0.0 from 0.0, a
# JSON 1.0 from 1.00 and NULL from a JSON null.
Row = dict[str, bytes | None]
Answer = dict[str, Any]
# What an answer can tell.
ANSWERED = {
    *("archived_at", "message_count", "newly_archived", "newly_restored", "newly_resolved"),
    *("place", "sessions", "messages"),
}


class Refused(Exception):
    """An operation must not be done.

    :param sqlstate: why; None from a client that tells it in words only.
    """

    def __init__(self, sqlstate: str | None) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


@dataclass
class Place:
    """Where sessions are: the live tables, or the archive."""

    sessions: dict[UUID, Row] = field(default_factory=dict)
    messages: dict[UUID, Row] = field(default_factory=dict)

    def messages_of(self, session_id: UUID) -> dict[UUID, Row]:
        return {
            key: row for key, row in self.messages.items() if row["session_id"] == session_id.bytes
        }

    def take(self, session_id: UUID) -> tuple[Row | None, dict[UUID, Row]]:
        """Take a session and its messages out."""
        messages = self.messages_of(session_id)
        for key in messages:
            del self.messages[key]
        return self.sessions.pop(session_id, None), messages


@dataclass
class Seen:
    """All that the database holds at one moment.

    :param now: its clock.
    :param views: what its views say, as :meth:`Model.views` does.
    """

    live: Place
    archive: Place
    now: int
    views: dict[str, Any]


class Policy(NamedTuple):
    """At which age sessions go."""

    archive_after: timedelta | None
    purge_after: timedelta | None = None
    enabled: bool = True


class Prune(NamedTuple):
    """What a prune is asked for."""

    older_than: timedelta | None
    session_type: str | None
    batch_size: int


class Run(NamedTuple):
    """A row of the run log."""

    kind: str
    batches: int
    sessions: int
    messages: int
    stop_reason: str
    state: str = "finished"


class Model:
    """Everything that there is.

    :param seen: an empty database.
    """

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        self._seen_before = seen.now
        self.live, self.archive = Place(), Place()
        self.drift: str | None = None
        self.holds: dict[UUID, str] = {}
        self.policies = {
            ALL_TYPES: Policy(timedelta(days=30)),
            "cron": Policy(timedelta(days=1)),
        }
        self.runs: list[Run] = []
        self.resolutions: list[tuple[UUID, str, str | None, str | None]] = []

    def look(self, seen: Seen) -> None:
        """See what the database holds after an operation, before it is asked about it."""
        self._seen_before, self.seen = self.seen.now, seen

    def learn(self, keys: Iterable[UUID]) -> None:
        """Take rows over as they are seen, wherever they are."""
        wanted = set(keys)
        for mine, seen in ((self.live, self.seen.live), (self.archive, self.seen.archive)):
            for rows, found in ((mine.sessions, seen.sessions), (mine.messages, seen.messages)):
                for key in wanted & rows.keys() - found.keys():
                    del rows[key]
                # In the order in which they are seen: a sequence of steps can be repeated.
                rows.update({key: row for key, row in found.items() if key in wanted})

    def keys_of(self, session_id: UUID) -> set[UUID]:
        """Return the ids of a session and of its messages, wherever they are."""
        messages = self.live.messages_of(session_id).keys()
        return {session_id} | messages | self.archive.messages_of(session_id).keys()

    # Where is what

    def is_live(self, session_id: UUID) -> bool:
        return session_id in self.live.sessions

    def is_archived(self, session_id: UUID) -> bool:
        return session_id in self.archive.sessions

    def is_conflict(self, session_id: UUID) -> bool:
        in_archive = self.is_archived(session_id) or self.archive.messages_of(session_id)
        return self.is_live(session_id) and bool(in_archive)

    def is_soft_deleted(self, session_id: UUID) -> bool:
        return self.live.sessions[session_id]["status"] == b"archived"

    def _conflicts(self) -> list[UUID]:
        return list(filter(self.is_conflict, self.live.sessions))

    # What the application does

    def create(self, session_type: str, title: str) -> UUID:
        (created,) = self.seen.live.sessions.keys() - self.live.sessions.keys()
        self.learn([created])
        row = self.live.sessions[created]
        assert (row["session_type"], row["title"]) == (session_type.encode(), title.encode())
        return created

    def add_message(self, session_id: UUID, content: str) -> UUID | None:
        if not self.is_live(session_id):
            return None
        (added,) = self.seen.live.messages.keys() - self.live.messages.keys()
        self.learn([session_id, added])
        row = self.live.messages[added]
        assert (row["session_id"], row["content"]) == (session_id.bytes, content.encode())
        return added

    def end(self, session_id: UUID) -> bool:
        if not self.is_live(session_id) or self.is_soft_deleted(session_id):
            return False
        self.learn([session_id])
        assert self.live.sessions[session_id]["status"] == b"ended"
        return True

    def delete(self, session_id: UUID) -> bool:
        if not self.is_live(session_id):
            return False
        if session_id in self.holds:
            raise Refused(HELD)
        self.live.take(session_id)
        return True

    # The moves

    def archive_all(self, session_ids: list[UUID]) -> dict[UUID, Answer]:
        self._refuse_drift()
        live = set(filter(self.is_live, session_ids))
        if live & self.holds.keys():
            raise Refused(HELD)
        copied = set(filter(self.is_conflict, live))
        if not all(map(self._has_copy, copied)):
            raise Refused(CONFLICT)
        for session_id in copied:
            self.live.take(session_id)
        for session_id in live - copied:
            self._move_to_archive(session_id)
        return {
            session_id: {
                "archived_at": integer(self.archive.sessions[session_id]["archived_at"]),
                "message_count": len(self.archive.messages_of(session_id)),
                "newly_archived": session_id in live - copied,
            }
            for session_id in filter(self.is_archived, session_ids)
        }

    def archive_one(self, session_id: UUID) -> Answer | None:
        return self.archive_all([session_id]).get(session_id)

    def _move_to_archive(self, session_id: UUID) -> int:
        row, messages = self.live.take(session_id)
        assert row is not None
        # One time for all rows of a session, which only the database knows.
        archived_at = self.seen.archive.sessions.get(session_id, {}).get("archived_at")
        assert self._seen_before <= integer(archived_at) <= self.seen.now, "not archived now"
        moved = {"archived_at": archived_at}
        self.archive.sessions[session_id] = row | moved
        self.archive.messages |= {key: message | moved for key, message in messages.items()}
        return len(messages)

    def _has_copy(self, session_id: UUID) -> bool:
        """Tell whether the archive has all of a live session, as it is."""
        return self._same("sessions", session_id) and all(
            self._same("messages", key) for key in self.live.messages_of(session_id)
        )

    def _same(self, table: str, key: UUID) -> bool:
        archived = getattr(self.archive, table).get(key)
        live: Row = getattr(self.live, table)[key]
        return archived is not None and live == _as_live(archived)

    def restore(self, session_id: UUID) -> Answer | None:
        self._refuse_drift()
        was_archived = self.is_archived(session_id)
        if was_archived and self.is_live(session_id):
            raise Refused(CONFLICT)
        if was_archived:
            row, messages = self.archive.take(session_id)
            assert row is not None
            self.live.sessions[session_id] = _as_live(row)
            self.live.messages |= {key: _as_live(message) for key, message in messages.items()}
        elif not self.is_live(session_id):
            return None
        was_deleted = self._undelete(session_id)
        count = len(self.live.messages_of(session_id))
        return {"message_count": count, "newly_restored": was_archived or was_deleted}

    def _undelete(self, session_id: UUID) -> bool:
        was_deleted = self.is_soft_deleted(session_id)
        if was_deleted:
            self.live.sessions[session_id]["status"] = b"active"
        return was_deleted

    def resolve(self, session_id: UUID, destination: str, kept: str | None) -> Answer | None:
        self._refuse_drift()
        live, archived = (place.messages_of(session_id) for place in (self.live, self.archive))
        count = len(live.keys() | archived.keys())
        answer = {"place": destination, "message_count": count, "newly_resolved": True}
        if not self.is_conflict(session_id):
            here = {"live": self.is_live, "archive": self.is_archived}
            if not any(is_there(session_id) for is_there in here.values()):
                return None
            if not here[destination](session_id):
                raise Refused(INVALID)
            return answer | {"newly_resolved": False}

        differ = self.is_archived(session_id) and not self._same("sessions", session_id)
        if differ and kept is None:
            raise Refused(CONFLICT)
        if not all(self._same("messages", key) for key in live.keys() & archived.keys()):
            raise Refused(CONFLICT)
        if destination == "archive" and session_id in self.holds:
            raise Refused(HELD)

        row, _ = self.archive.take(session_id)
        dropped = None
        if differ and row is not None:
            rows = {"live": self.live.sessions[session_id], "archived": _as_live(row)}
            self.live.sessions[session_id] = rows.pop(str(kept))
            (dropped,) = rows.values()
        self.live.messages |= {key: _as_live(message) for key, message in archived.items()}
        title = None if dropped is None else text(dropped["title"])
        self.resolutions.append((session_id, destination, kept if differ else None, title))
        if destination == "archive":
            self._move_to_archive(session_id)
        else:
            self._undelete(session_id)
        return answer

    def _refuse_drift(self) -> None:
        if self.drift:
            raise Refused(DRIFT)

    # The retention

    def hold(self, session_id: UUID, reason: str) -> bool:
        if not (self.is_live(session_id) or self.is_archived(session_id)):
            return False
        self.holds[session_id] = reason
        return True

    def release(self, session_id: UUID) -> bool:
        return self.holds.pop(session_id, None) is not None

    def set_policy(self, session_type: str, policy: Policy) -> None:
        self.policies[session_type] = policy

    def unset_policy(self, session_type: str) -> bool:
        return self.policies.pop(session_type, None) is not None

    def _policy(self, row: Row) -> tuple[str, Policy]:
        """Return the policy that decides about a session, and whose it is."""
        for name in (text(row["session_type"]), ALL_TYPES):
            if name in self.policies:
                return name, self.policies[name]
        return ALL_TYPES, Policy(None, enabled=False)

    def _late(self, time: bytes | None, after: timedelta | None, policy: Policy) -> int:
        """Return for how long an age has been over, in microseconds; 0 if it is not."""
        if time is None or after is None or not policy.enabled:
            return 0
        return max(0, self.seen.now - integer(time) - after // timedelta(microseconds=1))

    def _late_for_prune(self, row: Row, older_than: timedelta | None = None) -> int:
        _, policy = self._policy(row)
        if older_than is not None:
            policy = Policy(older_than)
        return self._late(row["updated_at"], policy.archive_after, policy)

    def _is_waiting(self, session_id: UUID) -> bool:
        return session_id in self.holds or self.is_conflict(session_id)

    def _old(self, prune: Prune) -> list[UUID]:
        """Return what is due, and what waits: the oldest first, then the soft-deleted."""
        self._check_type(prune.session_type)
        decisive = {prune.session_type, ALL_TYPES} if prune.session_type else self.policies.keys()
        if prune.older_than is None and not self.policies.keys() & decisive:
            raise Refused(INVALID)
        due = [
            key
            for key, row in self.live.sessions.items()
            if prune.session_type in {None, text(row["session_type"])}
            if self.is_soft_deleted(key) or self._late_for_prune(row, prune.older_than)
        ]
        return sorted(due, key=partial(self._prune_rank, prune))

    def _check_type(self, session_type: str | None) -> None:
        rows = (*self.live.sessions.values(), *self.archive.sessions.values())
        types = {text(row["session_type"]) for row in rows}
        if session_type not in {None, *types, *(self.policies.keys() - {ALL_TYPES})}:
            raise Refused(INVALID)

    def _prune_rank(self, prune: Prune, session_id: UUID) -> tuple[bool, bool, int]:
        row = self.live.sessions[session_id]
        updated_at = row["updated_at"]
        is_young = not self._late_for_prune(row, prune.older_than)
        return is_young, updated_at is None, 0 if updated_at is None else integer(updated_at)

    def _prunable(self, prune: Prune) -> list[UUID]:
        """Return what a prune takes, in its order."""
        due = [key for key in self._old(prune) if not self._is_waiting(key)]
        self._refuse_drift()
        return due

    def has_old(self) -> bool:
        """Tell whether some prune would take, or leave waiting, something."""
        return bool(self._old(Prune(timedelta(days=1), None, 1)))

    def count_prunable(self, prune: Prune) -> dict[str, tuple[int, ...]]:
        """Return the sessions and messages to archive of each type, and what waits and why."""
        counts: dict[str, Counter[str]] = {}
        for key in self._old(prune):
            count = counts.setdefault(text(self.live.sessions[key]["session_type"]), Counter())
            if key in self.holds:
                count["held"] += 1
            elif self.is_conflict(key):
                count["conflicting"] += 1
            else:
                count.update(sessions=1, messages=len(self.live.messages_of(key)))
        figures = ("sessions", "messages", "held", "conflicting")
        return {of_type: tuple(count[n] for n in figures) for of_type, count in counts.items()}

    def prune_batch(self, prune: Prune) -> Answer:
        due = self._prunable(prune)
        gone = self.live.sessions.keys() - self.seen.live.sessions.keys()
        _check_first(prune.batch_size, due, gone, partial(self._prune_rank, prune))
        return _total(map(self._move_to_archive, gone))

    def prune(self, prune: Prune) -> Answer:
        return self._run(
            "prune", lambda: self._prunable(prune), self._move_to_archive, prune.batch_size
        )

    def _run(
        self,
        kind: str,
        due: Callable[[], list[UUID]],
        move: Callable[[UUID], int],
        batch_size: int,
    ) -> Answer:
        """Move all that is due, and log it."""
        try:
            keys = due()
        except Refused:
            self.runs.append(Run(kind, 0, 0, 0, "failed", "failed"))
            raise
        total = _total(map(move, keys))
        batches = -(-len(keys) // batch_size)
        self.runs.append(Run(kind, batches, total["sessions"], total["messages"], "nothing left"))
        return total

    def _purgeable(self, session_type: str | None) -> list[UUID]:
        """Return what a purge deletes, the first archived first."""
        self._check_type(session_type)
        due = [
            key
            for key, row in self.archive.sessions.items()
            if session_type in {None, text(row["session_type"])}
            if self._late_for_purge(row) and key not in self.holds and not self.is_live(key)
        ]
        return sorted(due, key=self._purge_rank)

    def _late_for_purge(self, row: Row) -> int:
        _, policy = self._policy(row)
        return self._late(row["archived_at"], policy.purge_after, policy)

    def _purge_rank(self, session_id: UUID) -> int:
        return integer(self.archive.sessions[session_id]["archived_at"])

    def _purge(self, session_id: UUID) -> int:
        _, messages = self.archive.take(session_id)
        return len(messages)

    def purge_batch(self, session_type: str | None, batch_size: int) -> Answer:
        due = self._purgeable(session_type)
        gone = self.archive.sessions.keys() - self.seen.archive.sessions.keys()
        _check_first(batch_size, due, gone, self._purge_rank)
        return _total(map(self._purge, gone))

    def purge(self, session_type: str | None, batch_size: int) -> Answer:
        return self._run("purge", lambda: self._purgeable(session_type), self._purge, batch_size)

    # Looking

    def transcript(self, session_id: UUID) -> tuple[bool, list[str]] | None:
        """Return whether a session is archived, and what was said."""
        for is_archived, place in ((False, self.live), (True, self.archive)):
            if session_id in place.sessions:
                messages = place.messages_of(session_id).values()
                return is_archived, sorted(text(message["content"]) for message in messages)
        return None

    def findings(self) -> set[tuple[str, UUID | None]]:
        """Return what ``verify_archive`` finds."""
        found: set[tuple[str, UUID | None]] = {("column drift", None)} if self.drift else set()
        found |= {("session in both places", key) for key in self._conflicts()}
        found |= {
            ("held session is gone", key)
            for key in self.holds
            if not self.is_live(key) and not self.is_archived(key)
        }
        by_session = {uuid(row["session_id"]) for row in self.archive.messages.values()}
        for key in by_session | self.archive.sessions.keys():
            messages = self.archive.messages_of(key)
            rows = list(messages.values())
            if self.is_archived(key):
                rows.append(self.archive.sessions[key])
                if len({row["archived_at"] for row in rows}) > 1:
                    found.add(("archived_at differs", key))
            elif not self.is_live(key):
                found.add(("archived messages without a session", key))
            if any(integer(row["archived_at"]) > self.seen.now for row in rows):
                found.add(("archived_at is in the future", key))
            if messages.keys() & self.live.messages.keys():
                found.add(("messages in both places", key))
        return found

    def views(self) -> dict[str, Any]:
        """Return what the views say, but for times and sizes."""
        live = self.live.sessions.values()
        archived = list(self.archive.sessions.values())
        return {
            "verify_archive": self.findings(),
            "engine_chat_session_list": [row for row in live if row["status"] != b"archived"],
            "engine_chat_session_archive_list": archived,
            "engine_chat_session_all": [*({**row, "archived_at": None} for row in live), *archived],
            "engine_session_conflict": {key: self._compared(key) for key in self._conflicts()},
            "engine_archive_health": self._health(),
            "engine_archive_run_list": self.runs,
            "engine_session_hold": self.holds,
            "engine_archive_policy": self.policies,
            "engine_conflict_resolution": self.resolutions,
        }

    def _compared(self, session_id: UUID) -> tuple[str, int, int, int, int]:
        live, archived = (place.messages_of(session_id) for place in (self.live, self.archive))
        both = live.keys() & archived.keys()
        equal = sum(self._same("messages", key) for key in both)
        if not self.is_archived(session_id):
            row = "only live"
        else:
            row = "equal" if self._same("sessions", session_id) else "different"
        return row, len(live), len(archived), equal, len(both) - equal

    def _health(self) -> dict[tuple[str, str], tuple[str | None, bool]]:
        late: dict[str, list[int]] = {name: [] for name in self.policies}
        soft_deleted = 0
        for key, row in self.live.sessions.items():
            if self._is_waiting(key):
                continue
            if self.is_soft_deleted(key):
                soft_deleted += 1
            elif for_prune := self._late_for_prune(row):
                late[self._policy(row)[0]].append(for_prune)
        two_days = timedelta(days=2) // timedelta(microseconds=1)
        chat, conflicts = "engine_chat_sessions", len(self._conflicts())
        return {
            **{
                ("backlog", name): (
                    f"{len(times)} sessions are due",
                    max(times, default=0) < two_days,
                )
                for name, times in late.items()
            },
            ("soft-deleted", chat): (f"{soft_deleted} sessions", True),
            ("conflicts", chat): (f"{conflicts} sessions are live and archived", not conflicts),
            ("held", "engine_session_hold"): (f"{len(self.holds)} sessions", True),
            **{("last run", run.kind): (None, run.state == "finished") for run in self.runs},
            **({("drift", self.drift): (None, False)} if self.drift else {}),
        }


def integer(value: bytes | None) -> int:
    """Read an integer, or a time in microseconds."""
    assert value is not None
    return int.from_bytes(value, signed=True)


def uuid(value: bytes | None) -> UUID:
    """Read a uuid."""
    return UUID(bytes=value)


def text(value: bytes | None) -> str:
    """Read a text; NULL is empty."""
    return (value or b"").decode()


def _as_live(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "archived_at"}


def _total(messages: Iterable[int]) -> Answer:
    counts = list(messages)
    return {"sessions": len(counts), "messages": sum(counts)}


def _check_first(
    number: int, due: list[UUID], gone: set[UUID], rank: Callable[[UUID], Any]
) -> None:
    """Check that the first of what is due are gone. Which of equals, is all the same."""
    assert gone <= set(due), f"not due: {gone - set(due)}"
    assert sorted(map(rank, gone)) == list(map(rank, due[:number])), "not the first that are due"
