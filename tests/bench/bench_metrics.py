# SPDX-License-Identifier: BSD-3-Clause
"""What counting costs: cycles per packet with `perf_metrics` and without, in turn in one process against one guest.

    python tests/bench/bench_metrics.py [--sizes 64,1500] [--rounds 600] [--hugepages] [--json PATH|-]

Short slices at one rate, A B B A, by CPU and by DMA; the median of the ratios of neighbours with its 95 % interval.
Busy cycles are counted in both.
"""

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from guest_process import guest

from pydpdk_defer import _native
from pydpdk_defer.evaluate._datapath import Bench
from pydpdk_defer.evaluate.axes import Engine
from pydpdk_defer.evaluate.intervals import median_interval
from pydpdk_defer.evaluate.placement import device_tables, place
from pydpdk_defer.evaluate.setup import Setup
from pydpdk_defer.topology import Topology

ENGINES: tuple[Engine, ...] = ("cpu", "dma")
DEVICES = {"copier": "dma_skeleton0"}
BURST = 32
SLICE_SECONDS = 0.02


class Ways:
    """An evaluation's datapath, with and without metrics."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        tables = bench.datapath.topology.to_dict()
        self._topologies = {}
        for metrics in (True, False):
            tables["pmd"][0]["perf_metrics"] = metrics
            self._topologies[metrics] = Topology.from_dict(tables)

    def rate(self, engine: Engine, size: int) -> float:
        """Packets/s at full load."""
        counted = self._bench.slice(engine, size, BURST, 0, 0.2, packets=0, pattern=False)
        return float(counted["completed"] / counted["seconds"])

    def cycles(self, metrics: bool, engine: Engine, size: int, rate_pps: float) -> float:
        """Cycles per packet of a slice."""
        self._bench.datapath.change(self._topologies[metrics])
        counted = self._bench.slice(engine, size, BURST, rate_pps, SLICE_SECONDS, packets=0, pattern=False)
        return float(counted["cycles"]["busy"] / counted["completed"])


def measure(ways: Ways, engine: Engine, size: int, rounds: int) -> dict[str, Any]:
    """One engine at one frame size."""
    rate = ways.rate(engine, size) / 2
    cycles: dict[bool, list[float]] = {True: [], False: []}
    for number in range(-10, rounds):  # ten to warm up
        for metrics in (True, False) if number % 2 == 0 else (False, True):
            found = ways.cycles(metrics, engine, size, rate)
            if number >= 0:
                cycles[metrics].append(found)
    ratios = [on / off for on, off in zip(cycles[True], cycles[False], strict=True)]
    return {
        "frame_size": size,
        "copy": engine,
        "rate_pps": round(rate),
        "cycles_per_packet": asdict(median_interval({0: cycles[True]})),
        "without_metrics": asdict(median_interval({0: cycles[False]})),
        "ratio": asdict(median_interval({0: ratios})),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="64,1500")
    parser.add_argument("--rounds", type=int, default=600)
    parser.add_argument("--hugepages", action="store_true")
    parser.add_argument("--json", default="-")
    args = parser.parse_args()
    sizes = [int(size) for size in args.sizes.split(",")]
    placement = place(DEVICES, os.sched_getaffinity(0), may_share=True)
    results = []
    with tempfile.TemporaryDirectory(prefix="pd-") as folder:
        setup = Setup(
            devices=device_tables(DEVICES, placement, None),
            largest_frame=max(sizes),
            core=placement.pmd,
            folder=folder,
            memory_mb=512,
            hugepages=args.hugepages,
            pci=False,
        )
        bench = Bench(setup)
        socket = bench.use(1, "fifo", "copier")
        try:
            with guest(socket, core=placement.guest, hugepages=args.hugepages):
                bench.wait_for_guest()
                ways = Ways(bench)
                for size in sizes:
                    for engine in ENGINES:
                        results.append(measure(ways, engine, size, args.rounds))
                        print(json.dumps(results[-1]), file=sys.stderr, flush=True)
        finally:
            bench.stop()
    text = json.dumps({"dpdk": _native.dpdk_loaded(), "hugepages": args.hugepages, "results": results}, indent=2)
    print(text) if args.json == "-" else Path(args.json).write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
