# SPDX-License-Identifier: BSD-3-Clause
"""Forwarding by MAC address between four guests: every frame where it belongs, in order, and nowhere else."""

import random
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from processes import HUGEPAGES, LIMIT_SECONDS, PMD_CORE, SHARED_CORE, Run
from ring_guest import RingGuest

GUESTS = 4
pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
BROADCAST = b"\xff" * 6
STRANGER = bytes.fromhex("020000000099")
AGEING_S = 2
NEVER_AGES_S = 3600
FRAMES = 3000


def tables(folder: Path, threads: int, ageing_s: int) -> dict[str, Any]:
    ports: dict[str, Any] = {
        f"vm{number}": {
            "kind": "vhost",
            "socket": str(folder / f"vm{number}.sock"),
            "dma": ["copier"] if number < GUESTS // 2 else [],
        }
        for number in range(GUESTS)
    }
    rxqs = [f"{name}:0" for name in ports]
    cores = [PMD_CORE, SHARED_CORE][:threads]
    return {
        "eal": {"memory_mb": 256, "hugepages": HUGEPAGES},
        "dma": {"copier": {"device": f"dma_skeleton0,lcore={SHARED_CORE}"}},
        "port": ports,
        "pmd": [{"core": core, "rxqs": rxqs[at::threads], "sleep_max_us": 200} for at, core in enumerate(cores)],
        "deferral": {"attempt_limit": 2**31},
        "forward": {"kind": "l2", "mac_ageing_s": ageing_s},
    }


@contextmanager
def switch(folder: Path, threads: int, ageing_s: int = NEVER_AGES_S) -> Iterator[tuple[Run, list[RingGuest]]]:
    """A running switch with a guest at each port."""
    with ExitStack() as stack:
        run = stack.enter_context(Run(folder, tables(folder, threads, ageing_s)))
        guests = []
        for number in range(GUESTS):
            run.wait_until_listening(folder / f"vm{number}.sock")
            guest = RingGuest(folder / f"vm{number}.sock", mac=f"02:00:00:00:00:{number:02x}")
            guests.append(stack.enter_context(guest))
            guest.start()
        yield run, guests


def frame(source: bytes, destination: bytes, number: int) -> bytes:
    return destination + source + b"\x88\xb5" + number.to_bytes(4, "big") + bytes(number % 1000)


def introduce(guests: list[RingGuest]) -> None:
    """Each says to all who it is; nothing else is on its way afterwards."""
    for guest in guests:
        guest.transmit([frame(guest.mac, BROADCAST, 0)])
        for other in guests:
            if other is not guest:
                assert other.wait_for(1) == [frame(guest.mac, BROADCAST, 0)]


def everything_received(guests: list[RingGuest], counts: list[int]) -> list[list[bytes]]:
    return [guest.wait_for(count) for guest, count in zip(guests, counts, strict=True)]


def end(run: Run, guests: list[RingGuest]) -> dict[str, Any]:
    """The figures of a switch that was drained: no guest has received a frame that it was not asked about."""
    run.signal(signal.SIGINT)
    figures = run.result()
    assert [guest.received() for guest in guests] == [[] for _ in guests]
    return figures


@pytest.mark.parametrize("threads", [pytest.param(1, marks=pytest.mark.full), 2])
def test_every_frame_where_it_belongs_and_nowhere_else(folder: Path, threads: int) -> None:
    with switch(folder, threads) as (run, guests):
        introduce(guests)
        chosen = random.Random(threads)
        expected: list[list[bytes]] = [[] for _ in guests]
        came: list[list[bytes]] = [[] for _ in guests]
        for number in range(FRAMES):
            source = chosen.randrange(GUESTS)
            to = chosen.choice([*range(GUESTS), "all"])  # its own address too
            destination = BROADCAST if to == "all" else guests[int(to)].mac
            data = frame(guests[source].mac, destination, number)
            for at, frames in enumerate(expected):
                if at != source and to in (at, "all"):
                    frames.append(data)
            guests[source].transmit([data])
            if number % 32 == 0:  # their rings hold 256
                for frames, guest in zip(came, guests, strict=True):
                    frames += guest.received()
        missing = [len(frames) - len(so_far) for frames, so_far in zip(expected, came, strict=True)]
        for frames, rest in zip(came, everything_received(guests, missing), strict=True):
            frames += rest
        for frames, wanted in zip(came, expected, strict=True):
            assert sorted(frames) == sorted(wanted)
            for guest in guests:  # frames of one flow keep their order
                assert [f for f in frames if f[6:12] == guest.mac] == [f for f in wanted if f[6:12] == guest.mac]
        figures = end(run, guests)
    assert sum(pmd["filtered"] for pmd in figures["pmds"]) > FRAMES / 50
    assert (sum(pmd["handed_over"] for pmd in figures["pmds"]) > 0) == (threads == 2)
    assert not any(any(txq["drops"].values()) for port in figures["ports"].values() for txq in port["txqs"])


def test_what_is_not_known_goes_to_all_others_and_what_moved_is_followed(folder: Path) -> None:
    with switch(folder, 1) as (run, guests):
        first, second, third, fourth = guests
        first.transmit([frame(first.mac, STRANGER, 1)])
        assert everything_received(guests, [0, 1, 1, 1]) == [[]] + 3 * [[frame(first.mac, STRANGER, 1)]]
        third.transmit([frame(STRANGER, first.mac, 2)])  # there it is, and first is known
        assert everything_received(guests, [1, 0, 0, 0])[1:] == [[], [], []]
        second.transmit([frame(second.mac, STRANGER, 3)])
        assert everything_received(guests, [0, 0, 1, 0]) == [[], [], [frame(second.mac, STRANGER, 3)], []]
        fourth.transmit([frame(STRANGER, first.mac, 4)])  # and there it is now
        second.transmit([frame(second.mac, STRANGER, 5)])
        assert everything_received(guests, [1, 0, 0, 1])[2:] == [[], [frame(second.mac, STRANGER, 5)]]
        end(run, guests)


def test_what_has_not_been_seen_for_the_ageing_time_is_forgotten(folder: Path) -> None:
    with switch(folder, 1, AGEING_S) as (run, guests):
        first, second, third, fourth = guests
        introduce(guests)
        begin = time.monotonic()
        others: list[bytes] = []
        first.transmit([frame(STRANGER, second.mac, 0)])
        for number in count(1):
            second.transmit([frame(second.mac, STRANGER, number)])
            first.wait_for(1)
            others = third.received()
            if others:  # flooded: the switch has forgotten where the stranger is
                break
            assert time.monotonic() < begin + LIMIT_SECONDS
            time.sleep(0.3)
        assert time.monotonic() > begin + AGEING_S - 1  # ages are counted in whole seconds
        fourth.wait_for(len(others))
        run.signal(signal.SIGINT)
        run.result()
