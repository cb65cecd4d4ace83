"""policy: when the sessions of a type go."""

import pytest

from tests.support.command_line import Cli, document, lines, refusal


def test_policies_are_set_in_part_and_unset(cli: Cli) -> None:
    first = lines(cli("policy", "list"))
    lines(cli("policy", "set", "default", "--purge-after", "1y"))
    lines(cli("policy", "set", "import", "--archive-after", "2 weeks"))
    lines(cli("policy", "set", "cron", "--disable"))
    lines(cli("policy", "set", "cron", "--archive-after", "never"))
    changed = document(cli("policy", "list", "--json"))["policies"]
    lines(cli("policy", "unset", "import"))
    again = refusal(cli("policy", "unset", "import"))

    assert first == [
        "*\t30 days\tnever\tenabled",
        *(f"{kind}\t1 day\tnever\tenabled" for kind in ("cron", "subagent", "swarm")),
    ]
    assert [tuple(policy.values()) for policy in changed] == [
        ("*", "P30D", "P1Y", True),
        ("cron", None, None, False),
        ("import", "P14D", "P1Y", True),
        ("subagent", "P1D", None, True),
        ("swarm", "P1D", None, True),
    ]
    assert again == ["Error: import has no policy"]


@pytest.mark.parametrize(
    ("age", "reading"),
    [
        ("6m", "6m is 6 minutes"),
        ("PT12H", "PT12H is 12 hours"),
        ("1s", "1s is 1 second"),
        ("23h 59m", "23h 59m is 23 hours 59 minutes"),
        ("1d", None),
        ("6mo", None),
        ("never", None),
    ],
)
def test_policy_set_warns_about_a_purge_after_below_one_day(
    cli: Cli, age: str, reading: str | None
) -> None:
    done = cli("policy", "set", "cron", "--purge-after", age)
    archiving = cli("policy", "set", "cron", "--archive-after", "6m")

    assert (done.returncode, archiving.returncode, archiving.stderr) == (0, 0, "")
    assert done.stderr == (
        f"Warning: {reading}: a purge deletes sessions less than one day after they were archived\n"
        if reading
        else ""
    )
