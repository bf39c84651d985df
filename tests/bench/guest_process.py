# SPDX-License-Identifier: BSD-3-Clause
"""The guest of a benchmark: a `pydpdk-defer guest` on a core of its own that swallows what it gets."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["guest"]


@contextmanager
def guest(
    socket: str, *, core: int, hugepages: bool, spin: bool = False, nice: int = 0, verify_into: Path | None = None
) -> Iterator[None]:
    """A sink on `socket`, pinned to `core`, at this niceness; ended when the context ends.

    With `verify_into` it verifies every frame, and leaves its report there.
    """
    role = ["sink"] if verify_into is None else ["verify", "--json", str(verify_into)]
    command = ["nice", "-n", str(nice)] if nice else []
    command += [sys.executable, "-m", "pydpdk_defer", "guest", socket, "--core", str(core), "--role", *role]
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
