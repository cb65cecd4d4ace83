"""What the documentation promises, as a program without a database.

A :class:`Model` holds every row and says of each operation what it answers and which rows are
where afterwards. Its operations have the names and arguments that they have in the clients
(:mod:`tests.proofs.model.clients`). It knows nothing of how a row is moved, and never makes one:
what the application writes it takes over from the database, and from then on the row must stay.

It also predicts every event of the journal. Only the database knows when something was done: the
model takes that time over, and checks that it lies between two looks and that all times of one
deed are the same.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

CONFLICT, DRIFT, HELD, INVALID, REFERENCED = "AR001", "AR002", "AR003", "22023", "AR005"
ALL_TYPES = "*"

# The values of a row by column, as the bytes that PostgreSQL sends. They tell -0.0 from 0.0, a
# JSON 1.0 from 1.00 and NULL from a JSON null.
Row = dict[str, bytes | None]
Answer = dict[str, Any]
# What an answer can tell.
TIMES = {"archived_at", "restored_at", "deleted_at", "due_from"}
ANSWERED = TIMES | {
    *("message_count", "newly_archived", "newly_restored", "newly_resolved"),
    *("place", "sessions", "messages", "left_behind"),
}
# The kinds of run of which a call may be a batch. An undo has a method of its own.
RUN_KINDS = {"archive_all": {"archive", "prune"}, "restore_all": {"restore"}}


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
    :param views: what its views and its other tables say, as :meth:`Model.views` does.
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


_UNTIL_ZOMBIE = timedelta(hours=2)

_ANY_PRUNE = Prune(timedelta(days=1), None, 1)


class Run(NamedTuple):
    """A row of the run log."""

    kind: str
    started_by: str
    batches: int
    sessions: int
    messages: int
    stop_reason: str
    state: str = "finished"


class Event(NamedTuple):
    """An entry of the journal."""

    event: str
    at: int
    actor: str
    run_id: int | None
    message_count: int | None
    detail: dict[str, str] | None


class Figure(NamedTuple):
    """A figure of the health; None for what is a time, or PostgreSQL's own words."""

    value: int | None
    reading: str | None
    is_ok: bool
    has_remedy: bool


class Hold(NamedTuple):
    """Why a session must stay, and who said so first."""

    reason: str
    placed_by: str


