# SPDX-License-Identifier: BSD-3-Clause
"""Frames that a guest sends back, as they come out of its port again."""

import json
import random
import sys
from pathlib import Path

from processes import Guest, Process, topology

SIZES = [60, 64, 590, 1514, 4000, 9000]
SCRIPT = """
import json, pathlib, sys
import pydpdk_defer as pd

task = json.loads(pathlib.Path(sys.argv[1]).read_text())
with pd.Datapath(pd.Topology.from_dict(task["topology"])) as dp:
    dp.wait_for_guest("vm0", 60)
    with dp.capture("vm0", "rx", count=len(task["frames"]), seconds=30, buffer_frames=4096) as capture:
        taken = dp.inject("vm0", [bytes.fromhex(frame) for frame in task["frames"]])
        came = [frame.data.hex() for frame in capture]
final = dp.snapshot()
print(json.dumps({"taken": taken, "came": came, "faults": final.faults(stopped=True)}))
"""


def echoed(folder: Path, *guest_arguments: str) -> tuple[list[bytes], list[bytes]]:
    """Frames of all sizes, and what came of an echoing guest; both with the addresses as the guest saw them."""
    chosen = random.Random(11)
    # Few enough at once for the ring by which the guest sends them back.
    frames = [b"\x02" + chosen.randbytes(11) + b"\x88\xb5" + chosen.randbytes(size - 14) for size in SIZES * 40]
    tables = topology(folder / "vm0.sock", port__src__rate_pps=10, port__vm0__copy="cpu")
    task = folder / "task.json"
    task.write_text(json.dumps({"topology": tables, "frames": [frame.hex() for frame in frames]}))
    with (
        Process(folder, "script", [sys.executable, "-c", SCRIPT, str(task)]) as run,
        Guest(folder, folder / "vm0.sock", *guest_arguments, role="echo") as guest,
    ):
        assert run.finish() == 0, run.stderr
        guest.report()
    figures = json.loads(run.stdout.splitlines()[-1])
    assert figures["faults"] == []
    assert figures["taken"] == len(frames)
    came = [bytes.fromhex(frame) for frame in figures["came"]]
    return frames, [data[6:12] + data[:6] + data[12:] for data in came]
