# SPDX-License-Identifier: BSD-3-Clause
"""Cycles per packet and packets per second of the product's send path, beside a bare loop over the same DPDK calls.

    python tests/bench/bench_send.py [--sizes 64,1500] [--rounds 12] [--hugepages] [--paced] [--json PATH|-]

One process and one guest. For each frame size four candidates take turns in slices of about 100 ms: the product
and the bare loop, each copying by CPU and by DMA; engines change only when nothing is in flight. In the first
slices everybody sends as fast as it goes, which gives the delivered rate. In the others all send at one rate
that the slowest can carry, in bursts of 32, so that cycles of busy rounds are what sending costs and not what
waiting for the guest costs. Ratios are taken pair by pair within a round, and reported as median and quartiles.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).resolve().parent))

import _bare_loop
from guest_process import guest
from summary import spread

from pydpdk_defer import Datapath, Topology, _native

SIZES = (64, 256, 512, 1024, 1500, 4096, 9000)
PMD_CORE = 1
GUEST_CORE = 0
ENGINES = ("cpu", "dma")


@dataclass(frozen=True)
class Slice:
    """What one slice gave."""

    packets: int
    seconds: float
    busy_cycles: int

    @property
    def pps(self) -> float:
        return self.packets / self.seconds

    @property
    def cycles_per_packet(self) -> float:
        return self.busy_cycles / self.packets if self.packets else float("nan")


class Bench:
    """The four candidates on one datapath."""

    def __init__(self, datapath: Datapath, slice_ms: int) -> None:
        assert datapath._parts is not None
        parts = datapath._parts
        self._datapath = datapath
        generator, vhost = parts.ports["src"], parts.ports["vm0"]
        assert isinstance(generator, _native.GeneratorPort)
        assert isinstance(vhost, _native.VhostPort)
        self._generator = generator
        self._vhost = vhost
        self._dma = parts.dma["copier"]
        [self._pmd] = parts.pmds.values()
        self._slice_ms = slice_ms

    def product(self, engine: Literal["cpu", "dma"], size: int, rate_pps: float) -> Slice:
        """A slice of the product's PMD thread."""
        self._generator.set_shape(frame_sizes=[size], rate_pps=rate_pps, burst=32, pattern=False)
        self._vhost.copy = engine
        self._pmd.start()
        before, busy_before = self._counters()
        start = time.monotonic()
        self._generator.start_traffic(0)
        time.sleep(self._slice_ms / 1000)
        self._generator.stop_traffic()
        self._pmd.stop()
        seconds = time.monotonic() - start
        after, busy_after = self._counters()
        return Slice(after - before, seconds, busy_after - busy_before)

    def bare(self, engine: Literal["cpu", "dma"], size: int, rate_pps: float) -> Slice:
        """A slice of the bare loop, which has the vring to itself."""
        result = _bare_loop.run(
            vids=[self._vhost.vid],
            dma_id=self._dma.dev_id if engine == "dma" else -1,
            pool="mbufs",
            frame_size=size,
            rate_pps=rate_pps,
            milliseconds=self._slice_ms,
            core=PMD_CORE,
        )
        return Slice(result["packets"], result["cycles"] / _native.tsc_hz(), result["busy_cycles"])

    def _counters(self) -> tuple[int, int]:
        return self._vhost.txq_stats(0)["completed"], self._pmd.stats()["busy_cycles"]


def in_turn(bench: Bench, size: int, rate_pps: float, rounds: int) -> dict[tuple[str, str], list[Slice]]:
    """Slices of all candidates; each round in the opposite order of the one before (A B B A)."""
    candidates: dict[tuple[str, str], Callable[..., Slice]] = {
        (who, engine): getattr(bench, who) for engine in ENGINES for who in ("product", "bare")
    }
    slices: dict[tuple[str, str], list[Slice]] = {key: [] for key in candidates}
    for number in range(rounds):
        order = list(candidates)
        for key in order if number % 2 == 0 else reversed(order):
            slices[key].append(candidates[key](key[1], size, rate_pps))
    return slices


