"""The operations through every client, under one name each.

An operation returns what the client answered in the words of
:class:`tests.proofs.model.model.Model`, None or False for "no such session", and raises
:class:`tests.proofs.model.model.Refused`. What a client does not tell is not in its answer, and
what it cannot do it has no method for.

``actor`` of a client is who is on record for what it does. SQL can say so in every call. The
manager and HTTP have the setting ``aria_db.actor`` in their connections, and the command line
says who runs it.
"""

import asyncio
import getpass
import json
import socket
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from contextlib import aclosing
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import httpx
import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from aria_db.database import Database
from aria_db.errors import DatabaseError
from aria_db.session_manager import (
    ARCHIVE,
    Limits,
    NativeSessionManager,
    NewMessage,
    NewSession,
    Progress,
)
from tests.proofs.model.model import ANSWERED, TIMES, Answer, Policy, Prune, Refused, timestamp
from tests.support import command_line as cli
from tests.support.http import SESSIONS

PRUNABLE = ("sessions", "messages", "held", "conflicting", "referred")

# What PostgreSQL writes of a time that Python cannot hold, and the nearest that it can.
_ENDS = {"-infinity": datetime.min, "infinity": datetime.max}


def with_actor(database: Database, actor: str) -> Database:
    """Return a database whose connections put somebody on record."""
    return replace(
        database, url=database.url.update_query_dict({"options": f"-caria_db.actor={actor}"})
    )


def _answer(told: dict[str, Any]) -> Answer:
    """Keep what a model says something about, with times as PostgreSQL counts them."""
    answer = {name: value for name, value in told.items() if name in ANSWERED}
    for name in TIMES & answer.keys():
        if answer[name] is not None:
            answer[name] = timestamp(_time(answer[name]))
    return answer


def _time(told: str | datetime) -> datetime:
    if told in _ENDS:
        return _ENDS[str(told)].replace(tzinfo=UTC)
    return datetime.fromisoformat(told) if isinstance(told, str) else told


def _by_id(rows: Iterable[dict[str, Any]]) -> dict[UUID, Answer]:
    return {UUID(str(row["id"])): _answer(row) for row in rows}


