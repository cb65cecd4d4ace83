"""Random databases and operations: a call is refused and changes nothing, or every row is there.

Everything of an example happens in one transaction that is rolled back, each call in a savepoint.
Constraints that are checked at COMMIT are checked after each call.
"""

from collections import Counter
from uuid import UUID

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.proofs.conservation.schemas import TABLES, Schema, build, schemas
from tests.support.rows import (
    archive_many,
    delete_archived,
    delete_live,
    restore_many,
)

pytestmark = pytest.mark.slow

SESSIONS = [UUID(int=number) for number in range(1, 5)]
OUR_CODES = {"AR001", "AR002", "AR003", "AR005", "AR006", "AR007"}
CHAT = {
    "session": (TABLES.sessions, TABLES.session_archive, "id"),
    "message": (TABLES.messages, TABLES.message_archive, "session_id"),
}

OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(
            ["archive", "archive", "archive", "restore", "restore", "prune", "delete", "purge"]
        ),
        st.sets(st.sampled_from(SESSIONS), min_size=1),
    ),
    min_size=1,
    max_size=5,
)

State = dict[str, Counter[str]]


def read(connection: psycopg.Connection, tables: list[str]) -> State:
    """Read every row as text, an archived one without what its archive adds."""
    state: State = {}
    for kind, (live, archived, key) in CHAT.items():
        for place, table in (("live", live), ("archive", archived)):
            image = f"{key} || ' ' || (to_jsonb(held) - 'archived_at')::text"
            rows = connection.execute(f"SELECT {image} FROM {table} AS held")
            state[f"{kind} {place}"] = Counter(row for (row,) in rows)
    for table in tables:
        for place, name in (("live", table), ("archive", f"{table}_archive")):
            found = connection.execute("SELECT to_regclass(%s)", (name,)).fetchone()
            if found == (None,):
                continue
            rows = connection.execute(
                "SELECT (to_jsonb(held) - 'archived_at' - 'archived_session_id')::text"
                f" FROM {name} AS held"
            )
            state[f"{table} {place}"] = Counter(row for (row,) in rows)
    return state


def both(state: State, kind: str) -> Counter[str]:
    """Return what both places hold of a kind."""
    return state[f"{kind} live"] + state.get(f"{kind} archive", Counter())


def call(connection: psycopg.Connection, operation: str, ids: set[UUID]) -> None:
    some = sorted(ids)
    match operation:
        case "archive":
            archive_many(connection, some)
        case "restore":
            restore_many(connection, some)
        case "prune":
            connection.execute("SELECT * FROM prune_sessions('50 days')")
        case "purge":
            delete_archived(connection, some[0])
        case "delete":
            delete_live(connection, some[0])
    connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    connection.execute("SET CONSTRAINTS ALL DEFERRED")


def attempt(connection: psycopg.Connection, operation: str, ids: set[UUID]) -> psycopg.Error | None:
    """Do an operation in a savepoint; return the error that undid it, or None."""
    try:
        with connection.transaction():
            call(connection, operation, ids)
    except psycopg.Error as error:
        return error
    return None


def check_accounted(schema: Schema, operation: str, ids: set[UUID], old: State, new: State) -> None:
    """Fail if a row is neither where it was, nor where the operation takes it."""
    gone = {str(min(ids))} if operation in {"delete", "purge"} else set()
    for kind in CHAT:
        missing, added = both(old, kind) - both(new, kind), both(new, kind) - both(old, kind)
        if not gone:
            assert (missing, added) == (Counter(), Counter()), (operation, kind)
            continue
        assert {row[:36] for row in missing} <= gone, (operation, missing)
        # a trigger may count what is deleted
        assert {row[:36] for row in added} <= {row[:36] for row in both(old, kind)}
    for table, dependent in zip(schema.tables, schema.dependents, strict=True):
        was, now = both(old, table), both(new, table)
        if gone:
            assert now.total() <= was.total()
        elif dependent.handling in {"move", "refuse"}:
            assert now == was or _is_let_go_above(schema, dependent.parent), (operation, table)
        elif dependent.handling == "detach":
            assert now.total() == was.total() or _is_let_go_above(schema, dependent.parent)
        else:
            assert now <= was or _is_let_go_above(schema, dependent.parent)


def _is_let_go_above(schema: Schema, parent: str | int) -> bool:
    """Tell whether something above lets rows go, and so what hangs on them."""
    while isinstance(parent, int):
        if schema.dependents[parent].handling in {"delete", "detach"}:
            return True
        parent = schema.dependents[parent].parent
    return False


def test_a_call_is_refused_and_changes_nothing_or_every_row_is_accounted_for(
    connection: psycopg.Connection, profile: settings
) -> None:
    shares: Counter[str] = Counter()

    @settings(profile, max_examples=60 if profile.derandomize else 2000)
    @given(schema=schemas(), operations=OPERATIONS)
    def check(schema: Schema, operations: list[tuple[str, set[UUID]]]) -> None:
        with connection.transaction(force_rollback=True):
            build(connection, schema, SESSIONS)
            is_whole = run_all(connection, schema, operations, shares)
        shares["schemas"] += 1
        if schema.depth >= 2:
            shares["deep"] += 1
            shares["deep, moved and restored"] += is_whole
        for what in ("has_parents", "constraint", "is_key_off", "triggers"):
            shares[what] += bool(getattr(schema, what))

    check()

    # What is drawn is what the test is about.
    assert shares["deep"] >= shares["schemas"] / 5, shares
    assert shares["deep, moved and restored"] >= shares["deep"] / 2, shares
    assert shares["triggers"] >= shares["schemas"] / 10, shares
    assert shares["done"] >= shares["called"] / 3, shares
    assert shares["refused"] >= shares["called"] / 20, shares


def run_all(
    connection: psycopg.Connection,
    schema: Schema,
    operations: list[tuple[str, set[UUID]]],
    shares: Counter[str],
) -> bool:
    """Do all operations; return whether the sessions of the schema move and come back."""
    is_whole = have_moved = False
    # First whether they all move there and back, and then what was drawn.
    for operation, ids in [("archive", set(SESSIONS)), ("restore", set(SESSIONS)), *operations]:
        before = read(connection, schema.tables)
        shares["called"] += 1
        refusal = attempt(connection, operation, ids)
        if refusal is not None:
            assert refusal.sqlstate in OUR_CODES, (schema, operation, str(refusal))
            assert read(connection, schema.tables) == before
            shares["refused"] += 1
            continue
        after = read(connection, schema.tables)
        check_accounted(schema, operation, ids, before, after)
        shares["done"] += 1
        if operation == "archive" and not after["session live"]:
            have_moved = True
        if operation == "restore" and not after["session archive"]:
            is_whole = is_whole or have_moved
    return is_whole
