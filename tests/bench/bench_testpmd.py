# SPDX-License-Identifier: BSD-3-Clause
"""Delivered packets/s by CPU copy: `pydpdk-defer run` beside `dpdk-testpmd`'s txonly into net_vhost.

    python tests/bench/bench_testpmd.py [--sizes 64,1500] [--rounds 6] [--hugepages] [--json PATH|-]

Two processes cannot share a slice, so whole runs of a few seconds take turns (A B B A), each with a fresh guest of
the same kind, which counts what is delivered. On a shared machine two processes differ for reasons of their own:
read the quartiles with the median.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from summary import spread

from pydpdk_defer import Topology
from pydpdk_defer.host import runtime_dir

PMD_CORE = 1
GUEST_CORE = 0
SECONDS = 3


@contextmanager
def product(folder: Path, socket: str, size: int, hugepages: bool) -> Iterator[None]:
    """The product: generator to guest, copied by the CPU."""
    topology = Topology.from_dict(
        {
            "eal": {"memory_mb": 256, "hugepages": hugepages},
            "port": {
                "src": {"kind": "generator", "frame_size": size, "pattern": False},
                "vm0": {"kind": "vhost", "socket": socket, "copy": "cpu"},
            },
            "pmd": [{"core": PMD_CORE, "rxqs": ["src:0"]}],
            "forward": {"wires": [["src", "vm0"]]},
        }
    )
    path = folder / "topology.toml"
    path.write_text(topology.to_toml())
    with running([sys.executable, "-m", "pydpdk_defer", "run", str(path), "--quiet", "--wait-guest", "30"]):
        yield


@contextmanager
def testpmd(folder: Path, socket: str, size: int, hugepages: bool) -> Iterator[None]:
    """The peer: dpdk-testpmd, txonly, into net_vhost."""
    memory = ["--in-memory"] if hugepages else ["--no-huge", "--no-shconf"]
    command = ["dpdk-testpmd", "-l", f"{GUEST_CORE},{PMD_CORE}", *memory, "-m", "256", "--no-pci", "--no-telemetry"]
    command += ["--file-prefix", folder.name, "--vdev", f"net_vhost0,iface={socket},queues=1", "--"]
    command += ["--forward-mode=txonly", f"--txpkts={size}", "--total-num-mbufs=8192", "--no-mlockall"]
    try:
        with running([*command, "--no-flush-rx", "--stats-period=1", "--auto-start"]):
            yield
    finally:
        shutil.rmtree(runtime_dir.of_prefix(folder.name), ignore_errors=True)  # which testpmd leaves


@contextmanager
def running(command: list[str]) -> Iterator[None]:
    """A process for the time of the context."""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def delivered_pps(candidate: str, size: int, hugepages: bool) -> float:
    """Packets/s that a fresh guest counts; frames of up to 2 KB fit one buffer, larger ones are chained."""
    with tempfile.TemporaryDirectory(prefix="pdb") as name:
        folder = Path(name)
        socket = f"{name}/vm0.sock"
        with {"product": product, "testpmd": testpmd}[candidate](folder, socket, size, hugepages):
            command = [sys.executable, "-m", "pydpdk_defer", "guest", socket, "--role", "sink", "--spin"]
            command += ["--core", str(GUEST_CORE), "--hugepages", "yes" if hugepages else "no"]
            command += ["--connect-timeout", "30", "--duration", str(SECONDS), "--json", "-"]
            output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
        report = json.loads(output)
        return float(report["received"]) / float(report["duration_s"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="64,1500")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--hugepages", action="store_true")
    parser.add_argument("--json", default="-")
    args = parser.parse_args()
    results = []
    for size in map(int, args.sizes.split(",")):
        pps: dict[str, list[float]] = {"product": [], "testpmd": []}
        for number in range(args.rounds):
            for candidate in sorted(pps, reverse=number % 2 == 1):
                pps[candidate].append(delivered_pps(candidate, size, args.hugepages))
        ratios = [a / b for a, b in zip(pps["product"], pps["testpmd"], strict=True)]
        results.append(
            {"frame_size": size, **{f"{k}_pps": spread(v) for k, v in pps.items()}, "pps_ratio": spread(ratios)}
        )
        print(json.dumps(results[-1]), file=sys.stderr, flush=True)
    text = json.dumps({"hugepages": args.hugepages, "rounds": args.rounds, "results": results}, indent=2)
    print(text) if args.json == "-" else Path(args.json).write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
