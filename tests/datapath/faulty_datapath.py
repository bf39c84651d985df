# SPDX-License-Identifier: BSD-3-Clause
"""A datapath whose DMA device is given one fault after the other; a process of its own, for test_faults.py.

    python faulty_datapath.py JSON      {"topology": ..., "models": [...], "seconds": ...}

Prints a line of JSON for each model: the counters of its time, in flight and after. When a queue is declared wedged it
prints "is wedged", waits for a line and for a new guest, and goes on. At the end a line with the final figures.
"""

import json
import sys
import time
from typing import Any

from machine import Machine

import pydpdk_defer as pd

RATE_PPS = 20_000


def wedges(snapshot: pd.Snapshot) -> int:
    return sum(txq.wedges for _, _, txq in snapshot.txqs())


def run(dp: pd.Datapath, seconds: float) -> None:
    """Frames for this time; a queue that is wedged by then gets a new guest and as many frames again."""
    known = wedges(dp.snapshot())
    frames = int(seconds * RATE_PPS)
    dp.run(packets=frames, until=lambda: wedges(dp.snapshot()) > known)
    if wedges(dp.snapshot()) > known:
        print("is wedged", flush=True)
        sys.stdin.readline()
        dp.wait_for_guest("vm0", 60)
        dp.run(packets=frames)


def main(task: dict[str, Any]) -> None:
    topology = pd.Topology.from_dict(task["topology"])
    with pd.Datapath(topology) as dp:
        machine = Machine(topology.pmd[0].core)
        dp.wait_for_guest("vm0", 60)
        for model in task["models"]:
            dp.set_dma_model("copier", pd.DmaModel(**model))
            before = dp.snapshot()
            run(dp, task["seconds"])
            dp.set_dma_model("copier", None)
            deadline = time.monotonic() + 30
            while any(txq.in_flight + txq.quarantined for _, _, txq in dp.snapshot().txqs()):
                assert time.monotonic() < deadline, f"{model}: {dp.snapshot()}"
                time.sleep(0.01)
            after = dp.snapshot()
            print(json.dumps((after - before).to_dict() | {"faults": after.faults()}), flush=True)
        print("all ran", flush=True)
        sys.stdin.readline()
        report = {"stall_us": dp.snapshot().pmds[0].longest_stall_us, "taken_us": machine.taken_us()}
    final = dp.snapshot()
    print(json.dumps(final.to_dict() | report | {"faults": final.faults(stopped=True)}), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
