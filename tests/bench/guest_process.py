# SPDX-License-Identifier: BSD-3-Clause
"""The guest of a benchmark: a `pydpdk-defer guest` that spins on its core and swallows what it gets."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["guest"]


@contextmanager
def guest(socket: str, *, core: int, hugepages: bool, spin: bool = False, nice: int = 0) -> Iterator[None]:
    """A sink on `socket`, pinned to `core`, at this niceness; ended when the context ends."""
    command = ["nice", "-n", str(nice)] if nice else []
    command += [sys.executable, "-m", "pydpdk_defer", "guest", socket, "--role", "sink", "--core", str(core)]
    command += ["--hugepages", "yes" if hugepages else "no", "--connect-timeout", "30"]
    with subprocess.Popen(
        [*command, *(["--spin"] if spin else [])],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)
