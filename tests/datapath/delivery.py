# SPDX-License-Identifier: BSD-3-Clause
"""A paced run of mixed frame sizes into a verifying guest, and what must be true of it."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from processes import LIMIT_SECONDS, Guest, HeldRun, assert_intact, dropped, reached, topology, txq_sum

MIX = [[60, 4], [64, 4], [590, 3], [1514, 3], [4000, 1], [9000, 1]]
MIX_MEAN_BYTES = sum(size * weight for size, weight in MIX) / sum(weight for _, weight in MIX)
# The guest shares its CPU with the copying thread, and perhaps with other programs: when it is off the CPU for longer
# than its ring lasts, frames are dropped and counted. Then they are sent again at a rate at which the rings last for
# longer than a second, and none may be missing.
RATE_PPS = 20_000
SLOW_PPS_OF_RING = 0.6  # descriptors a second for each of the ring: a frame of MIX takes 1.3 of them
SLOW_SECONDS = 6
SOAK = os.environ.get("PYDPDK_DEFER_SOAK") == "1"
LONG_RING = ("--virtio", "queue_size=4096", "--memory-mb", "192")


def deliver(
    folder: Path,
    frames: int,
    guest_arguments: Sequence[str] = (),
    frame_size: Any = MIX,
    may_drop: Sequence[str] = (),
    **changes: Any,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Send frames of mixed sizes to a verifying guest: every one arrives, once, in order, unharmed; both ends agree.

    `may_drop`: reasons for which frames may be dropped at any rate. Returns the figures and the guest's report.
    """
    figures, report = _deliver_at(RATE_PPS, folder, frames, guest_arguments, frame_size, **changes)
    if _missing(figures, may_drop):
        ring_size = int(re.findall(r"queue_size=(\d+)", " ".join((*LONG_RING, *guest_arguments)))[-1])
        slow_pps = int(SLOW_PPS_OF_RING * ring_size)
        repeated.append(f"{os.environ['PYTEST_CURRENT_TEST']}: {_missing(figures, may_drop)} dropped of {frames}")
        if not SOAK:
            frames = min(frames, SLOW_SECONDS * slow_pps)
        figures, report = _deliver_at(slow_pps, folder, frames, guest_arguments, frame_size, **changes)
        assert _missing(figures, may_drop) == 0, figures["ports"]["vm0"]
    return figures, report


repeated: list[str] = []  # the tests with a delivery at the lower rate, for the summary


def _missing(figures: Mapping[str, Any], may_drop: Sequence[str]) -> int:
    drops = [txq["drops"] for txq in figures["ports"]["vm0"]["txqs"]]
    assert all(set(_reasons(by_reason)) <= {"ring_full", "dma_ring_full", *may_drop} for by_reason in drops), drops
    return sum(count for by_reason in drops for reason, count in by_reason.items() if reason not in may_drop)


def _reasons(by_reason: Mapping[str, int]) -> list[str]:
    return [reason for reason, count in by_reason.items() if count]


def _deliver_at(
    rate_pps: int, folder: Path, frames: int, guest_arguments: Sequence[str], frame_size: Any, **changes: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    socket = folder / "vm0.sock"
    tables = topology(socket, port__src__frame_size=frame_size, port__src__rate_pps=rate_pps, **changes)
    with (
        HeldRun(folder, tables, frames) as run,
        Guest(folder, socket, *LONG_RING, *guest_arguments) as guest,
    ):
        guest.wait_ready()
        run.tell()
        figures = run.result(seconds=LIMIT_SECONDS + 3 * frames / rate_pps)
        report = guest.report()
    missing = dropped(figures, "vm0")
    assert report["received"] == reached(figures, "vm0") == txq_sum(figures, "vm0", "submitted") == frames - missing
    assert_intact(report)
    assert report["missed_before_start"] + report["lost"] <= missing
    return figures, report
