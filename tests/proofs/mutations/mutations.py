"""The faults: what somebody could get wrong in the SQL functions, and the tests that say so.

Each is a small change that most tests would not notice, as a slip or a well-meant simplification
makes it. One more is welcome wherever a function is changed.
"""

from tests.proofs.mutations import conflicts, dependents, journal, move, operations, retention
from tests.proofs.mutations.mutation import Mutation

MUTATIONS: tuple[Mutation, ...] = (
    *move.mutations(),
    *journal.mutations(),
    *retention.mutations(),
    *conflicts.mutations(),
    *dependents.mutations(),
    *operations.mutations(),
)