class Sql:
    """psycopg, and the functions of the database.

    :param connection: a connection in autocommit mode.
    """

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._argument: str | None = None
        self._setting: str | None = None

    def act_for(self, argument: str | None, setting: str | None) -> None:
        """Let calls name an actor, and let the connection name one for those that do not."""
        self._argument, self._setting = argument, setting
        self._rows("SELECT set_config('aria_db.actor', %(setting)s, false)", setting=setting or "")

    @property
    def actor(self) -> str:
        return self._argument or self._setting or self._connection.info.user

    def _rows(self, statement: str, **values: object) -> list[dict[str, Any]]:
        try:
            cursor = self._connection.cursor(row_factory=dict_row).execute(statement, values)
        except psycopg.Error as error:
            raise Refused(error.sqlstate) from error
        return cursor.fetchall() if cursor.description else []

    def _call(self, function: str, **arguments: object) -> list[dict[str, Any]]:
        """Call a function, and read its rows as JSON, which has a word for infinity."""
        named = ", ".join(f"{name} => %({name})s" for name in arguments)
        statement = f"SELECT to_jsonb(answer) AS answer FROM {function}({named}) AS answer"
        return [row["answer"] for row in self._rows(statement, **arguments)]

    def _act(self, function: str, **arguments: object) -> list[dict[str, Any]]:
        """Call a function that changes something."""
        return self._call(function, **arguments, actor=self._argument)

    def _one(self, function: str, **arguments: object) -> Answer | None:
        rows = self._act(function, **arguments)
        assert len(rows) <= 1
        return _answer(rows[0]) if rows else None

    def delete(self, session_id: UUID) -> Answer | None:
        return self._one("delete_chat_session", session_id=session_id)

    def delete_archived(self, session_id: UUID) -> Answer | None:
        return self._one("delete_archived_session", session_id=session_id)

    def archive_all(self, session_ids: list[UUID], run_id: int | None = None) -> dict[UUID, Answer]:
        return _by_id(self._act("archive_sessions", session_ids=session_ids, run_id=run_id))

    def archive_one(self, session_id: UUID) -> Answer | None:
        return self._one("archive_session", session_id=session_id)

    def restore_all(self, session_ids: list[UUID], run_id: int | None = None) -> dict[UUID, Answer]:
        return _by_id(self._act("restore_sessions", session_ids=session_ids, run_id=run_id))

    def restore(self, session_id: UUID) -> Answer | None:
        return self._one("restore_session", session_id=session_id)

    def in_run(
        self, operation: str, session_ids: list[UUID], kind: str, is_over: bool
    ) -> dict[UUID, Answer]:
        """Move sessions as the only batch of a run; or after it, if it is over before."""
        (run_id,) = self._act("begin_archive_run", kind=kind)
        finish = partial(self._call, "finish_archive_run", run_id=run_id)
        if is_over:
            finish(stop_reason="nothing left")
        try:
            answers: dict[UUID, Answer] = getattr(self, operation)(session_ids, run_id)
        except Refused:
            finish(stop_reason="failed")
            raise
        finish(stop_reason="nothing left")
        return answers

    def undo(self, run_id: int) -> Answer:
        """Restore what a run archived, batch after batch."""
        (undo_id,) = self._act(
            "begin_archive_run", kind="undo", arguments=Jsonb({"run_id": run_id})
        )
        finish = partial(self._call, "finish_archive_run", run_id=undo_id)
        total = dict.fromkeys(("sessions", "messages", "left_behind"), 0)
        try:
            while batch := self._one("restore_run", run_id=run_id, undo_run_id=undo_id):
                total = {name: value + batch[name] for name, value in total.items()}
                if not batch["sessions"]:
                    break
        except Refused:
            finish(stop_reason="failed")
            raise
        finish(stop_reason="nothing left")
        return total

    def delete_empty(self, days: int) -> Answer:
        """Delete the sessions without a message, batch after batch."""
        (run_id,) = self._act("begin_archive_run", kind="empty")
        total = {"sessions": 0, "left_behind": 0}
        older_than = timedelta(days=days)
        while batch := self._one("delete_empty_sessions", older_than=older_than, run_id=run_id):
            total = {name: value + batch[name] for name, value in total.items()}
            if not batch["sessions"]:
                break
        self._call("finish_archive_run", run_id=run_id, stop_reason="nothing left")
        return total

    def resolve(self, session_id: UUID, destination: str, kept: str | None) -> Answer | None:
        arguments = {"destination": destination, "keep": kept}
        return self._one("resolve_session_conflict", session_id=session_id, **arguments)

    def hold(self, session_id: UUID, reason: str) -> bool:
        return bool(self._act("place_hold", session_id=session_id, reason=reason))

    def release(self, session_id: UUID) -> bool:
        (was_held,) = self._act("release_hold", session_id=session_id)
        return bool(was_held)

    def prune_batch(self, prune: Prune) -> Answer | None:
        return self._one("prune_sessions", **prune._asdict())

    def prune(self, prune: Prune) -> Answer:
        statement = (
            "CALL prune_old_sessions(%(older_than)s, %(session_type)s, %(batch_size)s,"
            " actor => %(actor)s)"
        )
        self._rows(statement, **prune._asdict(), actor=self._argument)
        return {}

    def purge_batch(self, session_type: str | None, batch_size: int) -> Answer | None:
        return self._one("purge_archive", session_type=session_type, batch_size=batch_size)

    def count_prunable(self, prune: Prune) -> dict[str, tuple[int, ...]]:
        arguments = {"older_than": prune.older_than, "session_type": prune.session_type}
        rows = self._call("count_prunable_sessions", **arguments)
        return {row["of_type"]: tuple(row[name] for name in PRUNABLE) for row in rows}