def measure(bench: Bench, size: int, rounds: int) -> dict[str, Any]:
    """One frame size: delivered rates at full load, then cycles per packet at one paced rate."""
    in_turn(bench, size, 0, 1)
    full = in_turn(bench, size, 0, max(4, rounds // 2))
    slowest = min(statistics.median(s.pps for s in of_one) for of_one in full.values())
    paced_pps = slowest / 2
    paced = in_turn(bench, size, paced_pps, rounds)
    result: dict[str, Any] = {"frame_size": size, "paced_pps": round(paced_pps)}
    for engine in ENGINES:
        ours, bare = paced["product", engine], paced["bare", engine]
        result[engine] = {
            "cycles_per_packet": spread([s.cycles_per_packet for s in ours]),
            "bare_cycles_per_packet": spread([s.cycles_per_packet for s in bare]),
            "cycles_ratio": spread(
                [a.cycles_per_packet / b.cycles_per_packet for a, b in zip(ours, bare, strict=True)]
            ),
            "pps": spread([s.pps for s in full["product", engine]]),
            "bare_pps": spread([s.pps for s in full["bare", engine]]),
            "pps_ratio": spread(
                [a.pps / b.pps for a, b in zip(full["product", engine], full["bare", engine], strict=True)]
            ),
        }
    return result


@contextmanager
def datapath_with_guest(largest: int, hugepages: bool, paced: bool) -> Iterator[Datapath]:
    """A datapath with one guest, PMD on one core, guest and copying thread on the other."""
    with tempfile.TemporaryDirectory() as folder:
        socket = f"{folder}/vm0.sock"
        topology = Topology.from_dict(
            {
                "eal": {"memory_mb": 512, "hugepages": hugepages},
                "dma": {"copier": {"device": f"dma_skeleton0,lcore={GUEST_CORE}", "ring_size": 1024}},
                "port": {
                    "src": {"kind": "generator", "frame_size": largest, "pattern": False},
                    "vm0": {"kind": "vhost", "socket": socket, "dma": ["copier"]},
                },
                "pmd": [{"core": PMD_CORE, "rxqs": ["src:0"]}],
                "deferral": {"attempt_limit": 2**31, "paced": paced},
                "forward": {"wires": [["src", "vm0"]]},
            }
        )
        with Datapath(topology) as datapath, guest(socket, core=GUEST_CORE, hugepages=hugepages):
            datapath.wait_for_guest("vm0", 20)
            assert datapath._parts is not None
            next(iter(datapath._parts.pmds.values())).stop()
            yield datapath


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--slice-ms", type=int, default=100)
    parser.add_argument("--hugepages", action="store_true")
    parser.add_argument(
        "--paced", action="store_true", help="the product's checks are paced; the bare loop's never are"
    )
    parser.add_argument("--json", default="-")
    args = parser.parse_args()
    sizes = [int(size) for size in args.sizes.split(",")]
    if len(os.sched_getaffinity(0)) < 2:
        print("error: the benchmark needs two CPUs", file=sys.stderr)
        return 2
    results = []
    # The mbufs' data room follows the largest frame, and large mbufs slow small frames down: one process a class.
    with datapath_with_guest(max(sizes), args.hugepages, args.paced) as datapath:
        bench = Bench(datapath, args.slice_ms)
        for size in sizes:
            results.append(measure(bench, size, args.rounds))
            print(json.dumps(results[-1]), file=sys.stderr, flush=True)
    report = {
        "dpdk": _native.dpdk_loaded(),
        "hugepages": args.hugepages,
        "paced": args.paced,
        "dma": "dma_skeleton (software)",
        "slice_ms": args.slice_ms,
        "rounds": args.rounds,
        "results": results,
    }
    text = json.dumps(report, indent=2)
    print(text) if args.json == "-" else Path(args.json).write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
