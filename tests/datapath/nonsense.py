# SPDX-License-Identifier: BSD-3-Clause
"""Peers that speak nonsense on a vhost-user socket, the same for the same seed.

Each peer says a part of a right handshake, often all of it, then nonsense, and leaves without a word. What is left out
because librte_vhost itself does not survive it is named where it would be made.
"""

import array
import contextlib
import fcntl
import os
import random
import select
import socket
import struct
import tempfile
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from vhost_frontend import RING_SIZE, USER_ADDRESS, Frontend, Request

_HEADER = struct.Struct("=III")
_NEED_REPLY = 8
_WORDS = (0, 1, 2, 3, 7, 255, 256, 257, 2**15, 2**16 - 1, 2**31, 2**32 - 1)
_LONG_WORDS = (*_WORDS, USER_ADDRESS, USER_ADDRESS + 4096, 2**47, 2**63, 2**64 - 4096, 2**64 - 1)
_PROCESSED_WITHIN_S = 0.05


class Nonsense:
    """Sends on the socket at `path`; `messages` of nonsense so far, in so many `connections`."""

    def __init__(self, path: Path, seed: int) -> None:
        self._path = path
        self._random = random.Random(seed)
        self.messages = 0
        self.connections = 0

    def send(self, messages: int) -> None:
        """Until so many messages were sent in all."""
        while self.messages < messages:
            self._one_peer(messages)

    def _one_peer(self, limit: int) -> None:
        self.connections += 1
        with contextlib.ExitStack() as stack:
            peer = stack.enter_context(_Peer(self._path, self._random.choice((1, 1, 2, 4))))
            with contextlib.suppress(ConnectionError, TimeoutError):
                steps = 5 + 7 * 2 * peer.pairs
                said = self._random.choice((0, steps, self._random.randrange(steps)))
                handshake = peer.handshake()
                for _ in range(said):
                    next(handshake, None)
                peer.wait_until_processed()
                for _ in range(self._random.randrange(1, 24)):
                    if self.messages >= limit:
                        return
                    if self._random.random() < 0.1:
                        next(handshake, None)
                    message, fds = self._message(peer)
                    peer.say(message, fds)
                    self.messages += 1
                    peer.wait_until_processed()

    # ---- kinds of messages ----

    def _message(self, peer: "_Peer") -> tuple[bytes, list[int]]:
        kinds: dict[Callable[[_Peer], tuple[bytes, list[int]]], int] = {
            self._random_bytes: 1,
            self._wrong_header: 2,
            self._truncated: 1,
            self._oversized: 1,
            self._any_payload: 4,
            self._unknown_request: 1,
            self._number_or_base: 4,
            self._address: 4,
            self._enable: 4,
            self._descriptor: 5,
            self._memory_table: 3,
            self._features: 2,
            self._never_offered: 2,
        }
        (kind,) = self._random.choices(list(kinds), list(kinds.values()))
        return kind(peer)

    def _random_bytes(self, peer: "_Peer") -> tuple[bytes, list[int]]:
        return self._random.randbytes(self._random.randrange(1, 700)), self._some_fds(peer)

    def _wrong_header(self, peer: "_Peer") -> tuple[bytes, list[int]]:
        """A version, flags and a size that do not belong to the request; the payload is as long as the size says."""
        size = self._random.choice((0, 1, 4, 7, 8, 12, 40, 200))
        flags = self._random.choice((0, 2, 3, 4, 2**32 - 1, self._random.getrandbits(32)))
        return _HEADER.pack(self._request(), flags, size) + self._random.randbytes(size), self._some_fds(peer)

    def _truncated(self, peer: "_Peer") -> tuple[bytes, list[int]]:
        """Ends in the header or in the payload; what comes next, or the end, is taken for the rest."""
        whole = _HEADER.pack(self._request(), 1, 264) + self._random.randbytes(264)
        return whole[: self._random.choice((1, 4, 11, 12, 13, 100, 275))], self._some_fds(peer)

    def _oversized(self, peer: "_Peer") -> tuple[bytes, list[int]]:
        size = self._random.choice((1024, 4097, 65_536, 2**31, 2**32 - 1))
        return _HEADER.pack(self._request(), 1, size) + self._random.randbytes(min(size, 8192)), self._some_fds(peer)

    def _any_payload(self, peer: "_Peer") -> tuple[bytes, list[int]]:
        size = self._random.choice((4, 8, 16, 40, 264))
        return self._whole(self._request(), self._random.randbytes(size)), self._some_fds(peer)

    def _unknown_request(self, peer: "_Peer") -> tuple[bytes, list[int]]:
        request = self._random.choice((0, 23, 26, 27, 33, 38, 41, 99, 2**31, 2**32 - 1))
        return self._whole(request, self._random.randbytes(8)), self._some_fds(peer)

    def _number_or_base(self, peer: "_Peer") -> tuple[bytes, list[int]]:
        request = self._random.choice((Request.SET_VRING_NUM, Request.SET_VRING_BASE))
        return self._whole(request, struct.pack("=II", self._vring(peer), self._random.choice(_WORDS))), []

    def _address(self, peer: "_Peer") -> tuple[bytes, list[int]]:
        near = [USER_ADDRESS + self._random.randrange(-4096, peer.memory_bytes + 4096) for _ in range(4)]
        places = [self._random.choice((place, *_LONG_WORDS)) for place in near]
        flags = self._random.choice((0, 1, 2**32 - 1))
        return self._whole(Request.SET_VRING_ADDR, struct.pack("=IIQQQQ", self._vring(peer), flags, *places)), []

    def _enable(self, peer: "_Peer") -> tuple[bytes, list[int]]:
        return self._whole(
            Request.SET_VRING_ENABLE, struct.pack("=II", self._vring(peer), self._random.choice(_WORDS))
        ), []

    def _descriptor(self, peer: "_Peer") -> tuple[bytes, list[int]]:
        """Kick and call with none, one, or too many descriptors, of eventfds or of anything."""
        request = self._random.choice((Request.SET_VRING_KICK, Request.SET_VRING_CALL, 14, 21, 7, 6))
        none = self._random.choice((0, 0, 0x100))
        payload = struct.pack("=Q", self._vring(peer) & 0xFF | none)
        if request == 6:  # SET_LOG_BASE
            payload = struct.pack("=QQ", self._random.choice(_LONG_WORDS), self._random.choice(_LONG_WORDS))
        count = self._random.choice((0, 1, 1, 1, 2, 8, 9, 64, 253))
        return self._whole(request, payload), [peer.any_fd(self._random) for _ in range(count)]

    def _memory_table(self, peer: "_Peer") -> tuple[bytes, list[int]]:
        """Too many regions, too few descriptors, regions that overlap, and some that cannot be mapped.

        Left out for what librte_vhost 22.11 makes of them in vhost_user_set_mem_table(): a region that is longer than
        its memory while rings are, which it looks at before anybody can refuse the message, to die of SIGBUS (without
        rings it is refused); and a table that cannot be mapped while rings are, whose old memory it has unmapped by
        then: its rings still point there, and it dies of SIGSEGV when it is next asked for packets.
        """
        regions = self._random.choice((0, 1, 2, 8, 9, 2**32 - 1))
        length = min(regions, 8)
        fds = [peer.memory() for _ in range(self._random.choice((length, length, 0, 1, 8)))]
        fits = len(fds) == regions
        table = [(place * 4096, self._random.choice((1, 4096, 8192)), USER_ADDRESS, 0) for place in range(length)]
        if fits and regions and not peer.has_rings and self._random.random() < 0.5:
            table[-1] = (0, self._random.choice((0, 2**48, 2**63, 2**64 - 1)), USER_ADDRESS, 2**40)
        payload = struct.pack("=II", regions, 0) + b"".join(struct.pack("=QQQQ", *region) for region in table)
        return _HEADER.pack(Request.SET_MEM_TABLE, 1, len(payload)) + payload, fds

    def _features(self, peer: "_Peer") -> tuple[bytes, list[int]]:
        request = self._random.choice((Request.SET_FEATURES, Request.SET_PROTOCOL_FEATURES, 20, 39))
        return self._whole(request, struct.pack("=Q", self._random.choice((0, 1 << 30, 1 << 32, *_LONG_WORDS)))), []

    def _never_offered(self, peer: "_Peer") -> tuple[bytes, list[int]]:
        """IOTLB, post-copy, and packets in flight in shared memory, each as it would be right."""
        request = self._random.choice((22, 28, 29, 30, 31, 32))
        if request == 22:
            kind = self._random.randrange(5)
            payload = struct.pack("=QQQBB6x", USER_ADDRESS, peer.memory_bytes, USER_ADDRESS, 3, kind)
        else:
            queues = self._random.choice((1, 2, 256, 65_535))
            payload = struct.pack("=QQHH4x", 4096, 0, queues, self._random.choice((RING_SIZE, 65_535)))
        return self._whole(request, payload), [peer.memory()] if request == 32 else []

    # ---- parts of messages ----

    def _whole(self, request: int, payload: bytes) -> bytes:
        flags = 1 | (_NEED_REPLY if self._random.random() < 0.3 else 0)
        return _HEADER.pack(request, flags, len(payload)) + payload

    def _request(self) -> int:
        """Any that is known, but for SET_MEM_TABLE, see there."""
        return self._random.choice([number for number in range(1, 41) if number != Request.SET_MEM_TABLE])

    def _vring(self, peer: "_Peer") -> int:
        vrings: tuple[int, ...] = (*range(2 * peer.pairs), *range(2 * peer.pairs), *_WORDS)
        return self._random.choice(vrings)

    def _some_fds(self, peer: "_Peer") -> list[int]:
        return [peer.any_fd(self._random) for _ in range(self._random.choice((0, 0, 0, 1, 3, 9)))]


