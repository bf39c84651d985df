# SPDX-License-Identifier: BSD-3-Clause
"""Cycles per packet of one datapath in two ways, on and off, that take turns in one process against one guest.

Slices at half the full rate, A B B A, by CPU and by DMA; the median of the ratios of neighbours with its 95 % interval.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from guest_process import guest

from pydpdk_defer import _native
from pydpdk_defer.evaluate._datapath import Bench
from pydpdk_defer.evaluate.axes import Engine
from pydpdk_defer.evaluate.intervals import median_interval
from pydpdk_defer.evaluate.placement import Placement, device_tables, place
from pydpdk_defer.evaluate.setup import Setup

__all__ = ["Bench", "Switch", "compare_in_turns"]

Switch = Callable[[bool], None]

ENGINES: tuple[Engine, ...] = ("cpu", "dma")
DEVICES = {"copier": "dma_skeleton0"}
BURST = 32


def _measure(
    bench: Bench, switch: Switch, engine: Engine, size: int, rounds: int, slice_seconds: float
) -> dict[str, Any]:
    """One engine at one frame size."""

    def one(rate_pps: float, seconds: float) -> dict[str, Any]:
        return bench.slice(engine, size, BURST, rate_pps, seconds, packets=0, pattern=False)

    full = one(0, 0.2)
    rate = full["completed"] / full["seconds"] / 2
    cycles: dict[bool, list[float]] = {True: [], False: []}
    for number in range(-10, rounds):  # ten to warm up
        for is_on in (True, False) if number % 2 == 0 else (False, True):
            switch(is_on)
            counted = one(rate, slice_seconds)
            if number >= 0:
                cycles[is_on].append(counted["cycles"]["busy"] / counted["completed"])
    ratios = [on / off for on, off in zip(cycles[True], cycles[False], strict=True)]
    return {
        "frame_size": size,
        "copy": engine,
        "rate_pps": round(rate),
        "on": asdict(median_interval({0: cycles[True]})),
        "off": asdict(median_interval({0: cycles[False]})),
        "ratio": asdict(median_interval({0: ratios})),
    }


def make_setup(
    placement: Placement, folder: str, sizes: Sequence[int], *, hugepages: bool, vhost_counters: bool = False
) -> Setup:
    """An evaluation's datapath for these frame sizes, with `dma_skeleton`."""
    return Setup(
        devices=device_tables(DEVICES, placement, None),
        largest_frame=max(sizes),
        core=placement.pmd,
        folder=folder,
        memory_mb=512,
        hugepages=hugepages,
        pci=False,
        vhost_counters=vhost_counters,
    )


def compare_in_turns(
    description: str,
    make_switch: Callable[[Bench], AbstractContextManager[Switch]],
    *,
    slice_seconds: float,
    rounds: int,
) -> int:
    """The command of a benchmark; returns its exit status."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="64,1500")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--hugepages", action="store_true")
    parser.add_argument("--json", default="-")
    args = parser.parse_args()
    sizes = [int(size) for size in args.sizes.split(",")]
    placement = place(DEVICES, os.sched_getaffinity(0), may_share=True)
    results = []
    with tempfile.TemporaryDirectory(prefix="pd-") as folder:
        bench = Bench(make_setup(placement, folder, sizes, hugepages=args.hugepages))
        socket = bench.use(1, "fifo", "copier")
        try:
            with guest(socket, core=placement.guest, hugepages=args.hugepages):
                bench.wait_for_guest()
                with make_switch(bench) as switch:
                    for size in sizes:
                        for engine in ENGINES:
                            results.append(_measure(bench, switch, engine, size, args.rounds, slice_seconds))
                            print(json.dumps(results[-1]), file=sys.stderr, flush=True)
        finally:
            bench.stop()
    text = json.dumps({"dpdk": _native.dpdk_loaded(), "hugepages": args.hugepages, "results": results}, indent=2)
    print(text) if args.json == "-" else Path(args.json).write_text(text + "\n")
    return 0
