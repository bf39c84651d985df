# SPDX-License-Identifier: BSD-3-Clause
"""What the policies of deferred work cost and bring, on real vhost ports and modelled DMA devices.

    python tests/bench/bench_policies.py held|checks [--rounds 8] [--seconds 2] [--json PATH|-]

Two questions, each answered in one process with the candidates in turn (A B B A), ratios pair by pair, medians and
quartiles.

"held": four vhost ports on one PMD thread, the first on a channel that stalls for 20 ms again and again, the other
three on another channel. How long are the sends of these three in flight (99th percentile), with and without the
stalls, by `fifo` and by `per_queue`?

"checks": one vhost port, on dma_skeleton as it is and as a device of 1, 10 and 100 us. How many checks does a work
item take, and how long is it in flight, when every iteration asks and when checks are paced?
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from guest_process import guest
from summary import spread

from pydpdk_defer import Datapath, DeferralOptions, DmaModel, Snapshot, Topology, dpdk_loaded

PMD_CORE = 1
OTHER_CORE = 0
PORTS = 4
FRAME_SIZE = 1500
# The copying threads share a CPU with the guests and may be off it for milliseconds.
ATTEMPTS = 2**31
GUEST_NICE = 15  # a guest that has nothing to do yields; what it does then delays the copying threads little
HELD_LATENCY_US = 100
STALL_MS = 20
HELD_PPS = 4_000
HELD_STALL_AT_COPY = 400
# So many and in so small batches that the copying thread of dma_skeleton does not go to sleep between them, which it
# does after 10,000 looks: asleep it takes any time from 5 to 80 us.
CHECKS_PPS = 400_000
CHECKS_LATENCIES_US = (0, 1, 10, 100)


def topology(folder: str, ports: int, pps: float, burst: int) -> Topology:
    """Generators 0.. to vhost ports 0..; the first port on DMA device "first", the others on "others"."""
    devices = ["first", "others"][: min(ports, 2)]
    return Topology.from_dict(
        {
            "eal": {"memory_mb": 512, "hugepages": False},
            "dma": {
                name: {"device": f"dma_skeleton{at},lcore={OTHER_CORE}", "ring_size": 4096, "model": {}}
                for at, name in enumerate(devices)
            },
            "port": {
                **{
                    f"src{at}": {"kind": "generator", "frame_size": FRAME_SIZE, "rate_pps": pps, "burst": burst}
                    for at in range(ports)
                },
                **{
                    f"vm{at}": {"kind": "vhost", "socket": f"{folder}/vm{at}.sock", "dma": [devices[min(at, 1)]]}
                    for at in range(ports)
                },
            },
            "pmd": [{"core": PMD_CORE, "rxqs": [f"src{at}:0" for at in range(ports)]}],
            "deferral": {"attempt_limit": ATTEMPTS},
            "forward": {"wires": [[f"src{at}", f"vm{at}"] for at in range(ports)]},
        }
    )


@contextmanager
def datapath(ports: int, pps: float, burst: int) -> Iterator[Datapath]:
    """A datapath whose ports all have their guest."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Datapath(topology(folder, ports, pps, burst)) as dp,
        ExitStack() as guests,
    ):
        for at in range(ports):
            guests.enter_context(guest(f"{folder}/vm{at}.sock", core=OTHER_CORE, hugepages=False, nice=GUEST_NICE))
        for at in range(ports):
            dp.wait_for_guest(f"vm{at}", 60)
        yield dp


def measure(dp: Datapath, seconds: float, **deferral: Any) -> Snapshot:
    """The counters of one slice by these rules."""
    dp.set_deferral(DeferralOptions(attempt_limit=ATTEMPTS, **deferral))
    before = dp.snapshot()
    dp.run(seconds=seconds)
    return dp.snapshot() - before


def in_turn(candidates: list[Any], rounds: int) -> Iterator[Any]:
    """All candidates again and again, each round in the opposite order of the one before."""
    for number in range(rounds):
        yield from candidates if number % 2 == 0 else reversed(candidates)


