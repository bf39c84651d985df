# SPDX-License-Identifier: BSD-3-Clause
"""Rings that a guest switches, and messages that have vhost pause them, while copies for them are in flight."""

import contextlib
import itertools
import json
import signal
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import (
    EITHER_COPY,
    PMD_CORE,
    Process,
    Run,
    assert_books_balance,
    reached,
    topology,
    txq_sum,
    wait_until,
)
from ring_guest import RingGuest
from vhost_frontend import RING_SIZE, Frontend, Request

from pydpdk_defer.stats import Snapshot

pytestmark = pytest.mark.timeout(120)

PAIRS = 4
MESSAGES_TO_FIRST_RING = 9  # of Frontend.handshake


def numbers(frames: list[bytes]) -> list[int]:
    """The generator's sequence numbers."""
    return [int.from_bytes(data[44:52], "little") for data in frames]


def streams(frames: list[bytes]) -> set[int]:
    """Which of the generator's queues the frames are from."""
    return {int.from_bytes(data[42:44], "little") for data in frames}


@contextlib.contextmanager
def running(folder: Path, **changes: Any) -> Iterator[tuple[Run, Path]]:
    """A datapath to a guest that is yet to come, and its socket."""
    socket = folder / "vm0.sock"
    with Run(folder, topology(socket, **changes), "--wait-guest", "60") as run:
        run.wait_until_listening(socket)
        yield run, socket


def end(run: Run) -> dict[str, Any]:
    run.signal(signal.SIGINT)
    return run.result()


@EITHER_COPY
def test_a_ring_that_goes_off_and_on_keeps_all_its_buffers(folder: Path, copy: str) -> None:
    """A hundred copies are in flight at any time; a driver that relies on order would read wrong buffers."""
    slow = {"dma__copier__model": {"latency_us": 20_000}} if copy == "dma" else {}
    source = {"kind": "generator", "frame_size": 200, "rate_pps": 5_000}
    with (
        running(folder, port__src=source, port__vm0__copy=copy, **slow) as (run, socket),
        RingGuest(socket, in_order=True) as guest,
    ):
        guest.start()
        seen = numbers(guest.wait_for(200))
        for _ in range(5):
            guest.enable([])
            guest.enable([0])
            seen += numbers(guest.wait_for(200))
        # From here on no buffer is given back: so many frames as there are buffers fit.
        wait_until(lambda: guest.unread() == RING_SIZE, "every buffer is used once more", 20)
        seen += numbers(guest.received())
        figures = end(run)
        seen += numbers(guest.received())
    assert seen == sorted(set(seen))
    assert len(seen) == reached(figures, "vm0")


def test_what_a_ring_that_is_off_swallows_is_no_delivery(folder: Path) -> None:
    """The device is slower than the thread may wait: the ring goes off with copies in flight, which reach nobody."""
    source = {"kind": "generator", "frame_size": 1500, "rate_pps": 0}
    with (
        running(
            folder,
            port__src=source,
            dma__copier__model={"latency_us": 300_000},
            deferral={"attempt_limit": 2**31, "max_stall_us": 1000},
        ) as (run, socket),
        RingGuest(socket) as guest,
    ):
        guest.start()
        guest.wait_for(RING_SIZE)
        guest.enable([])
        run.wait_for_counters(
            lambda counters: counters.ports["vm0"].txqs[0].in_flight == 0, "all that was in flight is over"
        )
        figures = end(run)
        received = RING_SIZE + len(guest.received())
    (txq,) = figures["ports"]["vm0"]["txqs"]
    assert txq["given_up"] > 0
    assert txq["completed"] == received
    assert "is switched off while copies for it hang" in run.stderr


def test_no_mbuf_is_freed_twice_when_rings_go_off_under_load(folder: Path) -> None:
    """A full ring takes the device 8 ms, longer than the thread may wait for a lock."""
    source = {"kind": "generator", "frame_size": 1500, "rate_pps": 0}
    with running(
        folder,
        port__src=source,
        dma__copier__model={"bandwidth_gb_per_s": RING_SIZE * 1500 / 8e6},
        deferral={"attempt_limit": 2**31, "max_stall_us": 2000},
    ) as (run, socket):
        for _ in range(20):
            with RingGuest(socket) as guest:
                guest.start()
                seen = numbers(guest.wait_for(500))
                guest.enable([])
                time.sleep(0.05)
                with contextlib.suppress(AssertionError, OSError):  # vhost ends a guest whose copies still hang
                    guest.enable([0])
                    seen += numbers(guest.wait_for(500, seconds=1))
                assert len(seen) == len(set(seen)), "the same buffer came twice"
        run.signal(signal.SIGINT)
        assert run.finish() == 0, run.stderr
        figures = run.result()
    assert_books_balance(figures)


def test_more_memory_switches_no_queue_on(folder: Path) -> None:
    """vhost reports every ring off and on again around it; the guest has three of its four queues off all the while."""
    source = {"kind": "generator", "frame_size": 200, "rate_pps": 400, "queues": PAIRS}
    pmd = [{"core": PMD_CORE, "rxqs": [f"src:{qid}" for qid in range(PAIRS)]}]
    with (
        running(folder, port__src=source, port__vm0__queues=PAIRS, pmd=pmd) as (run, socket),
        RingGuest(socket, pairs=PAIRS) as guest,
    ):
        guest.start()
        guest.enable([0])
        wait_until(lambda: streams(guest.received()) == set(range(PAIRS)), "all flows come by the one queue")
        guest.add_memory()
        before = time.monotonic()
        while time.monotonic() < before + 1:  # the watcher looks twenty times a second
            guest.received()
            time.sleep(0.01)
        frames: list[bytes] = []

        def all_come() -> bool:
            frames.extend(guest.received())
            return streams(frames) == set(range(PAIRS))

        wait_until(all_come, "all flows still come by the one queue", 15)
        end(run)  # what was sent while rings went off is dropped and counted


