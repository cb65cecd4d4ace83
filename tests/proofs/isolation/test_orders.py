"""Every order of events: nothing is lost, nothing is doubled, every client gets an answer.

Two or three clients of ``specs/`` do their work in every order of their steps; see
``isolationtester.py`` for how, and ``laws.sql`` for what must be true after each. That holds for
rows and for the journal alike: an event that is lost or doubled is a violation, too.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import combinations_with_replacement, product

import pytest

from aria_db.database import Database
from tests.proofs.isolation.isolationtester import (
    CLIENTS,
    READ_COMMITTED,
    REPEATABLE_READ,
    SERIALIZABLE,
    Laboratory,
    Outcome,
    cast,
    orders,
)
from tests.proofs.isolation.plugin import TRIED

pytestmark = pytest.mark.slow

LEVELS = (READ_COMMITTED, REPEATABLE_READ, SERIALIZABLE)

TryEveryOrder = Callable[..., None]

DEEP = pytest.mark.deep

# The functions of this package. Two clients that call none are PostgreSQL's business.
OWN = (
    *("archive", "archive_reversed", "delete_archived", "delete_chat", "hold"),
    *("prune", "purge", "release", "restore", "restore_both", "restore_other", "restore_reversed"),
)
# Of a database with other tables whose rows hang on sessions and messages.
DEPENDENTS = ("bookmark_insert", "feedback_insert", "vote_insert")
# What finds something to do only among sessions without a message.
EMPTY = "delete_empty"
OWN_PAIRS = list(combinations_with_replacement(OWN, 2))
APPLICATION_PAIRS = list(
    product(OWN, (client for client in CLIENTS if client not in (*OWN, *DEPENDENTS, EMPTY)))
)

DELETES = {"delete_archived", "delete_chat"}

# These meet only the clients beside which something can happen on every change.
MET_ON_EVERY_CHANGE = {
    "delete_archived": {"archive", "hold", "purge", "restore", "session_recreated"},
    "delete_chat": {"archive", "hold", "prune", "message_insert", "session_update"},
    "release": {"hold"},
    "restore_both": {"archive", "archive_reversed", "delete_archived", "prune", "restore_both"},
    "restore_reversed": set(),
}

# The soft delete of a session that is live is taken back by a restore of it, and matters to these.
SOFT_DELETED_PAIRS = [
    ("archive", "restore_both"),
    ("delete_chat", "restore_both"),
    ("hold", "restore_both"),
    ("prune", "restore"),
    ("prune", "restore_both"),
    ("restore", "restore_both"),
]


def depth(roles: Sequence[str]) -> list[pytest.MarkDecorator]:
    """Return the marks of a pair of clients: none if it is tried on every change."""
    one, other = roles
    chosen = [met for role, met in MET_ON_EVERY_CHANGE.items() if role in roles]
    is_met = other in MET_ON_EVERY_CHANGE.get(one, ()) or one in MET_ON_EVERY_CHANGE.get(other, ())
    return [DEEP] if chosen and not is_met else []


# Beside whom empty sessions are deleted. The first ones are run on every change.
BESIDE_EMPTY = (
    *("message_insert", "hold", "archive", "delete_chat", "session_update", "session_delete"),
    *("delete_empty", "prune", "restore_both", "session_recreated"),
)

# Where the moves compare: what moves against what writes.
COMPARED_PAIRS = [
    *product(("archive", "prune", "restore", "delete_chat", "delete_archived"), DEPENDENTS),
    *product(
        ("archive", "restore"),
        ("message_insert", "message_update", "message_delete", "session_update", "session_delete"),
    ),
    *combinations_with_replacement(("archive", "restore", "prune", "purge", "hold"), 2),
    ("archive", "archive_reversed"),
    ("restore_both", "restore_reversed"),
    ("delete_chat", "restore"),
    ("delete_archived", "restore"),
]

# Who stops a function half-way, and where its sessions are then.
LOCKS = (
    ("message_lock", "live"),
    ("archived_message_lock", "archived"),
    ("holds_lock", "live"),
    ("holds_lock", "archived"),
)

# Three at once, and where their sessions are before. The first ones are run on every change.
TRIPLES = {
    ("archive", "message_insert", "restore"): ("live", "archived"),
    # two that want the same rows, in opposite orders, when a third one lets go of the first of them
    ("archive", "archive_reversed", "session_update"): ("live",),
    ("hold", "prune", "session_update"): ("live",),
    ("hold", "purge", "restore"): ("archived",),
    ("archive", "session_delete", "session_recreated"): ("live",),
    ("add_column", "archive", "restore"): ("live", "archived"),
    # the same rows in opposite orders, when the hold lets go of the first of them
    ("hold", "restore_both", "restore_reversed"): ("archived",),
    ("archive", "archive_reversed", "restore_other"): ("live", "archived"),
    # to the archive and back, while somebody writes
    ("archive", "message_update", "restore"): ("live", "archived"),
    ("archive", "message_delete", "restore"): ("live", "archived"),
    ("archive", "restore", "session_update"): ("live", "archived"),
    ("archive", "restore", "session_delete"): ("live", "archived"),
    # the same move twice, and its inverse
    ("archive", "archive", "restore"): ("live", "archived", "split"),
    ("archive", "restore", "restore"): ("live", "archived", "split"),
    ("archive", "prune", "restore"): ("live", "archived", "split"),
    # a session becomes active, or is held, while it is moved
    ("message_insert", "prune", "session_update"): ("live",),
    ("archive", "hold", "prune"): ("live", "split"),
    ("archive", "hold", "restore"): ("live", "archived"),
    # what is purged is not being restored, nor held
    ("archive", "purge", "restore"): ("live", "archived", "split"),
    ("archive", "hold", "purge"): ("live", "archived"),
    ("prune", "purge", "restore"): ("live", "archived", "split"),
    # one id, two sessions
    ("archive", "restore", "session_recreated"): ("live", "archived"),
    ("purge", "restore", "session_recreated"): ("archived",),
    ("message_insert", "prune", "session_recreated"): ("live", "archived"),
    # a deploy in the middle of it
    ("add_column", "archive", "message_insert"): ("live",),
    ("add_column_live", "archive", "restore"): ("live", "archived"),
    # several at once, there and back
    ("archive", "archive_reversed", "restore_both"): ("live", "archived", "split"),
    ("prune", "restore_both", "restore_both"): ("archived", "split", "soft-deleted"),
    # what is deleted for good is not moved, nor held, and a hold may end meanwhile
    ("delete_chat", "hold", "release"): ("live",),
    ("hold", "purge", "release"): ("archived",),
    ("archive", "delete_chat", "hold"): ("live",),
    ("archive", "delete_chat", "message_insert"): ("live",),
    ("archive", "delete_chat", "restore"): ("live", "archived"),
    ("delete_archived", "hold", "restore"): ("archived",),
    ("delete_archived", "purge", "restore_both"): ("archived",),
    ("delete_archived", "restore", "session_recreated"): ("archived",),
}
ON_EVERY_CHANGE = 7


def every_order_in(
    laboratory: Laboratory, subtests: pytest.Subtests, record_property: Callable[..., None]
) -> TryEveryOrder:
    """Return what runs a spec, and reports each of its permutations."""

    def try_orders(
        roles: Sequence[str], levels: Sequence[str], start: str, part: slice = slice(None)
    ) -> None:
        clients = cast(roles, levels)
        permutations = list(orders([client.steps() for client in clients]))[part]
        outcomes = laboratory.run(clients, start, permutations)
        for steps, outcome in zip(permutations, outcomes, strict=True):
            order = f"{start}, {', '.join(levels)}: {outcome.permutation}"
            with subtests.test(order):
                assert outcome.permutation.split() == steps
                # pytest-xdist does not bring the name of a subtest
                assert not outcome.violations, f"{order}\n{outcome.transcript}"
        record_property(TRIED, summary(outcomes))

    return try_orders


@pytest.fixture
def try_every_order(
    laboratory: Laboratory, subtests: pytest.Subtests, record_property: Callable[..., None]
) -> TryEveryOrder:
    """Run a spec on tables that the moves take for plain ones."""
    return every_order_in(laboratory, subtests, record_property)


@pytest.fixture
def try_every_order_compared(
    database: Database,
    layout: str,
    subtests: pytest.Subtests,
    record_property: Callable[..., None],
) -> TryEveryOrder:
    """Run a spec where the moves compare, and rows of other tables hang on the sessions."""
    laboratory = Laboratory(database, layout, compares=True)
    return every_order_in(laboratory, subtests, record_property)


def summary(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """Count what the terminal summary tells."""
    counts = Counter({"permutations": len(outcomes)})
    for outcome in outcomes:
        counts["permutations in which a client waited"] += outcome.waits > 0
        counts["permutations in which a client was refused"] += bool(outcome.answers)
        counts.update({f"answers {code}": n for code, n in outcome.answers.items()})
    return dict(counts)


ALIKE = [(level, level) for level in LEVELS]
ORDINARY_LEVELS = [
    *ALIKE,
    (READ_COMMITTED, REPEATABLE_READ),
    (REPEATABLE_READ, READ_COMMITTED),
]
EVERY_TWO_LEVELS = list(product(LEVELS, LEVELS))

BOTH_LAYOUTS = pytest.mark.parametrize(
    "layout", ["tables", pytest.param("views", marks=DEEP)], indirect=True
)


@BOTH_LAYOUTS
@pytest.mark.parametrize(
    "roles", [pytest.param(roles, id="+".join(roles), marks=depth(roles)) for roles in OWN_PAIRS]
)
def test_any_two_functions_in_every_order_lose_and_double_nothing_and_do_not_deadlock(
    try_every_order: TryEveryOrder, laboratory: Laboratory, deep: bool, roles: Sequence[str]
) -> None:
    levels = EVERY_TWO_LEVELS if deep else ORDINARY_LEVELS
    starts = ["live", "archived", "split"]
    if not deep and not MET_ON_EVERY_CHANGE.keys().isdisjoint(roles):
        levels = ALIKE
        if not DELETES.isdisjoint(roles):  # the first session only: split is archived for them
            starts.remove("split")
    if roles in SOFT_DELETED_PAIRS:
        starts.append("soft-deleted")
    for two_levels, start in product(levels, starts):
        try_every_order(roles, two_levels, start)
    assert laboratory.deadlocks() == 0


@pytest.mark.parametrize(
    ("layout", "roles"),
    [
        # What a view does not show is found in another way than what an archive has not.
        pytest.param(layout, roles, id=f"{'+'.join(roles)}-{layout}", marks=marks)
        for roles in APPLICATION_PAIRS
        for layout, marks in (
            ("tables", depth(roles)),
            ("views", depth(roles) if roles[1].startswith("add_column") else [DEEP]),
        )
    ],
    indirect=["layout"],
)
def test_a_function_and_the_application_in_every_order_lose_and_double_nothing(
    try_every_order: TryEveryOrder, deep: bool, roles: Sequence[str]
) -> None:
    ordinary = [(READ_COMMITTED, READ_COMMITTED), (REPEATABLE_READ, REPEATABLE_READ)]
    for levels, start in product(EVERY_TWO_LEVELS if deep else ordinary, ("live", "archived")):
        try_every_order(roles, levels, start)


@BOTH_LAYOUTS
@pytest.mark.parametrize(
    "roles",
    [
        pytest.param(roles, id="+".join(roles), marks=[DEEP] if place >= ON_EVERY_CHANGE else [])
        for place, roles in enumerate(TRIPLES)
    ],
)
def test_three_clients_in_every_order_lose_and_double_nothing(
    try_every_order: TryEveryOrder, roles: Sequence[str]
) -> None:
    for start in TRIPLES[roles]:
        try_every_order(roles, [READ_COMMITTED] * 3, start)


# In parts: a table has at most 1,600 columns in its life, and a part is a test of its own for a
# worker of pytest-xdist.
PARTS = 4


@pytest.mark.deep
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("level", [REPEATABLE_READ, SERIALIZABLE])
@pytest.mark.parametrize("roles", TRIPLES, ids="+".join)
def test_three_clients_with_snapshots_in_every_order_lose_and_double_nothing(
    try_every_order: TryEveryOrder, roles: Sequence[str], level: str, part: int
) -> None:
    for start in TRIPLES[roles]:
        try_every_order(roles, [level] * 3, start, slice(part, None, PARTS))


@pytest.mark.deep
@pytest.mark.parametrize(("lock", "start"), LOCKS)
@pytest.mark.parametrize("roles", [*OWN_PAIRS, *APPLICATION_PAIRS], ids="+".join)
def test_two_clients_of_which_one_stops_half_way_lose_and_double_nothing(
    try_every_order: TryEveryOrder, roles: Sequence[str], lock: str, start: str
) -> None:
    """A third one holds a lock that stops a function in the middle of its statements."""
    try_every_order((*roles, lock), [READ_COMMITTED] * 3, start)


@pytest.mark.parametrize(
    "roles",
    [
        pytest.param(roles, id="+".join(roles), marks=[] if "archive" in roles else [DEEP])
        for roles in COMPARED_PAIRS
    ],
)
def test_moves_that_compare_lose_and_double_nothing_not_even_rows_that_hang_on_the_sessions(
    try_every_order_compared: TryEveryOrder, deep: bool, roles: Sequence[str]
) -> None:
    levels = EVERY_TWO_LEVELS if deep else ALIKE[:1]
    for two_levels, start in product(levels, ("live", "archived")):
        try_every_order_compared(roles, two_levels, start)


@BOTH_LAYOUTS
@pytest.mark.parametrize(
    "other",
    [
        pytest.param(other, marks=[] if place < 6 else [DEEP])
        for place, other in enumerate(BESIDE_EMPTY)
    ],
)
def test_deleting_empty_sessions_beside_others_loses_no_message_and_does_not_deadlock(
    try_every_order: TryEveryOrder, laboratory: Laboratory, deep: bool, other: str
) -> None:
    for levels in EVERY_TWO_LEVELS if deep else ALIKE[:2]:
        try_every_order((EMPTY, other), levels, "empty")
    assert laboratory.deadlocks() == 0