class _Peer(Frontend):
    """A front-end that says anything, and does not wait for answers."""

    def __init__(self, path: Path, pairs: int) -> None:
        super().__init__(path, pairs)
        self.has_rings = False
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the peer
        self._socket, other = socket.socketpair()
        other.close()
        reads, writes = os.pipe()
        os.close(reads)
        memory = os.memfd_create("nonsense")
        os.ftruncate(memory, 65_536)
        self._own = (os.eventfd(0), memory, writes, self._file.fileno(), self._socket.fileno())
        self._fds += self._own[:3]
        self._memory = memory

    def memory(self) -> int:
        """A memfd, long enough for every region that is asked for."""
        return self._memory

    def any_fd(self, choice: random.Random) -> int:
        """Of anything, but of nothing that can be full.

        librte_vhost notifies a guest by a write that may block, in the PMD thread: a full pipe in the place of an
        eventfd, or an eventfd at its highest value, holds up all ports of that thread for as long as the peer likes.
        """
        return self._own[choice.randrange(len(self._own))]

    def send(self, request: int, payload: bytes = b"", fds: Sequence[int] = ()) -> None:
        self.has_rings |= request == Request.SET_VRING_KICK
        super().send(request, payload, fds)

    def ask(self, request: int) -> int:
        """The answer that the back-end surely gives; what it does give is mixed with other answers."""
        self.send(request)
        return 2**64 - 1

    def say(self, message: bytes, fds: Sequence[int]) -> None:
        self.has_rings |= message[0] == Request.SET_VRING_KICK
        beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([message], beside, socket.MSG_NOSIGNAL)

    def wait_until_processed(self) -> None:
        """Until the back-end has read it all; ConnectionError when it has hung up. Answers are swallowed."""
        deadline = time.monotonic() + _PROCESSED_WITHIN_S
        while True:
            readable, _, _ = select.select([self.socket], [], [], 0)
            if readable and not self.socket.recv(65_536):
                raise ConnectionError("the back-end hung up")
            waiting = array.array("i", [0])
            fcntl.ioctl(self.socket, termios.TIOCOUTQ, waiting)
            if not waiting[0] or time.monotonic() > deadline:
                return
            time.sleep(0.0002)

    def __exit__(self, *exception: object) -> None:
        self._file.close()
        self._socket.close()
        super().__exit__(None, None, None)
