# SPDX-License-Identifier: BSD-3-Clause
"""How the benchmarks sum up repeated measurements."""

import statistics
from collections.abc import Sequence

__all__ = ["spread"]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and quartiles of at least two values."""
    low, middle, high = statistics.quantiles(values, n=4)
    return {"median": round(middle, 4), "q1": round(low, 4), "q3": round(high, 4)}
