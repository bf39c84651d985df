# SPDX-License-Identifier: BSD-3-Clause
"""Guests that come and go by the hundred, beside a guest that stays: it loses nothing, and nothing leaks."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from delivery import LONG_RING
from processes import (
    EITHER_COPY,
    HUGEPAGES,
    SHARED_CORE,
    Guest,
    Process,
    Run,
    assert_intact,
    reached,
    topology,
)

GROWTH_MB = 1.0  # over the second half
STEADY_PPS = 2_000
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def tables(folder: Path, **coming: Any) -> dict[str, Any]:
    """vm0, for those who come and go; vm1, which stays, has a DMA device of its own. All packets come paced."""
    first = topology(folder / "vm0.sock", port__src__rate_pps=20_000, port__src__burst=32)
    ports, copier = first["port"], first["dma"]["copier"]
    return first | {
        "dma": {"copier": copier, "other": {**copier, "device": f"dma_skeleton1,lcore={SHARED_CORE}"}},
        "port": {
            "src": ports["src"],
            "vm0": {**ports["vm0"], **coming},
            "steady": {"kind": "generator", "frame_size": "imix", "rate_pps": STEADY_PPS},
            "vm1": {**ports["vm0"], "socket": str(folder / "vm1.sock"), "dma": ["other"]},
        },
        "pmd": [{"core": 1, "rxqs": ["src:0", "vm0:0", "steady:0", "vm1:0"]}],
        "deferral": {"attempt_limit": 2**31, "policy": "per_queue"},
        "forward": {"wires": [["src", "vm0"], ["steady", "vm1"]]},
    }


class Life:
    """A running datapath with a steady guest, and its memory after each of many events."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.run = run
        self.folder = folder
        self.resident_mb: list[float] = []

    def note_memory(self) -> None:
        """Its own: what it maps of its guests comes and goes with them."""
        status = Path(f"/proc/{self.run.popen.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("RssAnon:")]
        self.resident_mb.append(int(line.split()[1]) / 1024)


@contextmanager
def life(folder: Path, **coming: Any) -> Iterator[Life]:
    """All the while a paced stream goes to a guest of its own, which must get it whole; then the books must balance."""
    with Run(folder, tables(folder, **coming)) as run:
        run.wait_until_listening(folder / "vm1.sock")
        with Guest(folder, folder / "vm1.sock", *LONG_RING, name="steady") as steady:
            steady.wait_ready()
            alive = Life(run, folder)
            yield alive
            run.signal(signal.SIGINT)
            figures = run.result()
            report = steady.report()
    assert_intact(report)
    assert report["received"] == reached(figures, "vm1")
    assert report["lost"] == 0, figures["ports"]["vm1"]  # from the first that it was ready for
    second_half = alive.resident_mb[len(alive.resident_mb) // 2 :]
    if len(second_half) > 20:
        assert max(second_half) - second_half[0] < GROWTH_MB, alive.resident_mb


def times(short: int, long: int) -> Callable[..., Any]:
    """So many in every test run, and so many in the long form."""
    return pytest.mark.parametrize(
        "count", [short, pytest.param(long, marks=[pytest.mark.soak, pytest.mark.timeout(2400)])]
    )


@times(3, 200)
@EITHER_COPY
def test_guests_killed_in_full_flight(folder: Path, copy: str, count: int) -> None:
    with life(folder, copy=copy) as alive:
        for number in range(count):
            with Guest(folder, folder / "vm0.sock", role="sink", name=f"guest{number}") as guest:
                guest.wait_ready()
                alive.run.wait_for_packets("vm0")
                guest.finish(signal.SIGKILL)
            alive.note_memory()


@times(3, 200)
def test_reconnects_in_client_mode(folder: Path, count: int) -> None:
    with life(folder, mode="client") as alive:
        for number in range(count):
            with Guest(folder, folder / "vm0.sock", "--server", role="sink", name=f"guest{number}") as guest:
                guest.wait_ready()
                alive.run.wait_for_packets("vm0")
                assert guest.finish(signal.SIGKILL if number % 2 else signal.SIGINT) in (0, -signal.SIGKILL)
            alive.note_memory()


@times(3, 50)
@EITHER_COPY
def test_a_driver_that_is_unbound_and_bound(folder: Path, copy: str, count: int) -> None:
    script = Path(__file__).with_name("rebinding_guest.py")
    command = ["taskset", "-c", str(SHARED_CORE), sys.executable, str(script), str(folder / "vm0.sock"), str(count)]
    with life(folder, copy=copy) as alive, Process(folder, "rebinding", [*command, str(int(HUGEPAGES))]) as guest:
        for number in range(count):
            guest.wait_for_text(f"{number}\n")
            alive.note_memory()
        assert guest.finish() == 0, guest.stderr
