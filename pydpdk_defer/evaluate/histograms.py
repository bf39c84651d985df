# SPDX-License-Identifier: BSD-3-Clause
"""HdrHistograms (Tene) of nanoseconds: three significant digits, mergeable, written in their V2 form (base64)."""

from collections.abc import Iterable

from hdrh.histogram import HdrHistogram

__all__ = ["PERCENTILES", "encode", "merge", "percentiles_us"]

_LOWEST_NS, _HIGHEST_NS, _DIGITS = 1, 2**40, 3
PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}


def encode(counts: Iterable[tuple[int, int]]) -> str:
    """Pairs of nanoseconds and how often; "" when there are none. What is out of range counts as its end."""
    histogram = HdrHistogram(_LOWEST_NS, _HIGHEST_NS, _DIGITS)
    for ns, count in counts:
        histogram.record_value(min(max(ns, _LOWEST_NS), _HIGHEST_NS), count)
    return str(histogram.encode().decode()) if histogram.get_total_count() else ""


def merge(encoded: Iterable[str]) -> HdrHistogram:
    """The sum of encoded histograms."""
    merged = HdrHistogram(_LOWEST_NS, _HIGHEST_NS, _DIGITS)
    for text in encoded:
        if text:
            merged.decode_and_add(text)
    return merged


def percentiles_us(encoded: Iterable[str]) -> dict[str, float] | None:
    """p50 to max of a sum, in microseconds; `None` when nothing was counted."""
    texts = [text for text in encoded if text]
    if not texts:
        return None
    values = merge(texts).get_percentile_to_value_dict(list(PERCENTILES.values()))
    return {name: values[percent] / 1000 for name, percent in PERCENTILES.items()}
