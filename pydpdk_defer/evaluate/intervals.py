# SPDX-License-Identifier: BSD-3-Clause
"""Medians of few noisy values with what they are worth: percentile bootstrap intervals (Efron, 1979), 95 %.

Everything here is a function of its arguments: the resamples are drawn by a generator of a fixed seed.
"""

import math
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Interval", "crossing", "crossing_interval", "median_interval"]

_RESAMPLES = 1000
_TAIL = 0.025
_SEED = 20211


@dataclass(frozen=True)
class Interval:
    """A value between two bounds."""

    low: float
    value: float
    high: float

    def overlaps(self, other: "Interval") -> bool:
        """Whether some number is in both."""
        return self.low <= other.high and other.low <= self.high

    def holds(self, number: float) -> bool:
        """Whether the number is within the bounds."""
        return self.low <= number <= self.high


def median_interval(values: Sequence[float]) -> Interval:
    """The median of at least one value, and its interval; of one value the interval is the value."""
    if not values:
        raise ValueError("no values: a median needs one")
    chosen = random.Random(_SEED)
    medians = sorted(statistics.median(chosen.choices(values, k=len(values))) for _ in range(_RESAMPLES))
    return _between(medians, statistics.median(values))


def crossing(ratios: Mapping[float, float]) -> float | None:
    """The frame size from which on a ratio stays below 1: interpolated in logarithms of both, between two sizes.

    `ratios` by size. The smallest size if all are below 1; `None` if that of the largest size is not.
    """
    sizes = sorted(ratios, reverse=True)
    if ratios[sizes[0]] >= 1:
        return None
    for above, below in pairwise(sizes):
        if ratios[below] >= 1:
            high, low = math.log(ratios[above]), math.log(ratios[below])
            part = low / (low - high)
            return math.exp(math.log(below) + part * (math.log(above) - math.log(below)))
    return sizes[-1]


def crossing_interval(ratios: Mapping[float, Sequence[float]]) -> Interval | None:
    """The crossing of the medians of ratios, and its interval; `None` without a crossing.

    A resample that never crosses counts as beyond the largest size, which is then the upper bound.
    """
    value = crossing({size: statistics.median(of_size) for size, of_size in ratios.items()})
    if value is None:
        return None
    largest = max(ratios)
    chosen = random.Random(_SEED)
    resampled = sorted(_resampled_crossing(ratios, chosen.choices) or largest for _ in range(_RESAMPLES))
    return _between(resampled, value)


def _resampled_crossing(ratios: Mapping[float, Sequence[float]], choices: Callable[..., list[float]]) -> float | None:
    medians = {size: statistics.median(choices(of_size, k=len(of_size))) for size, of_size in ratios.items()}
    return crossing(medians)


def _between(sorted_values: Sequence[float], value: float) -> Interval:
    last = len(sorted_values) - 1
    low, high = sorted_values[round(_TAIL * last)], sorted_values[round((1 - _TAIL) * last)]
    return Interval(min(low, value), value, max(high, value))
