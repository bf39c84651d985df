# SPDX-License-Identifier: BSD-3-Clause
"""A datapath whose traffic begins on request; a process of its own, see `HeldRun` in processes.py.

    python held_datapath.py TOPOLOGY.toml JSON PACKETS

Waits for a line on stdin, lets each generator make PACKETS frames, and writes the final figures to the file JSON, as
`pydpdk-defer run --json` does.
"""

import json
import sys
from pathlib import Path

import pydpdk_defer as pd


def main(path: str, target: str, packets: int) -> int:
    topology = pd.Topology.load(path)
    with pd.Datapath(topology) as dp:
        sys.stdin.readline()
        for port in topology.needs_guest:
            dp.wait_for_guest(port, 40)
        dp.run(packets=packets)
    final = dp.snapshot()
    faults = final.faults(stopped=True)
    Path(target).write_text(json.dumps(final.to_dict() | {"faults": faults}))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
