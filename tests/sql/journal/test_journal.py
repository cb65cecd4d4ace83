"""engine_archive_event: each deed writes one event, in its transaction, with who did it."""

from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

from tests.support import Connect, call, events, new_session
from tests.support.layouts import BOTH_LAYOUTS
from tests.support.retention import archived_for, forbid, forbid_a_title, set_policy
from tests.support.rows import archive, copy_to_archive, restore

SIGNATURES = {
    "archive_session": "archive_session(uuid, text)",
    "archive_sessions": "archive_sessions(uuid[], bigint, text)",
    "prune_sessions": "prune_sessions(interval, text, integer, bigint, text)",
    "restore_session": "restore_session(uuid, text)",
    "restore_sessions": "restore_sessions(uuid[], bigint, text)",
    "purge_archive": "purge_archive(text, integer, bigint, text)",
    "delete_chat_session": "delete_chat_session(uuid, text)",
    "delete_archived_session": "delete_archived_session(uuid, text)",
    "place_hold": "place_hold(uuid, text, text)",
    "release_hold": "release_hold(uuid, text)",
    "resolve_session_conflict": "resolve_session_conflict(uuid, text, text, text)",
}


class Deed(NamedTuple):
    """A call that does something to a session, and what the journal says of it.

    ``wrote`` has the event, its message_count and its detail, of each event that the call writes
    about a session with three messages.
    """

    prepare: Callable[[psycopg.Connection], UUID]
    function: str
    arguments: Callable[[UUID], dict[str, Any]]
    wrote: tuple[tuple[str, int | None, dict[str, str] | None], ...]

    def do(self, connection: psycopg.Connection, session_id: UUID, **named: object) -> list:
        return call(connection, self.function, **self.arguments(session_id), **named)


def live_session(connection: psycopg.Connection) -> UUID:
    return new_session(connection)


def soft_deleted_session(connection: psycopg.Connection) -> UUID:
    return new_session(connection, status="archived")


def archived_session(connection: psycopg.Connection) -> UUID:
    session_id = new_session(connection)
    archive(connection, session_id)
    return session_id


def old_archived_session(connection: psycopg.Connection) -> UUID:
    set_policy(connection, "*", archive_after="30 days", purge_after="1 year")
    return archived_for(connection, "400 days")


def held_session(connection: psycopg.Connection) -> UUID:
    session_id = new_session(connection)
    call(connection, "place_hold", session_id=session_id, reason="asked")
    return session_id


def copied_session(connection: psycopg.Connection) -> UUID:
    session_id = new_session(connection)
    copy_to_archive(connection, session_id)
    return session_id


def differing_session(connection: psycopg.Connection) -> UUID:
    session_id = copied_session(connection)
    connection.execute(
        "UPDATE engine_chat_sessions SET title = 'another' WHERE id = %s", [session_id]
    )
    return session_id


def one(session_id: UUID) -> dict[str, Any]:
    return {"session_id": session_id}


def several(session_id: UUID) -> dict[str, Any]:
    return {"session_ids": [session_id]}


def nothing(_: UUID) -> dict[str, Any]:
    return {}


ARCHIVED = (("archived", 3, None),)
RESTORED = (("restored", 3, None),)

DEEDS = {
    "archive one": Deed(live_session, "archive_session", one, ARCHIVED),
    "archive several": Deed(live_session, "archive_sessions", several, ARCHIVED),
    "prune": Deed(soft_deleted_session, "prune_sessions", nothing, ARCHIVED),
    "restore one": Deed(archived_session, "restore_session", one, RESTORED),
    "restore several": Deed(archived_session, "restore_sessions", several, RESTORED),
    "end a soft delete": Deed(soft_deleted_session, "restore_session", one, RESTORED),
    "purge": Deed(old_archived_session, "purge_archive", nothing, (("purged", 3, None),)),
    "delete live": Deed(
        live_session, "delete_chat_session", one, (("deleted", 3, {"place": "live"}),)
    ),
    "delete archived": Deed(
        archived_session, "delete_archived_session", one, (("deleted", 3, {"place": "archive"}),)
    ),
    "hold": Deed(
        live_session,
        "place_hold",
        lambda session_id: {"session_id": session_id, "reason": "legal, case 7"},
        (("held", None, {"reason": "legal, case 7"}),),
    ),
    "hold for another reason": Deed(
        held_session,
        "place_hold",
        lambda session_id: {"session_id": session_id, "reason": "another"},
        (("held", None, {"reason": "another"}),),
    ),
    "release": Deed(held_session, "release_hold", one, (("released", None, None),)),
    "remove an identical copy": Deed(
        copied_session, "archive_session", one, (("resolved", 3, {"destination": "archive"}),)
    ),
    "resolve to live": Deed(
        copied_session,
        "resolve_session_conflict",
        lambda session_id: {"session_id": session_id, "destination": "live"},
        (("resolved", 3, {"destination": "live"}),),
    ),
    "resolve to the archive": Deed(
        differing_session,
        "resolve_session_conflict",
        lambda session_id: {"session_id": session_id, "destination": "archive", "keep": "live"},
        (("archived", 3, None), ("resolved", 3, {"destination": "archive", "kept": "live"})),
    ),
}
EVERY_DEED = pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS)


