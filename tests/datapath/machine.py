# SPDX-License-Identifier: BSD-3-Clause
"""How long the machine kept a PMD thread off its CPU, as the kernel counts it; for the process of the thread."""

import os
from pathlib import Path

_TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")


class Machine:
    """Counts from when it was made."""

    def __init__(self, core: int) -> None:
        self._core = core
        self._steal_us = self._steal()

    def taken_us(self) -> float:
        """Time in which the thread could have run and did not: the scheduler's run delay, and the hypervisor's steal.

        A stall that was longer than the product promises by no more than this may be the machine's.
        """
        for task in Path("/proc/self/task").iterdir():
            if (task / "comm").read_text().strip() == f"pmd-c{self._core}":
                _, run_delay_ns, _ = (task / "schedstat").read_text().split()
                return int(run_delay_ns) / 1000 + self._steal() - self._steal_us
        raise LookupError(f"no PMD thread on core {self._core}")

    def _steal(self) -> float:
        [line] = [line for line in Path("/proc/stat").read_text().splitlines() if line.startswith(f"cpu{self._core} ")]
        return int(line.split()[8]) * _TICK_US
