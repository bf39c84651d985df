# SPDX-License-Identifier: BSD-3-Clause
"""Two copy engines at one point: who needs fewer cycles at the same rate, who delivers more at full load."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydpdk_defer.evaluate.axes import Engine, Point
from pydpdk_defer.evaluate.intervals import Interval, Sample, independent, median_interval
from pydpdk_defer.evaluate.records import Phase, Repetition

__all__ = ["INDEPENDENT_MIN", "Comparison", "PointFigures", "Quantity", "Winner", "families", "figures", "tells"]

Quantity = Literal["cycles", "rate"]
Winner = Literal["cpu", "dma", "auto", "no difference"]
INDEPENDENT_MIN = 5  # of fewer forks, or rounds of a single one, no interval can be told
_PHASE: Mapping[Quantity, Phase] = {"cycles": "paced", "rate": "full"}


@dataclass(frozen=True)
class Comparison:
    """`one` against `other`: the ratio of what they needed or delivered, round by round.

    `ratio`: one / other, of cycles per packet at the same offered rate, or of packets/s at full load. `winner`: "no
    difference" where the ratio's interval holds 1, which is to say that the intervals of both overlap, each in parts of
    the two's geometric mean of a round; or where forks are fewer than 5. `ratios`: by fork.
    """

    quantity: Quantity
    one: Engine
    other: Engine
    ratio: Interval
    ratios: Sample
    winner: Winner


def tells(sample: Sample) -> bool:
    """Whether its interval can be believed."""
    return independent(sample) >= INDEPENDENT_MIN


class PointFigures:
    """All good repetitions of one point, by phase and engine."""

    def __init__(self, point: Point, repetitions: Iterable[Repetition]) -> None:
        self.point = point
        self._by_engine: dict[tuple[Phase, Engine], dict[int, Repetition]] = defaultdict(dict)
        self.failures: list[str] = []
        for repetition in repetitions:
            if repetition.failure:
                self.failures.append(repetition.failure)
            else:
                self._by_engine[repetition.phase, repetition.engine][repetition.round] = repetition

    @property
    def failed(self) -> int:
        """Repetitions that gave no figures."""
        return len(self.failures)

    def of(self, phase: Phase, engine: Engine) -> Sequence[Repetition]:
        """In the order of the rounds."""
        rounds = self._by_engine.get((phase, engine), {})
        return [rounds[number] for number in sorted(rounds)]

    def silent(self, quantity: Quantity, engine: Engine) -> int:
        """Rounds in which an engine delivered nothing: no ratio comes from them."""
        return sum(not r.delivered for r in self._by_engine.get((_PHASE[quantity], engine), {}).values())

    @property
    def engines(self) -> tuple[Engine, ...]:
        """Those that were measured."""
        return tuple(engine for engine in ("cpu", "dma", "auto") if any(self.of(p, engine) for p in ("full", "paced")))

    def interval(self, quantity: Quantity, engine: Engine) -> Interval | None:
        """Cycles per packet or packets/s of an engine; `None` without a repetition.

        What weighs on all engines of a round alike, as the processes that measured it do, is not in the interval: that
        is of the engine's part in the geometric mean of CPU and DMA (of any two, where one of these is not measured).
        """
        mine = self._values(quantity, engine)
        if not mine:
            return None
        first, *more = (self._values(quantity, other) for other in self.engines[:2])
        common = set(mine).intersection(first, *more)
        if not common:
            return median_interval(self._by_fork(quantity, engine, mine))
        means = {number: statistics.geometric_mean([first[number], *(of[number] for of in more)]) for number in common}
        parts = {number: mine[number] / mean for number, mean in sorted(means.items())}
        return median_interval(self._by_fork(quantity, engine, parts)).times(statistics.median(means.values()))

    def compare(self, quantity: Quantity, one: Engine, other: Engine) -> Comparison | None:
        """`None` without a round in which both were measured."""
        mine, its = self._values(quantity, one), self._values(quantity, other)
        ratios = {number: value / its[number] for number, value in mine.items() if number in its}
        if not ratios:
            return None
        by_fork = self._by_fork(quantity, one, ratios)
        ratio = median_interval(by_fork)
        winner: Winner = "no difference"
        if tells(by_fork) and not ratio.holds(1):
            winner = one if (ratio.value < 1) == (quantity == "cycles") else other
        return Comparison(quantity, one, other, ratio, by_fork, winner)

    def _values(self, quantity: Quantity, engine: Engine) -> dict[int, float]:
        """By round; without those that gave none."""
        rounds = self._by_engine.get((_PHASE[quantity], engine), {})
        return {number: value for number, r in sorted(rounds.items()) if (value := _value(quantity, r))}

    def _by_fork(self, quantity: Quantity, engine: Engine, by_round: Mapping[int, float]) -> dict[int, list[float]]:
        sample: dict[int, list[float]] = defaultdict(list)
        for number, value in by_round.items():
            sample[self._by_engine[_PHASE[quantity], engine][number].fork].append(value)
        return dict(sample)


def _value(quantity: Quantity, repetition: Repetition) -> float | None:
    return repetition.cycles_per_packet if quantity == "cycles" else repetition.delivered_pps


def figures(repetitions: Iterable[Repetition]) -> list[PointFigures]:
    """Repetitions by point, in the order in which the points came."""
    by_point: dict[Point, list[Repetition]] = {}
    for repetition in repetitions:
        by_point.setdefault(repetition.point.point(), []).append(repetition)
    return [PointFigures(point, of_point) for point, of_point in by_point.items()]


def families(points: Iterable[PointFigures]) -> list[list[PointFigures]]:
    """Points that differ in frame size alone, together."""
    by_family: dict[tuple[int, int, str, str], list[PointFigures]] = {}
    for point in points:
        by_family.setdefault(point.point.family, []).append(point)
    return list(by_family.values())