def now(connection: psycopg.Connection) -> Any:
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    return row[0]


# What is written


@BOTH_LAYOUTS
@EVERY_DEED
def test_a_deed_writes_one_event_of_its_kind_with_what_it_did(
    connection: psycopg.Connection, deed: Deed
) -> None:
    session_id = deed.prepare(connection)
    new_session(connection)
    before = events(connection)
    with connection.transaction():
        connection.execute("SELECT 1")  # so that now() is over when the deed is done
        began = now(connection)

        deed.do(connection, session_id, actor="ada")

        written = events(connection)[len(before) :]
        ended = now(connection)

    assert events(connection) == before + written
    assert [(event.event, event.message_count, event.detail) for event in written] == [*deed.wrote]
    for event in written:
        assert (event.session_id, event.actor, event.role) == (session_id, "ada", "postgres")
        assert event.run_id is None
        assert began < event.at < ended


@EVERY_DEED
def test_a_deed_that_is_rolled_back_leaves_no_event(
    connection: psycopg.Connection, deed: Deed
) -> None:
    session_id = deed.prepare(connection)
    before = events(connection)

    with connection.transaction(force_rollback=True):
        deed.do(connection, session_id)
        assert len(events(connection)) == len(before) + len(deed.wrote)
    with connection.transaction():
        with connection.transaction(force_rollback=True):  # a savepoint
            deed.do(connection, session_id)
        new_session(connection)

    assert events(connection) == before


@BOTH_LAYOUTS
def test_at_is_the_time_that_the_call_returned_and_that_the_archived_rows_have(
    connection: psycopg.Connection,
) -> None:
    session_id = new_session(connection)

    archived_at = archive(connection, session_id).archived_at
    stamps = connection.execute(
        "SELECT archived_at FROM engine_chat_session_archive"
        " UNION ALL SELECT archived_at FROM engine_chat_message_archive"
    ).fetchall()
    restored_at = restore(connection, session_id).restored_at
    (deleted,) = call(connection, "delete_chat_session", session_id=session_id)

    assert stamps == [(archived_at,)] * 4
    assert [(event.event, event.at) for event in events(connection)] == [
        ("archived", archived_at),
        ("restored", restored_at),
        ("deleted", deleted.deleted_at),
    ]


@BOTH_LAYOUTS
@pytest.mark.parametrize(
    "function",
    ["archive_sessions", "restore_sessions", "prune_sessions", "purge_archive"],
)
def test_a_call_for_several_sessions_writes_an_event_for_each_with_its_own_messages(
    connection: psycopg.Connection, function: str
) -> None:
    sizes = (0, 1, 5)
    set_policy(connection, "*", purge_after="1 year")
    if function == "purge_archive":
        ids = {archived_for(connection, "400 days", messages): messages for messages in sizes}
    else:
        status = "archived" if function == "prune_sessions" else "active"
        ids = {new_session(connection, messages, status=status): messages for messages in sizes}
    if function == "restore_sessions":
        call(connection, "archive_sessions", session_ids=list(ids))
    before = events(connection)

    arguments = {"session_ids": list(ids)} if function.endswith("e_sessions") else {}
    call(connection, function, **({} if function == "prune_sessions" else arguments))

    written = events(connection)[len(before) :]
    assert len(written) == len(ids)
    assert {event.session_id: event.message_count for event in written} == ids
    assert len({event.event for event in written}) == 1
    if function != "purge_archive":
        assert len({event.at for event in written}) == 1


# What is not


