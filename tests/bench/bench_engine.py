# SPDX-License-Identifier: BSD-3-Clause
"""What a deferred send costs: round trips through the engine, a plain C ring and DPDK's rte_ring.

    python tests/bench/bench_engine.py BINARY [--repetitions 30] [--json PATH|-]

Nanoseconds: medians and quartiles of repetitions that take turns at random, and ratios of the medians of one run.
Instructions: of one round trip by callgrind, the same on every machine with this compiler and this DPDK.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from summary import spread

CANDIDATES = ("fifo", "per_queue", "c_ring", "rte_ring")
VARIANTS = ("depth_1", "depth_8", "in_progress_once")
RATIOS = (("fifo", "c_ring"), ("fifo", "rte_ring"), ("per_queue", "fifo"))


def nanoseconds(binary: str, repetitions: int) -> dict[str, dict[str, float]]:
    """Medians and quartiles by candidate/variant."""
    command = [binary, "--benchmark_format=json", "--benchmark_min_time=0.02", f"--benchmark_repetitions={repetitions}"]
    command.append("--benchmark_enable_random_interleaving=true")
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=550).stdout
    times: dict[str, list[float]] = {}
    for run in json.loads(output)["benchmarks"]:
        if run["run_type"] == "iteration":
            times.setdefault(run["run_name"], []).append(run["cpu_time"])
    return {name: spread(values) for name, values in times.items()}


def instructions(binary: str, name: str) -> float:
    """Of one round trip: what a thousand more of them cost."""
    totals = []
    with tempfile.TemporaryDirectory() as folder:
        for count in (1000, 2000):
            out = Path(folder, "out")
            command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", binary, "--only", name]
            subprocess.run([*command, str(count)], capture_output=True, check=True, timeout=120)
            found = re.search(r"^summary: (\d+)$", out.read_text(), re.MULTILINE)
            assert found is not None
            totals.append(int(found[1]))
    return (totals[1] - totals[0]) / 1000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--repetitions", type=int, default=30)
    parser.add_argument("--json", default="-")
    args = parser.parse_args()
    times = nanoseconds(args.binary, args.repetitions)
    results: list[dict[str, Any]] = []
    print(f"{'round trip':30}{'ns':>8}{'quartiles':>18}{'instructions':>14}", file=sys.stderr)
    for variant in VARIANTS:
        counts = {candidate: instructions(args.binary, f"{candidate}/{variant}") for candidate in CANDIDATES}
        for candidate in CANDIDATES:
            ns = times[f"{candidate}/{variant}"]
            quartiles = f"{ns['q1']:.2f} to {ns['q3']:.2f}"
            line = f"{variant + ' ' + candidate:30}{ns['median']:8.2f}{quartiles:>18}{counts[candidate]:14.1f}"
            print(line, file=sys.stderr)
            results.append({"variant": variant, "candidate": candidate, "ns": ns, "instructions": counts[candidate]})
        for ours, theirs in RATIOS:
            by_time = times[f"{ours}/{variant}"]["median"] / times[f"{theirs}/{variant}"]["median"]
            by_count = counts[ours] / counts[theirs]
            print(f"  {ours} / {theirs}: {by_time:.2f} by time, {by_count:.2f} by instructions", file=sys.stderr)
            ratio = {"time": round(by_time, 3), "instructions": round(by_count, 3)}
            results.append({"variant": variant, "ratio": f"{ours}/{theirs}", **ratio})
    text = json.dumps({"repetitions": args.repetitions, "results": results}, indent=2)
    print(text) if args.json == "-" else Path(args.json).write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
