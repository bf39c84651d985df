# SPDX-License-Identifier: BSD-3-Clause
"""Queues that a guest has on and off: packets leave by those that are on, whichever these are."""

import contextlib
import os
import signal
import struct
import time
from pathlib import Path
from typing import Any

import pytest
from delivery import LONG_RING
from processes import EITHER_COPY, PMD_CORE, SHARED_CORE, Guest, Run, assert_intact, dropped, reached, topology
from ring_guest import RingGuest
from vhost_frontend import RING_SIZE, Request

PAIRS = 4
CLOSED = "closed the connection|reset by peer|Broken pipe"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def tables(folder: Path, threads: int, **changes: Any) -> dict[str, Any]:
    """Four queues on one thread, or two on each of two."""
    cores = [PMD_CORE, SHARED_CORE][:threads]
    return topology(
        folder / "vm0.sock",
        port__src={"kind": "generator", "frame_size": 200, "rate_pps": 4_000, "queues": PAIRS},
        port__vm0__queues=PAIRS,
        pmd=[
            {"core": core, "rxqs": [f"src:{qid}" for qid in range(at, PAIRS, threads)], "sleep_max_us": 200}
            for at, core in enumerate(cores)
        ],
        **changes,
    )


@EITHER_COPY
@pytest.mark.parametrize("queues", [pytest.param(1, marks=pytest.mark.full), 3])
def test_a_guest_that_uses_fewer_queues_gets_every_frame(folder: Path, queues: int, copy: str) -> None:
    frames = 8_000
    with (
        Run(folder, tables(folder, 1, port__vm0__copy=copy), "--packets", str(frames), "--wait-guest", "60") as run,
        Guest(folder, folder / "vm0.sock", *LONG_RING, "--queues", str(queues)) as guest,
    ):
        figures = run.result()
        report = guest.report()
    assert_intact(report)
    assert report["received"] == frames - dropped(figures, "vm0") == reached(figures, "vm0")
    assert dropped(figures, "vm0") == 0
    used = [txq["submitted"] > 0 for txq in figures["ports"]["vm0"]["txqs"]]
    assert used == [qid < queues for qid in range(PAIRS)]


def streams(frames: list[bytes]) -> dict[int, list[int]]:
    """The generator's sequence numbers by its queues."""
    found: dict[int, list[int]] = {}
    for data in frames:
        found.setdefault(int.from_bytes(data[42:44], "little"), []).append(int.from_bytes(data[44:52], "little"))
    return found


def frames_of_a_while(guest: RingGuest) -> list[list[bytes]]:
    """What comes within a tenth of a second or so, by queue pair."""
    by_pair: list[list[bytes]] = [[] for _ in range(PAIRS)]
    for _ in range(20):
        for pair, frames in enumerate(by_pair):
            frames += guest.received(pair)
        time.sleep(0.005)
    return by_pair


@pytest.mark.parametrize(
    ("copy", "threads"),
    [
        ("dma", 2),
        ("cpu", 1),
        pytest.param("dma", 1, marks=pytest.mark.full),
        pytest.param("cpu", 2, marks=pytest.mark.full),
    ],
)
def test_queues_go_off_and_on_while_packets_pass(folder: Path, copy: str, threads: int) -> None:
    socket = folder / "vm0.sock"
    with Run(folder, tables(folder, threads, port__vm0__copy=copy), "--wait-guest", "60") as run:
        run.wait_until_listening(socket)
        with RingGuest(socket, pairs=PAIRS) as guest:
            guest.start()
            seen: dict[tuple[int, int], list[int]] = {}
            for on in ([0, 1, 2, 3], [2], [1, 3], [0], [0, 2, 3], [3], [0, 1, 2, 3]):
                guest.enable(on)
                deadline = time.monotonic() + 60
                used: list[int] = []
                while used != on:
                    assert time.monotonic() < deadline, f"packets come by {used}, not by {on}"
                    used = []
                    by_pair = frames_of_a_while(guest)
                    for pair, frames in enumerate(by_pair):
                        used += [pair] if frames else []
                        for stream, numbers in streams(frames).items():
                            seen.setdefault((stream, pair), []).extend(numbers)
            run.signal(signal.SIGINT)
            figures = run.result()
    for numbers in seen.values():  # a flow that changes over is in two rings for a moment
        assert numbers == sorted(numbers)
    for stream in range(PAIRS):
        numbers = [number for (of, _), some in seen.items() if of == stream for number in some]
        assert len(numbers) == len(set(numbers)) > 0
    assert figures["ports"]["vm0"]["guest_connects"] == 1