REPEATS = {
    "archive one": lambda connection, session_id: archive(connection, session_id),
    "archive several": lambda connection, session_id: call(
        connection, "archive_sessions", session_ids=[session_id, uuid4(), session_id]
    ),
    "restore one": lambda connection, session_id: restore(connection, session_id),
    "restore several": lambda connection, session_id: call(
        connection, "restore_sessions", session_ids=[session_id, uuid4(), session_id]
    ),
    "prune": lambda connection, _: call(connection, "prune_sessions"),
    "purge": lambda connection, _: call(connection, "purge_archive"),
    "delete live": lambda connection, session_id: call(
        connection, "delete_chat_session", session_id=session_id
    ),
    "delete archived": lambda connection, session_id: call(
        connection, "delete_archived_session", session_id=session_id
    ),
    "hold": lambda connection, session_id: call(
        connection, "place_hold", session_id=session_id, reason="legal, case 7"
    ),
    "release": lambda connection, session_id: call(
        connection, "release_hold", session_id=session_id
    ),
    "remove an identical copy": lambda connection, session_id: archive(connection, session_id),
    "resolve to live": lambda connection, session_id: call(
        connection, "resolve_session_conflict", session_id=session_id, destination="live"
    ),
    "resolve to the archive": lambda connection, session_id: call(
        connection, "resolve_session_conflict", session_id=session_id, destination="archive"
    ),
}


@BOTH_LAYOUTS
@pytest.mark.parametrize("name", REPEATS)
def test_a_repeated_call_that_changes_nothing_writes_nothing(
    connection: psycopg.Connection, name: str
) -> None:
    deed = DEEDS[name]
    session_id = deed.prepare(connection)
    deed.do(connection, session_id)
    before = events(connection)
    assert before

    REPEATS[name](connection, session_id)

    assert events(connection) == before


@pytest.mark.parametrize("name", REPEATS)
def test_a_call_for_a_session_that_there_is_not_writes_nothing(
    connection: psycopg.Connection, name: str
) -> None:
    new_session(connection)

    REPEATS[name](connection, uuid4())

    assert events(connection) == []


@pytest.mark.parametrize(
    ("prepare", "call_it", "sqlstate"),
    [
        (held_session, archive, "AR003"),
        (differing_session, archive, "AR001"),
        (copied_session, restore, "AR001"),
        (held_session, REPEATS["delete live"], "AR003"),
        (copied_session, REPEATS["delete archived"], "AR001"),
        (differing_session, REPEATS["resolve to live"], "AR001"),
        (archived_session, REPEATS["resolve to live"], "22023"),
    ],
)
def test_a_call_that_is_refused_writes_nothing(
    connection: psycopg.Connection, prepare: Callable, call_it: Callable, sqlstate: str
) -> None:
    session_id = prepare(connection)
    before = events(connection)

    with pytest.raises(psycopg.Error) as refusal:
        call_it(connection, session_id)

    assert refusal.value.sqlstate == sqlstate
    assert events(connection) == before


# Who did it


@pytest.mark.parametrize(
    ("argument", "setting", "actor"),
    [
        ("ada", None, "ada"),
        ("ada", "bob", "ada"),
        (None, "bob", "bob"),
        ("", "bob", "bob"),
        (None, None, "the role"),
        (None, "", "the role"),
        ("", "", "the role"),
    ],
)
def test_the_actor_is_the_argument_or_else_the_setting_or_else_the_role_that_connected(
    connection: psycopg.Connection,
    connect: Connect,
    role: str,
    argument: str | None,
    setting: str | None,
    actor: str,
) -> None:
    """Empty is as good as absent: a pooler resets a setting to the empty string."""
    grant(connection, role, "archive_session")
    session_id = new_session(connection)
    caller = connect(user=role)
    if setting is not None:
        caller.execute("SELECT set_config('aria_db.actor', %s, false)", [setting])

    archive(caller, session_id, argument)

    (event,) = events(connection)
    assert event.actor == (role if actor == "the role" else actor)
    assert event.role == role


@EVERY_DEED
def test_every_deed_names_its_actor_and_the_role_that_connected_not_the_functions_owner(
    connection: psycopg.Connection, connect: Connect, role: str, deed: Deed
) -> None:
    grant(connection, role, deed.function)
    caller = connect(user=role)
    for arguments, setting, actor in (
        ({}, "", role),
        ({}, "bob", "bob"),
        ({"actor": "ada"}, "bob", "ada"),
    ):
        session_id = deed.prepare(connection)
        before = len(events(connection))
        caller.execute("SELECT set_config('aria_db.actor', %s, false)", [setting])

        deed.do(caller, session_id, **arguments)

        written = events(connection)[before:]
        assert [(event.event, event.actor, event.role) for event in written] == [
            (event, actor, role) for event, _, _ in deed.wrote
        ]


def test_a_setting_of_one_transaction_is_its_actor_and_nobody_elses(
    connection: psycopg.Connection,
) -> None:
    first, second = (new_session(connection) for _ in range(2))

    with connection.transaction():
        connection.execute("SET LOCAL aria_db.actor = 'ada'")
        archive(connection, first)
    archive(connection, second)

    assert [(event.session_id, event.actor) for event in events(connection)] == [
        (first, "ada"),
        (second, "postgres"),
    ]