class Manager:
    """Python, through ``NativeSessionManager``.

    :param database: the database.
    """

    actor = "manager"

    def __init__(self, database: Database) -> None:
        self._runner = asyncio.Runner()
        self._engine = with_actor(database, self.actor).async_engine()
        self._manager = NativeSessionManager(self._engine)

    def close(self) -> None:
        self._runner.run(self._engine.dispose())
        self._runner.close()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        try:
            return self._runner.run(work)
        except DatabaseError as error:
            raise Refused(error.sqlstate) from error

    def _one(self, work: Coroutine[Any, Any, Any]) -> Answer | None:
        row = self._run(work)
        return None if row is None else _answer(asdict(row))

    def create(self, session_type: str, title: str) -> UUID:
        created = self._manager.create_session(NewSession(session_type=session_type, title=title))
        return self._run(created).id  # type: ignore[no-any-return]

    def add_message(self, session_id: UUID, content: str) -> UUID | None:
        added = self._run(self._manager.add_message(session_id, NewMessage("assistant", content)))
        return None if added is None else added.id

    def end(self, session_id: UUID) -> bool:
        return self._run(self._manager.end_session(session_id)) is not None

    def delete(self, session_id: UUID) -> Answer | None:
        return self._one(self._manager.delete_session(session_id))

    def delete_archived(self, session_id: UUID) -> Answer | None:
        return self._one(self._manager.delete_session(session_id, ARCHIVE))

    def archive_all(self, session_ids: list[UUID]) -> dict[UUID, Answer]:
        return _by_id(map(asdict, self._run(self._manager.archive_sessions(session_ids))))

    def archive_one(self, session_id: UUID) -> Answer | None:
        return self._one(self._manager.archive_session(session_id))

    def restore_all(self, session_ids: list[UUID]) -> dict[UUID, Answer]:
        return _by_id(map(asdict, self._run(self._manager.restore_sessions(session_ids))))

    def restore(self, session_id: UUID) -> Answer | None:
        return self._one(self._manager.restore_session(session_id))

    def resolve(self, session_id: UUID, destination: Any, kept: Any) -> Answer | None:
        return self._one(self._manager.resolve_conflict(session_id, destination, kept))

    def hold(self, session_id: UUID, reason: str) -> bool:
        return self._run(self._manager.place_hold(session_id, reason)) is not None

    def release(self, session_id: UUID) -> bool:
        return bool(self._run(self._manager.release_hold(session_id)))

    def prune(self, prune: Prune) -> Answer:
        older_than, session_type, batch_size = prune
        return self._last(
            self._manager.prune_batches(
                older_than=older_than, session_type=session_type, limits=Limits(batch_size)
            )
        )

    def undo(self, run_id: int) -> Answer:
        return self._last(self._manager.undo_batches(run_id))

    def purge(self, session_type: str | None, batch_size: int) -> Answer:
        limits = Limits(batch_size)
        return self._last(self._manager.purge_batches(session_type=session_type, limits=limits))

    def delete_empty(self, days: int) -> Answer:
        return self._last(self._manager.delete_empty_batches(timedelta(days=days)))

    def _last(self, batches: AsyncGenerator[Progress]) -> Answer:
        async def all_batches() -> Progress:
            async with aclosing(batches):
                async for progress in batches:
                    last = progress
            return last

        return _answer(asdict(self._run(all_batches())))

    def count_prunable(self, prune: Prune) -> dict[str, tuple[int, ...]]:
        older_than, session_type, _ = prune
        counted = self._manager.count_prunable_sessions(
            older_than=older_than, session_type=session_type
        )
        return {
            row.of_type: tuple(getattr(row, name) for name in PRUNABLE)
            for row in self._run(counted)
        }

    def set_policy(self, session_type: str, policy: Policy) -> None:
        self._run(self._manager.set_policy(session_type, **policy._asdict()))

    def unset_policy(self, session_type: str) -> bool:
        return bool(self._run(self._manager.unset_policy(session_type)))

    def transcript(self, session_id: UUID) -> tuple[bool, list[str]] | None:
        found = self._run(self._manager.get_transcript(session_id))
        if found is None:
            return None
        contents = sorted(message.content for message in found.messages)
        return hasattr(found.session, "archived_at"), contents


class Http:
    """HTTP, to a server on a port, whose connections have the actor.

    :param client: a client of it.
    """

    actor = "http"

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def _ask(self, method: str, path: str = "", **options: Any) -> Any:
        answer = self._client.request(method, SESSIONS + path, **options)
        if answer.status_code == 404:
            return None
        if answer.is_error:
            assert answer.status_code in {409, 422}, answer.text
            raise Refused(answer.json()["code"])
        return answer.json()

    def _one(self, method: str, path: str) -> Answer | None:
        told = self._ask(method, path)
        return None if told is None else _answer(told)

    def create(self, session_type: str, title: str) -> UUID:
        created = self._ask("POST", json={"session_type": session_type, "title": title})
        return UUID(created["id"])

    def add_message(self, session_id: UUID, content: str) -> UUID | None:
        body = {"role": "user", "content": content}
        added = self._ask("POST", f"/{session_id}/messages", json=body)
        return None if added is None else UUID(added["id"])

    def end(self, session_id: UUID) -> bool:
        return self._ask("POST", f"/{session_id}/end") is not None

    def delete(self, session_id: UUID) -> Answer | None:
        return self._one("DELETE", f"/{session_id}")

    def delete_archived(self, session_id: UUID) -> Answer | None:
        return self._one("DELETE", f"/archive/{session_id}")

    def archive_one(self, session_id: UUID) -> Answer | None:
        return self._one("POST", f"/{session_id}/archive")

    def restore(self, session_id: UUID) -> Answer | None:
        return self._one("POST", f"/{session_id}/restore")

    def hold(self, session_id: UUID, reason: str) -> bool:
        return self._ask("PUT", f"/{session_id}/hold", json={"reason": reason}) is not None

    def release(self, session_id: UUID) -> bool:
        return self._ask("DELETE", f"/{session_id}/hold") is not None

    def prune(self, prune: Prune) -> Answer:
        """Prune as far as ``/cleanup`` can: all types, in batches of its own."""
        assert prune.older_than is not None
        query = {"days": prune.older_than.days, "dry_run": False}
        told = self._ask("POST", "/cleanup", params=query)
        assert told["archived_count"] == told["pruned_count"]
        return {"sessions": told["pruned_count"], "messages": told["message_count"]}

    def delete_empty(self, days: int) -> Answer:
        query = {"older_than_minutes": days * 24 * 60}
        return {"sessions": self._ask("DELETE", "/ghosts", params=query)["deleted"]}

    def transcript(self, session_id: UUID) -> tuple[bool, list[str]] | None:
        for is_archived, place in ((False, ""), (True, "/archive")):
            found = self._ask("GET", f"{place}/{session_id}/messages", params={"limit": 500})
            if found is not None:
                return is_archived, sorted(message["content"] for message in found["messages"])
        return None


