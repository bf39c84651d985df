# SPDX-License-Identifier: BSD-3-Clause
"""What librte_vhost's own counters cost: cycles per packet with `vhost_counters` and without.

    python tests/bench/bench_vhost_counters.py [--sizes 64,1500] [--pairs 8] [--slices 10] [--hugepages] [--json PATH|-]

The setting of a socket is fixed, so processes with and without the counters run in turn, each with a guest of its own;
a ratio compares two neighbours. All send at one rate: 0.4 of the full rate of the first process.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from guest_process import guest
from two_ways import BURST, DEVICES, ENGINES, make_setup

from pydpdk_defer.evaluate._datapath import Bench
from pydpdk_defer.evaluate.intervals import median_interval
from pydpdk_defer.evaluate.placement import place

SLICE_SECONDS = 0.1


def measure(is_on: bool, sizes: list[int], slices: int, rates: dict[str, float], hugepages: bool) -> dict[str, Any]:
    """Median cycles per packet, by engine and size; and rates for all."""
    placement = place(DEVICES, os.sched_getaffinity(0), may_share=True)
    with tempfile.TemporaryDirectory(prefix="pd-") as folder:
        bench = Bench(make_setup(placement, folder, sizes, hugepages=hugepages, vhost_counters=is_on))
        socket = bench.use(1, "fifo", "copier")
        cycles: dict[str, float] = {}
        try:
            with guest(socket, core=placement.guest, hugepages=hugepages):
                bench.wait_for_guest()
                for size in sizes:
                    for engine in ENGINES:
                        name = f"{engine} {size}"
                        if name not in rates:
                            full = bench.slice(engine, size, BURST, 0, 0.3, packets=0, pattern=False)
                            rates[name] = 0.4 * full["completed"] / full["seconds"]
                        counted = [
                            bench.slice(engine, size, BURST, rates[name], SLICE_SECONDS, packets=0, pattern=False)
                            for _ in range(slices)
                        ]
                        cycles[name] = statistics.median(one["cycles"]["busy"] / one["completed"] for one in counted)
        finally:
            bench.stop()
    return {"cycles": cycles, "rates": rates}


def ask(args: argparse.Namespace, is_on: bool, rates: dict[str, float]) -> dict[str, Any]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--sizes", args.sizes, "--slices", str(args.slices)]
    command += ["--hugepages"] if args.hugepages else []
    command += ["--measure", json.dumps({"is_on": is_on, "rates": rates})]
    answer: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return answer


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="64,1500")
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--slices", type=int, default=10)
    parser.add_argument("--hugepages", action="store_true")
    parser.add_argument("--json", default="-")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    args = parser.parse_args()
    sizes = [int(size) for size in args.sizes.split(",")]
    if args.measure:
        task = json.loads(args.measure)
        print(json.dumps(measure(task["is_on"], sizes, args.slices, task["rates"], args.hugepages)))
        return 0
    rates = ask(args, False, {})["rates"]
    cycles: dict[bool, dict[str, list[float]]] = {True: {}, False: {}}
    for number in range(args.pairs):
        for is_on in (True, False) if number % 2 == 0 else (False, True):
            for name, value in ask(args, is_on, rates)["cycles"].items():
                cycles[is_on].setdefault(name, []).append(value)
    results = []
    for name, on in cycles[True].items():
        off = cycles[False][name]
        ratios = [one / other for one, other in zip(on, off, strict=True)]
        results.append({"name": name, "rate_pps": round(rates[name])})
        for what, values in (("on", on), ("off", off), ("ratio", ratios)):
            results[-1][what] = asdict(median_interval({0: values}))
        print(json.dumps(results[-1]), file=sys.stderr, flush=True)
    text = json.dumps({"hugepages": args.hugepages, "results": results}, indent=2)
    print(text) if args.json == "-" else Path(args.json).write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