def test_the_log_of_conflicts_and_the_hold_have_the_actor_too(
    connection: psycopg.Connection,
) -> None:
    session_id = differing_session(connection)

    DEEDS["resolve to the archive"].do(connection, session_id, actor="ada")
    DEEDS["hold"].do(connection, session_id, actor="ada")

    named = connection.execute(
        "SELECT resolved_by FROM engine_conflict_resolution"
        " UNION ALL SELECT placed_by FROM engine_session_hold"
    )
    assert named.fetchall() == [("ada",), ("ada",)]


def grant(connection: psycopg.Connection, role: str, function: str) -> None:
    connection.execute(
        sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(
            sql.SQL(SIGNATURES[function]), sql.Identifier(role)
        )
    )


# In which run


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("archive several", "archive"),
        ("archive several", "prune"),
        ("restore several", "restore"),
        ("prune", "prune"),
        ("purge", "purge"),
    ],
)
def test_the_event_of_a_batch_names_its_run(
    connection: psycopg.Connection, name: str, kind: str
) -> None:
    deed = DEEDS[name]
    session_id = deed.prepare(connection)
    before = len(events(connection))
    ((run_id,),) = call(connection, "begin_archive_run", kind=kind)

    deed.do(connection, session_id, run_id=run_id, actor="ada")

    (event,) = events(connection)[before:]
    what, message_count, _ = deed.wrote[0]
    assert (event.session_id, event.event, event.message_count) == (session_id, what, message_count)
    assert (event.run_id, event.actor) == (run_id, "ada")


def test_the_removal_of_a_copy_in_a_batch_names_its_run(connection: psycopg.Connection) -> None:
    bystander = new_session(connection)
    archive(connection, bystander)
    copied, new = copied_session(connection), new_session(connection, 1)
    ((run_id,),) = call(connection, "begin_archive_run", kind="archive")

    call(connection, "archive_sessions", session_ids=[copied, new], run_id=run_id, actor="ada")

    written = {event.session_id: event for event in events(connection)}
    del written[bystander]
    assert {key: (event.event, event.message_count) for key, event in written.items()} == {
        copied: ("resolved", 3),
        new: ("archived", 1),
    }
    assert {(event.run_id, event.actor) for event in written.values()} == {(run_id, "ada")}


def test_sessions_that_a_prune_moves_one_by_one_have_its_run_and_actor_too(
    connection: psycopg.Connection,
) -> None:
    """So it does when one of its batch cannot be moved."""
    forbid_a_title(connection)
    stuck, *free = (soft_deleted_session(connection) for _ in range(3))
    forbid(connection, stuck)
    ((run_id,),) = call(connection, "begin_archive_run", kind="prune")

    (pruned,) = call(connection, "prune_sessions", run_id=run_id, actor="ada")

    assert (pruned.sessions, pruned.left_behind) == (2, 1)
    written = events(connection)
    assert {event.session_id for event in written} == {*free}
    assert [(event.event, event.run_id, event.actor) for event in written] == [
        ("archived", run_id, "ada")
    ] * 2


# How long it is kept


@BOTH_LAYOUTS
@pytest.mark.parametrize("end", ["purge", "delete archived", "delete live"])
def test_the_history_of_a_session_outlives_it_in_the_order_of_its_deeds(
    connection: psycopg.Connection, end: str
) -> None:
    set_policy(connection, "*", purge_after="1 year")
    session_id, bystander = (new_session(connection) for _ in range(2))
    archive(connection, bystander)
    archive(connection, session_id)
    restore(connection, session_id)
    DEEDS["hold"].do(connection, session_id)
    DEEDS["release"].do(connection, session_id)
    expected = ["archived", "restored", "held", "released"]
    if end != "delete live":
        archive(connection, session_id)
        expected.append("archived")
    connection.execute(
        "UPDATE engine_chat_session_archive SET archived_at = now() - interval '400 days'"
        " WHERE id = %s",
        [session_id],
    )

    DEEDS[end].do(connection, session_id)

    assert (
        connection.execute(
            "SELECT 1 FROM engine_chat_session_all WHERE id = %s", [session_id]
        ).rowcount
        == 0
    )
    history = events(connection, session_id)
    assert [event.event for event in history] == [*expected, DEEDS[end].wrote[0][0]]
    assert [event.at for event in history] == sorted(event.at for event in history)
    assert [event.event for event in events(connection, bystander)] == ["archived"]
