# SPDX-License-Identifier: BSD-3-Clause
"""Types of command-line arguments: each says what it takes when it is given something else."""

import argparse
import math
import os
from pathlib import Path

__all__ = ["host_and_port", "json_target", "percentage", "positive_count", "seconds"]


def seconds(text: str) -> float:
    """A time in seconds, 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no time in seconds, such as 5 or 0.5")
    return value


def percentage(text: str) -> float:
    """A percentage from 0 to less than 100, as a part: "10" is 0.1."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < 100:
        raise argparse.ArgumentTypeError(f"{text!r} is no percentage from 0 to less than 100, such as 10")
    return value / 100


def positive_count(text: str) -> int:
    """A whole number from 1; underscores may group its digits."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1, such as 1000000")
    return value


def host_and_port(text: str) -> tuple[str, int]:
    """Where to listen: "127.0.0.1:9876", "[::1]:9876"; port 0 is any that is free."""
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 2**16):
        raise argparse.ArgumentTypeError(f"{text!r} is no HOST:PORT, such as 127.0.0.1:9876")
    return host.strip("[]"), int(port)


def json_target(text: str) -> str:
    """A file that can be written, or `-`: told before the run, not after an hour of it.

    Only making the file shows whether it can be made; it is removed again. What is there is left as it is.
    """
    if text == "-":
        return text
    try:
        if not os.path.exists(text):  # noqa: PTH110 - Path.exists raises where a folder may not be entered
            place = Path(os.path.realpath(text))  # where a link leads: the link is to stay
            place.open("xb").close()
            place.unlink()
        elif Path(text).is_dir() or Path(text).is_file():  # not a pipe or a terminal, which may wait for a reader
            Path(text).open("ab").close()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot write {text!r}: {error.strerror}; give a file, or -") from error
    return text
