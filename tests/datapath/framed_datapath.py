# SPDX-License-Identifier: BSD-3-Clause
"""A datapath that frames are injected into while traffic runs; a process of its own, for test_frames.py.

    python framed_datapath.py JSON      {"topology": ..., "frames": N, "lot": M}

Injects numbered frames, so many at once, captures what leaves by vm0 meanwhile, and prints a line of JSON:
the final figures, how many frames were taken and captured, whether the captured ones among them are what was injected,
in order, and how many the capture lost.
"""

import json
import random
import sys
import threading
import time
from itertools import pairwise
from typing import Any

import pydpdk_defer as pd

MARK = b"\x02\x00\x00\x00\x00\x02" + b"\x02\x00\x00\x00\x00\x77" + b"\x88\xb5"


def frame(number: int) -> bytes:
    """Of 64 to 1514 bytes, and told from all others."""
    chosen = random.Random(number)
    return MARK + number.to_bytes(4, "big") + chosen.randbytes(chosen.choice([46, 200, 572, 1496]))


def main(task: dict[str, Any]) -> None:
    frames = [frame(number) for number in range(task["frames"])]
    taken = 0
    captured: list[pd.CapturedFrame] = []
    with pd.Datapath(pd.Topology.from_dict(task["topology"])) as dp:
        dp.wait_for_guest("vm0", 60)
        capture = dp.capture("vm0", "tx", buffer_frames=2**15)
        reader = threading.Thread(target=lambda: captured.extend(capture))
        reader.start()
        dp.start_traffic()
        for at in range(0, len(frames), task["lot"]):
            lot = frames[at : at + task["lot"]]
            # The other forms of bytes too.
            taken += dp.inject("vm0", [lot[0], bytearray(lot[1]), memoryview(lot[2]), *lot[3:]], timeout=30)
            time.sleep(0.002)
        dp.run(seconds=0.2)
        capture.close()
        reader.join()
    final = dp.snapshot()
    marked = [seen for seen in captured if seen.data.startswith(MARK)]
    report = {
        "faults": final.faults(stopped=True),
        "taken": taken,
        "captured": len(captured),
        "same": [seen.data for seen in marked] == frames,
        "in_order": all(one.time_ns <= other.time_ns for one, other in pairwise(captured)),
        "lost": capture.lost,
    }
    print(json.dumps(final.to_dict() | report), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
