# SPDX-License-Identifier: BSD-3-Clause
"""Types of command-line arguments: each says what it takes when it is given something else."""

import argparse
import math

__all__ = ["positive_count", "seconds"]


def seconds(text: str) -> float:
    """A time in seconds, 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no time in seconds, such as 5 or 0.5")
    return value


def positive_count(text: str) -> int:
    """A whole number from 1; underscores may group its digits."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1, such as 1000000")
    return value
