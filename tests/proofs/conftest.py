"""How much is tried: a fixed part in every run, and as much as you like with a profile.

pytest tests/proofs/model tests/proofs/conservation --hypothesis-profile=deep
"""

import pytest
from hypothesis import HealthCheck, Phase, settings

DEEP = "deep"

_BOUNDED = settings(
    max_examples=30,
    stateful_step_count=20,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
settings.register_profile(
    DEEP, _BOUNDED, max_examples=500, stateful_step_count=60, derandomize=False
)


@pytest.fixture
def profile(pytestconfig: pytest.Config) -> settings:
    """How many sequences of how many steps."""
    is_deep = pytestconfig.getoption("hypothesis_profile", None) == DEEP
    return settings.get_profile(DEEP) if is_deep else _BOUNDED