@EITHER_COPY
def test_memory_is_added_while_packets_pass(folder: Path, copy: str) -> None:
    socket = folder / "vm0.sock"
    with Run(folder, tables(folder, 1, port__vm0__copy=copy), "--wait-guest", "60") as run:
        run.wait_until_listening(socket)
        with RingGuest(socket, pairs=PAIRS) as guest:
            guest.start()
            seen: dict[int, list[int]] = {pair: [] for pair in range(PAIRS)}
            for _ in range(10):
                guest.add_memory()
                for pair, frames in enumerate(frames_of_a_while(guest)):
                    for stream, numbers in streams(frames).items():
                        assert stream == pair
                        seen[pair] += numbers
            run.signal(signal.SIGINT)
            figures = run.result()
            for pair in range(PAIRS):
                seen[pair] += streams(guest.received(pair)).get(pair, [])
    for pair, numbers in seen.items():
        txq = figures["ports"]["vm0"]["txqs"][pair]
        assert numbers == sorted(set(numbers))
        assert len(numbers) == txq["completed"] > 0
    assert figures["ports"]["vm0"]["guest_connects"] == 1


def test_two_guests_fight_for_a_socket(folder: Path) -> None:
    """The first is served all the while; who comes meanwhile is turned away. When it has left another may come."""
    socket = folder / "vm0.sock"
    with Run(folder, topology(socket, port__src__rate_pps=2_000), "--wait-guest", "60") as run:
        run.wait_until_listening(socket)
        with Guest(folder, socket, *LONG_RING) as first:
            first.wait_ready()
            for _ in range(10):
                with RingGuest(socket) as second, pytest.raises((AssertionError, OSError), match=CLOSED):
                    second.start()
                run.wait_for_packets("vm0", 50)
            report = first.report()
        with RingGuest(socket) as third:
            third.start()
            third.wait_for(100)
            run.signal(signal.SIGINT)
            figures = run.result()
    assert_intact(report)
    assert report["lost"] == 0
    assert figures["ports"]["vm0"]["guest_connects"] == 2
    assert figures["ports"]["vm0"]["guest_failures"] == 10
    assert run.stderr.count("port vm0: a peer came while a guest is there, and was turned away") == 1
    assert run.stderr.count("info: port vm0: guest connected") == 2


def test_a_guest_has_more_queues_than_its_port(folder: Path) -> None:
    socket = folder / "vm0.sock"
    tables = topology(socket, port__src__rate_pps=2_000, port__src__queues=2, port__vm0__queues=2)
    tables["pmd"] = [{"core": PMD_CORE, "rxqs": ["src:0", "src:1", "vm0:0", "vm0:1"]}]
    with Run(folder, tables, "--wait-guest", "60") as run:
        run.wait_until_listening(socket)
        with RingGuest(socket, pairs=PAIRS) as guest:
            guest.start()
            for pair in range(2):
                assert list(streams(guest.wait_for(50, pair))) == [pair]
            assert guest.received(2) == guest.received(3) == []
            assert guest.ask(Request.GET_QUEUE_NUM) == 2
            run.signal(signal.SIGINT)
            run.result()
    assert run.stderr.count("port vm0: the guest uses queue pair") == 1


