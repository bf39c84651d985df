# SPDX-License-Identifier: BSD-3-Clause
"""The verifier, fed with frames that are made here, byte by byte, as the format's description has them."""

import struct
from collections.abc import Iterable
from typing import Any

import pytest

from pydpdk_defer import _native

_WORD = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15
_WINDOW = 65536
_GHZ = 1_000_000_000  # a cycle is a nanosecond
_PAYLOAD = 42


def _mix(stream: int, sequence: int) -> int:
    z = (sequence + (stream << 48) + _STEP) & _WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _WORD
    return z ^ (z >> 31)


def _checksum(header: bytes) -> int:
    total: int = sum(struct.unpack(">10H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _frame(sequence: int, *, stream: int = 0, size: int = 64, stamp: int = 0) -> bytes:
    ip = struct.pack(">BBHHHBBHII", 0x45, 0, size - 14, 0, 0, 64, 17, 0, 0xC6120001, 0xC6120002)
    ip = ip[:10] + struct.pack(">H", _checksum(ip)) + ip[12:]
    udp = struct.pack(">HHHH", 49152 + stream % 16384, 9, size - 34, 0)
    words = [(_mix(stream, sequence) + i * _STEP) & _WORD for i in range((size - 60 + 7) // 8)]
    pattern = struct.pack(f"={len(words)}Q", *words)[: size - 60]
    tag = struct.pack("=HQQ", stream, sequence, stamp)
    return bytes.fromhex("0200000000020200000000010800") + ip + udp + tag + pattern


def _verified(sequences: Iterable[int], *, from_start: bool = False) -> dict[str, Any]:
    verifier = _native.Verifier(tsc_hz=_GHZ, from_start=from_start)
    for sequence in sequences:
        verifier.frame(_frame(sequence), 0)
    return verifier.stats()


def _counts(stats: dict[str, Any]) -> tuple[int, ...]:
    names = ("lost", "reordered", "duplicates", "missed_before_start", "corrupt", "foreign")
    return tuple(stats[name] for name in names)


@pytest.mark.parametrize("size", [60, 61, 64, 67, 68, 1500, 9000, 16128])
def test_a_right_frame_is_right_at_any_size(size: int) -> None:
    verifier = _native.Verifier(tsc_hz=_GHZ, from_start=True)
    verifier.frame(_frame(0, size=size), 0)
    assert _counts(verifier.stats()) == (0, 0, 0, 0, 0, 0)
    assert verifier.stats()["streams"][0]["received"] == 1


@pytest.mark.parametrize("at", [15, 16, 17, 22, 25, 26, 33, 38, 39, 42, 43, 44, 51, 60, 61, 70, 98, 99])
def test_one_wrong_bit_is_noticed(at: int) -> None:
    frame = bytearray(_frame(7, size=100))
    frame[at] ^= 0x10
    verifier = _native.Verifier(tsc_hz=_GHZ, from_start=False)
    verifier.frame(bytes(frame), 0)
    stats = verifier.stats()
    assert stats["corrupt"] == 1
    assert stats["streams"] == {}, "a number that may be wrong must not be believed"


@pytest.mark.parametrize("change", [-1, 1, 8])
def test_a_frame_of_another_length_is_corrupt(change: int) -> None:
    frame = _frame(0, size=100)
    verifier = _native.Verifier(tsc_hz=_GHZ, from_start=False)
    verifier.frame(frame[:change] if change < 0 else frame + bytes(change), 0)
    assert verifier.stats()["corrupt"] == 1


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        _frame(0)[:59],
        bytes(64),
        _frame(0)[:12] + b"\x86\xdd" + _frame(0)[14:],  # IPv6
        _frame(0)[:36] + b"\x00\x35" + _frame(0)[38:],  # another UDP port
    ],
)
def test_other_frames_are_foreign(frame: bytes) -> None:
    verifier = _native.Verifier(tsc_hz=_GHZ, from_start=True)
    verifier.frame(frame, 0)
    assert _counts(verifier.stats()) == (0, 0, 0, 0, 0, 1)


def test_gaps_are_lost() -> None:
    stats = _verified([0, 1, 2, 5, 6, 10])
    assert _counts(stats) == (5, 0, 0, 0, 0, 0)
    assert (stats["streams"][0]["first"], stats["streams"][0]["last"]) == (0, 10)


def test_what_comes_late_is_reordered_and_not_lost() -> None:
    assert _counts(_verified([0, 1, 4, 3, 2, 5])) == (0, 2, 0, 0, 0, 0)


def test_what_comes_twice_is_a_duplicate_whether_early_or_late() -> None:
    assert _counts(_verified([0, 0, 1, 2, 3, 1, 1])) == (0, 0, 3, 0, 0, 0)
    assert _counts(_verified([0, 3, 2, 2, 1])) == (0, 2, 1, 0, 0, 0)


def test_who_joins_late_has_missed_and_not_lost() -> None:
    assert _counts(_verified([100, 101, 103])) == (1, 0, 0, 100, 0, 0)
    assert _counts(_verified([100, 101, 99])) == (0, 1, 0, 99, 0, 0)


def test_from_start_means_that_number_0_comes_first() -> None:
    assert _counts(_verified([100, 101], from_start=True)) == (100, 0, 0, 0, 0, 0)
    assert _counts(_verified([2, 0, 1], from_start=True)) == (0, 2, 0, 0, 0, 0)


def test_the_window_tells_late_from_twice_for_65536_numbers() -> None:
    oldest = 10
    newest = oldest + _WINDOW - 1
    come = [oldest, *range(oldest + 2, newest + 1)]
    assert _counts(_verified([*come, oldest])) == (1, 0, 1, oldest, 0, 0)
    assert _counts(_verified([*come, oldest + 1])) == (0, 1, 0, oldest, 0, 0)
    # One number later the oldest is out of the window: nobody knows any more, and the gap stays.
    assert _counts(_verified([*come, newest + 1, oldest])) == (1, 1, 0, oldest, 0, 0)


@pytest.mark.parametrize("gap", [_WINDOW - 1, _WINDOW, _WINDOW + 1, 10 * _WINDOW, 1 << 40])
def test_a_wide_gap_leaves_no_memory_of_numbers_before_it(gap: int) -> None:
    after = 1 + gap
    assert _counts(_verified([0, after, after - 1, after - 2])) == (gap - 2, 2, 0, 0, 0, 0)


def test_streams_are_independent() -> None:
    verifier = _native.Verifier(tsc_hz=_GHZ, from_start=True)
    for stream, sequence in [(0, 0), (65535, 0), (0, 1), (65535, 2), (300, 1), (0, 2)]:
        verifier.frame(_frame(sequence, stream=stream), 0)
    stats = verifier.stats()
    assert {number: s["lost"] for number, s in stats["streams"].items()} == {0: 0, 300: 1, 65535: 1}
    assert stats["lost"] == 2


def test_another_backend_may_begin_again() -> None:
    verifier = _native.Verifier(tsc_hz=_GHZ, from_start=True)
    for sequence in (0, 1, 2):
        verifier.frame(_frame(sequence), 0)
    verifier.expect_new_run()
    for sequence in (0, 1, 2, 3, 5):
        verifier.frame(_frame(sequence), 0)
    assert _counts(verifier.stats()) == (1, 0, 0, 0, 0, 0)
    assert verifier.stats()["streams"][0]["received"] == 8


def test_a_run_that_goes_on_after_a_reconnect_has_lost_what_is_missing() -> None:
    verifier = _native.Verifier(tsc_hz=_GHZ, from_start=False)
    verifier.frame(_frame(5), 0)
    verifier.expect_new_run()
    verifier.frame(_frame(9), 0)
    verifier.frame(_frame(6), 0)
    assert _counts(verifier.stats()) == (2, 1, 0, 5, 0, 0)


def test_latency_is_the_way_from_stamp_to_arrival() -> None:
    verifier = _native.Verifier(tsc_hz=_GHZ // 2, from_start=True)  # a cycle is 2 ns
    for sequence in range(1000):
        verifier.frame(_frame(sequence, stamp=5_000), 5_000 + (sequence + 1) * 500)
    latency = verifier.stats()["latency_us"]
    assert latency["count"] == 1000
    assert latency["max"] == 1000.0
    for name, exact in (("p50", 500.0), ("p90", 900.0), ("p99", 990.0), ("p99_9", 999.0)):
        assert exact <= latency[name] <= exact * 1.001, name


def test_stamps_of_the_future_or_of_long_ago_are_no_latency() -> None:
    verifier = _native.Verifier(tsc_hz=_GHZ, from_start=True)
    verifier.frame(_frame(0, stamp=2_000), 1_000)
    verifier.frame(_frame(1, stamp=0), 1 << 41)
    assert verifier.stats()["latency_us"]["count"] == 0
    assert _counts(verifier.stats()) == (0, 0, 0, 0, 0, 0)


def test_bytes_of_the_payload_are_where_they_are_said_to_be() -> None:
    frame = _frame(0x0102030405060708, stream=0x1122, stamp=0x99)
    assert struct.unpack_from("=HQQ", frame, _PAYLOAD) == (0x1122, 0x0102030405060708, 0x99)
