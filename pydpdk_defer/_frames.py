# SPDX-License-Identifier: BSD-3-Clause
"""Frames from Python into a running datapath, and out of it."""

import weakref
from collections.abc import Iterable
from typing import Any, Literal

from pydpdk_defer import _native
from pydpdk_defer._building import Parts, Tap
from pydpdk_defer._changeable import Changeable
from pydpdk_defer._changing import rearrange, reload_all
from pydpdk_defer._signals import shielded
from pydpdk_defer._topology_fields import did_you_mean
from pydpdk_defer.capture import Capture

__all__ = ["Frames"]

_FRAME_BYTES_MIN, _FRAME_BYTES_MAX = 14, 65535


class Frames(Changeable):
    """The part of a `Datapath` that takes frames from Python and gives frames to it."""

    def inject(self, port: str, frames: Iterable[Any], timeout: float = 5.0) -> int:
        """Send frames out of a port, in order; returns how many were taken, from the first on.

        A frame is bytes-like, or whatever `bytes()` makes a frame of (a scapy packet); 14 to 65535 bytes without FCS.
        They go the way of all packets: by a txq that no PMD thread sends to, with a work ring of the control side,
        which is drained before this returns; else by the thread that owns the txq, batch by batch between its own. What
        the far side has no room for waits, and fewer than all are taken when that stays so for `timeout` seconds. A
        frame that is longer than the far side takes is among those taken where others behind it go through, dropped and
        counted under `too_long` or `dma_ring_full`. `ValueError` for a port or a frame that cannot be. The first call
        for a port takes the threads a moment, as they make way for it.
        """
        with self._lock:
            parts = self._running()
            self._check_port(parts, port)
            if isinstance(frames, bytes | bytearray | memoryview):
                raise TypeError(f"frames must be several, as in [frame], not one {type(frames).__name__}")
            data = [_bytes_of(frame, at) for at, frame in enumerate(frames)]
            if timeout < 0:
                raise ValueError(f"timeout must be 0 or more, not {timeout}")
            if port not in parts.plan.control:
                parts.injected |= {port}
                with shielded():
                    rearrange(parts, self._topology)
                    self._adopt(parts, self._topology)
            output = parts.native_output(parts.plan.control[port], {})
            injector = _native.Injector(output=output, pool=parts.pool_of[port], **self._topology.deferral.model_dump())
            return injector.inject(data, int(timeout * 1000))

    def capture(
        self,
        port: str,
        direction: Literal["rx", "tx", "both"] = "both",
        *,
        seconds: float | None = None,
        count: int | None = None,
        snap_bytes: int = _FRAME_BYTES_MAX,
        buffer_frames: int = 4096,
    ) -> Capture:
        """Copies of the frames that pass a port from now on, until `seconds`, `count` frames, or `close`.

            with dp.capture("vm0", "tx", count=100) as capture:
                for frame in capture:
                    print(frame.time_ns, frame.data.hex())

        "tx" are frames on their way into the port, whether its far side then takes them or not. The port never waits:
        of what `buffer_frames` (a power of two from 32 to 1048576) do not hold the copies are lost, and counted. The
        first `snap_bytes` of each are kept. One capture a port; `ValueError` for a second.
        """
        if direction not in ("rx", "tx", "both"):
            raise ValueError(f"direction is 'rx', 'tx' or 'both', not {direction!r}")
        if not 1 <= snap_bytes <= _FRAME_BYTES_MAX:
            raise ValueError(f"snap_bytes must be from 1 to {_FRAME_BYTES_MAX}, not {snap_bytes}")
        if not 32 <= buffer_frames <= 2**20 or buffer_frames & (buffer_frames - 1):
            raise ValueError(f"buffer_frames must be a power of two from 32 to {2**20}, not {buffer_frames}")
        if (seconds is not None and seconds < 0) or (count is not None and count < 1):
            raise ValueError("seconds must be 0 or more, count 1 or more")
        with self._lock:
            parts = self._running()
            self._check_port(parts, port)
            self._end_forgotten_captures(parts)
            if port in parts.captures:
                raise ValueError(f"port {port} is being captured already; close that capture first")
            name = f"capture{next(parts.capture_numbers)}"
            native = _native.Capture(name=name, frames=buffer_frames, snap_bytes=snap_bytes)

            def is_over() -> bool:
                return self._parts is not parts or parts.captures.get(port) is not tap

            def end() -> None:
                with self._lock:
                    if not is_over():
                        del parts.captures[port]
                        with shielded():
                            reload_all(parts, self._topology)

            capture = Capture(native, seconds, count, end, is_over)
            tap = Tap(native, rx=direction != "tx", tx=direction != "rx", reader=weakref.ref(capture))
            parts.readers.add(capture)
            parts.captures[port] = tap
            try:
                with shielded():
                    reload_all(parts, self._topology)
            except BaseException:
                end()
                raise
            return capture

    def _follow_guests(self) -> None:
        with self._lock:
            super()._follow_guests()
            if self._parts is not None:
                self._end_forgotten_captures(self._parts)

    def _end_forgotten_captures(self, parts: Parts) -> None:
        """Those that nobody can read any more."""
        if forgotten := [port for port, tap in parts.captures.items() if tap.reader() is None]:
            with shielded():
                for port in forgotten:
                    del parts.captures[port]
                reload_all(parts, self._topology)

    def _check_port(self, parts: Parts, port: str) -> None:
        if port not in parts.ports:
            raise ValueError(f"no port {port!r}; {did_you_mean(port, parts.ports, 'ports')}")


def _bytes_of(frame: Any, at: int) -> bytes:
    if isinstance(frame, int | str):
        raise TypeError(f"frames[{at}] must be bytes-like, not {type(frame).__name__}")
    try:
        data = bytes(frame)
    except TypeError:
        raise TypeError(f"frames[{at}] must be bytes-like, not {type(frame).__name__}") from None
    if not _FRAME_BYTES_MIN <= len(data) <= _FRAME_BYTES_MAX:
        raise ValueError(
            f"frames[{at}] has {len(data)} bytes; a frame has {_FRAME_BYTES_MIN} to {_FRAME_BYTES_MAX}, without FCS"
        )
    return data
