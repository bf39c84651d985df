# SPDX-License-Identifier: BSD-3-Clause
"""Medians of few noisy values with what they are worth: bootstrap intervals (Efron, 1979), 95 %.

Values come in samples: by fork, the pair of processes that measured them. Each resample draws forks, and values within
each (Davison and Hinkley, 1997, section 3.8): values of one fork have an error in common that more of them do not
lessen. Percentiles of the resamples are the expanded ones (Hesterberg, 2015, "What Teachers Should Know About the
Bootstrap"): with few forks the usual 2.5 and 97.5 are too narrow, as Student's t and n - 1 tell. Everything here is a
function of its arguments: the resamples are drawn by a generator of a fixed seed.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

__all__ = ["Interval", "Sample", "crossing", "crossing_interval", "independent", "median_interval"]

Sample = Mapping[int, Sequence[float]]  # by fork

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

    def times(self, factor: float) -> "Interval":
        """The same of quantities that are so many times larger."""
        return Interval(self.low * factor, self.value * factor, self.high * factor)

    def holds(self, number: float) -> bool:
        """Whether the number is within the bounds."""
        return self.low <= number <= self.high


def median_interval(sample: Sample) -> Interval:
    """The median of at least one value, and its interval; of one value the interval is the value."""
    values = [value for of_fork in sample.values() for value in of_fork]
    if not values:
        raise ValueError("no values: a median needs one")
    chosen = np.random.default_rng(_SEED)
    medians = _medians(sample, _forks(sample, chosen), chosen)
    low, high = map(float, np.percentile(medians, _percents(independent(sample))))
    value = float(np.median(values))
    return Interval(min(low, value), value, max(high, value))


def crossing(ratios: Mapping[float, float]) -> float | None:
    """The frame size from which on a ratio stays below 1: interpolated in logarithms of both, between two sizes.

    `ratios` by size. The smallest size if all are below 1; `None` if that of the largest size is not.
    """
    [found] = _crossings({size: np.array([ratio]) for size, ratio in ratios.items()})
    return None if math.isnan(found) else float(found)


def crossing_interval(ratios: Mapping[float, Sample]) -> Interval | None:
    """The crossing of the medians of ratios, and its interval; `None` without a crossing.

    The interval is for the crossing that another evaluation of the same length would find: both have the same error, so
    it is wider than that of this one by the square root of 2. It ends at the smallest and the largest size; a resample
    that never crosses counts as the largest. A resample draws the same forks at all sizes that have them.
    """
    every = {size: [ratio for of_fork in sample.values() for ratio in of_fork] for size, sample in ratios.items()}
    value = crossing({size: float(np.median(of_size)) for size, of_size in every.items()})
    if value is None:
        return None
    chosen = np.random.default_rng(_SEED)
    forks = _forks(set().union(*ratios.values()), chosen)
    medians = {size: _medians(sample, forks, chosen) for size, sample in ratios.items()}
    smallest, largest = min(ratios), max(ratios)
    resampled = np.nan_to_num(_crossings(medians), nan=largest)
    low, high = map(float, np.percentile(resampled, _percents(min(map(independent, ratios.values())))))
    wider = math.sqrt(2)
    return Interval(
        max(smallest, value * min(1.0, low / value) ** wider),
        value,
        min(largest, value * max(1.0, high / value) ** wider),
    )


def _crossings(ratios: Mapping[float, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Many at once, by size one ratio for each; not a number: there is none."""
    sizes = np.log(np.array(sorted(ratios, reverse=True), dtype=np.float64))
    logs = np.log(np.stack([ratios[size] for size in sorted(ratios, reverse=True)], axis=1))
    is_lost = logs >= 0
    below = np.argmax(is_lost, axis=1)  # the largest size at which the ratio is not below 1
    above = np.maximum(below - 1, 0)
    number = np.arange(len(logs))
    low, high = logs[number, below], logs[number, above]
    part = low / np.where(low == high, 1.0, low - high)
    found = np.exp(sizes[below] + part * (sizes[above] - sizes[below]))
    found = np.where(is_lost.any(axis=1), np.clip(found, min(ratios), max(ratios)), min(ratios))
    crossings: NDArray[np.float64] = np.where(is_lost[:, 0], math.nan, found)
    return crossings


def independent(sample: Sample) -> int:
    """How many values have no error in common that is seen: forks, or what the only one measured."""
    return len(sample) if len(sample) > 1 else sum(map(len, sample.values()))


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


def _forks(forks: Iterable[int], chosen: np.random.Generator) -> NDArray[np.int64]:
    """Which forks each resample draws, a row of as many as there are."""
    present = np.array(sorted(forks))
    drawn: NDArray[np.int64] = chosen.choice(present, size=(_RESAMPLES, len(present)))
    return drawn


def _medians(sample: Sample, forks: NDArray[np.int64], chosen: np.random.Generator) -> NDArray[np.float64]:
    """Of resamples with replacement, of these forks; in the place of one that the sample lacks comes any of its own."""
    present = np.array(sorted(sample))
    rows = [np.asarray(sample[fork], dtype=np.float64) for fork in present]
    lengths = np.array([len(row) for row in rows])
    longest = int(lengths.max())
    values = np.stack([np.resize(row, longest) for row in rows])
    at = np.minimum(np.searchsorted(present, forks), len(present) - 1)
    at = np.where(present[at] == forks, at, chosen.integers(len(present), size=forks.shape))
    in_fork = (chosen.random((*at.shape, longest)) * lengths[at][..., np.newaxis]).astype(np.int64)
    medians: NDArray[np.float64] = np.median(values[at[..., np.newaxis], in_fork], axis=(1, 2))
    return medians
