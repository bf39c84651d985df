# SPDX-License-Identifier: BSD-3-Clause
"""How long the machine kept a PMD thread off its CPU, as the kernel counts it; for the process of the thread."""

import os
from contextlib import suppress
from pathlib import Path

_TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")


class Machine:
    """Counts from when it was made, which must be after the PMD thread."""

    def __init__(self, core: int) -> None:
        self._name = f"pmd-c{core}"
        self._before_us = self._total_us()

    def taken_us(self) -> float:
        """Time in which the thread could have run and did not: the scheduler's run delay, and steal of all CPUs.

        A stall that was longer than the product promises by no more than this may be the machine's.
        """
        return self._total_us() - self._before_us

    def _total_us(self) -> float:
        for task in Path("/proc/self/task").iterdir():
            with suppress(OSError):  # a thread that has just ended
                if (task / "comm").read_text().strip() == self._name:
                    _, run_delay_ns, _ = (task / "schedstat").read_text().split()
                    return int(run_delay_ns) / 1000 + _steal_us()
        raise LookupError(f"no thread {self._name}")


def _steal_us() -> float:
    """Of all CPUs: a PMD thread may wait for a lock that a thread on another one holds."""
    line = Path("/proc/stat").read_text().splitlines()[0]
    return int(line.split()[8]) * _TICK_US
