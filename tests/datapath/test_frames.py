# SPDX-License-Identifier: BSD-3-Clause
"""Frames from Python into a running datapath and out of it: exactly once, in order, and captured as they are."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from delivery import LONG_RING
from framed_datapath import frame
from pcap import read_pcap
from processes import Guest, Process, assert_books_balance, dropped, topology, txq_sum

FRAMES = 10_000
LOT = 32  # the guest's ring lasts for many of these, and other traffic finds room


def inject(
    folder: Path, *guest_arguments: str, lot: int = LOT, rate_pps: int = 5_000, **changes: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """While traffic runs: 10,000 frames to a guest that writes down all it gets. Figures, and the guest's report."""
    script = Path(__file__).with_name("framed_datapath.py")
    tables = topology(folder / "vm0.sock", port__src__rate_pps=rate_pps, **changes)
    written = folder / "guest.pcap"
    with (
        Process(
            folder,
            "script",
            [sys.executable, str(script), json.dumps({"topology": tables, "frames": FRAMES, "lot": lot})],
        ) as run,
        Guest(folder, folder / "vm0.sock", "--pcap", str(written), *guest_arguments) as guest,
    ):
        assert run.finish() == 0, run.stderr
        report = guest.report()
    figures = json.loads(run.stdout.splitlines()[-1])
    assert_books_balance(figures)
    injected = [frame(number) for number in range(FRAMES)]
    arrived = [data for data in read_pcap(written) if data[12:14] == b"\x88\xb5"]
    assert figures["taken"] == FRAMES
    assert arrived == injected
    assert figures["lost"] == 0
    assert figures["same"]
    assert report["foreign"] == FRAMES
    assert [report[trouble] for trouble in ("corrupt", "reordered", "duplicates")] == [0, 0, 0], report
    assert report["received"] == txq_sum(figures, "vm0", "completed")
    assert figures["captured"] == txq_sum(figures, "vm0", "completed") + dropped(figures, "vm0")
    return figures, report


@pytest.mark.parametrize("copy", ["dma", "cpu"])
def test_injected_through_the_thread_that_owns_the_txq(folder: Path, copy: str) -> None:
    figures, _ = inject(folder, *LONG_RING, port__vm0__copy=copy)
    assert dropped(figures, "vm0") == 0
    assert figures["in_order"]
    assert figures["ports"]["vm0"]["txqs"][0]["submitted"] > FRAMES


def test_injected_by_a_txq_of_the_control_side(folder: Path) -> None:
    figures, _ = inject(folder, *LONG_RING, "--queues", "2", port__vm0__queues=2)
    assert dropped(figures, "vm0") == 0
    by_pmd, by_control = figures["ports"]["vm0"]["txqs"]
    assert by_control["submitted"] == FRAMES
    assert by_control["bytes_by_engine"]["cpu"] > 0  # dma_skeleton has one channel, which the PMD thread has
    assert by_pmd["bytes_by_engine"]["cpu"] == 0


@pytest.mark.parametrize("copy", ["dma", "cpu"])
@pytest.mark.parametrize("queues", [1, 2])
def test_more_at_once_than_the_guest_has_room_for_wait_for_it(folder: Path, copy: str, queues: int) -> None:
    """Other traffic does not wait: what of that finds the ring full meanwhile is dropped, and counted."""
    inject(
        folder,
        *("--virtio", "queue_size=256", "--queues", str(queues)),
        lot=FRAMES,
        rate_pps=100,
        port__vm0__copy=copy,
        port__vm0__queues=queues,
    )
