# SPDX-License-Identifier: BSD-3-Clause
"""PMD cycles per packet with copy = "auto", beside "cpu" and "dma", for all frame sizes and for IMIX.

    python tests/bench/bench_auto.py [--sizes 64,1500,imix] [--rounds 10] [--burst 32] [--markdown] [--json PATH|-]

One process. The three take turns in slices of about 100 ms on the same txq, each round in the opposite order of the one
before; engines change only when nothing is in flight. All send at one rate that the slowest can carry, so that the
cycles of busy iterations are what sending costs. Before a size is measured each has some slices to warm up in, and
"auto" to learn. The ratio is that of "auto" to the better of the other two, round by round. At the end "auto" copies
all sizes for a second guest that verifies every byte: a wrong one ends the benchmark with status 1.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).resolve().parent))

from guest_process import guest
from summary import spread

from pydpdk_defer import Datapath, Snapshot, Topology, _native
from pydpdk_defer._frame_sizes import schedule

Mode = Literal["cpu", "dma", "auto"]
MODES: tuple[Mode, ...] = ("cpu", "dma", "auto")
SIZES = ("64", "128", "256", "512", "1024", "1500", "2048", "4096", "9000", "imix")
LARGEST = 9000
PMD_CORE, GUEST_CORE = 1, 0
WARM_UP_ROUNDS = 3


@dataclass(frozen=True)
class Slice:
    """What one slice gave."""

    packets: int
    seconds: float
    busy_cycles: int
    by_dma: float  # the part of the bytes

    @property
    def cycles_per_packet(self) -> float:
        return self.busy_cycles / self.packets if self.packets else float("nan")


class Bench:
    """The three on one txq."""

    def __init__(self, datapath: Datapath, slice_ms: int, burst: int) -> None:
        assert datapath._parts is not None
        generator = datapath._parts.ports["src"]
        assert isinstance(generator, _native.GeneratorPort)
        self._datapath, self._generator, self._slice_ms, self._burst = datapath, generator, slice_ms, burst

    def slice(self, mode: Mode, size: str, rate_pps: float) -> Slice:
        """One mode's turn."""
        sizes = schedule("imix" if size == "imix" else int(size))
        self._generator.set_shape(frame_sizes=sizes, rate_pps=rate_pps, burst=self._burst, pattern=False)
        self._datapath.set_copy("vm0", mode)
        before = self._datapath.snapshot()
        self._generator.start_traffic(0)
        start = time.monotonic()
        time.sleep(self._slice_ms / 1000)
        self._generator.stop_traffic()
        seconds = time.monotonic() - start
        self._datapath.run(seconds=0)  # until nothing is in flight
        return _slice(self._datapath.snapshot() - before, seconds)

    def rounds(self, size: str, rate_pps: float, count: int) -> dict[Mode, list[Slice]]:
        """Slices of all modes, in turn."""
        slices: dict[Mode, list[Slice]] = {mode: [] for mode in MODES}
        for number in range(count):
            for mode in MODES if number % 2 == 0 else reversed(MODES):
                slices[mode].append(self.slice(mode, size, rate_pps))
        return slices


def _slice(difference: Snapshot, seconds: float) -> Slice:
    txq = difference.ports["vm0"].txqs[0]
    moved = sum(txq.bytes_by_engine.values())
    by_dma = txq.bytes_by_engine["dma"] / moved if moved else 0.0
    return Slice(txq.completed, seconds, sum(pmd.busy_cycles for pmd in difference.pmds), by_dma)


def measure(bench: Bench, size: str, rounds: int) -> dict[str, Any]:
    """One frame size: a rate that all can carry, then cycles per packet at it."""
    full = bench.rounds(size, 0, 3)
    slowest = min(statistics.median(s.packets / s.seconds for s in of_one) for of_one in full.values())
    rate_pps = slowest / 2
    bench.rounds(size, rate_pps, WARM_UP_ROUNDS)
    slices = bench.rounds(size, rate_pps, rounds)
    by_round = zip(*(slices[mode] for mode in MODES), strict=True)
    ratios = [a.cycles_per_packet / min(c.cycles_per_packet, d.cycles_per_packet) for c, d, a in by_round]
    medians = {mode: statistics.median(s.cycles_per_packet for s in slices[mode]) for mode in MODES}
    return {
        "frame_size": size,
        "rate_pps": round(rate_pps),
        **{mode: spread([s.cycles_per_packet for s in slices[mode]]) for mode in MODES},
        "ratio_of_medians": round(medians["auto"] / min(medians["cpu"], medians["dma"]), 3),
        "ratio": spread(ratios),
        "auto_by_dma": round(statistics.mean(s.by_dma for s in slices["auto"]), 3),
    }


