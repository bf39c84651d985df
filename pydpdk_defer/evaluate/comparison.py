# SPDX-License-Identifier: BSD-3-Clause
"""Two copy engines at one point: who needs fewer cycles at the same rate, who delivers more at full load."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydpdk_defer.evaluate.axes import Engine, Point
from pydpdk_defer.evaluate.intervals import Interval, median_interval
from pydpdk_defer.evaluate.records import Phase, Repetition

__all__ = ["ROUNDS_MIN", "Comparison", "PointFigures", "Quantity", "Winner", "families", "figures"]

Quantity = Literal["cycles", "rate"]
Winner = Literal["cpu", "dma", "auto", "no difference"]
ROUNDS_MIN = 5  # of fewer values no interval can be told
_PHASE: Mapping[Quantity, Phase] = {"cycles": "paced", "rate": "full"}


@dataclass(frozen=True)
class Comparison:
    """`one` against `other`: the ratio of what they needed or delivered, round by round.

    `ratio`: one / other, of cycles per packet at the same offered rate, or of packets/s at full load. `winner`: "no
    difference" where the ratio's interval holds 1, the intervals of both engines overlap, or rounds are fewer than 5.
    """

    quantity: Quantity
    one: Engine
    other: Engine
    ratio: Interval
    ratios: tuple[float, ...]
    winner: Winner


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

    @property
    def engines(self) -> tuple[Engine, ...]:
        """Those that were measured."""
        return tuple(engine for engine in ("cpu", "dma", "auto") if any(self.of(p, engine) for p in ("full", "paced")))

    def interval(self, quantity: Quantity, engine: Engine) -> Interval | None:
        """Cycles per packet or packets/s of an engine; `None` without a repetition."""
        values = [value for r in self.of(_PHASE[quantity], engine) if (value := _value(quantity, r)) is not None]
        return median_interval(values) if values else None

    def compare(self, quantity: Quantity, one: Engine, other: Engine) -> Comparison | None:
        """`None` without a round in which both were measured."""
        ratios = tuple(self._ratios(quantity, one, other))
        mine, its = self.interval(quantity, one), self.interval(quantity, other)
        if not ratios or mine is None or its is None:
            return None
        ratio = median_interval(ratios)
        winner: Winner = "no difference"
        if len(ratios) >= ROUNDS_MIN and not ratio.holds(1) and not mine.overlaps(its):
            winner = one if (ratio.value < 1) == (quantity == "cycles") else other
        return Comparison(quantity, one, other, ratio, ratios, winner)

    def _ratios(self, quantity: Quantity, one: Engine, other: Engine) -> Iterator[float]:
        its = {repetition.round: repetition for repetition in self.of(_PHASE[quantity], other)}
        for repetition in self.of(_PHASE[quantity], one):
            if repetition.round in its:
                mine, his = _value(quantity, repetition), _value(quantity, its[repetition.round])
                if mine and his:
                    yield mine / his


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
