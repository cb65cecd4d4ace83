"""Random sequences of every operation: nothing is lost, and every view tells the truth."""

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.proofs.model.machine import Machine
from tests.proofs.model.world import World
from tests.support.layouts import BOTH_LAYOUTS

pytestmark = pytest.mark.slow


@BOTH_LAYOUTS
def test_whatever_is_done_in_whatever_order_every_row_is_where_the_model_says(
    world: World, profile: settings
) -> None:
    run_state_machine_as_test(lambda: Machine(world), settings=profile)