@contextmanager
def datapath_with_guests(hugepages: bool, report: Path) -> Iterator[Datapath]:
    """A datapath with a guest to measure with and one that verifies, which share a CPU with the copying thread."""
    with tempfile.TemporaryDirectory() as folder:
        vhost = {"kind": "vhost", "dma": ["copier"], "copy": "auto"}
        topology = Topology.from_dict(
            {
                "eal": {"memory_mb": 512, "hugepages": hugepages},
                "dma": {"copier": {"device": f"dma_skeleton0,lcore={GUEST_CORE}", "ring_size": 1024}},
                "port": {
                    "src": {"kind": "generator", "frame_size": LARGEST, "pattern": False},
                    "verified": {"kind": "generator", "frame_size": LARGEST},
                    "vm0": {**vhost, "socket": f"{folder}/vm0.sock"},
                    "vm1": {**vhost, "socket": f"{folder}/vm1.sock"},
                },
                "pmd": [{"core": PMD_CORE, "rxqs": ["src:0", "verified:0"]}],
                "deferral": {"attempt_limit": 2**31},
                "forward": {"wires": [["src", "vm0"], ["verified", "vm1"]]},
            }
        )
        with (
            Datapath(topology) as datapath,
            guest(f"{folder}/vm0.sock", core=GUEST_CORE, hugepages=hugepages),
            guest(f"{folder}/vm1.sock", core=GUEST_CORE, hugepages=hugepages, verify_into=report),
        ):
            for port in ("vm0", "vm1"):
                datapath.wait_for_guest(port, 20)
            yield datapath


def verify(datapath: Datapath, sizes: list[str]) -> None:
    """All sizes, some of each, to the guest that verifies them."""
    assert datapath._parts is not None
    generator = datapath._parts.ports["verified"]
    assert isinstance(generator, _native.GeneratorPort)
    for burst in (1, 32):
        for size in sizes:
            frame_sizes = schedule("imix" if size == "imix" else int(size))
            generator.set_shape(frame_sizes=frame_sizes, rate_pps=20_000, burst=burst, pattern=True)
            generator.start_traffic(5_000)
            while not generator.finished:
                time.sleep(0.01)
            generator.stop_traffic()
    datapath.run(seconds=0)


def markdown(results: list[dict[str, Any]]) -> str:
    lines = [
        "| frame size | cpu | dma | auto | auto / the better one | bytes by DMA |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for row in results:
        cells = [f"{row[mode]['median']:.0f} ({row[mode]['q1']:.0f} to {row[mode]['q3']:.0f})" for mode in MODES]
        ratio = f"{row['ratio_of_medians']:.2f}"
        lines.append(f"| {row['frame_size']} | {' | '.join(cells)} | {ratio} | {100 * row['auto_by_dma']:.0f} % |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default=",".join(SIZES))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--slice-ms", type=int, default=100)
    parser.add_argument("--burst", type=int, default=32)
    parser.add_argument("--hugepages", action="store_true")
    parser.add_argument("--markdown", action="store_true", help="print the table as docs/performance.md has it")
    parser.add_argument("--json", default="-")
    args = parser.parse_args()
    sizes = args.sizes.split(",")
    if len(os.sched_getaffinity(0)) < 2:
        print("error: the benchmark needs two CPUs", file=sys.stderr)
        return 2
    results = []
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "verified.json")
        with datapath_with_guests(args.hugepages, report) as datapath:
            bench = Bench(datapath, args.slice_ms, args.burst)
            for size in sizes:
                results.append(measure(bench, size, args.rounds))
                print(json.dumps(results[-1]), file=sys.stderr, flush=True)
            verify(datapath, sizes)
        verified = json.loads(report.read_text())
    wrong = {trouble: verified[trouble] for trouble in ("corrupt", "reordered", "duplicates", "foreign")}
    text = json.dumps(
        {
            "dpdk": _native.dpdk_loaded(),
            "hugepages": args.hugepages,
            "dma": "dma_skeleton (software)",
            "burst": args.burst,
            "rounds": args.rounds,
            "results": results,
            "verified": {"received": verified["received"], **wrong},
        },
        indent=2,
    )
    print(text) if args.json == "-" else Path(args.json).write_text(text + "\n")
    if args.markdown:
        print(markdown(results))
    return 1 if any(wrong.values()) or not verified["received"] else 0


if __name__ == "__main__":
    sys.exit(main())
