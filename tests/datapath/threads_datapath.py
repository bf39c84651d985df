# SPDX-License-Identifier: BSD-3-Clause
"""A datapath that several threads use at once; a process of its own, for test_changes.py.

    python threads_datapath.py JSON      {"topology": ..., "socket": PATH, "core": CPU, "changes": N}

One thread calls `run` again and again, one takes snapshots, one changes the deferral options, and the main thread
changes ports and PMD threads meanwhile. Prints a line of JSON: the exceptions of the threads, the number of snapshots,
and the final figures with their faults.
"""

import itertools
import json
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

import pydpdk_defer as pd


def main(task: dict[str, Any]) -> None:
    errors: list[str] = []
    snapshots = 0
    ended = threading.Event()

    def until_ended(work: Callable[[], None]) -> None:
        try:
            while not ended.is_set():
                work()
        except Exception:
            errors.append(traceback.format_exc())

    with pd.Datapath(pd.Topology.from_dict(task["topology"])) as dp:

        def look() -> None:
            nonlocal snapshots
            assert dp.snapshot().faults() == []
            snapshots += 1

        limits = itertools.cycle((10**6, 2 * 10**6))
        works: list[Callable[[], None]] = [
            look,
            lambda: dp.run(seconds=0.05),
            lambda: dp.set_deferral(pd.DeferralOptions(attempt_limit=next(limits))),
        ]
        threads = [threading.Thread(target=until_ended, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        try:
            for _ in range(task["changes"]):
                dp.add_port("more", {"kind": "vhost", "socket": task["socket"]})
                dp.add_pmd(task["core"], sleep_max_us=200)
                assert "more" in dp.topology.port, "another thread's change removed it"
                dp.remove_pmd(task["core"])
                dp.remove_port("more")
        finally:
            ended.set()
            for thread in threads:
                thread.join()
    final = dp.snapshot()
    report = {"errors": errors, "snapshots": snapshots, "faults": final.faults(stopped=True)}
    print(json.dumps(final.to_dict() | report), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
