# SPDX-License-Identifier: BSD-3-Clause
"""Frames that a guest or a DMA device has no room for, and very long ones: sent or dropped for a reason."""

import json
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest
from delivery import LONG_RING
from pcap import read_pcap, write_pcap
from processes import EITHER_COPY, Guest, Process, Run, assert_books_balance, topology

SCRIPT = """
import json, sys, time
import pydpdk_defer as pd

task = json.loads(sys.argv[1])
with pd.Datapath(pd.Topology.from_dict(task["topology"])) as dp:
    dp.wait_for_guest("vm0", 60)
    taken = []
    capture = dp.capture("vm0", "tx")
    for lot in task["lots"]:
        frames = [bytes([number] * 12) + b"\\x88\\xb5" + bytes(size - 14) for number, size in lot]
        # Alone, a frame that is too long cannot be told from a full ring, and is waited for.
        hopeless = len(frames) == 1 and task["hopeless_bytes"] and lot[0][1] >= task["hopeless_bytes"]
        taken.append(dp.inject("vm0", frames, timeout=0.2 if hopeless else 30))

    def finished():
        txq = dp.snapshot().ports["vm0"].txqs[0]
        return not txq.in_flight and txq.completed + sum(txq.drops.values()) >= sum(taken)

    while not finished():
        time.sleep(0.01)
    capture.close()
    captured = [frame.data[0] for frame in capture]
    print("sent", flush=True)
    sys.stdin.readline()
final = dp.snapshot()
print(json.dumps({**final.to_dict(), "faults": final.faults(stopped=True), "taken": taken, "captured": captured}))
"""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
SMALL, LONG, LONGEST = 64, 9000, 65535
Sizes = list[int]


def sent(
    folder: Path, lots: list[Sizes], *guest_arguments: str, hopeless_bytes: int = 0, **changes: Any
) -> tuple[dict[str, Any], Sizes]:
    """The figures, and the sizes of the frames that arrived; each was whole and came in its turn.

    `hopeless_bytes`: frames of this size and more never find room.
    """
    tables = topology(folder / "vm0.sock", port__src__rate_pps=10, **changes)
    numbers = iter(range(250))
    numbered = [[(next(numbers), size) for size in lot] for lot in lots]
    written = folder / "guest.pcap"
    task = json.dumps({"topology": tables, "lots": numbered, "hopeless_bytes": hopeless_bytes})
    with (
        Process(folder, "script", [sys.executable, "-c", SCRIPT, task]) as run,
        Guest(folder, folder / "vm0.sock", "--pcap", str(written), *guest_arguments, role="sink") as guest,
    ):
        run.wait_for_text("sent")
        guest.result()
        run.tell()
        assert run.finish() == 0, run.stderr
    figures = json.loads(run.stdout.splitlines()[-1])
    assert_books_balance(figures)
    sizes = {number: size for lot in numbered for number, size in lot}
    arrived = list(read_pcap(written))
    for frame in arrived:
        assert frame == bytes([frame[0]] * 12) + b"\x88\xb5" + bytes(sizes[frame[0]] - 14)
    assert [frame[0] for frame in arrived] == sorted({frame[0] for frame in arrived})
    return figures, [sizes[frame[0]] for frame in arrived]


def drops(figures: dict[str, Any]) -> dict[str, int]:
    return {reason: count for reason, count in figures["ports"]["vm0"]["txqs"][0]["drops"].items() if count}


@EITHER_COPY
def test_chained_mbufs_of_64_kb_arrive_whole(folder: Path, copy: str) -> None:
    lots = [[SMALL, LONGEST, SMALL], [LONGEST] * 2, [SMALL] * 3, [LONGEST]]
    figures, arrived = sent(folder, lots, "--virtio", "queue_size=1024", port__vm0__copy=copy)
    assert arrived == [size for lot in lots for size in lot]
    assert drops(figures) == {}


@pytest.mark.parametrize(
    ("copy", "packed"),
    [
        ("dma", "0"),
        ("cpu", "1"),
        pytest.param("dma", "1", marks=pytest.mark.full),
        pytest.param("cpu", "0", marks=pytest.mark.full),
    ],
)
def test_a_frame_longer_than_the_guests_buffers_takes_no_other_along(folder: Path, copy: str, packed: str) -> None:
    lots = [[SMALL], [SMALL, LONG, SMALL, SMALL], [LONG, LONG, SMALL], [LONG], [SMALL] * 3]
    virtio = f"mrg_rxbuf=0,packed_vq={packed}"
    figures, arrived = sent(folder, lots, "--virtio", virtio, hopeless_bytes=LONG, port__vm0__copy=copy)
    assert arrived == [SMALL] * 8
    assert drops(figures) == {"too_long": 3}
    assert figures["taken"] == [1, 4, 3, 0, 3]


def test_a_frame_that_needs_more_copies_than_the_dma_ring_holds(folder: Path) -> None:
    lots = [[SMALL], [SMALL, LONGEST, SMALL], [LONGEST], [SMALL] * 4]
    figures, arrived = sent(
        folder, lots, "--virtio", "queue_size=1024", hopeless_bytes=LONGEST, dma__copier__model={"capacity": 16}
    )
    assert arrived == [SMALL] * 7
    assert drops(figures) == {"dma_ring_full": 1}
    assert figures["taken"] == [1, 3, 0, 4]


@EITHER_COPY
def test_frames_without_a_byte_are_dropped_before_vhost_sees_them(folder: Path, copy: str) -> None:
    """vhost would be wedged by one for ever. They come from files."""
    random = Random(4)
    frames = [random.randbytes(random.choice([0, 60, 1514])) for _ in range(2000)]
    write_pcap(folder / "sent.pcap", frames)
    device = f"net_pcap0,rx_pcap={folder / 'sent.pcap'}"
    tables = topology(
        folder / "vm0.sock",
        port__src={"kind": "ethdev", "device": device, "rate_pps": 5000},
        port__vm0__copy=copy,
        pmd=[{"core": 1, "rxqs": ["src:0"]}],
    )
    with (
        Run(folder, tables, "--packets", str(len(frames)), "--duration", "60", "--wait-guest", "60") as run,
        Guest(folder, folder / "vm0.sock", *LONG_RING, "--pcap", str(folder / "got.pcap"), role="sink") as guest,
    ):
        figures = run.result()
        guest.result()
    assert drops(figures) == {"zero_length": frames.count(b"")}
    assert list(read_pcap(folder / "got.pcap")) == [frame for frame in frames if frame]


@EITHER_COPY
def test_frames_wait_for_a_small_ring_and_those_too_long_among_them_do_not(folder: Path, copy: str) -> None:
    lot = [LONG if number % 8 == 3 else SMALL for number in range(240)]
    figures, arrived = sent(folder, [lot], "--virtio", "mrg_rxbuf=0,queue_size=64", port__vm0__copy=copy)
    assert arrived == [SMALL] * 210
    assert drops(figures) == {"too_long": 30}
    assert figures["taken"] == [240]
    assert figures["captured"] == list(range(240))