class Model:
    """Everything that there is.

    :param seen: an empty database.
    """

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        self._seen_before = seen.now
        self.live, self.archive = Place(), Place()
        self.drift: str | None = None
        # who is on record for what is done next
        self.actor = ""
        self.journal: dict[UUID, list[Event]] = {}
        # the SQLSTATE for which a prune left a session, and the run
        self.left: dict[UUID, tuple[str, int | None]] = {}
        # another table refers to these
        self.referenced: set[UUID] = set()
        self.holds: dict[UUID, Hold] = {}
        self.policies = {
            ALL_TYPES: Policy(timedelta(days=30)),
            "cron": Policy(timedelta(days=1)),
        }
        self.runs: list[Run] = []
        self.resolutions: list[tuple[UUID, str, str | None, str | None, str]] = []

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

    # The journal

    def _record(
        self,
        session_id: UUID,
        event: str,
        message_count: int | None = None,
        *,
        run_id: int | None = None,
        **detail: str,
    ) -> int:
        """Add an event, of the time that the database says; return that."""
        events = self.journal.setdefault(session_id, [])
        seen = self.seen.views["engine_archive_event"].get(session_id, [])
        assert len(seen) > len(events), f"{session_id} has no event for being {event}"
        at = seen[len(events)].at
        assert self._seen_before <= at <= self.seen.now, f"{session_id} was not {event} now"
        events.append(Event(event, at, self.actor, run_id, message_count, detail or None))
        return at

    def _restored_at(self, session_id: UUID) -> int | None:
        """Return when a session was restored last."""
        events = self.journal.get(session_id, [])
        return max((event.at for event in events if event.event == "restored"), default=None)

    def become_older(self, age: timedelta) -> None:
        """Let all that is in the journal have been some time ago."""
        for session_id, events in self.journal.items():
            aged = [event._replace(at=event.at - microseconds(age)) for event in events]
            self.journal[session_id] = aged

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

    def delete(self, session_id: UUID) -> Answer | None:
        if not self.is_live(session_id):
            return None
        if session_id in self.holds:
            raise Refused(HELD)
        self._refuse_referenced([session_id])
        _, messages = self.live.take(session_id)
        self.left.pop(session_id, None)
        return self._deleted(session_id, len(messages), "live")

    def delete_archived(self, session_id: UUID) -> Answer | None:
        if not self.is_archived(session_id):
            return None
        if session_id in self.holds:
            raise Refused(HELD)
        if self.is_live(session_id):
            raise Refused(CONFLICT)
        _, messages = self.archive.take(session_id)
        return self._deleted(session_id, len(messages), "archive")

    def _deleted(self, session_id: UUID, count: int, place: str) -> Answer:
        deleted_at = self._record(session_id, "deleted", count, place=place)
        return {"deleted_at": deleted_at, "message_count": count}

    def refer_to(self, session_id: UUID) -> None:
        self.referenced.add(session_id)

    def refer_no_more(self) -> None:
        self.referenced.clear()

    # The moves

    def archive_all(self, session_ids: list[UUID], run_id: int | None = None) -> dict[UUID, Answer]:
        self._refuse_drift()
        live = set(filter(self.is_live, session_ids))
        if live & self.holds.keys():
            raise Refused(HELD)
        self._refuse_referenced(live)
        copied = set(filter(self.is_conflict, live))
        if not all(map(self._has_copy, copied)):
            raise Refused(CONFLICT)
        for session_id in copied:
            self.live.take(session_id)
            self.left.pop(session_id, None)
            count = len(self.archive.messages_of(session_id))
            self._record(session_id, "resolved", count, run_id=run_id, destination="archive")
        for session_id in live - copied:
            self._move_to_archive(session_id, run_id)
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

    def _move_to_archive(self, session_id: UUID, run_id: int | None = None) -> int:
        row, messages = self.live.take(session_id)
        assert row is not None
        # One time for all rows of a session, which only the database knows.
        archived_at = self.seen.archive.sessions.get(session_id, {}).get("archived_at")
        at = self._record(session_id, "archived", len(messages), run_id=run_id)
        assert integer(archived_at) == at, "the journal says another time than the archive"
        self.left.pop(session_id, None)
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

    def restore_all(self, session_ids: list[UUID], run_id: int | None = None) -> dict[UUID, Answer]:
        self._refuse_drift()
        archived = set(filter(self.is_archived, session_ids))
        if any(map(self.is_live, archived)):
            raise Refused(CONFLICT)
        for session_id in archived:
            row, messages = self.archive.take(session_id)
            assert row is not None
            self.live.sessions[session_id] = _as_live(row)
            self.live.messages |= {key: _as_live(message) for key, message in messages.items()}
        live = set(filter(self.is_live, session_ids))
        restored = archived | set(filter(self._undelete, live))
        restored_at = {
            key: self._record(key, "restored", len(self.live.messages_of(key)), run_id=run_id)
            for key in restored
        }
        assert len(set(restored_at.values())) <= 1, "not restored at one time"
        return {
            session_id: {
                "restored_at": restored_at.get(session_id),
                "message_count": len(self.live.messages_of(session_id)),
                "newly_restored": session_id in restored,
                "due_from": self._due_from(self.live.sessions[session_id]),
            }
            for session_id in live
        }

    def restore(self, session_id: UUID) -> Answer | None:
        return self.restore_all([session_id]).get(session_id)

    def _undelete(self, session_id: UUID) -> bool:
        was_deleted = self.is_soft_deleted(session_id)
        if was_deleted:
            self.live.sessions[session_id]["status"] = b"active"
        return was_deleted

    def in_run(
        self, operation: str, session_ids: list[UUID], kind: str, is_over: bool
    ) -> dict[UUID, Answer]:
        """Do an operation as the only batch of a run, which may be over or of the wrong kind."""
        if kind == "prune" and not self.policies:
            raise Refused(INVALID)  # such a run does not even begin
        run_id = len(self.runs) + 1
        try:
            if is_over or kind not in RUN_KINDS[operation]:
                raise Refused(INVALID)
            answers: dict[UUID, Answer] = getattr(self, operation)(session_ids, run_id)
        except Refused:
            why = ("nothing left", "finished") if is_over else ("failed", "failed")
            self.runs.append(Run(kind, self.actor, 0, 0, 0, *why))
            if kind == "prune" and is_over:
                self._forget_left(run_id)
            raise
        told = answers.values()
        moved = [one for one in told if one.get("newly_archived") or one.get("newly_restored")]
        # A prune records its batches itself, and a call that moved nothing is no batch.
        done = (1, len(moved), sum(one["message_count"] for one in moved))
        figures = (0, 0, 0) if kind == "prune" or not moved else done
        self.runs.append(Run(kind, self.actor, *figures, "nothing left"))
        if kind == "prune":
            self._forget_left(run_id)
        return answers

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
            rows = {"live": self.live.sessions[session_id], "archive": _as_live(row)}
            self.live.sessions[session_id] = rows.pop(str(kept))
            (dropped,) = rows.values()
        self.live.messages |= {key: _as_live(message) for key, message in archived.items()}
        title = None if dropped is None else text(dropped["title"])
        kept = kept if differ else None
        self.resolutions.append((session_id, destination, kept, title, self.actor))
        if destination == "archive":
            self._move_to_archive(session_id)
        else:
            self._undelete(session_id)
            self.left.pop(session_id, None)
        detail = {"destination": destination} | ({"kept": kept} if kept else {})
        self._record(session_id, "resolved", count, **detail)
        return answer

    def _refuse_drift(self) -> None:
        if self.drift:
            raise Refused(DRIFT)

    def _refuse_referenced(self, session_ids: Iterable[UUID]) -> None:
        if self.referenced & set(session_ids):
            raise Refused(REFERENCED)

    # The retention

    def hold(self, session_id: UUID, reason: str) -> bool:
        if not (self.is_live(session_id) or self.is_archived(session_id)):
            return False
        held_before = self.holds.get(session_id)
        if held_before is None or held_before.reason != reason:
            placed_by = held_before.placed_by if held_before else self.actor
            self.holds[session_id] = Hold(reason, placed_by)
            self._record(session_id, "held", reason=reason)
        return True

    def release(self, session_id: UUID) -> bool:
        if self.holds.pop(session_id, None) is None:
            return False
        self._record(session_id, "released")
        return True

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

    def _late(self, time: int | None, after: timedelta | None, policy: Policy) -> int:
        """Return for how long an age has been over, in microseconds; 0 if it is not."""
        if time is None or after is None or not policy.enabled:
            return 0
        return max(0, self.seen.now - time - microseconds(after))

    def _age_from(self, row: Row) -> int | None:
        """Return when the age of a live session begins: its last update, or its last restore."""
        updated_at = row["updated_at"] or row["created_at"]
        begins = (updated_at and integer(updated_at), self._restored_at(uuid(row["id"])))
        return max((time for time in begins if time is not None), default=None)

    def _due_from(self, row: Row) -> int | None:
        """Return when the prune may take a live session, as its policy says."""
        _, policy = self._policy(row)
        age_from = self._age_from(row)
        if age_from is None or policy.archive_after is None or not policy.enabled:
            return None
        if age_from >= END_OF_TIME:
            return None
        return within_python(age_from + microseconds(policy.archive_after))

    def _late_for_prune(self, row: Row, older_than: timedelta | None = None) -> int:
        _, policy = self._policy(row)
        if older_than is not None:
            policy = Policy(older_than)
        return self._late(self._age_from(row), policy.archive_after, policy)

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
        return bool(self._old(_ANY_PRUNE))

    def is_prunable(self, session_id: UUID) -> bool:
        """Tell whether some prune takes a session, and never another one as well as this one."""
        due = self._old(_ANY_PRUNE)
        if session_id not in due or self._is_waiting(session_id):
            return False
        ranks = [self._prune_rank(_ANY_PRUNE, key)[1:] for key in due]
        return ranks.count(self._prune_rank(_ANY_PRUNE, session_id)[1:]) == 1

    def count_prunable(self, prune: Prune) -> dict[str, tuple[int, ...]]:
        """Return the sessions and messages to archive of each type, and what waits and why."""
        counts: dict[str, Counter[str]] = {}
        for key in self._old(prune):
            count = counts.setdefault(text(self.live.sessions[key]["session_type"]), Counter())
            if key in self.holds:
                count["held"] += 1
            elif self.is_conflict(key):
                count["conflicting"] += 1
            elif key in self.referenced:
                count["referred"] += 1
            else:
                count.update(sessions=1, messages=len(self.live.messages_of(key)))
        figures = ("sessions", "messages", "held", "conflicting", "referred")
        return {of_type: tuple(count[n] for n in figures) for of_type, count in counts.items()}

    def prune_batch(self, prune: Prune) -> Answer:
        due = self._prunable(prune)
        rank = partial(self._prune_rank, prune)
        gone = self.live.sessions.keys() - self.seen.live.sessions.keys()
        movable = [key for key in due if key not in self.referenced]
        # What is referred to is left when nothing else is.
        left = set() if movable else self.referenced & set(due)
        _check_first(min(len(movable), prune.batch_size), movable, gone, rank)
        self._leave(left, None)
        return _total(map(self._move_to_archive, gone)) | {"left_behind": len(left)}

    def prune(self, prune: Prune) -> Answer:
        def move(due: list[UUID], run_id: int) -> tuple[int, Answer]:
            left = self.referenced & set(due)
            self._leave(left, run_id)
            moved = [self._move_to_archive(key, run_id) for key in due if key not in left]
            if prune.older_than is None and prune.session_type is None:
                self._forget_left(run_id)
            batches = -(-len(moved) // prune.batch_size)
            return batches, _total(moved) | {"left_behind": len(left)}

        def due() -> list[UUID]:
            self._old(prune)  # a prune with arguments that cannot be meant ends no zombie
            if prune.session_type is None:
                self._end_zombies()
            return self._prunable(prune)

        return self._run("prune", due, move)

    def _end_zombies(self) -> None:
        """End the active sessions of jobs that were last updated two hours ago or earlier."""
        for key, row in self.live.sessions.items():
            updated_at = row["updated_at"] or row["created_at"]
            if (
                row["status"] != b"active"
                or row["session_type"] not in (b"scoped", b"cron")
                or updated_at is None
                or self.seen.now - integer(updated_at) <= microseconds(_UNTIL_ZOMBIE)
            ):
                continue
            # Only the database knows the time of the end, and how it writes the metadata.
            seen = self.seen.live.sessions.get(key) or self.seen.archive.sessions[key]
            if row["ended_at"] is None:
                assert self._seen_before <= integer(seen["ended_at"]) <= self.seen.now
            metadata = _json(row["metadata"])
            if metadata is None and row["metadata"] is None:
                metadata = {}
            if isinstance(metadata, dict):
                metadata["ended"] = True
            assert _json(seen["metadata"]) == metadata
            row |= {
                "status": b"ended",
                "ended_at": row["ended_at"] or seen["ended_at"],
                "metadata": seen["metadata"],
            }

    def _forget_left(self, run_id: int) -> None:
        """A prune of everything that has finished has met every reason to leave a session."""
        self.left = {key: left for key, left in self.left.items() if left[1] == run_id}

    def _leave(self, session_ids: set[UUID], run_id: int | None) -> None:
        self.left |= dict.fromkeys(session_ids, (REFERENCED, run_id))

    def _run(
        self,
        kind: str,
        due: Callable[[], list[UUID]],
        move: Callable[[list[UUID], int], tuple[int, Answer]],
    ) -> Answer:
        """Move all that is due, and log it."""
        try:
            keys = due()
        except Refused as refused:
            if refused.sqlstate != INVALID:  # with such arguments a run does not even begin
                self.runs.append(Run(kind, self.actor, 0, 0, 0, "failed", "failed"))
            raise
        batches, total = move(keys, len(self.runs) + 1)
        figures = (batches, total["sessions"], total["messages"])
        self.runs.append(Run(kind, self.actor, *figures, "nothing left"))
        return total

    def undo(self, run_id: int) -> Answer:
        """Restore what a run archived and nobody has touched since."""
        if run_id > len(self.runs) or self.runs[run_id - 1].kind not in {"archive", "prune"}:
            raise Refused(INVALID)  # such a run does not even begin

        def due() -> list[UUID]:
            self._refuse_drift()
            return [key for key in self.archive.sessions if self._was_archived_by(run_id, key)]

        def move(due: list[UUID], undo_run_id: int) -> tuple[int, Answer]:
            restored = self.restore_all(due, undo_run_id).values()
            total = _total(one["message_count"] for one in restored)
            return 1 if due else 0, total | {"left_behind": 0}

        return self._run("undo", due, move)

    def _was_archived_by(self, run_id: int, session_id: UUID) -> bool:
        at = integer(self.archive.sessions[session_id]["archived_at"])
        return not self.is_live(session_id) and any(
            (event.event, event.at, event.run_id) == ("archived", at, run_id)
            for event in self.journal.get(session_id, [])
        )

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
        return self._late(integer(row["archived_at"]), policy.purge_after, policy)

    def _purge_rank(self, session_id: UUID) -> int:
        return integer(self.archive.sessions[session_id]["archived_at"])

    def _purge(self, session_id: UUID, run_id: int | None = None) -> int:
        _, messages = self.archive.take(session_id)
        self._record(session_id, "purged", len(messages), run_id=run_id)
        return len(messages)

    def purge_batch(self, session_type: str | None, batch_size: int) -> Answer:
        due = self._purgeable(session_type)
        gone = self.archive.sessions.keys() - self.seen.archive.sessions.keys()
        _check_first(batch_size, due, gone, self._purge_rank)
        return _total(map(self._purge, gone))

    def purge(self, session_type: str | None, batch_size: int) -> Answer:
        def move(due: list[UUID], run_id: int) -> tuple[int, Answer]:
            total = _total(self._purge(key, run_id) for key in due)
            return -(-len(due) // batch_size), total | {"left_behind": 0}

        return self._run("purge", lambda: self._purgeable(session_type), move)

    def delete_empty(self, days: int) -> Answer:
        """Delete the sessions without a message for good."""

        def due() -> list[UUID]:
            return [
                key
                for key, row in self.live.sessions.items()
                if not self.live.messages_of(key)
                and not self.is_soft_deleted(key)
                and not self._is_waiting(key)
                and key not in self.referenced
                and self._late_for_prune(row, timedelta(days=days))
            ]

        def delete(keys: list[UUID], run_id: int) -> tuple[int, Answer]:
            for key in keys:
                self.live.take(key)
                self.left.pop(key, None)
                self._record(key, "deleted", 0, run_id=run_id, place="live")
            return bool(keys), {"sessions": len(keys), "messages": 0, "left_behind": 0}

        return self._run("empty", due, delete)

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
            "engine_archive_event": self.journal,
            "engine_archive_left": self.left,
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

    def _health(self) -> dict[tuple[str, str], Figure]:
        late: dict[str, list[int]] = {name: [] for name in self.policies}
        soft_deleted = 0
        for key, row in self.live.sessions.items():
            if self._is_waiting(key) or key in self.left:
                continue
            if self.is_soft_deleted(key):
                soft_deleted += 1
            elif for_prune := self._late_for_prune(row):
                late[self._policy(row)[0]].append(for_prune)
        two_days = microseconds(timedelta(days=2))
        chat, conflicts, held = "engine_chat_sessions", len(self._conflicts()), len(self.holds)

        def count(number: int, reading: str, *, is_ok: bool = True) -> Figure:
            return Figure(number, f"{number} {reading}", is_ok, has_remedy=number > 0)

        figures = {
            ("backlog", name): count(
                len(times), "sessions are due", is_ok=max(times, default=0) < two_days
            )
            for name, times in late.items()
        }
        figures["soft_deleted", chat] = count(soft_deleted, "sessions")
        reading = "sessions are live and archived"
        figures["conflicts", chat] = count(conflicts, reading, is_ok=not conflicts)
        figures["held", "engine_session_hold"] = count(held, "sessions")
        reading = "sessions could not be archived"
        figures["left", "engine_archive_left"] = count(len(self.left), reading, is_ok=not self.left)
        for run in self.runs:
            is_ok = run.state == "finished"
            figures["last_run", run.kind] = Figure(None, None, is_ok, has_remedy=not is_ok)
        if self.drift:
            figures["drift", self.drift] = Figure(1, None, is_ok=False, has_remedy=True)
        return figures


def microseconds(age: timedelta) -> int:
    """Count an age as PostgreSQL does."""
    return age // timedelta(microseconds=1)


_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def timestamp(time: datetime) -> int:
    """Count a time as PostgreSQL does."""
    return microseconds(time - _EPOCH)


# From the year 290000 on a sum may be out of PostgreSQL's range, and nothing is ever due.
END_OF_TIME = 9_088_402_176_000 * 10**6


def within_python(time: int) -> int:
    """Return the time nearest to one that Python can hold: infinity is the end of its years."""
    first, last = (timestamp(end.replace(tzinfo=UTC)) for end in (datetime.min, datetime.max))
    return min(max(time, first), last)


def integer(value: bytes | None) -> int:
    """Read an integer, or a time in microseconds."""
    assert value is not None
    return int.from_bytes(value, signed=True)


def uuid(value: bytes | None) -> UUID:
    """Read a uuid."""
    return UUID(bytes=value)


def _json(value: bytes | None) -> Any:
    """Read JSON, behind the version of its format; NULL is None, as null is."""
    return None if value is None else json.loads(value[1:])


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
