# SPDX-License-Identifier: BSD-3-Clause
"""A datapath whose PMD threads are watched from outside; a process of its own, for test_hung_device.py.

    python watched_datapath.py JSON      a topology

Runs until stdin says "end". Any other line there is a JSON object of [deferral] keys to go on with. At the end it
prints the figures, with the longest time in which a thread's iterations stood still.
"""

import json
import sys
import threading
import time
from typing import Any

import pydpdk_defer as pd

LOOK_SECONDS = 0.005


class Watch(threading.Thread):
    """Looks at the iterations of every PMD thread, as an operator would."""

    def __init__(self, dp: pd.Datapath) -> None:
        super().__init__(daemon=True)
        self._dp = dp
        self._ended = threading.Event()
        self.longest_gap_ms = 0.0

    def run(self) -> None:
        moved: dict[int, tuple[int, float]] = {}
        while not self._ended.wait(LOOK_SECONDS):
            now = time.monotonic()
            for pmd in self._dp.snapshot().pmds:
                iterations, since = moved.get(pmd.core, (-1, now))
                if pmd.iterations != iterations:
                    moved[pmd.core] = (pmd.iterations, now)
                self.longest_gap_ms = max(self.longest_gap_ms, 1000 * (now - since))

    def end(self) -> None:
        self._ended.set()
        self.join()


def main(tables: dict[str, Any]) -> None:
    topology = pd.Topology.from_dict(tables)
    with pd.Datapath(topology) as dp:
        for port in topology.needs_guest:
            dp.wait_for_guest(port, 60)
        watch = Watch(dp)
        watch.start()
        dp.start_traffic()
        print("traffic flows", flush=True)
        for line in map(str.strip, sys.stdin):
            if line == "end":
                break
            dp.set_deferral(pd.DeferralOptions(**json.loads(line)))
            print("goes on", flush=True)
        watch.end()
    final = dp.snapshot()
    report = {"faults": final.faults(stopped=True), "longest_gap_ms": watch.longest_gap_ms}
    print(json.dumps(final.to_dict() | report), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
