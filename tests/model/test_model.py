"""Random sequences of every operation: nothing is lost, and every view tells the truth."""

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import Machine
from tests.model.world import World


@pytest.mark.parametrize("world", ["tables", "views"], indirect=True)
def test_whatever_is_done_in_whatever_order_every_row_is_where_the_model_says(
    world: World, profile: settings
) -> None:
    run_state_machine_as_test(lambda: Machine(world), settings=profile)
