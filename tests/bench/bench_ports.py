# SPDX-License-Identifier: BSD-3-Clause
"""What a packet and an idle round of one PMD thread cost with 1, 4, 16 and 64 vhost ports.

    python tests/bench/bench_ports.py [--sizes 64,1500] [--rounds 12] [--json PATH|-] [--markdown]

One process with 64 vhost ports, each wired with a generator of its own; the 64 guests are one other process. The
thread polls the rxqs of as many ports as a slice is about, of generators and guests alike, and all counts take turns
in slices of about 100 ms. Generators make bursts of 32 at one rate in total, whatever the number of ports, so that
cycles of busy rounds are what forwarding costs and not what waiting for guests costs. A busy round polls the rxqs
that are silent too: these cycles are counted. Two ways for bursts to come:

"in turn": the ports' bursts are spread over time; a round mostly finds one of them, and polls the others in vain.
"together": the bursts of all ports are due at the same time, as under load; a round finds a burst on each.

"beside silent": one port with traffic while the rxqs of the others are polled, which have guests connected; "beside
silent guests": without the others' generators, which a datapath with other sources does not have.

"bare loop": the same bursts in turn to as many guests by bare_loop.cpp, which knows no ports: what vhost, the caches
and the guests' memory make of many ports.

Ratios are to one port alone (the bare loop's to its own), pair by pair within a round; medians and quartiles. A slice
in which the thread had to wait for its CPU is taken again, a few times, as the wait is counted where it happens.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from ports_slices import BURST, ENGINES, PORTS, TOTAL_PPS, Bench, Engine, Load, Slice, datapath_with_guests
from ports_table import markdown
from summary import spread

from pydpdk_defer import _native

COUNTS = (1, 4, 16, PORTS)
LOADS = (
    *(Load(count, count, count) for count in COUNTS),
    *(Load(count, count, count, together=True) for count in COUNTS[1:]),
    Load(PORTS, PORTS, 1),
    Load(PORTS, 1, 1),
)


def in_turn(candidates: list[Any], rounds: int) -> Iterator[Any]:
    """All candidates again and again, each round in the opposite order of the one before."""
    for number in range(rounds):
        yield from candidates if number % 2 == 0 else reversed(candidates)


def measure_traffic(bench: Bench, engine: Engine, size: int, rounds: int) -> dict[str, Any]:
    """All loads with one engine and frame size."""
    slices: dict[Load, list[Slice]] = {load: [] for load in LOADS}
    bare: dict[int, list[Slice]] = {count: [] for count in COUNTS}
    for load in LOADS:
        bench.traffic(load, engine, size)
    for candidate in in_turn([*LOADS, *COUNTS], rounds):
        if isinstance(candidate, Load):
            slices[candidate].append(bench.traffic(candidate, engine, size))
        else:
            bare[candidate].append(bench.bare(candidate, engine, size))
    alone = slices[LOADS[0]]
    result: dict[str, Any] = {"engine": engine, "frame_size": size, "total_pps": TOTAL_PPS[engine]}
    for load, of_one in slices.items():
        result[load.name] = {
            "cycles_per_packet": spread([s.cycles_per_packet for s in of_one]),
            "ratio": _ratios(of_one, alone),
            "packets_per_busy_round": spread([s.delivered / max(s.busy_rounds, 1) for s in of_one]),
            "delivered_share": spread([s.delivered / max(s.offered, 1) for s in of_one]),
            "waited_share": spread([s.waited_share for s in of_one]),
        }
    for count, of_one in bare.items():
        result[f"bare_{count}"] = {
            "cycles_per_packet": spread([s.cycles_per_packet for s in of_one]),
            "ratio": _ratios(of_one, bare[COUNTS[0]]),
            "product_ratio": _ratios(slices[LOADS[COUNTS.index(count)]], of_one),
        }
    return result


def _ratios(slices: list[Slice], to: list[Slice]) -> dict[str, float]:
    return spread([a.cycles_per_packet / b.cycles_per_packet for a, b in zip(slices, to, strict=True)])


def measure_idle(bench: Bench, rounds: int) -> dict[str, Any]:
    """Cycles of a round without traffic, by the ports polled; and when only generators are polled."""
    candidates = [(ports, count) for count in COUNTS for ports in (count, 0)]
    cycles: dict[tuple[int, int], list[float]] = {key: [] for key in candidates}
    for key in in_turn(candidates, rounds):
        cycles[key].append(bench.idle(*key).cycles_per_idle_round)
    return {
        str(count): {
            "cycles": spread(cycles[count, count]),
            "generators_alone_cycles": spread(cycles[0, count]),
        }
        for count in COUNTS
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="64,1500", help="frame sizes, 64 to 1500")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--slice-ms", type=int, default=100)
    parser.add_argument("--json", default="-", help="a path, or - for standard output")
    parser.add_argument("--markdown", action="store_true", help="print the tables of docs/performance.md, too")
    args = parser.parse_args()
    sizes = [int(size) for size in args.sizes.split(",")]
    if len(os.sched_getaffinity(0)) < 2:
        print("error: the benchmark needs two CPUs", file=sys.stderr)
        return 2
    with datapath_with_guests(max(sizes)) as datapath:
        bench = Bench(datapath, args.slice_ms)
        idle = measure_idle(bench, args.rounds)
        print(json.dumps(idle), file=sys.stderr, flush=True)
        traffic = []
        for engine in ENGINES:
            for size in sizes:
                traffic.append(measure_traffic(bench, engine, size, args.rounds))
                print(json.dumps(traffic[-1]), file=sys.stderr, flush=True)
    report = {
        "dpdk": _native.dpdk_loaded(),
        "dma": "dma_skeleton (software), on the guests' core",
        "slice_ms": args.slice_ms,
        "rounds": args.rounds,
        "burst": BURST,
        "idle": idle,
        "traffic": traffic,
    }
    text = json.dumps(report, indent=2)
    if args.markdown:
        print(markdown(report))
    if args.json != "-":
        Path(args.json).write_text(text + "\n")
    elif not args.markdown:
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