@EITHER_COPY
def test_sixteen_queue_pairs_both_ways(folder: Path, copy: str) -> None:
    socket, pairs = folder / "vm0.sock", 16
    tables = topology(
        socket,
        port__src={"kind": "generator", "frame_size": 200, "rate_pps": 8_000, "queues": pairs},
        port__vm0__queues=pairs,
        port__vm0__copy=copy,
        pmd=[{"core": PMD_CORE, "rxqs": [f"{port}:{qid}" for port in ("src", "vm0") for qid in range(pairs)]}],
    )
    sent = 20
    with Run(folder, tables, "--wait-guest", "60") as run:
        run.wait_until_listening(socket)
        with RingGuest(socket, pairs=pairs) as guest:
            guest.start()
            for pair in range(pairs):
                assert list(streams(guest.wait_for(20, pair))) == [pair]
                guest.transmit([bytes(200)] * sent, pair)
            run.signal(signal.SIGINT)
            figures = run.result()
    assert [rxq["packets"] for rxq in figures["ports"]["vm0"]["rxqs"]] == [sent] * pairs


@EITHER_COPY
def test_indirect_descriptors_both_ways(folder: Path, copy: str) -> None:
    """Each buffer is a table of two pieces; the port gives back what the guest sent."""
    socket = folder / "vm0.sock"
    tables = topology(
        socket,
        port__vm0__copy=copy,
        pmd=[{"core": PMD_CORE, "rxqs": ["vm0:0"]}],
        forward={"wires": [["vm0", "vm0"]]},
    )
    del tables["port"]["src"]
    frames = [bytes([number % 256]) * size for number, size in enumerate(range(60, 1900, 3))]
    with Run(folder, tables, "--wait-guest", "60") as run:
        run.wait_until_listening(socket)
        with RingGuest(socket, indirect=True) as guest:
            guest.start()
            back = []
            for at in range(0, len(frames), 64):
                lot = frames[at : at + 64]
                guest.transmit(lot)
                back += guest.wait_for(len(lot))
            run.signal(signal.SIGINT)
            figures = run.result()
    assert back == frames
    assert figures["ports"]["vm0"]["txqs"][0]["bytes_by_engine"][copy] == sum(map(len, frames))


def test_a_guest_that_does_not_read_its_call_keeps_nobody_waiting(folder: Path) -> None:
    """A pipe in an eventfd's place, full: who tells the guest would wait for ever."""
    socket = folder / "vm0.sock"
    tables = topology(socket, port__src__rate_pps=2_000)
    with Run(folder, tables, "--wait-guest", "60") as run:
        run.wait_until_listening(socket)
        with RingGuest(socket) as guest:
            guest.start()
            assert not any(map(os.get_blocking, guest.call_fds))
            reader, writer = os.pipe()
            os.set_blocking(writer, False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(writer, bytes(4096))
            os.set_blocking(writer, True)
            guest.send(Request.SET_VRING_CALL, struct.pack("=Q", 0), [writer])
            guest.settle()
            guest.received()
            assert not os.get_blocking(writer)
            guest.wait_for(500)
            run.signal(signal.SIGINT)
            run.result()
            os.close(reader)
            os.close(writer)


@pytest.mark.parametrize(
    ("copy", "retries"),
    [
        ("dma", 8),
        ("cpu", 0),
        *(pytest.param(*cell, marks=pytest.mark.full) for cell in (("dma", 0), ("dma", 32), ("cpu", 8), ("cpu", 32))),
    ],
)
def test_the_rest_of_a_batch_is_tried_again_only_while_there_is_progress(folder: Path, copy: str, retries: int) -> None:
    """A guest that gives no buffer back: after the batch that fills its ring there is no progress any more."""
    socket = folder / "vm0.sock"
    source = {"kind": "generator", "frame_size": 2000, "rate_pps": 20_000, "burst": 24}  # a buffer each
    tables = topology(socket, port__src=source, port__vm0__copy=copy, port__vm0__tx_retries_max=retries)
    with Run(folder, tables, "--packets", "2000", "--duration", "60", "--wait-guest", "60") as run:
        run.wait_until_listening(socket)
        with RingGuest(socket) as guest:
            guest.start()
            figures = run.result()
            assert len(guest.received()) == RING_SIZE
    (txq,) = figures["ports"]["vm0"]["txqs"]
    assert txq["completed"] == RING_SIZE
    assert txq["drops"]["ring_full"] == 2000 - RING_SIZE
    most = 0 if retries == 0 else 1 if copy == "cpu" else retries * txq["batches"]
    assert (retries > 0) <= txq["retries"] <= most
