# SPDX-License-Identifier: BSD-3-Clause
"""An evaluation of a modelled device whose crossover can be computed; a process of its own, for test_evaluate.py.

    python modelled_crossover.py JSON       {"sizes": "1024,9000", "cost_ns": N, "rounds": N, "folder": ..., ...}

The model makes each copy cost the PMD thread a known time. In the same rounds the device is also measured without that
cost: where DMA so measured, plus the known cost, meets CPU copy, is where the verdict has to find the crossover. Guest
buffers hold a whole frame, so that a packet is one copy. Prints a line of JSON.
"""

import json
import os
import statistics
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydpdk_defer import DmaModel, _native
from pydpdk_defer.evaluate._datapath import Bench
from pydpdk_defer.evaluate._remote import Child
from pydpdk_defer.evaluate.axes import Axes, Engine, Point, parse_sizes
from pydpdk_defer.evaluate.comparison import figures
from pydpdk_defer.evaluate.intervals import crossing
from pydpdk_defer.evaluate.placement import device_tables, place
from pydpdk_defer.evaluate.records import Repetition
from pydpdk_defer.evaluate.schedule import Schedule
from pydpdk_defer.evaluate.setup import Setup
from pydpdk_defer.evaluate.sweep import Sweep
from pydpdk_defer.evaluate.verdict import verdicts

DEVICES = {"copier": "dma_skeleton0"}


class BesideTheModel:
    """A `Measurer` in this process that measures DMA twice: with the cost, for the sweep, and without it."""

    def __init__(self, bench: Bench, guest: Child, cost_ns: float) -> None:
        self._bench, self._guest, self._cost_ns = bench, guest, cost_ns
        self.without: dict[float, list[float]] = defaultdict(
            list
        )  # cycles per packet by frame size, at the common rate
        self.failures: list[str] = []

    def prepare(self, point: Point) -> None:
        """The same datapath for all."""

    def measure(self, point: Point, engine: Engine, rate_pps: float, seconds: float) -> Mapping[str, Any]:
        measured = self._slice(point, engine, rate_pps, seconds, self._cost_ns)
        if engine == "dma" and rate_pps:
            plain = self._slice(point, engine, rate_pps, seconds, 0)
            self.without[point.mean_bytes].append(plain["cycles"]["busy"] / plain["delivered"])
        return measured

    def _slice(self, point: Point, engine: Engine, rate_pps: float, seconds: float, cost_ns: float) -> dict[str, Any]:
        self._bench.datapath.set_dma_model("copier", DmaModel(copy_cost_ns=cost_ns))
        counted = self._bench.slice(engine, point.frames, point.burst, rate_pps, seconds, packets=0, pattern=False)
        names = ("seconds", "sent", "cycles", "bytes_by_engine", "moved_by", "drops")
        taken = self._guest.ask("take")
        measured = {name: counted[name] for name in names}
        return {**measured, "delivered": taken["received"], "delivered_seconds": counted["seconds"]}

    def verify(self, point: Point, engine: Engine, frames: int) -> str:
        return ""

    def recover(self) -> None:
        """Nothing can be."""

    def renew(self) -> None:
        """One fork."""


def main(task: dict[str, Any]) -> None:
    folder = task["folder"]
    placement = place(DEVICES, os.sched_getaffinity(0), may_share=True)
    axes = Axes(parse_sizes(task["sizes"]), engines=("cpu", "dma"))
    setup = Setup(
        devices=device_tables(DEVICES, placement, {}),
        largest_frame=axes.largest_frame,
        core=placement.pmd,
        folder=folder,
        memory_mb=512,
        hugepages=task["hugepages"],
        pci=False,
    )
    bench = Bench(setup)
    kept: list[Repetition] = []
    try:
        guest = {
            "socket": bench.use(1, "fifo", "copier"),
            "core": placement.guest,
            "virtio": "queue_size=1024",
            "memory_mb": 384,
            "data_room": 16384,
            "hugepages": task["hugepages"],
        }
        with Child("pydpdk_defer.evaluate._guest", guest, Path(folder, "guest.log")) as child:
            child.ask("start")
            bench.wait_for_guest()
            child.ask("take")
            measurer = BesideTheModel(bench, child, task["cost_ns"])
            schedule = Schedule(forks=1, rounds=task["rounds"], full_rounds=2, warm_up_rounds=2)
            Sweep(axes, schedule, measurer, kept.append, evaluation="modelled").run()
            cost_cycles = task["cost_ns"] * 1e-9 * _native.tsc_hz()
    finally:
        faults = bench.stop()
    points = figures(kept)
    cpu = {f.point.mean_bytes: interval.value for f in points if (interval := f.interval("cycles", "cpu"))}
    dma = {f.point.mean_bytes: interval.value for f in points if (interval := f.interval("cycles", "dma"))}
    without = {size: statistics.median(values) for size, values in measurer.without.items()}
    [verdict] = verdicts(points, {})
    crossover = verdict.crossover
    report = {
        "computed": crossing({size: (without[size] + cost_cycles) / cpu[size] for size in cpu}),
        "found": None if crossover is None else [crossover.low, crossover.value, crossover.high],
        "headline": verdict.headline,
        "cycles": {size: {"cpu": cpu[size], "dma": dma[size], "dma without cost": without[size]} for size in cpu},
        "cost_cycles": cost_cycles,
        "failures": [repetition.failure for repetition in kept if repetition.failure],
        "faults": faults,
    }
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
