# SPDX-License-Identifier: BSD-3-Clause
"""A datapath whose copy engine changes all the time; a process of its own, for test_switched_rings.py.

    python switching_datapath.py JSON      {"topology": ..., "changes": N}

Has vm0 copied by the CPU and by DMA in turn, each until bytes have gone that way, says so, waits for a line on stdin,
and prints a line of JSON: the final figures with their faults.
"""

import json
import sys
import time
from typing import Any, Literal

import pydpdk_defer as pd


def bytes_by(dp: pd.Datapath, engine: str) -> int:
    return sum(txq.bytes_by_engine[engine] for txq in dp.snapshot().ports["vm0"].txqs)


def main(task: dict[str, Any]) -> None:
    engines: tuple[Literal["cpu", "dma"], ...] = ("cpu", "dma")
    with pd.Datapath(pd.Topology.from_dict(task["topology"])) as dp:
        dp.wait_for_guest("vm0", 60)
        dp.start_traffic()
        for number in range(task["changes"]):
            engine = engines[number % 2]
            before = bytes_by(dp, engine)
            dp.set_copy("vm0", engine)
            while bytes_by(dp, engine) == before:
                time.sleep(0.001)
        print("changed", flush=True)
        sys.stdin.readline()
    final = dp.snapshot()
    print(json.dumps(final.to_dict() | {"faults": final.faults(stopped=True)}), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
