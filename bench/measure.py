"""How it is measured: subjects by turns, medians, ratios with their spread, figures to reach."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.server import Server

Statistic = Callable[[Sequence[float]], float]
Run = Callable[[Any], Awaitable[object]]

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
_RESAMPLES = 1000


@dataclass(frozen=True)
class Setting:
    """What a benchmark runs in.

    :param server: the server.
    :param quick: whether small data will do, because it runs for its correctness alone.
    :param say: prints a line about what goes on.
    :param rng: of the order of the subjects.
    """

    server: Server
    quick: bool
    say: Callable[[str], None]
    rng: random.Random = field(default_factory=lambda: random.Random(1))

    def pick(self, full: int, quick: int) -> int:
        """Return the number for a full run, or that for a quick one."""
        return quick if self.quick else full


@dataclass(frozen=True)
class Target:
    """What a figure should be.

    :param what: the figure in words.
    :param direction: on which side of the bound it should be.
    :param bound: the bound; None for a price, which is only reported.
    :param unit: such as ``ms``; empty for ratios.
    :param tolerance: by which part of the committed figure a later one may be worse.
    """

    what: str
    direction: Literal["at most", "at least"]
    bound: float | None
    unit: str = ""
    tolerance: float = 0.2


@dataclass(frozen=True)
class Figure:
    """A figure as it was measured.

    :param target: what it should be.
    :param value: what it is.
    :param low: where a 95 % interval of it begins, or the least of the rounds.
    :param high: where that ends, or the greatest.
    """

    target: Target
    value: float
    low: float
    high: float

    @property
    def is_met(self) -> bool | None:
        """Whether the value is what it should be; None where there is no bound."""
        if self.target.bound is None:
            return None
        if self.target.direction == "at most":
            return self.value <= self.target.bound
        return self.value >= self.target.bound

    def is_worse_than(self, committed: float) -> bool:
        """Tell whether it is worse than a committed value, by more than the tolerance."""
        if self.target.direction == "at most":
            return self.value > committed * (1 + self.target.tolerance)
        return self.value < committed / (1 + self.target.tolerance)


@dataclass(frozen=True)
class Series:
    """What was measured of one subject.

    :param unit: such as ``ms`` or ``messages/s``.
    :param values: one per measurement.
    """

    unit: str
    values: Sequence[float]

    @property
    def median(self) -> float:
        """The median."""
        return statistics.median(self.values)

    @property
    def p99(self) -> float:
        """The 99th percentile."""
        return p99(self.values)

    def quantiles(self) -> list[float]:
        """Return the values at :data:`QUANTILES`."""
        return [quantile(self.values, place) for place in QUANTILES]


@dataclass(frozen=True)
class Result:
    """The outcome of a benchmark.

    :param title: what it is about.
    :param series: by subject.
    :param figures: in the order in which they are shown.
    :param facts: sizes of the data, numbers of rounds and what else a reader wants to know.
    """

    title: str
    series: Mapping[str, Series]
    figures: Sequence[Figure]
    facts: Mapping[str, Any]


def quantile(values: Sequence[float], place: float) -> float:
    """Return a quantile: the smallest value that this part of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * place))]


def p99(values: Sequence[float]) -> float:
    """Return the 99th percentile."""
    return quantile(values, 0.99)


async def by_turns(
    setting: Setting,
    subjects: Mapping[str, Run],
    items: Mapping[str, Sequence[Any]],
    warm_up: int = 0,
) -> dict[str, list[float]]:
    """Run the subjects by turns, in another order in every round.

    :param subjects: by name; each is called with an item of its own in every round.
    :param items: by name of the subject: as many each as there are rounds.
    :param warm_up: how many rounds are not counted.
    :return: by subject: milliseconds of each round.
    """
    names = list(subjects)
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(len(items[names[0]])):
        setting.rng.shuffle(names)
        for name in names:
            item = items[name][number]
            began = time.perf_counter()
            await subjects[name](item)
            took = time.perf_counter() - began
            if number >= warm_up:
                times[name].append(took * 1000)
    return times


def blocking(call: Callable[[Any], object]) -> Run:
    """Let a synchronous call run by turns with asynchronous ones, alone on the event loop."""

    async def run(item: Any) -> object:
        return call(item)

    return run


def ratio(
    target: Target,
    numerator: Sequence[float],
    denominator: Sequence[float],
    statistic: Statistic = statistics.median,
) -> Figure:
    """Compare two subjects that ran by turns.

    The interval is that of a bootstrap over rounds: both subjects of a round are drawn together.
    Of fewer than ten rounds it is the least and the greatest ratio of one round.
    """
    value = statistic(numerator) / statistic(denominator)
    rounds = list(zip(numerator, denominator, strict=True))
    if len(rounds) < 10:
        ratios = [above / below for above, below in rounds]
        return Figure(target, value, min(ratios), max(ratios))
    rng = random.Random(1)
    drawn = []
    for _ in range(_RESAMPLES):
        sample = rng.choices(rounds, k=len(rounds))
        above, below = zip(*sample, strict=True)
        drawn.append(statistic(above) / statistic(below))
    return Figure(target, value, quantile(drawn, 0.025), quantile(drawn, 0.975))
