# SPDX-License-Identifier: BSD-3-Clause
"""Medians of few noisy values with what they are worth: bootstrap intervals (Efron, 1979), 95 %.

Percentiles of the resamples are the expanded ones (Hesterberg, 2015, "What Teachers Should Know About the Bootstrap"):
with some ten values the usual 2.5 and 97.5 are too narrow, as Student's t and n - 1 tell. Everything here is a function
of its arguments: the resamples are drawn by a generator of a fixed seed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

__all__ = ["Interval", "crossing", "crossing_interval", "median_interval"]

_RESAMPLES = 2000
_TAIL = 0.025
_SEED = 20211


@dataclass(frozen=True)
class Interval:
    """A value between two bounds."""

    low: float
    value: float
    high: float

    @property
    def half_width(self) -> float:
        """Of the part between the bounds."""
        return (self.high - self.low) / 2

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
    low, high = np.percentile(_medians(values, np.random.default_rng(_SEED)), _percents(len(values)))
    return Interval(float(low), float(np.median(values)), float(high))


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

    The interval is for the crossing that another evaluation of the same length would find: both have the same error, so
    it is wider than that of this one by the square root of 2. It ends at the smallest and the largest size; a resample
    that never crosses counts as the largest.
    """
    value = crossing({size: float(np.median(of_size)) for size, of_size in ratios.items()})
    if value is None:
        return None
    chosen = np.random.default_rng(_SEED)
    medians = {size: _medians(of_size, chosen) for size, of_size in ratios.items()}
    smallest, largest = min(ratios), max(ratios)
    resampled = [
        crossing({size: float(of_size[number]) for size, of_size in medians.items()}) or largest
        for number in range(_RESAMPLES)
    ]
    low, high = map(float, np.percentile(resampled, _percents(min(map(len, ratios.values())))))
    wider = math.sqrt(2)
    return Interval(
        max(smallest, value * min(1.0, low / value) ** wider),
        value,
        min(largest, value * max(1.0, high / value) ** wider),
    )


def _percents(values: int) -> tuple[float, float]:
    """The expanded percentiles of so many values' resamples."""
    if values < 2:
        return 0.0, 100.0
    freedom = values - 1
    z = NormalDist().inv_cdf(1 - _TAIL)
    # Student's t by the first terms of its expansion around the normal quantile (Fisher and Cornish, 1960).
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    tail = 100 * NormalDist().cdf(-math.sqrt(values / freedom) * t)
    return tail, 100 - tail


def _medians(values: Sequence[float], chosen: np.random.Generator) -> NDArray[np.float64]:
    """Of resamples with replacement."""
    array = np.asarray(values, dtype=np.float64)
    medians: NDArray[np.float64] = np.median(array[chosen.integers(len(array), size=(_RESAMPLES, len(array)))], axis=1)
    return medians