def test_a_change_of_engine_sees_what_was_drained_for_it(folder: Path) -> None:
    """The ring is switched again and again while the thread waits for copies, to change over to the CPU.

    A thread that does not see what was drained meanwhile waits in vain, and leaves the engine as it is for seconds.
    """
    socket = folder / "vm0.sock"
    tables = topology(
        socket,
        port__src={"kind": "generator", "frame_size": 200, "rate_pps": 5_000},
        dma__copier__model={"latency_us": 10_000},
    )
    task = json.dumps({"topology": tables, "changes": 100})
    script = Path(__file__).with_name("switching_datapath.py")
    with Process(folder, "script", [sys.executable, str(script), task]) as run:
        wait_until(lambda: socket.exists() or run.popen.poll() is not None, "the socket")
        with RingGuest(socket) as guest:
            guest.start()
            seen: list[int] = []

            def has_ended() -> bool:
                guest.enable([])
                guest.enable([0])
                seen.extend(numbers(guest.received()))
                assert run.popen.poll() is None, run.stderr
                return bool(run.stdout)

            wait_until(has_ended, "the engine changes 100 times")
            run.tell()
            assert run.finish() == 0, run.stderr
            seen += numbers(guest.received())
    figures = json.loads(run.stdout.splitlines()[-1])
    assert_books_balance(figures)
    assert seen == sorted(set(seen))
    assert len(seen) == reached(figures, "vm0")


def test_a_masked_interrupt_costs_no_device(folder: Path) -> None:
    """SET_VRING_CALL pauses the ring and leaves its memory: a device that stalls for a while is no danger then."""
    with (
        running(
            folder,
            port__src={"kind": "generator", "frame_size": 1500, "rate_pps": 0},
            port__vm0__wedge_timeout_ms=60_000,
            dma__copier__model={"stall_at_copy": 1000, "stall_ms": 7000},
            deferral={"attempt_limit": 2**31, "max_stall_us": 10_000},
        ) as (run, socket),
        RingGuest(socket) as guest,
    ):
        guest.start()
        guest.wait_for(500)

        def stalls(counters: Snapshot) -> bool:
            guest.received()
            return counters.dma["copier"].stalls_injected > 0

        run.wait_for_counters(stalls, "the device stalls")
        for _ in range(3):
            guest.replace_call()
        guest.settle()
        guest.wait_for(500)
        figures = end(run)
    assert not figures["dma"]["copier"]["out_of_use"]
    assert txq_sum(figures, "vm0", "wedges") == 0


def test_a_driver_may_reset_a_device_that_is_not_ready_yet(folder: Path) -> None:
    """One ring is on, the other unknown: as firmware leaves it behind, whose driver had no time."""
    with running(folder, port__src__rate_pps=2_000) as (run, socket), RingGuest(socket) as guest:
        for _ in itertools.islice(guest.handshake(), MESSAGES_TO_FIRST_RING):
            pass
        guest.send(Request.SET_VRING_ENABLE, struct.pack("=II", 0, 1))
        guest.send(Request.GET_VRING_BASE, struct.pack("=II", 0, 0))
        guest.answer(Request.GET_VRING_BASE)
        guest.start()
        guest.wait_for(100)
        figures = end(run)
    assert figures["ports"]["vm0"]["guest_connects"] == 1
    assert figures["ports"]["vm0"]["guest_failures"] == 0


def test_memory_slots_are_not_offered(folder: Path) -> None:
    """VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS: vhost unmaps such memory though DMA may still write there."""
    with running(folder) as (run, socket):
        with Frontend(socket) as guest:
            assert guest.ask(Request.GET_PROTOCOL_FEATURES) & 1 << 15 == 0
        end(run)


COUNTING = r"""
import json, sys, threading
import pydpdk_defer as pd

ended = threading.Event()

def count():
    while not ended.is_set():
        dp.vhost_counters("vm0")

with pd.Datapath(pd.Topology.from_dict(json.loads(sys.argv[1]))) as dp:
    dp.start_traffic()
    threads = [threading.Thread(target=count) for _ in range(2)]
    for thread in threads:
        thread.start()
    sys.stdin.readline()
    ended.set()
    for thread in threads:
        thread.join()
final = dp.snapshot()
print(json.dumps(final.to_dict() | {"faults": final.faults(stopped=True)}))
"""


def test_counters_of_vhost_are_read_while_guests_come_and_go(folder: Path) -> None:
    """Each guest's device is freed when it leaves, and the next may get its number."""
    socket = folder / "vm0.sock"
    tables = topology(socket, port__src__rate_pps=2_000, port__vm0__vhost_counters=True)
    with Process(folder, "script", [sys.executable, "-c", COUNTING, json.dumps(tables)]) as run:
        wait_until(lambda: socket.exists() or run.popen.poll() is not None, "the socket")
        for _ in range(30):
            with RingGuest(socket) as guest:
                guest.start()
                guest.wait_for(5)
        run.tell()
        assert run.finish() == 0, run.stderr
    figures = json.loads(run.stdout)
    assert_books_balance(figures)
    assert figures["ports"]["vm0"]["guest_connects"] == 30