class CommandLine:
    """``aria-db``, as a process.

    :param database: the database.
    """

    # who runs this, and where; not the setting of the connection
    actor = f"{getpass.getuser()}@{socket.gethostname()}"

    def __init__(self, database: Database) -> None:
        schema = {} if database.schema is None else {"ARIA_DB_SCHEMA": database.schema}
        url = database.url.render_as_string(hide_password=False)
        self._run: Callable[..., cli.Outcome] = partial(cli.run, DATABASE_URL=url, **schema)

    def _json(self, *words: object) -> Any:
        """Return the document that a command printed, whatever its exit status."""
        outcome = self._run(*words, "--json")
        if outcome.stdout:
            return json.loads(outcome.stdout)
        assert outcome.stderr.startswith("Error: "), outcome
        if "not found" in outcome.stderr:
            return None
        raise Refused(None)

    def _found(self, *words: object) -> bool:
        """Tell whether a command without a document found its session."""
        outcome = self._run(*words)
        assert outcome.returncode in {0, 1}, outcome
        return outcome.returncode == 0

    def archive_all(self, session_ids: list[UUID]) -> dict[UUID, Answer]:
        return _by_id(self._json("archive", *session_ids)["sessions"])

    def archive_one(self, session_id: UUID) -> Answer | None:
        return self.archive_all([session_id]).get(session_id)

    def restore_all(self, session_ids: list[UUID]) -> dict[UUID, Answer]:
        return _by_id(self._json("restore", *session_ids)["sessions"])

    def restore(self, session_id: UUID) -> Answer | None:
        return self.restore_all([session_id]).get(session_id)

    def resolve(self, session_id: UUID, destination: str, kept: str | None) -> Answer | None:
        keep = () if kept is None else ("--keep", kept)
        found = self._json("conflicts", "resolve", session_id, "--into", destination, *keep)
        return None if found is None else _answer(found["resolved"])

    def hold(self, session_id: UUID, reason: str) -> bool:
        return self._found("hold", session_id, "--reason", reason)

    def release(self, session_id: UUID) -> bool:
        return self._found("release", session_id)

    def prune(self, prune: Prune) -> Answer:
        age = () if prune.older_than is None else ("--older-than", f"{prune.older_than.days}d")
        return self._retention("prune", prune.session_type, prune.batch_size, *age)

    def undo(self, run_id: int) -> Answer:
        return _answer(self._json("restore", "--run", run_id, "--yes"))

    def purge(self, session_type: str | None, batch_size: int) -> Answer:
        return self._retention("purge", session_type, batch_size, "--yes")

    def delete_empty(self, days: int) -> Answer:
        return _answer(self._json("delete-empty", "--older-than", f"{days}d", "--yes"))

    def _retention(
        self, command: str, session_type: str | None, batch_size: int, *options: str
    ) -> Answer:
        of_type = () if session_type is None else ("--type", session_type)
        return _answer(self._json(command, "--batch-size", batch_size, *of_type, *options))

    def findings(self) -> set[tuple[str, UUID | None]]:
        found = self._json("check", "--deep")["findings"]
        return {(row["finding"], row["session_id"] and UUID(row["session_id"])) for row in found}
