# SPDX-License-Identifier: BSD-3-Clause
"""Frames as they pass a port of a running datapath."""

import os
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from pydpdk_defer import _native

__all__ = ["Capture", "CapturedFrame"]

_POLL_SECONDS = 0.001
_FRAMES_AT_ONCE = 256
# The libpcap file format: nanosecond time stamps, version 2.4, Ethernet.
_PCAP_HEADER = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1)
_NS = 1_000_000_000


@dataclass(frozen=True)
class CapturedFrame:
    """A frame that passed: when, by which queue and which way, and its bytes.

    `time_ns`: nanoseconds since the epoch, from the PMD thread's clock. `direction`: "rx" is into the datapath.
    `length`: bytes of the frame as it passed; `data` has no more than the capture's `snap_bytes` of them.
    """

    time_ns: int
    direction: Literal["rx", "tx"]
    qid: int
    length: int
    data: bytes


class Capture:
    """An iterator over frames as they pass; made by `Datapath.capture`. Ends the capture when its `with` ends.

    `for frame in capture` waits for frames, until the capture is closed or has brought what was asked for. One that is
    forgotten without being closed ends soon after.
    """

    def __init__(
        self,
        native: _native.Capture,
        seconds: float | None,
        count: int | None,
        end: Callable[[], None],
        is_over: Callable[[], bool],
    ) -> None:
        self._native: _native.Capture | None = native
        self._lost = 0
        self._left = count
        self._end: Callable[[], None] | None = end
        self._is_over = is_over
        self._epoch_ns, self._epoch_tsc = time.time_ns(), _native.tsc()
        self._ends_tsc = None if seconds is None else self._epoch_tsc + int(seconds * _native.tsc_hz())
        self._waiting: list[tuple[int, bool, int, int, bytes]] = []

    @property
    def lost(self) -> int:
        """Frames that passed and that there was no room for, as the reader was too slow."""
        return self._lost if self._native is None else self._native.lost

    def close(self) -> None:
        """Capture no more; what was captured already can still be read. Harmless the second time."""
        end, self._end = self._end, None
        if end is not None:
            end()

    def part_from_datapath(self) -> None:
        """The datapath ends, and with it the memory of frames that are not read yet: they are kept here."""
        if self._native is not None:
            self._waiting = self._native.read(2**32)[::-1] + self._waiting
        self._let_go()
        self._end = None

    def _let_go(self) -> None:
        """No thread adds to it any more, and all is read: its memory is free for the next."""
        native, self._native = self._native, None
        if native is not None:
            self._lost = native.lost
            native.release()

    def __iter__(self) -> Iterator[CapturedFrame]:
        return self

    def __next__(self) -> CapturedFrame:
        while self._left != 0:
            tsc, is_tx, qid, length, data = self._next_waiting()
            if self._ends_tsc is not None and tsc > self._ends_tsc:
                continue  # it passed while the capture was about to end
            if self._left is not None:
                self._left -= 1
                if self._left == 0:
                    self._end_and_let_go()
            since_ns = (tsc - self._epoch_tsc) * _NS // _native.tsc_hz()
            return CapturedFrame(self._epoch_ns + since_ns, "tx" if is_tx else "rx", qid, length, data)
        raise StopIteration

    def _next_waiting(self) -> tuple[int, bool, int, int, bytes]:
        """The oldest frame that was not read yet. `StopIteration`: the capture is over, and all is read."""
        while not self._waiting:
            # A port may be so busy that there always is a frame to read: the end does not wait for none.
            if self._ends_tsc is not None and _native.tsc() >= self._ends_tsc:
                self.close()
            # In this order: what came before the end is read.
            is_over = self._end is None or self._is_over()
            if (native := self._native) is not None:
                self._waiting = native.read(_FRAMES_AT_ONCE)[::-1]
            if not self._waiting:
                if is_over:
                    self._let_go()
                    raise StopIteration
                time.sleep(_POLL_SECONDS)
        return self._waiting.pop()

    def _end_and_let_go(self) -> None:
        """What was asked for is read; what came after it is not wanted."""
        self.close()
        self._let_go()

    def write_pcap(self, path: str | os.PathLike[str]) -> int:
        """Write all frames to come to a pcap file, until the capture is over; returns how many there were."""
        frames = 0
        with Path(path).open("wb") as file:
            file.write(_PCAP_HEADER)
            for frame in self:
                seconds, ns = divmod(frame.time_ns, _NS)
                file.write(struct.pack("<IIII", seconds, ns, len(frame.data), frame.length) + frame.data)
                frames += 1
        return frames

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
