# SPDX-License-Identifier: BSD-3-Clause
"""The guest's side of the vhost-user protocol, message by message, for what no driver does on demand.

Section numbers and message types are those of QEMU's docs/interop/vhost-user.rst; rings are the split virtqueues of
virtio 1.2, section 2.7. The memory is a memfd of its own, where every descriptor of a receive ring is available from
the start.
"""

import array
import mmap
import os
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Self

RING_SIZE = 256
BUFFER_BYTES = 2048
AVAILABLE_OFFSET, USED_OFFSET = 4096, 8192  # in a ring, behind its descriptors
USER_ADDRESS = 0x10_0000_0000  # where the guest says that its memory is
_PROTOCOL_FEATURES_BIT, _VERSION_1_BIT, _MRG_RXBUF_BIT, _INDIRECT_DESC_BIT = 30, 32, 15, 28
_VERSION, _REPLY = 1, 4
_WRITE = 2  # of a descriptor
_PAGE_BYTES = 4096


class Request(IntEnum):
    """Front-end message types."""

    GET_FEATURES = 1
    SET_FEATURES = 2
    SET_OWNER = 3
    SET_MEM_TABLE = 5
    SET_VRING_NUM = 8
    SET_VRING_ADDR = 9
    SET_VRING_BASE = 10
    GET_VRING_BASE = 11
    SET_VRING_KICK = 12
    SET_VRING_CALL = 13
    GET_PROTOCOL_FEATURES = 15
    SET_PROTOCOL_FEATURES = 16
    GET_QUEUE_NUM = 17
    SET_VRING_ENABLE = 18


class Frontend:
    """A guest with so many queue pairs, ready after `start`. `indirect`: its descriptors may be tables of others."""

    def __init__(self, path: Path, pairs: int = 1, *, indirect: bool = False) -> None:
        self.pairs = pairs
        self.indirect = indirect
        self.call_fds: list[int] = []  # by vring
        self._ring_bytes = 4096 * 4
        self.memory_bytes = 2 * pairs * (self._ring_bytes + RING_SIZE * BUFFER_BYTES)
        self.memory_fd = -1  # of the present memory, which starts with the rings
        self._fds: list[int] = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(30)
        self._connect(path)

    def _connect(self, path: Path) -> None:
        """A back-end's socket is there for a moment before it listens."""
        deadline = time.monotonic() + 30
        while True:
            try:
                return self.socket.connect(str(path))
            except ConnectionRefusedError:
                assert time.monotonic() < deadline, f"nobody listens on {path}"
                time.sleep(0.01)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()
        for fd in self._fds:
            os.close(fd)

    # ---- messages ----

    def send(self, request: int, payload: bytes = b"", fds: Sequence[int] = ()) -> None:
        """One message, with file descriptors beside it."""
        message = struct.pack("=III", request, _VERSION, len(payload)) + payload
        beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([message], beside)

    def ask(self, request: int) -> int:
        """A message that is answered by a number of 64 bits."""
        self.send(request)
        return self.answer(request)

    def answer(self, request: int) -> int:
        """The answer to a message that was sent."""
        header = self._receive(12)
        answered, flags, size = struct.unpack("=III", header)
        assert (answered, flags & _REPLY, size) == (request, _REPLY, 8), header
        return int.from_bytes(self._receive(size), "little")

    def _receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            assert part, "the back-end closed the connection"
            data += part
        return data

    # ---- a guest's start ----

    def start(self) -> None:
        """All that a driver says until its rings run."""
        for _ in self.handshake():
            pass

    def handshake(self) -> Iterator[None]:
        """The same message by message, for those who leave in its midst."""
        offered = self.ask(Request.GET_FEATURES)
        wanted = 1 << _PROTOCOL_FEATURES_BIT | 1 << _VERSION_1_BIT | 1 << _MRG_RXBUF_BIT
        wanted |= self.indirect << _INDIRECT_DESC_BIT
        assert offered & wanted == wanted
        yield
        protocol = self.ask(Request.GET_PROTOCOL_FEATURES) & 1  # MQ
        self.send(Request.SET_PROTOCOL_FEATURES, struct.pack("=Q", protocol))
        yield
        self.send(Request.SET_OWNER)
        self.send(Request.SET_FEATURES, struct.pack("=Q", wanted))
        yield
        self.set_memory()
        yield
        for vring in range(2 * self.pairs):
            yield from self._start_vring(vring)
        for vring in range(2 * self.pairs):
            self.send(Request.SET_VRING_ENABLE, struct.pack("=II", vring, 1))
            yield

    def set_memory(self) -> None:
        """Fresh memory in the place of what there was, its rings as at the start.

        A page longer each time: vhost ignores a table of the same regions.
        """
        self.memory_bytes += _PAGE_BYTES
        fd = self.memory_fd = os.memfd_create("guest")
        self._fds.append(fd)
        os.ftruncate(fd, self.memory_bytes)
        with mmap.mmap(fd, self.memory_bytes) as memory:
            for vring in range(0, 2 * self.pairs, 2):
                self._fill_receive_ring(memory, vring)
        region = struct.pack("=QQQQ", 0, self.memory_bytes, USER_ADDRESS, 0)
        self.send(Request.SET_MEM_TABLE, struct.pack("=II", 1, 0) + region, [fd])

    def _ring(self, vring: int) -> int:
        return vring * self._ring_bytes

    def _fill_receive_ring(self, memory: mmap.mmap, vring: int) -> None:
        buffers = 2 * self.pairs * self._ring_bytes + vring * RING_SIZE * BUFFER_BYTES
        descriptors = b"".join(
            struct.pack("=QIHH", buffers + at * BUFFER_BYTES, BUFFER_BYTES, _WRITE, 0) for at in range(RING_SIZE)
        )
        available = struct.pack("=HH", 0, RING_SIZE) + struct.pack(f"={RING_SIZE}H", *range(RING_SIZE))
        ring = self._ring(vring)
        memory[ring : ring + len(descriptors)] = descriptors
        memory[ring + AVAILABLE_OFFSET : ring + AVAILABLE_OFFSET + len(available)] = available

    def _start_vring(self, vring: int) -> Iterator[None]:
        self.send(Request.SET_VRING_NUM, struct.pack("=II", vring, RING_SIZE))
        yield
        self.send(Request.SET_VRING_BASE, struct.pack("=II", vring, 0))
        yield
        ring = USER_ADDRESS + self._ring(vring)
        addresses = struct.pack("=IIQQQQ", vring, 0, ring, ring + USED_OFFSET, ring + AVAILABLE_OFFSET, 0)
        self.send(Request.SET_VRING_ADDR, addresses)
        yield
        for request in (Request.SET_VRING_CALL, Request.SET_VRING_KICK):
            event = os.eventfd(0)
            self._fds.append(event)
            if request == Request.SET_VRING_CALL:
                self.call_fds.append(event)
            self.send(request, struct.pack("=Q", vring), [event])
            yield
