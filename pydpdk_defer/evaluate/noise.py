# SPDX-License-Identifier: BSD-3-Clause
"""What else happens on the CPUs that an evaluation uses: read before and after a slice."""

import os
import re
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from pydpdk_defer.evaluate.records import Noise

__all__ = ["Look", "look"]

_USER, _NICE, _SYSTEM, _IRQ, _SOFTIRQ, _STEAL = 0, 1, 2, 5, 6, 7
_BUSY = (_USER, _NICE, _SYSTEM, _IRQ, _SOFTIRQ)
_TICKS = os.sysconf("SC_CLK_TCK")
_CPUS = "sys/devices/system/cpu"


@dataclass(frozen=True)
class Look:
    """At a time: seconds since boot that the CPUs were busy, that was stolen, and that our own processes used."""

    at: float
    busy: float
    steal: float
    ours: float
    mhz: tuple[float, float] | None
    throttled: int

    def until(self, later: "Look") -> Noise:
        """What happened from this look to a later one."""
        seconds = later.at - self.at
        foreign = (later.busy - self.busy) - (later.ours - self.ours)
        both = [mhz for look in (self, later) if look.mhz for mhz in look.mhz]
        return Noise(
            steal=max(0.0, later.steal - self.steal) / seconds,
            foreign_load=max(0.0, foreign) / seconds,
            mhz=(min(both), max(both)) if both else None,
            throttled=max(0, later.throttled - self.throttled),
        )


def look(cpus: Collection[int], pids: Iterable[int], root: Path = Path("/")) -> Look:
    """Now. What a machine does not tell counts as nothing."""
    busy = steal = 0
    for number, ticks in _cpu_ticks(root):
        if number in cpus:
            busy += sum(ticks[kind] for kind in _BUSY)
            steal += ticks[_STEAL]
    ours = sum(_ticks_of(root / "proc" / str(pid)) for pid in pids)
    return Look(
        time.monotonic(), busy / _TICKS, steal / _TICKS, ours / _TICKS, _mhz(root, cpus), _throttled(root, cpus)
    )


def _cpu_ticks(root: Path) -> Iterable[tuple[int, list[int]]]:
    for line in (root / "proc/stat").read_text().splitlines():
        if found := re.match(r"cpu(\d+) (.*)", line):
            yield int(found[1]), [int(ticks) for ticks in found[2].split()]


def _ticks_of(process: Path) -> int:
    try:
        after_name = (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has just ended
        return 0
    return int(after_name[11]) + int(after_name[12])


def _mhz(root: Path, cpus: Collection[int]) -> tuple[float, float] | None:
    found = [
        khz / 1000 for cpu in cpus if (khz := _number(root / _CPUS / f"cpu{cpu}/cpufreq/scaling_cur_freq")) is not None
    ]
    return (min(found), max(found)) if found else None


def _throttled(root: Path, cpus: Collection[int]) -> int:
    by_heat = sum(_number(root / _CPUS / f"cpu{cpu}/thermal_throttle/core_throttle_count") or 0 for cpu in cpus)
    try:
        by_limit = re.search(r"^nr_throttled (\d+)", (root / "sys/fs/cgroup/cpu.stat").read_text(), re.MULTILINE)
    except OSError:
        by_limit = None
    return by_heat + (int(by_limit[1]) if by_limit else 0)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
