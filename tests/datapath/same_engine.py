# SPDX-License-Identifier: BSD-3-Clause
"""An evaluation of an engine against itself; a process of its own, for test_evaluate.py.

    python same_engine.py JSON      {"engine": "cpu"|"dma", "sizes": ..., "rounds": N, "folder": ..., "hugepages": ...}

What stands for both engines of the sweep is the same one: every difference that is found is wrong. Prints a line of
JSON.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydpdk_defer.evaluate.axes import Axes, Engine, Point, parse_sizes
from pydpdk_defer.evaluate.bench import Bench
from pydpdk_defer.evaluate.comparison import Quantity, figures
from pydpdk_defer.evaluate.placement import device_tables, place
from pydpdk_defer.evaluate.records import Repetition
from pydpdk_defer.evaluate.schedule import Schedule
from pydpdk_defer.evaluate.setup import Setup
from pydpdk_defer.evaluate.sweep import Sweep

DEVICES = {"copier": "dma_skeleton0"}
QUANTITIES: tuple[Quantity, ...] = ("cycles", "rate")


class SameEngine:
    """A `Measurer` that always measures one engine."""

    def __init__(self, bench: Bench, engine: Engine) -> None:
        self._bench, self._engine = bench, engine
        self.prepare, self.recover, self.renew = bench.prepare, bench.recover, bench.renew

    def measure(self, point: Point, engine: Engine, rate_pps: float, seconds: float) -> Mapping[str, Any]:
        return self._bench.measure(point, self._engine, rate_pps, seconds)

    def verify(self, point: Point, engine: Engine, frames: int) -> str:
        return ""


def main(task: dict[str, Any]) -> None:
    placement = place(DEVICES, os.sched_getaffinity(0), may_share=True)
    axes = Axes(parse_sizes(task["sizes"]), engines=("cpu", "dma"))
    setup = Setup(
        devices=device_tables(DEVICES, placement, None),
        largest_frame=axes.largest_frame,
        core=placement.pmd,
        folder=task["folder"],
        memory_mb=512,
        hugepages=task["hugepages"],
        pci=False,
    )
    guest = {"virtio": "queue_size=1024", "memory_mb": 384, "hugepages": task["hugepages"]}
    kept: list[Repetition] = []
    with Bench(setup, placement.cores, guest, Path(task["folder"])) as bench:
        schedule = Schedule(rounds=task["rounds"], full_rounds=task["rounds"])
        Sweep(axes, schedule, SameEngine(bench, task["engine"]), kept.append, evaluation="same").run()
    compared = {
        f"{f.point.frames} {quantity}": found
        for f in figures(kept)
        for quantity in QUANTITIES
        if (found := f.compare(quantity, "dma", "cpu")) is not None
    }
    report = {
        "winners": {name: found.winner for name, found in compared.items()},
        "ratios": {name: [found.ratio.low, found.ratio.value, found.ratio.high] for name, found in compared.items()},
        "failures": [repetition.failure for repetition in kept if repetition.failure],
        "faults": bench.faults,
    }
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
