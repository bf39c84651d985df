# SPDX-License-Identifier: BSD-3-Clause
"""A guest in the test's own process that sends and receives frames, one by one, over split rings."""

import mmap
import os
import struct
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from vhost_frontend import BUFFER_BYTES, RING_SIZE, USER_ADDRESS, Frontend, Request

_NET_HEADER_BYTES = 12  # struct virtio_net_hdr_v1: the last two bytes are num_buffers
_MORE_BYTES = 1 << 20
_USED, _AVAILABLE = 8192, 4096  # in a ring's memory
_NEXT, _WRITE, _INDIRECT = 1, 2, 4  # flags of a descriptor
# An indirect table of two lies at the end of its slot's buffer, and halves what is before it.
_TABLE_BYTES = 32
_PIECE_BYTES = (BUFFER_BYTES - _TABLE_BYTES) // 2


class RingGuest(Frontend):
    """Ready to send and receive after `start`. `mac`: for frames that say who sent them.

    `indirect`: each buffer is two pieces that an indirect descriptor's table names. `in_order`: buffers must come back
    in the order in which they were made available, as drivers of VIRTIO_F_IN_ORDER take for granted.
    """

    def __init__(
        self,
        path: Path,
        pairs: int = 1,
        mac: str = "02:00:00:00:00:0a",
        *,
        indirect: bool = False,
        in_order: bool = False,
    ) -> None:
        super().__init__(path, pairs, indirect=indirect)
        self._in_order = in_order
        self.mac = bytes.fromhex(mac.replace(":", ""))
        self._memory: mmap.mmap | None = None
        self._added = 0
        self._taken = [0] * (2 * pairs)  # of each used ring
        self._given = [0] * (2 * pairs)  # to each available ring
        self._partial: dict[int, tuple[int, bytes]] = {}

    def start(self) -> None:
        super().start()
        self._memory = mmap.mmap(self.memory_fd, self.memory_bytes)
        self._given[::2] = [RING_SIZE] * self.pairs
        self.settle()

    def settle(self) -> None:
        """Wait until the back-end has done all that it was told: it answers in order."""
        self.ask(Request.GET_FEATURES)

    def enable(self, pairs: Iterable[int]) -> None:
        """Have these queue pairs on, and the others off."""
        wanted = set(pairs)
        for pair in range(self.pairs):
            for vring in (2 * pair, 2 * pair + 1):
                self.send(Request.SET_VRING_ENABLE, struct.pack("=II", vring, int(pair in wanted)))
        self.settle()

    def add_memory(self) -> None:
        """More memory beside what there is, as when it is plugged in; the last so added is gone.

        Elsewhere each time: vhost ignores a table of the same regions.
        """
        self._added += 1
        fd = os.memfd_create("more")
        os.ftruncate(fd, _MORE_BYTES)
        first = struct.pack("=QQQQ", 0, self.memory_bytes, USER_ADDRESS, 0)
        place = self._added << 40
        more = struct.pack("=QQQQ", place, _MORE_BYTES, USER_ADDRESS + place, 0)
        self.send(Request.SET_MEM_TABLE, struct.pack("=II", 2, 0) + first + more, [self.memory_fd, fd])
        os.close(fd)
        self.settle()

    # ---- frames ----

    def transmit(self, frames: Sequence[bytes], pair: int = 0, seconds: float = 30) -> None:
        """Give these to the back-end, and wait until it has taken the last."""
        vring = 2 * pair + 1
        buffers = self._buffers(vring)
        deadline = time.monotonic() + seconds
        for frame in frames:
            while self._given[vring] - self._used_index(vring) & 0xFFFF == RING_SIZE:
                assert time.monotonic() < deadline, "the back-end takes no more"
                time.sleep(0.0002)
            slot = self._given[vring] % RING_SIZE
            place = buffers + slot * BUFFER_BYTES
            data = bytes(_NET_HEADER_BYTES) + frame
            assert len(data) <= BUFFER_BYTES - self.indirect * _TABLE_BYTES
            self._write(place, data)
            self._write(self._ring(vring) + 16 * slot, self._descriptor(place, len(data)))
            self._make_available(vring, slot)
        while self._used_index(vring) != self._given[vring] & 0xFFFF:
            assert time.monotonic() < deadline, "the back-end does not take the last frames"
            time.sleep(0.0002)

    def received(self, pair: int = 0) -> list[bytes]:
        """The frames that came since the last time; their buffers are given back."""
        vring = 2 * pair
        frames = []
        buffers = self._buffers(vring)
        while self._taken[vring] & 0xFFFF != self._used_index(vring):
            slot, length = struct.unpack("=II", self._read(self._used_place(vring), 8))
            if self._in_order:
                expected = self._taken[vring] % RING_SIZE
                assert slot == expected, f"buffer {slot} came back where buffer {expected} is next"
            data = self._read(buffers + slot * BUFFER_BYTES, length)
            left, begun = self._partial.pop(vring, (0, b""))
            if not begun:
                left = int.from_bytes(data[_NET_HEADER_BYTES - 2 : _NET_HEADER_BYTES], "little")
                data = data[_NET_HEADER_BYTES:]
            if left > 1:
                self._partial[vring] = (left - 1, begun + data)
            else:
                frames.append(begun + data)
            self._taken[vring] += 1
            self._make_available(vring, slot)
        return frames

    def unread(self, pair: int = 0) -> int:
        """Buffers that came back and that `received` has not looked at yet."""
        return (self._used_index(2 * pair) - self._taken[2 * pair]) & 0xFFFF

    def replace_call(self, pair: int = 0) -> None:
        """Have another event for packets that came, as a driver does that masks its interrupt."""
        vring = 2 * pair
        self.send(Request.SET_VRING_CALL, struct.pack("=Q", vring), [self.call_fds[vring]])

    def wait_for(self, count: int, pair: int = 0, seconds: float = 30) -> list[bytes]:
        """So many frames, or more."""
        frames = self.received(pair)
        deadline = time.monotonic() + seconds
        while len(frames) < count:
            assert time.monotonic() < deadline, f"{len(frames)} of {count} frames came"
            time.sleep(0.001)
            frames += self.received(pair)
        return frames

    # ---- rings ----

    def _descriptor(self, place: int, length: int) -> bytes:
        """One that the back-end reads."""
        if not self.indirect:
            return struct.pack("=QIHH", place, length, 0, 0)
        first = min(length // 2, _PIECE_BYTES)
        table = struct.pack("=QIHH", place, first, _NEXT, 1) + struct.pack("=QIHH", place + first, length - first, 0, 0)
        at = place + BUFFER_BYTES - _TABLE_BYTES
        self._write(at, table)
        return struct.pack("=QIHH", at, _TABLE_BYTES, _INDIRECT, 0)

    def _fill_receive_ring(self, memory: mmap.mmap, vring: int) -> None:
        super()._fill_receive_ring(memory, vring)
        for slot in range(RING_SIZE if self.indirect else 0):
            place = self._buffers(vring) + slot * BUFFER_BYTES
            at = place + BUFFER_BYTES - _TABLE_BYTES
            memory[at : at + _TABLE_BYTES] = b"".join(
                (
                    struct.pack("=QIHH", place, _PIECE_BYTES, _WRITE | _NEXT, 1),
                    struct.pack("=QIHH", place + _PIECE_BYTES, _PIECE_BYTES, _WRITE, 0),
                )
            )
            descriptor = self._ring(vring) + 16 * slot
            memory[descriptor : descriptor + 16] = struct.pack("=QIHH", at, _TABLE_BYTES, _INDIRECT, 0)

    def _buffers(self, vring: int) -> int:
        return 2 * self.pairs * self._ring_bytes + vring * RING_SIZE * BUFFER_BYTES

    def _read(self, place: int, size: int) -> bytes:
        assert self._memory is not None
        return self._memory[place : place + size]

    def _write(self, place: int, data: bytes) -> None:
        assert self._memory is not None
        self._memory[place : place + len(data)] = data

    def _used_index(self, vring: int) -> int:
        return int.from_bytes(self._read(self._ring(vring) + _USED + 2, 2), "little")

    def _used_place(self, vring: int) -> int:
        return self._ring(vring) + _USED + 4 + 8 * (self._taken[vring] % RING_SIZE)

    def _make_available(self, vring: int, slot: int) -> None:
        ring = self._ring(vring) + _AVAILABLE
        self._write(ring + 4 + 2 * (self._given[vring] % RING_SIZE), struct.pack("=H", slot))
        self._given[vring] += 1
        self._write(ring + 2, struct.pack("=H", self._given[vring] & 0xFFFF))
