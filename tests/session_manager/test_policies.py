"""Policies through the manager."""

from datetime import timedelta

import pytest

from aria_db.errors import InvalidArgument
from aria_db.session_manager import ALL_TYPES, NativeSessionManager

pytestmark = pytest.mark.anyio

MONTH = timedelta(days=30)


async def test_policies_begin_with_a_month_for_all_and_a_day_for_the_sessions_of_agents(
    manager: NativeSessionManager,
) -> None:
    policies = {p.session_type: p for p in await manager.list_policies()}

    assert {name: policy.archive_after for name, policy in policies.items()} == {
        ALL_TYPES: MONTH,
        **dict.fromkeys(("cron", "subagent", "swarm"), timedelta(days=1)),
    }
    assert all(p.enabled and p.purge_after is None for p in policies.values())


async def test_a_policy_is_made_changed_and_removed(manager: NativeSessionManager) -> None:
    made = await manager.set_policy("chat", archive_after=MONTH, purge_after=None)
    assert (made.archive_after, made.purge_after, made.enabled) == (MONTH, None, True)

    changed = await manager.set_policy("chat", archive_after=None, purge_after=MONTH, enabled=False)
    assert (changed.archive_after, changed.purge_after, changed.enabled) == (None, MONTH, False)
    [listed] = [p for p in await manager.list_policies() if p.session_type == "chat"]
    assert (listed.archive_after, listed.purge_after, listed.enabled) == (None, MONTH, False)

    assert await manager.unset_policy("chat")
    assert not await manager.unset_policy("chat")


@pytest.mark.parametrize("age", [timedelta(0), timedelta(days=-1), timedelta(days=365_001)])
@pytest.mark.parametrize("name", ["archive_after", "purge_after"])
async def test_a_policy_with_an_age_that_is_none_is_refused(
    manager: NativeSessionManager, name: str, age: timedelta
) -> None:
    ages: dict[str, timedelta | None] = {"archive_after": None, "purge_after": None, name: age}
    with pytest.raises(InvalidArgument, match=name):
        await manager.set_policy("chat", **ages)
    assert "chat" not in {policy.session_type for policy in await manager.list_policies()}


async def test_the_longest_age_of_a_policy_is_an_age_that_the_table_takes(
    manager: NativeSessionManager,
) -> None:
    longest = timedelta(days=365_000)
    policy = await manager.set_policy("chat", archive_after=longest, purge_after=longest)
    assert policy.archive_after == policy.purge_after == longest
