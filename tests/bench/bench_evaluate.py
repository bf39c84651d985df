# SPDX-License-Identifier: BSD-3-Clause
"""Whether `evaluate` measures what a send costs: its slices beside a bare C++ loop over the same DPDK calls.

    python tests/bench/bench_evaluate.py [--sizes 64,1500] [--rounds 12] [--hugepages] [--json PATH|-]

One process, one guest. The datapath of an evaluation and the bare loop take turns on its vring, each by CPU and by DMA,
in slices of about 100 ms at one rate that the slowest can carry, in bursts of 32. Cycles per packet as `evaluate`
counts them; ratios pair by pair within a round.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import _bare_loop
from guest_process import guest
from summary import spread

from pydpdk_defer import _native
from pydpdk_defer.evaluate._datapath import Bench
from pydpdk_defer.evaluate.axes import Engine
from pydpdk_defer.evaluate.placement import device_tables, place
from pydpdk_defer.evaluate.setup import Setup

SIZES = "64,256,1500,4096"
ENGINES: tuple[Engine, ...] = ("cpu", "dma")
BURST = 32
SLICE_SECONDS = 0.1


class Pair:
    """An evaluation's datapath and the bare loop, in this process."""

    def __init__(self, bench: Bench, core: int) -> None:
        self._bench, self._core = bench, core
        datapath = bench.datapath
        parts = datapath._running()
        [self._pmd] = parts.pmds.values()
        [self._dma] = parts.dma.values()
        self._vhost = next(port for port in parts.ports.values() if isinstance(port, _native.VhostPort))

    def product(self, engine: Engine, size: int, rate_pps: float) -> tuple[float, float]:
        """Cycles per packet and packets/s of an evaluation's slice."""
        counted = self._bench.slice(engine, size, BURST, rate_pps, SLICE_SECONDS, packets=0, pattern=False)
        return counted["cycles"]["busy"] / counted["completed"], counted["completed"] / counted["seconds"]

    def bare(self, engine: Engine, size: int, rate_pps: float) -> tuple[float, float]:
        """The same of the bare loop, while the PMD thread is stopped."""
        self._pmd.stop()
        result = _bare_loop.run(
            vids=[self._vhost.vid],
            dma_id=self._dma.dev_id if engine == "dma" else -1,
            pool="mbufs",
            frame_size=size,
            rate_pps=rate_pps,
            milliseconds=round(SLICE_SECONDS * 1000),
            core=self._core,
        )
        self._pmd.start()
        seconds = result["cycles"] / _native.tsc_hz()
        return result["busy_cycles"] / result["packets"], result["packets"] / seconds


def measure(pair: Pair, size: int, rounds: int) -> dict[str, Any]:
    """One frame size: a rate that all can carry, then cycles per packet at it."""
    candidates = [(who, engine) for engine in ENGINES for who in (pair.product, pair.bare)]
    slowest = min(who(engine, size, 0)[1] for _ in range(2) for who, engine in candidates)
    cycles: dict[tuple[str, Engine], list[float]] = {(who.__name__, engine): [] for who, engine in candidates}
    for number in range(-2, rounds):  # two to warm up
        for who, engine in candidates if number % 2 == 0 else reversed(candidates):
            found, _ = who(engine, size, slowest / 2)
            if number >= 0:
                cycles[who.__name__, engine].append(found)
    result: dict[str, Any] = {"frame_size": size, "rate_pps": round(slowest / 2)}
    for engine in ENGINES:
        ours, bare = cycles["product", engine], cycles["bare", engine]
        result[engine] = {
            "evaluate": spread(ours),
            "bare": spread(bare),
            "ratio": spread([a / b for a, b in zip(ours, bare, strict=True)]),
        }
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default=SIZES)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--hugepages", action="store_true")
    parser.add_argument("--json", default="-")
    args = parser.parse_args()
    sizes = [int(size) for size in args.sizes.split(",")]
    placement = place({"copier": "dma_skeleton0"}, os.sched_getaffinity(0), may_share=True)
    with tempfile.TemporaryDirectory(prefix="pd-") as folder:
        setup = Setup(
            devices=device_tables({"copier": "dma_skeleton0"}, placement, None),
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
                pair = Pair(bench, placement.pmd)
                results = []
                for size in sizes:
                    results.append(measure(pair, size, args.rounds))
                    print(json.dumps(results[-1]), file=sys.stderr, flush=True)
        finally:
            bench.stop()
    text = json.dumps({"dpdk": _native.dpdk_loaded(), "hugepages": args.hugepages, "results": results}, indent=2)
    print(text) if args.json == "-" else Path(args.json).write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
