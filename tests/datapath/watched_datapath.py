# SPDX-License-Identifier: BSD-3-Clause
"""A datapath whose rules are changed on request; a process of its own, for test_hung_device.py.

    python watched_datapath.py JSON      a topology

Runs until stdin says "end". Any other line there is a JSON object of [deferral] keys to go on with. At the end it
prints the figures, and for how long the machine kept its only PMD thread off the CPU.
"""

import json
import sys
from typing import Any

from machine import Machine

import pydpdk_defer as pd


def main(tables: dict[str, Any]) -> None:
    topology = pd.Topology.from_dict(tables)
    with pd.Datapath(topology) as dp:
        for port in topology.needs_guest:
            dp.wait_for_guest(port, 60)
        machine = Machine(topology.pmd[0].core)
        dp.start_traffic()
        print("traffic flows", flush=True)
        for line in map(str.strip, sys.stdin):
            if line == "end":
                break
            dp.set_deferral(pd.DeferralOptions(**json.loads(line)))
            print("goes on with", dp.topology.deferral.policy, flush=True)
        report = {"stall_us": dp.snapshot().pmds[0].longest_stall_us, "taken_us": machine.taken_us()}
    final = dp.snapshot()
    print(json.dumps(final.to_dict() | report | {"faults": final.faults(stopped=True)}), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
