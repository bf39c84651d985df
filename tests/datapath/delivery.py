# SPDX-License-Identifier: BSD-3-Clause
"""A paced run of mixed frame sizes into a verifying guest, and what must be true of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from processes import Guest, Run, dropped, topology, txq_sum

MIX = [[60, 4], [64, 4], [590, 3], [1514, 3], [4000, 1], [9000, 1]]
MIX_MEAN_BYTES = sum(size * weight for size, weight in MIX) / sum(weight for _, weight in MIX)
# What a guest carries that shares its CPU with the copying thread. A machine that takes the CPU away for longer than
# the guest's ring lasts makes any paced run lose frames: those are tried again at half the rate.
RATES_PPS = (50_000, 25_000, 12_500)
LONG_RING = ("--virtio", "queue_size=4096", "--memory-mb", "384")


def deliver(
    folder: Path, frames: int, guest_arguments: Sequence[str] = (), frame_size: Any = MIX, **changes: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Frames of mixed sizes to a verifying guest: every one arrives, once, in order, unharmed; and both ends agree."""
    socket = folder / "vm0.sock"
    for rate_pps in RATES_PPS:
        tables = topology(socket, port__src__frame_size=frame_size, port__src__rate_pps=rate_pps, **changes)
        with (
            Run(folder, tables, "--packets", str(frames), "--wait-guest", "60") as run,
            Guest(folder, socket, *LONG_RING, *guest_arguments) as guest,
        ):
            figures = run.result()
            report = guest.report()
        missing = dropped(figures, "vm0")
        assert txq_sum(figures, "vm0", "submitted") == txq_sum(figures, "vm0", "completed") == frames - missing
        assert report["received"] == frames - missing
        for trouble in ("corrupt", "reordered", "duplicates", "foreign"):
            assert report[trouble] == 0, report
        if missing == 0:
            break
    assert missing == 0, figures["ports"]["vm0"]
    assert report["lost"] == report["missed_before_start"] == 0
    assert guest.popen.returncode == 0
    return figures, report
