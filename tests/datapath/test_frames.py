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
from processes import EITHER_COPY, Guest, Process, assert_books_balance, dropped, reached, topology

pytestmark = pytest.mark.timeout(120)

FRAMES = 10_000
LOT = 32  # the guest's ring lasts for many of these, and other traffic finds room


def inject(
    folder: Path, *guest_arguments: str, lot: int = LOT, rate_pps: int = 500, **changes: Any
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
    assert report["received"] == reached(figures, "vm0")
    assert figures["captured"] == reached(figures, "vm0") + dropped(figures, "vm0")
    return figures, report


@EITHER_COPY
def test_injected_through_the_thread_that_owns_the_txq(folder: Path, copy: str) -> None:
    figures, _ = inject(folder, *LONG_RING, port__vm0__copy=copy)
    assert figures["in_order"]
    assert figures["ports"]["vm0"]["txqs"][0]["submitted"] > FRAMES


def test_injected_by_a_txq_of_the_control_side(folder: Path) -> None:
    figures, _ = inject(folder, *LONG_RING, "--queues", "2", port__vm0__queues=2)
    by_pmd, by_control = figures["ports"]["vm0"]["txqs"]
    assert by_control["submitted"] == FRAMES
    assert by_control["bytes_by_engine"]["cpu"] > 0  # dma_skeleton has one channel, which the PMD thread has
    assert by_pmd["bytes_by_engine"]["cpu"] == 0


@pytest.mark.parametrize(
    ("copy", "queues"),
    [
        ("cpu", 1),
        ("dma", 2),
        pytest.param("dma", 1, marks=pytest.mark.full),
        pytest.param("cpu", 2, marks=pytest.mark.full),
    ],
)
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


ALONE = r"""
import json, sys
import pydpdk_defer as pd

task = json.loads(sys.argv[1])
frames = [bytes(12) + b"\x88\xb5" + bytes(186)] * 20
with pd.Datapath(pd.Topology.from_dict(task["topology"])) as dp:
    dp.wait_for_guest("vm0", 60)
    taken = []
    for copy in task["copies"]:
        dp.set_copy("vm0", copy)
        taken.append(dp.inject("vm0", frames, timeout=30))
final = dp.snapshot()
print(json.dumps({**final.to_dict(), "taken": taken, "faults": final.faults(stopped=True)}))
"""


def inject_alone(folder: Path, copies: list[str], **changes: Any) -> dict[str, Any]:
    """Into a port that no PMD thread sends to: 20 frames of 200 bytes by each way to copy."""
    tables = topology(
        folder / "vm0.sock",
        port__null={"kind": "ethdev", "device": "net_null0"},
        forward={"wires": [["src", "null"]]},
        port__src__rate_pps=100,
        pmd=[{"core": 1, "rxqs": ["src:0"]}],
        **changes,
    )
    task = json.dumps({"topology": tables, "copies": copies})
    with (
        Process(folder, "script", [sys.executable, "-c", ALONE, task]) as run,
        Guest(folder, folder / "vm0.sock", *LONG_RING, role="sink"),
    ):
        assert run.finish() == 0, run.stderr
    figures: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return figures


def test_the_way_to_copy_is_changed_between_injections(folder: Path) -> None:
    figures = inject_alone(folder, ["dma", "cpu", "dma", "auto"], port__vm0__dma_min_bytes=1000)
    assert_books_balance(figures)
    assert figures["taken"] == [20] * 4
    assert figures["ports"]["vm0"]["txqs"][0]["bytes_by_engine"] == {"dma": 2 * 20 * 200, "cpu": 2 * 20 * 200}


@pytest.mark.slow
@pytest.mark.full
def test_injecting_by_a_device_that_hangs_ends(folder: Path) -> None:
    """The device is taken out of use after 5 s at the most."""
    figures = inject_alone(folder, ["dma", "dma"], dma__copier__model={"hang_at_copy": 10})
    assert figures["taken"][0] == 20
    assert figures["dma"]["copier"]["out_of_use"]
    assert any("did not finish a copy in time" in fault for fault in figures["faults"])
    assert not any("mbufs did not come back" in fault for fault in figures["faults"])


CAPTURES = r"""
import gc, json, sys, time
import pytest
import pydpdk_defer as pd

with pd.Datapath(pd.Topology.from_dict(json.loads(sys.argv[1]))) as dp:
    dp.start_traffic()
    kept = []
    for _ in range(60):  # each has 28 MB of mbufs while it lasts
        with dp.capture("src", "rx", count=20) as capture:
            assert sum(1 for _ in capture) == 20
        kept.append(capture)
    held = dp.capture("src", count=1)
    with pytest.raises(ValueError, match="captured already"):
        dp.capture("src")
    del held
    for _ in range(60):
        dp.capture("src")  # and forgotten
    deadline = time.monotonic() + 40
    while dp._parts.captures:
        gc.collect()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for frames, words in (
        (b"frame", "frames must be several, as in .frame., not one bytes"),
        ([None], "frames.0. must be bytes-like, not NoneType"),
        ([bytes(64), "frame"], "frames.1. must be bytes-like, not str"),
    ):
        with pytest.raises(TypeError, match=words):
            dp.inject("null", frames)
    dp.stop_traffic()
final = dp.snapshot()
assert final.faults(stopped=True) == []
"""


UNTIL = r"""
import json, sys, time
import pydpdk_defer as pd

with pd.Datapath(pd.Topology.from_dict(json.loads(sys.argv[1]))) as dp:
    dp.start_traffic()
    times = []
    for frame in dp.capture("src", "rx", seconds=0.2, snap_bytes=64):
        times.append(frame.time_ns)
        time.sleep(50e-6)  # a reader that does something with each
    dp.stop_traffic()
assert times
# Both clocks were read one after the other when the capture began.
assert max(times) - min(times) <= 200_000_000, max(times) - min(times)
"""


def test_a_capture_of_some_seconds_ends_on_a_port_that_is_never_quiet(folder: Path) -> None:
    """Frames come faster than Python reads them."""
    tables = topology(
        folder / "vm0.sock",
        port={"src": {"kind": "generator"}, "null": {"kind": "ethdev", "device": "net_null0"}},
        forward={"wires": [["src", "null"]]},
        pmd=[{"core": 1, "rxqs": ["src:0"]}],
    )
    with Process(folder, "script", [sys.executable, "-c", UNTIL, json.dumps(tables)]) as run:
        assert run.finish() == 0, run.stderr


def test_captures_without_end_take_no_memory_and_forgotten_ones_end(folder: Path) -> None:
    tables = topology(
        folder / "vm0.sock",
        port={
            "src": {"kind": "generator", "rate_pps": 20_000},
            "null": {"kind": "ethdev", "device": "net_null0"},
        },
        forward={"wires": [["src", "null"]]},
        pmd=[{"core": 1, "rxqs": ["src:0"]}],
    )
    with Process(folder, "script", [sys.executable, "-c", CAPTURES, json.dumps(tables)]) as run:
        assert run.finish() == 0, run.stderr
