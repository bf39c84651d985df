# SPDX-License-Identifier: BSD-3-Clause
"""A fake `Measurer` with known answers, for tests of what is made of measurements: it measures nothing."""

import random
from collections.abc import Callable, Mapping
from typing import Any

from pydpdk_defer.errors import DeferError
from pydpdk_defer.evaluate import histograms
from pydpdk_defer.evaluate.axes import Engine, Point
from pydpdk_defer.evaluate.records import Cycles

HZ = 2_000_000_000
CPU_BASE, CPU_PER_BYTE = 300.0, 0.25
DMA_BASE = 700.0
CROSSOVER = (DMA_BASE - CPU_BASE) / CPU_PER_BYTE  # 1600 bytes
ENGINES: tuple[Engine, ...] = ("cpu", "dma", "auto")
LATENCY_US = {"cpu": 5, "dma": 14, "auto": 9}


def cycles_of(engine: Engine, mean_bytes: float) -> float:
    """Cycles per packet without noise: a line for the CPU, a constant for DMA, the better one for auto."""
    cpu, dma = CPU_BASE + CPU_PER_BYTE * mean_bytes, DMA_BASE
    return {"cpu": cpu, "dma": dma, "auto": min(cpu, dma)}[engine]


class FakeMeasurer:
    """Cycles by `cost`, with a relative noise and a drift of the whole machine; fails where `fails` says so.

    `fork_noise`: by how much forks differ, each engine for itself.
    """

    def __init__(
        self,
        *,
        cost: Callable[[Engine, float], float] = cycles_of,
        noise: float = 0.0,
        drift: float = 0.0,
        fork_noise: float = 0.0,
        seed: int = 1,
        fails: Callable[[int], bool] = lambda _slice: False,
        corrupts: Engine | None = None,
        fallback_share: float = 0.0,
    ) -> None:
        self._cost, self._noise, self._drift, self._fork_noise = cost, noise, drift, fork_noise
        self._random = random.Random(seed)
        self._fails, self._corrupts, self._fallback_share = fails, corrupts, fallback_share
        self.log: list[tuple[str, Any]] = []
        self.slices = 0
        self._machine = 1.0
        self._of_fork: dict[Engine, float] = {}
        self.renew()

    def prepare(self, point: Point) -> None:
        self.log.append(("prepare", point))

    def measure(self, point: Point, engine: Engine, rate_pps: float, seconds: float) -> Mapping[str, Any]:
        self.slices += 1
        self.log.append(("measure", (point.frames, engine, rate_pps)))
        if self._fails(self.slices):
            raise DeferError("the guest process has ended")
        self._machine *= self._random.lognormvariate(0, self._drift)
        cycles = self._cost(engine, point.mean_bytes) * self._of_fork[engine] * self._machine
        cycles *= self._random.lognormvariate(0, self._noise)
        capacity = HZ / cycles
        delivered = round((min(rate_pps, capacity) if rate_pps else capacity) * seconds)
        busy = round(delivered * cycles)
        by_cpu = 1.0 if engine == "cpu" else self._fallback_share
        moved = round(delivered * point.mean_bytes)
        latency = [(LATENCY_US[engine] * 1000, delivered)]
        return {
            "seconds": seconds,
            "delivered_seconds": seconds,
            "sent": round(rate_pps * seconds) if rate_pps else delivered,
            "delivered": delivered,
            "cycles": Cycles(
                receive=0, submit=busy, complete=0, wasted=0, rest=0, busy=busy, passed=round(HZ * seconds)
            ),
            "bytes_by_engine": {"cpu": round(moved * by_cpu), "dma": round(moved * (1 - by_cpu))},
            "moved_by": "nobody: this is a fake",
            "latency": histograms.encode(latency),
        }

    def verify(self, point: Point, engine: Engine, frames: int) -> str:
        self.log.append(("verify", (point.frames, engine, frames)))
        return "3 frames corrupt" if engine == self._corrupts else ""

    def renew(self) -> None:
        self.log.append(("renew", None))
        self._of_fork = {engine: self._random.lognormvariate(0, self._fork_noise) for engine in ENGINES}

    def recover(self) -> None:
        self.log.append(("recover", None))
