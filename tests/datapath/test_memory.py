# SPDX-License-Identifier: BSD-3-Clause
"""No allocation on the fast path: resident memory after a million packets as after a thousand."""

import json
import sys
from pathlib import Path

import pytest
from processes import Guest, Process, topology

pytestmark = pytest.mark.timeout(120)

SCRIPT = """
import json, re, sys
from pathlib import Path
import pydpdk_defer as pd

def resident_kb():
    # DPDK's own memory is shared; what the process allocates besides is anonymous.
    return int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

with pd.Datapath(pd.Topology.from_dict(json.loads(sys.argv[1]))) as dp:
    dp.wait_for_guest("vm0", 60)
    dp.run(packets=1000)
    after_a_thousand = resident_kb()
    dp.run(packets=1_000_000)
    print(after_a_thousand, resident_kb(), dp.snapshot().ports["vm0"].txqs[0].submitted)
"""
ALLOWED_GROWTH_KB = 512


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.parametrize("copy", ["dma", "cpu"])
def test_resident_memory_does_not_grow_with_packets(folder: Path, copy: str) -> None:
    socket = folder / "vm0.sock"
    tables = topology(socket, port__src__rate_pps=0, port__src__frame_size=64, port__vm0__copy=copy)
    with (
        Process(folder, "script", [sys.executable, "-c", SCRIPT, json.dumps(tables)]) as run,
        Guest(folder, socket, role="sink") as guest,
    ):
        assert run.finish() == 0, run.stderr
        guest.result()
    before, after, submitted = map(int, run.stdout.split())
    assert submitted > 1000
    assert after - before <= ALLOWED_GROWTH_KB