def held(rounds: int, seconds: float) -> dict[str, Any]:
    """The 99th percentiles of the three other ports, in microseconds, and what the stall does to them."""
    calm = DmaModel(latency_us=HELD_LATENCY_US)
    stalling = DmaModel(
        latency_us=HELD_LATENCY_US, stall_at_copy=HELD_STALL_AT_COPY, stall_ms=STALL_MS, stall_repeat=True
    )
    candidates = [(policy, model) for policy in ("fifo", "per_queue") for model in ("calm", "stalling")]
    p99: dict[tuple[str, str], list[float]] = {key: [] for key in candidates}
    stalls = 0
    with datapath(PORTS, HELD_PPS, burst=8) as dp:
        dp.set_dma_model("others", calm)
        for policy, model in in_turn(candidates, rounds):
            dp.set_dma_model("first", stalling if model == "stalling" else calm)
            figures = measure(dp, seconds, policy=policy)
            stalls += figures.dma["first"].stalls_injected
            times = [figures.ports[f"vm{at}"].txqs[0].in_flight_time for at in range(1, PORTS)]
            p99[policy, model].append(statistics.median(t.percentile_us(99) for t in times))
    result: dict[str, Any] = {"stalls": stalls, "stall_ms": STALL_MS, "latency_us": HELD_LATENCY_US}
    for policy in ("fifo", "per_queue"):
        result[policy] = {
            "p99_us_calm": spread(p99[policy, "calm"]),
            "p99_us_stalling": spread(p99[policy, "stalling"]),
            "ratio": spread([b / a for a, b in zip(p99[policy, "calm"], p99[policy, "stalling"], strict=True)]),
        }
    return result


def checks(rounds: int, seconds: float) -> list[dict[str, Any]]:
    """For each device: checks an item and mean time in flight, asked every iteration and paced."""
    results = []
    with datapath(1, CHECKS_PPS, burst=1) as dp:
        for latency_us in CHECKS_LATENCIES_US:
            dp.set_dma_model("first", DmaModel(latency_us=latency_us) if latency_us else None)
            slices: dict[bool, list[dict[str, float]]] = {False: [], True: []}
            measure(dp, seconds, paced=True)
            for paced in in_turn([False, True], rounds):
                figures = measure(dp, seconds, paced=paced)
                pmd, times = figures.pmds[0], figures.ports["vm0"].txqs[0].in_flight_time
                slices[paced].append(
                    {
                        "checks_per_item": (pmd.work_in_progress + pmd.work_done) / pmd.work_done,
                        "in_flight_p50_us": times.percentile_us(50),
                        "in_flight_mean_us": times.mean_us,
                    }
                )
            result: dict[str, Any] = {"device": f"modelled: {latency_us} us" if latency_us else "dma_skeleton"}
            for name, of_one in (("fifo", slices[False]), ("paced", slices[True])):
                result[name] = {key: spread([one[key] for one in of_one]) for key in of_one[0]}
            for key in ("in_flight_p50_us", "in_flight_mean_us"):
                pairs = zip(slices[False], slices[True], strict=True)
                result[f"{key.removesuffix('_us')}_ratio"] = spread([paced[key] / fifo[key] for fifo, paced in pairs])
            results.append(result)
            print(json.dumps(results[-1]), file=sys.stderr, flush=True)
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("question", choices=("held", "checks"))
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--json", default="-")
    args = parser.parse_args()
    answer = held(args.rounds, args.seconds) if args.question == "held" else checks(args.rounds, args.seconds)
    report = {
        "dpdk": dpdk_loaded(),
        "dma": "dma_skeleton (software, modelled)",
        "rounds": args.rounds,
        "seconds": args.seconds,
        args.question: answer,
    }
    text = json.dumps(report, indent=2)
    print(text) if args.json == "-" else Path(args.json).write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
